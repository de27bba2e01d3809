"""The query language: text, negated and weighted terms, photos, filters. See docs/query-language.md."""

from search.query.formatting import format_filter, format_query, with_whole_paths
from search.query.hints import hints
from search.query.parser import parse
from search.query.terms import Filter, Query, Term

__all__ = ["Filter", "Query", "Term", "format_filter", "format_query", "hints", "parse", "with_whole_paths"]
