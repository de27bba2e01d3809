"""CV-Aliens: search, tag and restyle your photos by describing them.

    import aliens

    with aliens.create("my-library", model="starter") as library:
        library.add("photos")
        for hit in library.search("bathtub with a view", k=5):
            print(hit.score, hit.path)

`aliens.open` opens a library again; everything that the command `aliens` can do is a method of `aliens.Library`.
"""

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aliens.library import Library as Library
    from aliens.library import create as create
    from aliens.library import open as open
    from aliens.without_library import check_engine as check_engine
    from aliens.without_library import download_hotels50k as download_hotels50k
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
APART = ("check_engine", "download_hotels50k")  # what needs no library
__all__ = [*LIBRARY, *APART, *ERRORS]
OURS = ("analysis", "base", "db", "embedding", "indexer", "restyle", "search")


def import_packages() -> None:
    """Import the packages that lie beside this one, so that no file that a script finds later takes their place.

    A folder without code of its own, such as one of databases that is called db, takes no place either.

    Raises: ImportError: a user's file such as search.py beside a script is, or would be, imported in place of one.
    """
    home = Path(__file__).resolve().parent.parent
    for name in OURS:
        loaded = sys.modules.get(name)
        where = whereabouts(name)
        if where is not None and Path(where).resolve().parent != home / name:
            raise ImportError(
                f"{where} hides a part of CV-Aliens that is also called {name!r}: give it another name, "
                "or run where it is not found"
            )
        if loaded is None:
            ours = PathFinder.find_spec(name, [str(home)])
            if ours is None or ours.loader is None:
                raise ImportError(f"{home / name} is gone: CV-Aliens is not installed whole, so install it again")
            sys.modules[name] = module_from_spec(ours)
            ours.loader.exec_module(sys.modules[name])


def whereabouts(name: str) -> str | None:
    """Return the file that a package was, or would be, imported from; its folder, if it was and has no file."""
    loaded = sys.modules.get(name)
    if loaded is None:
        spec = find_spec(name)
        return None if spec is None else spec.origin
    folders: list[str] = list(getattr(loaded, "__path__", ()))
    return getattr(loaded, "__file__", None) or (folders[0] if folders else repr(loaded))


def __getattr__(name: str) -> Any:
    """Import what is asked for: `import aliens` alone takes no time."""
    if name == "__version__":
        from base import __version__

        return __version__
    if name in ERRORS:
        from base import errors

        return getattr(errors, name)
    if name in (*APART, *LIBRARY):
        return getattr(import_module(f"aliens.{'library' if name in LIBRARY else 'without_library'}"), name)
    raise AttributeError(f"module 'aliens' has no attribute {name!r}: it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    """Return the names that are documented."""
    return sorted([*__all__, "__version__"])


import_packages()
import_module("base.forks")  # before anything is computed that a forked child would wait for
