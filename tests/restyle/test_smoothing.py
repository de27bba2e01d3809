import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from restyle.smoothing import guided_fits, smoothstep


@given(st.floats(-10, 10), st.floats(0.1, 10))
def test_a_step_rises_from_0_to_1_and_never_falls(low: float, width: float) -> None:
    values = np.linspace(low - width, low + 2 * width, 301).astype(np.float32)
    step = smoothstep(low, low + width, values)
    assert step[0] == 0 and step[-1] == 1 and (np.diff(step) >= -1e-6).all()
    assert step[150] == pytest.approx(0.5, abs=0.01)


def halves(value: float, other: float, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """Return a map whose halves differ."""
    picture = np.full(shape, value, np.float32)
    picture[:, shape[1] // 2 :] = other
    return picture


def test_noise_goes_and_edges_of_the_guide_stay() -> None:
    guide, clean = halves(30, 70), halves(0, 1)
    noisy = clean + np.random.default_rng(0).normal(0, 0.3, clean.shape).astype(np.float32)
    smooth = guided_fits(guide, 4, 12.0, noisy)[0].of(guide)
    assert np.abs(smooth - clean).mean() < 0.3 * np.abs(noisy - clean).mean()
    assert np.abs(np.diff(smooth[:, 38:42], axis=1)).max(axis=1).min() > 0.7  # in one pixel
    blind = guided_fits(np.full_like(guide, 50), 4, 12.0, noisy)[0].of(guide)
    assert np.abs(np.diff(blind[:, 38:42], axis=1)).max() < 0.3


def test_a_larger_guide_has_sharp_edges_and_may_come_in_parts() -> None:
    fit = guided_fits(halves(30, 70), 3, 12.0, halves(0, 1))[0]
    large = halves(30, 70, (601, 803))
    whole = fit.of(large)
    assert np.diff(whole, axis=1).max(axis=1).min() > 0.7
    parts = [fit.of(large[top:bottom], top / 601, bottom / 601) for top, bottom in ((0, 7), (7, 300), (300, 601))]
    assert np.abs(np.concatenate(parts) - whole).max() < 1e-3


def test_values_that_follow_the_guide_stay_as_they_are() -> None:
    guide = np.random.default_rng(1).normal(50, 20, (50, 50)).astype(np.float32)
    line = 0.01 * guide + 0.2
    assert np.abs(guided_fits(guide, 3, 0.01, line)[0].of(guide) - line).max() < 0.01
