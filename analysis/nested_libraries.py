"""Libraries inside a library's folder, of photos that are measured and that its searches never find."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from base.console import shell_word
from base.errors import LibraryError
from base.settings import LibraryFolder
from db.catalog import Catalog, is_library
from indexer.upgrade import upgrade

COMMAND_NAMED = re.compile(r"`(aliens [^`]+)`")


@contextmanager
def nested_catalog(folder: LibraryFolder, *, key: str, name: str, dim: int) -> Iterator[Catalog]:
    """Open a library for a model, made when it is first needed; remedies in its errors name it.

    Raises: LibraryError: it cannot be opened or made; or what its user raises, so worded.
    """
    try:
        own = (
            Catalog.open(folder, upgrade) if is_library(folder) else Catalog.create(folder, key=key, name=name, dim=dim)
        )
        try:
            yield own
        finally:
            own.close()
    except LibraryError as error:
        option = f"--library {shell_word(folder.root)}"
        error.args = (COMMAND_NAMED.sub(lambda found: f"`{found[1]} {option}`", str(error)), *error.args[1:])
        raise
