"""The manifest of an index: what its files hold and what they were made of. Reads no index."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from aliens.files import atomic_write

INDEX_FILE = "photos.faiss"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What an index file holds, stored beside it.

    generation: the database's count of changes to the model's vectors; an index of another generation is older than
    they are. last_shard, last_stamp: the newest vector shard in the index, and what tells it from another of that
    number (`VectorStore.stamp`); 0 and 0 where no shard is in it.
    """

    model_key: str
    kind: str
    count: int
    dim: int
    generation: int
    size_bytes: int
    sha256: str
    last_shard: int = 0
    last_stamp: int = 0


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a folder, or None where there is none that can be read."""
    try:
        return Manifest(**json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest. Raises: OSError: the disk is full or cannot be written."""
    with atomic_write(folder / MANIFEST_FILE) as file:
        file.write(json.dumps(asdict(manifest), indent=1).encode())


def checksum_problem(path: Path, sha256: str) -> str | None:
    """Compare a file with the checksum in its manifest, reading it whole; None when they agree."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return str(error)
    return None if digest == sha256 else "the file's checksum is not the manifest's"
