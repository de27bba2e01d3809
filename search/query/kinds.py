"""Which kinds of pictures a query asks for: photos, restyled photos, or both. Searches nothing."""

from collections.abc import Sequence

from db.models import PhotoState
from search.query.terms import Filter
from search.query.values import read_choice

STATES = {"photo": PhotoState.EMBEDDED, "restyled": PhotoState.RESTYLED}
KINDS = frozenset(STATES)


def kinds_of(filters: Sequence[Filter]) -> frozenset[str]:
    """Return the kinds that filters leave; without a filter of a kind, photos alone.

    Several kinds mean any of them, those with a minus are left out of them, or of all.
    """
    said = [(part.negated, read_choice("kind", part.value)) for part in filters if part.name == "kind"]
    if not said:
        return frozenset({"photo"})
    wanted, refused = (frozenset(kind for negated, kind in said if negated is refusing) for refusing in (False, True))
    return (KINDS if not wanted or "any" in wanted else wanted) - refused
