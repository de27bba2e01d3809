"""Every example query of the pages of the query language and of scores is one, and all operators have an example."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.query import FILTER_NAMES, NEGATED, TERM_NAMES, format_query, parse
from search.ranking import FEWEST

PAGES = [Path(__file__).parents[3] / "docs" / name for name in ("query-language.md", "scores.md")]
DOCS = "".join(page.read_text(encoding="utf-8") for page in PAGES)


def examples() -> Iterator[str]:
    """Yield the queries of the tables' first columns, of blocks, and of commands."""
    yield from re.findall(r"^\| `([^`]+)` \| [^|]+ \|$", DOCS, flags=re.MULTILINE)
    for block in re.findall(r"```query\n(.*?)```", DOCS, flags=re.DOTALL):
        yield from block.splitlines()
    for block in re.findall(r"```bash\n(.*?)```", DOCS, flags=re.DOTALL):
        for line in block.splitlines():
            words = [word for word in shlex.split(line, comments=True) if word != "--"]
            assert words[:2] == ["aliens", "search"]
            yield words[2]


def test_there_are_examples_of_everything() -> None:
    queries = [parse(query) for query in examples()]
    assert len(queries) >= 30
    assert {part.name for query in queries for part in query.filters} == set(FILTER_NAMES)
    assert {term.kind for query in queries for term in query.terms} == {"text", *TERM_NAMES.values()}
    assert any(part.negated for query in queries for part in query.filters)
    assert any(term.weight < 0 for query in queries for term in query.terms)


@pytest.mark.parametrize("query", list(examples()))
def test_an_example_is_a_query_that_has_something_to_rank_by(query: str) -> None:
    parsed = parse(query)
    assert any(term.weight > 0 for term in parsed.terms)
    assert parse(format_query(parsed)) == parsed


def test_the_numbers_that_the_text_states_are_those_of_the_code() -> None:
    assert f"with the weight {NEGATED}, not 1" in DOCS
    assert f"**q - {NEGATED} n**" in DOCS
    assert f"Without {FEWEST} photos" in DOCS
