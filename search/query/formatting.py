"""Writing a query down so that reading it gives the same one."""

from dataclasses import replace
from pathlib import Path

from search.query.parser import parse
from search.query.terms import ALIASES, FILTER_NAMES, NEGATED, TERM_NAMES, Filter, Query, Term

NAMES = (*FILTER_NAMES, *ALIASES, *TERM_NAMES)
NAMES_OF_KINDS = {kind: name for name, kind in TERM_NAMES.items()}


def format_query(query: Query) -> str:
    """Return a query as text: `parse(format_query(q)) == q`."""
    parts = [format_term(term, first=place == 0) for place, term in enumerate(query.terms)]
    return " ".join([*parts, *map(format_filter, query.filters)])


def with_whole_paths(text: str) -> str:
    """Return a query with the paths of its photo files in full; as it stands where they are, or where it has none.

    Raises: QuerySyntaxError: it cannot be read.
    """
    query = parse(text)
    terms = tuple(
        replace(term, value=str(Path(term.value).absolute()))
        if isinstance(term.value, str) and term.kind == "image"
        else term
        for term in query.terms
    )
    return text if terms == query.terms else format_query(replace(query, terms=terms))


def format_term(term: Term, first: bool) -> str:
    """Return a term; the first words need no sign."""
    weight = "" if term.weight in (1, -NEGATED) else f":{format_number(abs(term.weight))}"
    sign = "-" if term.weight < 0 else "+"
    if term.kind == "photo":
        return f"{'-' if sign == '-' else ''}like:{term.value}{weight}"
    if term.kind == "image":
        return f"{'-' if sign == '-' else ''}image:{quoted(str(term.value))}{weight}"
    if first and term.weight == 1:
        return free(str(term.value))
    return f"{sign}{quoted(words := str(term.value), always=not words.isalpha() or words.lower() in NAMES)}{weight}"


def format_filter(part: Filter) -> str:
    """Return a filter."""
    comparison = "" if part.number is None else f"{part.op}{format_number(part.number)}"
    return f"{'-' if part.negated else ''}{part.name}:{quoted(part.value)}{comparison}"


def format_number(number: float) -> str:
    """Return a number without an exponent, so that every one of its digits survives."""
    text = f"{number:.400f}".rstrip("0").rstrip(".") if "e" in repr(number) else repr(number)
    return text.removesuffix(".0") or "0"


def free(text: str) -> str:
    """Return words as they stand where they hold nothing that means more, else in quotes."""
    plain = all(word.isalpha() for word in text.split(" "))
    return text if plain else quoted(text, always=True)


def quoted(text: str, always: bool = False) -> str:
    """Return a value, in quotes where it needs them."""
    if not always and all(character.isalnum() or character in "-_.,/>=<" for character in text) and text[0].isalnum():
        return text if not any(character in "<>" for character in text) else quoted(text, always=True)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
