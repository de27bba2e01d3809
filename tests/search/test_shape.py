from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import QueryError
from search.ranking import Quota, Shape, in_shown_order
from search.results import Hit


def hit(photo_id: int, score: float, hotel: str | None = None, date: datetime | None = None) -> Hit:
    hotel_id = None if hotel is None else sum(hotel.encode())
    return Hit(photo_id, None, f"/{photo_id}.jpg", "", hotel_id, hotel, None, None, score, date)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"per_hotel": 0}, "per_hotel is 0"),
        ({"per_chain": -3}, "per_chain is -3"),
        ({"diverse": 1.5}, "diverse is 1.5"),
        ({"diverse": float("nan")}, "diverse is nan"),
        ({"sort": "size"}, "sort is 'size'"),
        ({"min_score": 2.0}, "min_score is 2"),
        ({"min_score": float("nan")}, "min_score is nan"),
    ],
)
def test_values_that_make_no_sense_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(QueryError, match=words):
        Shape(**options)


def test_sorting_and_the_cursor_itself_do_not_change_the_list_that_a_cursor_is_of() -> None:
    assert Shape(sort="date", after="x").identity == Shape().identity
    assert Shape(per_hotel=1).identity != Shape().identity


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 3)), st.one_of(st.none(), st.integers(1, 2))), max_size=60),
    st.one_of(st.none(), st.integers(1, 3)),
    st.one_of(st.none(), st.integers(1, 3)),
)
def test_quotas_admit_as_many_as_allowed_and_no_more(
    places: list[tuple[int | None, int | None]], per_hotel: int | None, per_chain: int | None
) -> None:
    quota = Quota(Shape(per_hotel=per_hotel, per_chain=per_chain))
    admitted, refused = [], []
    for place in places:
        (admitted if quota.admits(*place) else refused).append(place)
    hotels, chains = (Counter(place[which] for place in admitted if place[which] is not None) for which in (0, 1))
    assert all(count <= (per_hotel or len(places)) for count in hotels.values())
    assert all(count <= (per_chain or len(places)) for count in chains.values())
    for hotel, chain in refused:  # each was refused because one of its quotas was full in the end
        assert (per_hotel is not None and hotels[hotel] == per_hotel) or (
            per_chain is not None and chains[chain] == per_chain
        )


def test_by_date_the_newest_comes_first_and_what_has_no_date_last() -> None:
    hits = [hit(1, 0.9), hit(2, 0.8, date=datetime(2014, 1, 1)), hit(3, 0.7, date=datetime(2016, 1, 1)), hit(4, 0.6)]
    assert [h.photo_id for h in in_shown_order(hits, "date")] == [3, 2, 1, 4]


def test_by_hotel_best_first_within_each() -> None:
    hits = [hit(1, 0.9, "Zeta"), hit(2, 0.8), hit(3, 0.7, "alpha"), hit(4, 0.6, "Zeta")]
    assert [h.photo_id for h in in_shown_order(hits, "hotel")] == [3, 1, 4, 2]
