import numpy as np
from matplotlib.path import Path

from analysis.stats.coastline import beside_180, joined_arcs, land, points_of


def is_on_land(longitude: float, latitude: float) -> bool:
    return any(Path(ring).contains_point((longitude, latitude)) for ring in land())


def test_land_is_where_it_is() -> None:
    assert is_on_land(2.35, 48.85)  # Paris
    assert is_on_land(-58.4, -34.7)  # near Buenos Aires
    assert is_on_land(134, -25)  # Australia
    assert is_on_land(177, 66)  # Chukotka, on both sides of 180 degrees
    assert is_on_land(-173, 65.5)
    assert not is_on_land(-30, 30)  # the Atlantic
    assert not is_on_land(90, -40)


def test_rings_are_closed_and_do_not_run_across_the_map() -> None:
    for ring in land():
        assert np.abs(np.diff(ring[:, 0])).max() <= 180
        assert np.abs(ring[:, 1]).max() <= 90


def test_steps_of_whole_numbers_become_degrees() -> None:
    transform = {"scale": [0.5, 2.0], "translate": [-10.0, 1.0]}
    assert points_of([[2, 1], [4, -1]], transform).tolist() == [[-9, 3], [-7, 1]]


def test_arcs_are_joined_where_they_meet_and_turned_round() -> None:
    arcs = [np.array([[0.0, 0], [1, 0]]), np.array([[0.0, 0], [1, 1], [1, 0]])]
    assert joined_arcs([0, ~1], arcs).tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]


def test_what_crosses_180_degrees_is_there_on_both_sides() -> None:
    east, west = beside_180(np.array([[179.0, 0], [-179, 1], [179, 2]]))
    assert east[:, 0].tolist() == [179, 181, 179]
    assert west[:, 0].tolist() == [-181, -179, -181]
    (alone,) = beside_180(np.array([[1.0, 0], [2, 1]]))
    assert alone.tolist() == [[1, 0], [2, 1]]
