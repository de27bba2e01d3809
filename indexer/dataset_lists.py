"""The CSV files of Hotels-50K: where they lie in its tree, and taken out of the archive that they are published in."""

import os
import shutil
import tarfile
import zlib
from pathlib import Path

from base.errors import SourceError
from base.files import atomic_write, storable

CSV_FOLDERS = ("dataset", "input/dataset", ".")
TRAIN_LIST, TEST_LIST = "train_set.csv", "test_set.csv"
LISTS = ("chain_info.csv", "hotel_info.csv", TEST_LIST, TRAIN_LIST)  # the last one shows that all are there
MOST_BYTES = 2_000_000_000  # of one of them, which has 0.1 GB
# What tarfile raises of damaged archives, and of headers without sense.
SENSELESS = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError, RecursionError)
ARCHIVES = ("dataset.tar.gz", "input/dataset.tar.gz")


def folder_of_lists(root: str) -> str | None:
    """Return the folder of a tree that holds its CSV files, or None where there is none."""
    folders = (os.path.join(root, name) for name in CSV_FOLDERS)
    return next((folder for folder in folders if os.path.isfile(os.path.join(folder, TRAIN_LIST))), None)


def unpack_lists(root: Path) -> None:
    """Take the CSV files out of the archive in a tree, into its folder dataset, unless they are there.

    Raises:
        SourceError: there is neither, or the archive cannot be read, or lacks one of them.
        OSError: they cannot be written.
    """
    if folder_of_lists(str(root)) is not None:
        return
    archive = next((root / name for name in ARCHIVES if (root / name).is_file()), None)
    if archive is None:
        raise SourceError(
            f"{storable(str(root))} holds neither dataset/{TRAIN_LIST} nor dataset.tar.gz: put the file "
            "input/dataset.tar.gz of https://github.com/GWUvision/Hotels-50K there"
        )
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = {os.path.basename(member.name): member for member in tar if member.isfile()}
            if large := next((name for name in LISTS if name in members and members[name].size > MOST_BYTES), None):
                raise SourceError(
                    f"{archive} is a trap: {large} in it has {members[large].size / 1e9:,.0f} GB: download it again"
                )
            if lacking := [name for name in LISTS if name not in members]:
                raise SourceError(f"{archive} holds no {' and no '.join(lacking)}: download it again")
            for name in LISTS:
                with tar.extractfile(members[name]) as packed, atomic_write(root / "dataset" / name) as file:  # type: ignore[union-attr] # it is a file
                    shutil.copyfileobj(packed, file)
    except SENSELESS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise SourceError(f"{archive} cannot be unpacked ({error}): download it again") from error
