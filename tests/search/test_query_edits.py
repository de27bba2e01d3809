import pytest

import aliens
from search.query_edits import toggled_filter


@pytest.mark.parametrize(
    ("before", "term", "after"),
    [
        ("", "chain:Azura", "chain:Azura"),
        ("a pool", 'chain:"Best Western"', 'a pool chain:"Best Western"'),
        ('a  "-pool" ', "tag:bathtub", 'a  "-pool" tag:bathtub'),  # what was typed stays as it is
        ("a pool chain:azura", "chain:Azura", "a pool"),
        ("chain:none", "chain:none", ""),
        ("a pool chain:Azura hotel:3", "chain:Azura", "a pool hotel:3"),
        ("a pool -chain:Azura", "chain:Azura", "a pool -chain:Azura chain:Azura"),  # the opposite is another filter
        ("a pool size:>=10x10", "size:>=10x10", "a pool"),
    ],
)
def test_a_filter_goes_in_and_out(before: str, term: str, after: str) -> None:
    assert toggled_filter(before, term) == after


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(aliens.QueryError, match="never closed"):
        toggled_filter('a "pool', "chain:Azura")
