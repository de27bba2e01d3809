"""What a library can do: search."""

from aliens.owner import Owner


class SearchMethods(Owner):
    """."""
