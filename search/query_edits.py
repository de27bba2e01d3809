"""Small changes to a query that a page writes into its box: a filter put in or taken out. Searches nothing."""

from dataclasses import replace

from base.names import comparable
from search.query import Filter, format_query, parse


def toggled_filter(text: str, term: str) -> str:
    """Return a query with a filter, such as chain:Azura, or without it where it has it already.

    What was typed stays as it is where a filter is put in; where one is taken out, the rest is written anew.

    Raises: QuerySyntaxError: either text cannot be read.
    """
    query, asked = parse(text), parse(term).filters
    left = tuple(part for part in query.filters if folded_filter(part) not in {folded_filter(each) for each in asked})
    if len(left) < len(query.filters):
        return format_query(replace(query, filters=left))
    return f"{text.rstrip()} {term}".lstrip()


def folded_filter(part: Filter) -> Filter:
    """Return a filter as it is compared: names in either case."""
    return replace(part, value=comparable(part.value))
