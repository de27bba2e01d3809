"""What a library can do with a query's text, without searching."""


class QueryMethods:
    """Changing queries as a page does that writes them."""

    def toggled_filter(self, text: str, term: str) -> str:
        """Return a query with a filter, such as chain:Azura, or without it where it has it already.

        Raises: QuerySyntaxError: either text cannot be read.
        """
        from search.query_edits import toggled_filter

        return toggled_filter(text, term)
