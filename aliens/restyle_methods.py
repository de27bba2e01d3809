"""What a library can do: restyle."""

from aliens.tag_methods import TagMethods


class RestyleMethods(TagMethods):
    """."""
