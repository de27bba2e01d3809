"""A file that knows the checksum and the size of what was written to it, for manifests."""

import hashlib
from typing import Any, BinaryIO


class HashedFile:
    """A file that hashes what is written to it, for writers that only write."""

    def __init__(self, file: BinaryIO) -> None:
        self.size_bytes = 0
        self.closed = False
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        """Write and hash; return the number of bytes.

        After a failure the file is closed, and what Arrow's writer then adds as its file's end goes nowhere.
        """
        if self._file.closed:
            return memoryview(data).nbytes
        self._hash.update(data)
        written = self._file.write(data)
        self.size_bytes += written
        return written

    def flush(self) -> None:
        """Hand over to the system."""
        self._file.flush()

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size_bytes

    def hexdigest(self) -> str:
        """Return the SHA-256 of everything written."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Leave the file open: whoever opened it closes it."""

    def writable(self) -> bool:
        """Say yes."""
        return True

    def readable(self) -> bool:
        """Say no."""
        return False

    def seekable(self) -> bool:
        """Say no."""
        return False
