"""What a library can do: tag."""

from aliens.owner import Owner


class TagMethods(Owner):
    """."""
