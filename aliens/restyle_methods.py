"""What a library can do: restyle."""

from aliens.owner import Owner


class RestyleMethods(Owner):
    """."""
