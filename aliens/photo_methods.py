"""What a library can do: photo."""

from aliens.owner import Owner


class PhotoMethods(Owner):
    """."""
