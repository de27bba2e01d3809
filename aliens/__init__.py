"""CV-Aliens: search, tag and restyle your photos by describing them.

    import aliens

    with aliens.create("my-library", model="starter") as library:
        library.add("photos")
        for hit in library.search("bathtub with a view", k=5):
            print(hit.score, hit.path)

`aliens.open` opens a library again; everything that the command `aliens` can do is a method of `aliens.Library`.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aliens.library import Library as Library
    from aliens.library import create as create
    from aliens.library import open as open
    from base.errors import AliensError as AliensError
    from base.errors import EncoderError as EncoderError
    from base.errors import EngineError as EngineError
    from base.errors import LibraryError as LibraryError
    from base.errors import ModelMismatchError as ModelMismatchError
    from base.errors import OutputError as OutputError
    from base.errors import QueryError as QueryError
    from base.errors import QuerySyntaxError as QuerySyntaxError
    from base.errors import SourceError as SourceError

LIBRARY = ("Library", "create", "open")
ERRORS = (
    "AliensError",
    "EncoderError",
    "EngineError",
    "LibraryError",
    "ModelMismatchError",
    "OutputError",
    "QueryError",
    "QuerySyntaxError",
    "SourceError",
)
__all__ = [*LIBRARY, *ERRORS]
OURS = ("base", "db", "embedding", "indexer", "restyle", "search")


def refuse_hidden_packages() -> None:
    """Make sure that imports find the packages that lie beside this one, and not a user's files of those names.

    Raises: ImportError: a file such as search.py beside a script hides one of them; the message names it.
    """
    home = Path(__file__).resolve().parent.parent
    for name in OURS:
        loaded = sys.modules.get(name)
        spec = getattr(loaded, "__spec__", None) if loaded is not None else PathFinder.find_spec(name)
        where = getattr(loaded, "__file__", None) if spec is None else spec.origin
        if where is not None and Path(where).resolve() != home / name / "__init__.py":
            raise ImportError(
                f"{where} hides a part of CV-Aliens that is also called {name!r}: give that file another name"
            )


def __getattr__(name: str) -> Any:
    """Import what is asked for: `import aliens` alone takes no time."""
    if name == "__version__":
        from base import __version__

        return __version__
    if name in ERRORS:
        from base import errors

        return getattr(errors, name)
    if name in LIBRARY:
        from aliens import library

        return getattr(library, name)
    raise AttributeError(f"module 'aliens' has no attribute {name!r}: it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    """Return the names that are documented."""
    return sorted([*__all__, "__version__"])


refuse_hidden_packages()
