"""Names that a shell completes as somebody types, read of a library's SQLite file without SQLAlchemy.

A shell waits for the answer at every press of a key, and importing SQLAlchemy takes longer than that. Other databases
are not asked. What cannot be read now completes nothing, and says nothing.
"""

import re
import sqlite3
from contextlib import closing
from typing import Literal

from base.records import parse_json
from base.settings import LibraryFolder

Completed = Literal["saved", "captions", "vocabularies", "tags", "models"]
QUERIES: dict[Completed, str] = {
    "saved": "SELECT name FROM saved_search ORDER BY name",
    "captions": "SELECT key FROM caption_set ORDER BY key",
    "vocabularies": "SELECT definition FROM vocabulary ORDER BY id DESC",
    "models": "SELECT name FROM model ORDER BY id",
    "tags": "SELECT definition FROM vocabulary ORDER BY id DESC",
}
ARTICLE = re.compile(r"(a|an|the) ", re.IGNORECASE)
PATIENCE_S = 0.1  # with a database that somebody else keeps locked


def names_to_complete(folder: LibraryFolder, what: Completed) -> list[str]:
    """Return the library's names of a kind, each once; none where they cannot be read. Tags stand without an article.

    Args:
        folder: the library's folder.
        what: which names.
    """
    try:
        address = folder.database_file.absolute().as_uri() + "?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_S)) as database:
            rows = [row[0] for row in database.execute(QUERIES[what])]
        if what == "vocabularies":
            rows = [parse_json(row)["name"] for row in rows]
        elif what == "tags":
            rows = [ARTICLE.sub("", tag[0], count=1) for row in rows for tag in parse_json(row)["tags"]]
    except (sqlite3.Error, OSError, ValueError, LookupError, TypeError):
        return []
    return list(dict.fromkeys(map(str, rows)))
