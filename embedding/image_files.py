"""Image towers in OpenVINO's form, as files with checksums: kept whole or not at all. Computes nothing.

Of a model as it is they lie in the user's own cache, since they can be made again at any time; what was calibrated to
int8 on a library's photos cannot, and lies in the library. Imports neither PyTorch nor OpenVINO.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from base.console import counted
from base.files import folder_lock, is_locked, make_folder, sha256_of, sync_folder
from base.records import read_record, write_record

FORMAT = 1
GRAPH_FILE, WEIGHTS_FILE, RECORD_FILE = "tower.xml", "tower.bin", "tower.json"
FILES = (GRAPH_FILE, WEIGHTS_FILE)
PARTIAL = "partial-"  # and 8 hex digits: of a folder that is being written
INT8 = "@int8"  # what the name of a calibrated model ends with
LEAST_MEAN_COSINE, LEAST_RECALL = 0.995, 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """How far vectors of int8 lie from those of float32, on photos of the library that it was not calibrated on.

    calibrated_on, measured_on: numbers of photos. cosine_mean, cosine_least: between both vectors of a photo. recall:
    the share of the 10 best photos of a tag's prompt that are among the 10 best by int8, mean over `prompts` of them.
    """

    calibrated_on: int
    measured_on: int
    cosine_mean: float
    cosine_least: float
    recall: float
    prompts: int

    @property
    def is_small(self) -> bool:
        """Whether these vectors may be used."""
        return self.cosine_mean >= LEAST_MEAN_COSINE and self.recall >= LEAST_RECALL

    def __str__(self) -> str:
        return (
            f"cosine with float32 {self.cosine_mean:.4f} in the mean, {self.cosine_least:.3f} at the least, recall@10 "
            f"of {counted(self.prompts, 'tag')} {self.recall:.3f}, on {counted(self.measured_on, 'photo')}; calibrated "
            f"on {self.calibrated_on} others"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TowerRecord:
    """What files of an image tower are. key: of the model whose vectors it makes. of: of the model as it was trained.

    sums: {file: SHA-256}. made_by: versions. drift: where it was calibrated.
    """

    format: int
    key: str
    of: str
    made_by: str
    sums: dict[str, str] = field(default_factory=dict)
    drift: Drift | None = None


def is_int8(name: str) -> bool:
    """Tell whether a model's name is that of a calibrated one, such as starter@int8."""
    return name.endswith(INT8)


def read_tower_record(folder: Path, key: str) -> TowerRecord | None:
    """Return what is said of a model's image tower in a folder, or None where there is none of it that can be used."""
    record = read_record(folder / RECORD_FILE, TowerRecord)
    return record if record is not None and record.format == FORMAT and record.key == key else None


def image_tower_problem(folder: Path, key: str, *, quick: bool = False) -> str | None:
    """Return what is wrong with a model's image tower in a folder, or None. `quick`: its bytes are not read."""
    record = read_tower_record(folder, key)
    if record is None:
        return f"{folder} is gone" if not folder.exists() else f"{folder / RECORD_FILE} is damaged or gone"
    for name in FILES:
        try:
            if not (folder / name).stat().st_size or (not quick and sha256_of(folder / name) != record.sums[name]):
                return f"{folder / name} is not what was written: its checksum is another one"
        except (OSError, KeyError) as error:
            return f"{folder / name} cannot be read: {getattr(error, 'strerror', None) or 'it has no checksum'}"
    return None


@contextmanager
def partial_tower(parent: Path) -> Iterator[Path]:
    """Yield a new folder to write a tower's files to; what is not finished is removed.

    A killed process leaves only what `left_partial` finds, and the next to write there removes.

    Raises: OSError: the disk is full or cannot be written.
    """
    make_folder(parent)
    for left in left_partial(parent):
        shutil.rmtree(left, ignore_errors=True)
    partial = parent / f"{PARTIAL}{secrets.token_hex(4)}"
    partial.mkdir()
    try:
        with folder_lock(partial):
            yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def finish_tower(partial: Path, folder: Path, record: TowerRecord) -> None:
    """Have a folder hold what lies in a partial one, with the record of it; a power failure leaves all of it or none.

    Raises: OSError: the disk is full or cannot be written.
    """
    for name in FILES:
        with open(partial / name, "rb") as file:
            os.fsync(file.fileno())
    write_record(partial / RECORD_FILE, record)
    shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
    partial.rename(folder)
    sync_folder(folder.parent)


def sums_of(folder: Path) -> dict[str, str]:
    """Return the checksums of a tower's files. Raises: OSError: they cannot be read."""
    return {name: sha256_of(folder / name) for name in FILES}


def left_partial(parent: Path) -> list[Path]:
    """Return the folders that killed processes have left half written."""
    return [path for path in sorted(parent.glob(f"{PARTIAL}*")) if path.is_dir() and not is_written_to(path)]


def is_written_to(partial: Path) -> bool:
    """Tell whether another process writes to a folder right now."""
    try:
        descriptor = os.open(partial, os.O_RDONLY)
    except OSError:
        return False
    try:
        return is_locked(descriptor) is False
    finally:
        os.close(descriptor)
