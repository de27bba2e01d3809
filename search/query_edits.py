"""Changing a query as text, so that what was typed stays as it was typed: filters put in and taken out."""

from base.names import comparable
from search.query import CHOICES, Filter, Parser, parse, read_choice
from search.tags.vocabulary import bare


def toggled_filter(text: str, term: str) -> str:
    """Return a query with a filter more, such as chain:Azura, or without it where it has it.

    Raises: QuerySyntaxError: one of them cannot be read.
    """
    parser = Parser(text)
    query, wanted = parser.query(), [alike(part) for part in parse(term).filters]
    spans = [span for part, span in zip(query.filters, parser.filter_spans, strict=True) if alike(part) in wanted]
    if not spans:
        return f"{text.rstrip()} {term}" if text.strip() else term
    for begin, end in reversed(spans):
        before, after = text[:begin].rstrip(), text[end:].lstrip()
        text = f"{before} {after}" if before and after else before + after
    return text


def alike(part: Filter) -> tuple[object, ...]:
    """Return what two filters have in common that mean the same."""
    value = bare(part.value) if part.name == "tag" else comparable(part.value)
    value = read_choice(part.name, part.value) if part.name in CHOICES else value
    return part.name, value, part.op, part.number, part.negated
