"""What is asked of every photo: a pick goes first, and what decides nothing is not asked."""

from typing import Any

import pytest

from aliens.library import Library
from base.errors import QueryError
from restyle.alienise import Wish
from restyle.picks import Pick
from restyle.studio import Done, Wishes, orders_of
from tests.restyle.studios import FERN


@pytest.mark.parametrize(
    "option", [{"seed": 7}, {"seeds": 0}, {"budget_s": 60}, {"prompt": "ferns"}, {"negative_prompt": "red"}], ids=str
)
def test_what_decides_nothing_of_regrading_makes_no_other_result(opened: Library, option: dict[str, Any]) -> None:
    made = []
    for options in ({}, option):
        (each,) = opened.restyle([3], engine="regrade", **options)
        assert isinstance(each, Done)
        made.append(each)
    assert [each.made_now for each in made] == [True, False]
    assert made[0].result.path == made[1].result.path


def test_a_pick_goes_before_what_is_asked_of_all() -> None:
    wishes = Wishes(palette=FERN, paints=True, prompt="ferns", negative_prompt="red", strength=0.5, seed=3, seeds=1)
    assert wishes.of(Pick(photo_id=1, path="")) == Wish(
        prompt="ferns", negative_prompt="red", strength=0.5, seed=3, seeds=1
    )
    pick = Pick(photo_id=1, path="", prompt="moss", negative_prompt="peach", strength=0.0, seed=0)
    assert wishes.of(pick) == Wish(prompt="moss", negative_prompt="peach", strength=0.0, seed=0, seeds=1)


def test_only_what_nobody_said_is_told_by_the_photo() -> None:
    asked: list[int] = []

    def describe(photo_id: int) -> tuple[list[str], str]:
        asked.append(photo_id)
        return ["a bathtub"], "a tub by a window"

    wish = Wishes(palette=FERN, paints=True, negative_prompt="red", describe=describe).of(Pick(photo_id=7, path=""))
    assert "a bathtub" in wish.prompt and "a tub by a window" in wish.prompt
    assert (wish.negative_prompt, asked) == ("red", [7])
    Wishes(palette=FERN, paints=True, prompt="", negative_prompt="", describe=describe).of(Pick(photo_id=8, path=""))
    Wishes(palette=FERN, paints=False, describe=describe).of(Pick(photo_id=9, path=""))
    assert asked == [7]  # an empty prompt was said as well


@pytest.mark.parametrize(
    ("pick", "words"),
    [
        (Pick(photo_id=99, path=""), "no photo 99 in"),
        (Pick(photo_id=1 << 80, path=""), "no photo 1208925"),
        (Pick(photo_id=1, path="/elsewhere/00.jpg"), "of another library, or the photo was moved"),
        (Pick(photo_id=1, path="", member="a.jpg"), ""),  # without a path nothing is compared
    ],
)
def test_picks_that_the_library_does_not_know_are_refused(opened: Library, pick: Pick, words: str) -> None:
    wishes = Wishes(palette=FERN, paints=False)
    with opened.catalog.session() as session:
        if not words:
            assert [order.photo_id for order in orders_of(opened.catalog, session, [pick], wishes)] == [1]
            return
        with pytest.raises(QueryError, match=words):
            orders_of(opened.catalog, session, [pick], wishes)
