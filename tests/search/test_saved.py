from typing import Any

import pytest

from aliens.library import Library
from base.errors import QueryError
from db.settings_rows import save_search
from search.saved import NamedSearch
from tests.conftest import LibraryFactory

pytestmark = pytest.mark.every_database


@pytest.fixture
def opened(library: LibraryFactory) -> Library:
    return library.open()


def test_a_search_is_kept_under_its_name_and_replaced(opened: Library) -> None:
    opened.save_search("tubs", "bathtub -shower", k=5)
    opened.save_search("tubs", "bathtub", per_hotel=1)
    opened.save_search("Ванны", "bathtub")
    assert opened.saved_search("tubs") == NamedSearch("tubs", "bathtub", {"per_hotel": 1})
    assert [saved.name for saved in opened.saved_searches()] == ["tubs", "Ванны"]


def test_an_unknown_name_lists_what_is_near(opened: Library) -> None:
    with pytest.raises(QueryError, match="--save NAME"):
        opened.saved_search("tubs")
    opened.save_search("bathtubs", "bathtub")
    for missing in (opened.saved_search, opened.forget_search):
        with pytest.raises(QueryError, match=r"no search is saved as 'bathtub' \(there are: bathtubs\)"):
            missing("bathtub")


def test_a_forgotten_search_is_gone(opened: Library) -> None:
    opened.save_search("tubs", "bathtub")
    opened.forget_search("tubs")
    assert list(opened.saved_searches()) == []


@pytest.mark.parametrize(("name", "text"), [("", "pool"), (" ", "pool"), ("x" * 256, "pool"), ("x", 'pool "open')])
def test_a_name_or_a_text_that_cannot_be_used_is_refused(opened: Library, name: str, text: str) -> None:
    with pytest.raises(QueryError):
        opened.save_search(name, text)
    assert list(opened.saved_searches()) == []


def test_an_option_that_is_none_is_refused(opened: Library) -> None:
    with pytest.raises(TypeError, match="per_hotels"):
        opened.save_search("tubs", "bathtub", per_hotels=1)


def test_options_as_earlier_versions_kept_them_are_understood(opened: Library) -> None:
    kept = {"more_like": "42,7", "less_like": " 3", "every": True, "min_score": 0, "per_country": 2, "k": "many"}
    with opened.catalog.session() as session:
        save_search(session, "old", "pool", kept)
        session.commit()
    saved = opened.saved_search("old")
    assert saved.options == {"more_like": (42, 7), "less_like": (3,), "min_score": 0}
    assert saved.every
    assert saved.left_out == {"per_country": 2, "k": "many"}


def test_a_saved_search_is_repeated_by_its_text_and_options(sample_library: Library) -> None:
    asked: dict[str, Any] = {"k": 5, "per_hotel": 1, "more_like": [3], "diverse": 0.2}
    sample_library.save_search("tubs", "a bathtub", **asked)
    saved = sample_library.saved_search("tubs")
    again = sample_library.search(saved.text, **saved.options)
    sample_library.forget_search("tubs")
    assert [hit.photo_id for hit in again] == [hit.photo_id for hit in sample_library.search("a bathtub", **asked)]
