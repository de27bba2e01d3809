"""Every error that CV-Aliens raises on purpose; only cli.py turns them into exit codes.

AliensError                    something the user can mend; the message names the value and the remedy
├── LibraryError               the library folder: absent, locked, disk full, damaged
│   ├── LibraryBusyError       another process or thread is changing it
│   ├── DamagedDatabaseError   its database file is damaged
│   ├── DiskFullError          the disk that holds it is full
│   └── ModelMismatchError     made by another model than the one at hand
├── EncoderError               a model that is unknown, not fetched or not usable
├── EngineError                a restyling engine whose weights cannot be had, or that cannot do what is asked
│   └── DeviceMemoryError      the device has too little memory for it
├── ClusterError               a Ray cluster that is not reached, or whose nodes cannot do the work
├── SourceError                a folder, tar or CSV that holds no photos or cannot be read
├── OutputError                a file that was asked for cannot be written: a full disk, no right to
├── PhotoError                 one photo that cannot be decoded: stored as its failure reason
└── QueryError                 a search that asks for something impossible
    └── QuerySyntaxError       a query that cannot be read; the message points at the character
"""

from base.console import one_line


class AliensError(Exception):
    """Something the user can mend; the message names the bad value and the remedy."""


class LibraryError(AliensError):
    """The library folder is absent, locked, full or damaged."""


class LibraryBusyError(LibraryError):
    """Another process or thread is changing the library: wait for it to end."""


class DamagedDatabaseError(LibraryError):
    """SQLite says that its file is damaged; `problem` is what it says."""

    problem = ""


class DiskFullError(LibraryError):
    """The disk that holds the library is full; what was done so far is kept."""


class ModelMismatchError(LibraryError):
    """The library was made by another model than the one at hand."""


class EncoderError(AliensError):
    """The model is unknown, cannot be fetched or cannot be used."""


class EngineError(AliensError):
    """A restyling engine's weights cannot be had, or it cannot do what is asked."""


class DeviceMemoryError(EngineError):
    """The device has too little memory for what a restyling engine was asked."""


class ClusterError(AliensError):
    """A Ray cluster is not reached, or its nodes cannot do the work."""


class SourceError(AliensError):
    """A folder, tar or CSV holds no photos or cannot be read."""


class OutputError(AliensError):
    """A file that was asked for cannot be written."""


class PhotoError(AliensError):
    """One photo cannot be decoded; `kind` groups failures of the same sort."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason

    def __reduce__(self) -> tuple[type["PhotoError"], tuple[str, str]]:  # or another process could not raise it here
        return PhotoError, (self.kind, self.reason)


class QueryError(AliensError):
    """A search asks for something impossible."""


class QuerySyntaxError(QueryError):
    """A query cannot be read; `place` is the offset of the character where that shows, and `lines` the message's."""

    def __init__(self, query: str, place: int, problem: str) -> None:
        from rich.cells import cell_len

        before, after = one_line(query[max(place - 60, 0) : place]), one_line(query[place : place + 40])
        self.lines = one_line(problem), f"  {before}{after}", f"  {' ' * cell_len(before)}^"
        super().__init__("\n".join(self.lines))
        self.place = place
