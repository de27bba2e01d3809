import pytest

from base.errors import QueryError
from search.saved import forget, list_saved, save_named, saved_search
from tests.conftest import LibraryFactory


def test_a_search_is_kept_under_its_name_and_replaced(library: LibraryFactory) -> None:
    save_named(library.folder, "tubs", "bathtub -shower", {"k": 5})
    save_named(library.folder, "tubs", "bathtub", {"per_hotel": 1})
    save_named(library.folder, "Ванны", "bathtub", {})
    assert saved_search(library.folder, "tubs") == ("bathtub", {"per_hotel": 1})
    assert [saved.name for saved in list_saved(library.folder)] == ["tubs", "Ванны"]


def test_an_unknown_name_lists_what_is_near(library: LibraryFactory) -> None:
    with pytest.raises(QueryError, match="--save NAME"):
        saved_search(library.folder, "tubs")
    save_named(library.folder, "bathtubs", "bathtub", {})
    for missing in (saved_search, forget):
        with pytest.raises(QueryError, match=r"no search is saved as 'bathtub' \(there are: bathtubs\)"):
            missing(library.folder, "bathtub")


def test_a_forgotten_search_is_gone(library: LibraryFactory) -> None:
    save_named(library.folder, "tubs", "bathtub", {})
    forget(library.folder, "tubs")
    assert list_saved(library.folder) == []


@pytest.mark.parametrize(("name", "text"), [("", "pool"), (" ", "pool"), ("x" * 256, "pool"), ("x", 'pool "open')])
def test_a_name_or_a_text_that_cannot_be_used_is_refused(library: LibraryFactory, name: str, text: str) -> None:
    with pytest.raises(QueryError):
        save_named(library.folder, name, text, {})
    assert list_saved(library.folder) == []
