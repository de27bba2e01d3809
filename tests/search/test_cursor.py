import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import QueryError
from search.results import Cursor, digest, read_cursor

CURSOR = Cursor(library="lib", query="query", newest=99, score=0.25, photo_id=7, rank=10)


@given(
    st.builds(
        Cursor,
        library=st.just("lib"),
        query=st.just("query"),
        newest=st.integers(0, 2**62),
        score=st.floats(-1, 1),
        photo_id=st.integers(1, 2**62),
        rank=st.integers(1, 10**9),
    )
)
def test_a_cursor_survives_being_written_down(cursor: Cursor) -> None:
    assert read_cursor(str(cursor), "lib", "query") == cursor


def test_a_cursor_needs_no_quotes_in_a_shell() -> None:
    assert str(CURSOR).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(("of", "word"), [(("other", "query"), "library"), (("lib", "other"), "query")])
def test_a_cursor_of_another_library_or_query_is_refused(of: tuple[str, str], word: str) -> None:
    with pytest.raises(QueryError, match=f"of another {word}"):
        read_cursor(str(CURSOR), *of)


@pytest.mark.parametrize("text", ["", "x", "null", "W10", "é", "[" * 5000, str(CURSOR)[:-3]])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="no cursor"):
        read_cursor(text, "lib", "query")


@pytest.mark.parametrize(
    "values",
    [
        ["lib", "query", 99, 0.25, float("inf"), 10],
        ["lib", "query", float("inf"), 0.25, 7, 10],
        ["lib", "query", 99, float("inf"), 7, 10],
        ["lib", "query", 99, float("nan"), 7, 10],
        ["lib", "query", 99, 0.25, 7, 10**30],
        ["lib", "query", 99, 0.25, -7, 10],
        ["lib", "query", 99, 0.25, 7, -10],
        ["lib", "query", 99, 10**400, 7, 10],
    ],
)
def test_a_forged_cursor_is_refused(values: list[object]) -> None:
    text = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    with pytest.raises(QueryError, match="no cursor"):
        read_cursor(text, "lib", "query")


def test_digests_tell_values_apart() -> None:
    assert digest("a", 1) == digest("a", 1) != digest("a", 2)
