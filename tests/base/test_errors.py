import inspect
import re

from base import errors
from base.errors import AliensError, PhotoError


def drawn_tree() -> dict[str, str | None]:
    """Return {class name: name of the class that it hangs under} of the tree in the module's docstring."""
    above: list[str] = []
    tree: dict[str, str | None] = {}
    for branches, name in re.findall(r"^([│├└─ ]*)(\w+Error) {2,}\S", errors.__doc__ or "", re.MULTILINE):
        depth = len(branches) // 4
        tree[name] = above[depth - 1] if depth else None
        above[depth:] = [name]
    return tree


def test_the_docstring_draws_every_error_under_the_one_that_it_is_made_of() -> None:
    classes = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}
    parents = {name: kind.__base__.__name__ for name, kind in classes.items()}
    assert drawn_tree() == parents | {"AliensError": None}
    assert parents["AliensError"] == "Exception"


def test_a_photo_error_keeps_its_kind_beside_its_message() -> None:
    error = PhotoError("truncated", "OSError: image file is truncated")
    assert (error.kind, error.reason, str(error)) == (
        "truncated",
        "OSError: image file is truncated",
        "OSError: image file is truncated",
    )
    assert isinstance(error, AliensError)
