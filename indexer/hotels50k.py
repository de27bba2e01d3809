"""Photos of a Hotels-50K tree: CSV files that name chains, hotels and photos, and the folders of images.

Source: Stylianou et al. 2019, "Hotels-50K: A Global Hotel Recognition Dataset", and its README.
"""

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from base.errors import QueryError, SourceError
from base.files import storable
from base.spreadsheets import open_text, separator_of, western
from indexer.dataset_lists import TEST_LIST, TRAIN_LIST, folder_of_lists
from indexer.dead_links import DEAD_LINKS, DeadLinks
from indexer.mounts import mounts_around
from indexer.occlusions import MASKS
from indexer.passed_over import Problem
from indexer.sources import MISSING, FoundPhoto, Source, found_file, has_photo_ending

NO_CHAIN = -1
LONGEST_NAME_BYTES = 255  # of a folder, as file systems have it
TRAIN = "train"
SPLITS = (TRAIN, "unoccluded", "low", "medium", "high")  # the training photos, and the test's by what covers them
IMAGE_FOLDERS = {
    TRAIN: "images/train",
    "unoccluded": "images/test/unoccluded",
    "low": "images/test/low_occlusions",
    "medium": "images/test/medium_occlusions",
    "high": "images/test/high_occlusions",
}
CHAIN_COLUMNS = ("chain_id", "chain_name")
HOTEL_COLUMNS = ("hotel_id", "hotel_name", "chain_id", "latitude", "longitude")
PHOTO_COLUMNS = ("image_id", "hotel_id", "image_url", "image_source", "upload_timestamp")


def check_split(split: str) -> None:
    """Raises: QueryError: there is no such split."""
    if split not in SPLITS:
        raise QueryError(f"{split!r} is no split of Hotels-50K: choose one of {', '.join(SPLITS)}")


@dataclass(frozen=True, slots=True)
class ListedPhoto:
    """A row of train_set.csv or test_set.csv."""

    image_id: int
    hotel_id: int
    address: str
    image_source: str
    uploaded_at: datetime | None


class Hotels50kSource(Source):
    """The photos of one split that train_set.csv or test_set.csv lists.

    They lie at images/train/<chain_id>/<hotel_id>/<image_source>/<image_id>.jpg, or at the same below
    images/test/<unoccluded|low_occlusions|medium_occlusions|high_occlusions>; one that lies in another folder of its
    hotel, or has another ending, is found as well. Photos that are listed but absent on disk are yielded as missing.
    A row that cannot be used becomes a problem with its file and line; the other rows are not affected.
    """

    whole = False  # files that the list does not name are none of its business

    def __init__(self, root: Path, split: str = TRAIN) -> None:
        """Raises: QueryError: there is no such split. SourceError: there is no such tree, or no photos of the split."""
        super().__init__(root)
        check_split(split)
        self.tree = self.path
        self.split = split
        self.kind = "hotels50k" if split == TRAIN else "hotels50k-test"
        self._csv_folder = self._find_csv_folder()
        self._images = os.path.join(self.path, IMAGE_FOLDERS[split])
        if split != TRAIN:
            self._narrow()
        self.mounts.update(mounts_around([os.path.realpath(self._images)]))
        self._chain_folder: dict[int, int] = {}  # hotel -> chain as Hotels-50K's folders name it
        self._folders: dict[str, list[str]] | None = None  # of hotels, by their numbers
        self.dead_links = DeadLinks(os.path.join(self._images, DEAD_LINKS))
        self._elsewhere: dict[int, dict[str, str]] = {}  # hotel -> {number of a photo: path that no list names}
        self._read_chains()
        self._read_hotels()

    @property
    def folders(self) -> Iterable[str]:
        """The tree itself, of whichever split."""
        return [self.tree]

    @property
    def list_name(self) -> str:
        """The name of the CSV file that lists the photos."""
        return TRAIN_LIST if self.split == TRAIN else TEST_LIST

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos in the order of their list."""
        for listed in self.listed_photos():
            yield self.found(listed)

    def listed_photos(self) -> Iterator[ListedPhoto]:
        """Yield the sound rows of the list, in its order; of those of one number the first."""
        seen: set[int] = set()
        unlisted: set[int] = set()
        for where, row in self._rows(self.list_name, PHOTO_COLUMNS):
            image_id = self._whole(where, "image_id", row[0])
            hotel_id = self._whole(where, "hotel_id", row[1])
            if image_id is None or hotel_id is None:
                continue
            if image_id in seen:
                self._problem(where, f"image {image_id} is listed a second time")
                continue
            if "/" in row[3] or row[3] in (".", "..", MASKS) or len(os.fsencode(row[3])) > LONGEST_NAME_BYTES:
                self._problem(where, f"image_source {row[3][:60]!r} cannot be the name of a folder")
                continue
            seen.add(image_id)
            if hotel_id not in self._chain_folder and hotel_id not in unlisted:
                unlisted.add(hotel_id)
                self._problem(where, f"hotel {hotel_id} is not in hotel_info.csv: its photos are kept without its name")
            yield ListedPhoto(image_id, hotel_id, row[2], row[3], self._time(where, row[4]))

    @property
    def chains_of_hotels(self) -> Mapping[int, int]:
        """The chain of each hotel, as hotel_info.csv has it: -1 where it is of none."""
        return self._chain_folder

    def listed_hotels(self, list_name: str) -> Iterator[tuple[int, int]]:
        """Yield (image id, hotel id) of the rows of train_set.csv or test_set.csv; no photo is looked for.

        Raises: SourceError: there is no such file, or it cannot be read.
        """
        for where, row in self._rows(list_name, PHOTO_COLUMNS):
            image_id = self._whole(where, "image_id", row[0])
            hotel_id = self._whole(where, "hotel_id", row[1])
            if image_id is not None and hotel_id is not None:
                yield image_id, hotel_id

    def _read_chains(self) -> None:
        for where, row in self._rows("chain_info.csv", CHAIN_COLUMNS):
            chain_id = self._whole(where, "chain_id", row[0])
            if chain_id is not None and chain_id != NO_CHAIN:
                self.chains[chain_id] = row[1]

    def _read_hotels(self) -> None:
        for where, row in self._rows("hotel_info.csv", HOTEL_COLUMNS):
            hotel_id = self._whole(where, "hotel_id", row[0])
            chain_id = self._whole(where, "chain_id", row[2])
            if hotel_id is None or chain_id is None:
                continue
            self._chain_folder[hotel_id] = chain_id
            if chain_id != NO_CHAIN and chain_id not in self.chains:
                self._problem(where, f"chain {chain_id} is not in chain_info.csv: hotel {hotel_id} is kept in no chain")
            self.hotels[hotel_id] = {
                "id": hotel_id,
                "name": row[1],
                "chain_id": chain_id if chain_id in self.chains else None,
                "latitude": self._degrees(where, "latitude", row[3]),
                "longitude": self._degrees(where, "longitude", row[4]),
            }

    def _find_csv_folder(self) -> str:
        folder = folder_of_lists(self.tree)
        if folder is None:
            raise SourceError(
                f"{self.named} is no Hotels-50K tree: it should hold dataset/chain_info.csv, dataset/hotel_info.csv, "
                "dataset/train_set.csv and images/train/"
            )
        return folder

    def _rows(self, name: str, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
        """Yield (file:line, fields) of a CSV's sound rows; a header line is passed over."""
        path = os.path.join(self._csv_folder, name)
        try:
            with open_text(Path(path)) as file:
                separator = separator_of(file.readline(), columns)
                file.seek(0)
                for number, line in enumerate(file, start=1):
                    where = f"{name}:{number}"
                    row = self._fields(where, line if line.isascii() else western(line), columns, separator)
                    if row is not None:
                        yield where, row
        except OSError as error:
            raise SourceError(f"{storable(path)} cannot be read: {error.strerror}") from error

    def _fields(self, where: str, line: str, columns: tuple[str, ...], separator: str) -> list[str] | None:
        """Return the fields of one line, or None for a header, an empty line or a broken row.

        A row is one line: a quote that is never closed costs its own row and not all that follow.
        """
        if "\0" in line:
            self._problem(where, "holds a NUL byte")
            return None
        try:
            row = next(csv.reader([line], delimiter=separator, strict=True), [])
        except csv.Error as error:
            self._problem(where, f"is no row of a CSV file: {error}")
            return None
        if not row or tuple(row) == columns:
            return None
        if len(row) != len(columns):
            self._problem(where, f"has {len(row)} fields, not {len(columns)} ({', '.join(columns)})")
            return None
        return row

    def _whole(self, where: str, column: str, text: str) -> int | None:
        try:
            number = int(text)
        except ValueError:
            self._problem(where, f"{column} {text!r} is no number")
            return None
        if not -(2**63) <= number < 2**63:
            self._problem(where, f"{column} {text} does not fit into 64 bits")
            return None
        return number

    def _degrees(self, where: str, column: str, text: str) -> float | None:
        if not text:
            return None
        try:
            degrees = float(text)
        except ValueError:
            degrees = math.nan
        if not math.isfinite(degrees):
            self._problem(where, f"{column} {text!r} is no number")
            return None
        return degrees

    def _time(self, where: str, text: str) -> datetime | None:
        try:
            time = datetime.fromisoformat(text) if text else None
        except ValueError:
            self._problem(where, f"upload_timestamp {text!r} is no time such as 2018-06-16 17:39:46")
            return None
        return time.astimezone(UTC).replace(tzinfo=None) if time and time.tzinfo else time

    def _problem(self, where: str, reason: str) -> None:
        self.leftovers.problems.append(Problem(where, reason))

    def _narrow(self) -> None:
        """Make the folder of a split of the test the place that is looked at.

        So that records of the training photos and of each split stand side by side.
        """
        if not os.path.isdir(self._images):
            raise SourceError(
                f"{self.named} holds no test photos at {IMAGE_FOLDERS[self.split]}: unpack the archive of the test "
                "photos, test.tar.lz4, in its folder images"
            )
        self.path, self.root = self._images, storable(self._images)
        self.beside = {self.path: self}

    def place_of(self, photo: ListedPhoto) -> str:
        """Return where a photo should lie, below the folder of the split."""
        chain_id = self._chain_folder.get(photo.hotel_id, NO_CHAIN)
        return f"{chain_id}/{photo.hotel_id}/{photo.image_source}/{photo.image_id}.jpg"

    def found(self, photo: ListedPhoto) -> FoundPhoto:
        """Return a photo where its list says that it is, or else where its hotel's folders hold it, or as missing."""
        columns: dict[str, Any] = {
            "image_id": photo.image_id,
            "hotel_id": photo.hotel_id,
            "image_source": photo.image_source or None,
            "uploaded_at": photo.uploaded_at,
        }
        found = found_file(f"{self._images}/{self.place_of(photo)}", **columns)
        if found.failure_kind != MISSING:
            return found
        hotel_id, image_id = photo.hotel_id, photo.image_id
        if hotel_id not in self._elsewhere:
            self._elsewhere[hotel_id] = dict(self._strays(hotel_id))
        if (elsewhere := self._elsewhere[hotel_id].get(str(image_id))) is not None:
            return found_file(elsewhere, **columns)
        why = self.dead_links.reasons.get(image_id)
        return replace(found, failure_reason=f"{found.failure_reason}: {why}") if why else found

    def _strays(self, hotel_id: int) -> Iterator[tuple[str, str]]:
        """Yield (number, path) of a hotel's photos that lie in the folder of another chain, or do not end in .jpg.

        The others lie as they should, and are left out, so that little is kept of a million photos.
        """
        chain_id = self._chain_folder.get(hotel_id, NO_CHAIN)
        for hotel in self._hotel_folders(hotel_id):
            in_place = os.path.basename(os.path.dirname(hotel)) == str(chain_id)
            for source in listed(hotel):
                for name in listed(os.path.join(hotel, source)) if source != MASKS else ():
                    stem, ending = os.path.splitext(name)
                    if has_photo_ending(name) and stem.isdecimal() and not (in_place and ending == ".jpg"):
                        yield stem, os.path.join(hotel, source, name)

    def _hotel_folders(self, hotel_id: int) -> list[str]:
        """Return a hotel's folders, whatever the chains that hold them."""
        if self._folders is None:
            self._folders = {}
            for chain in listed(self._images):
                for hotel in listed(os.path.join(self._images, chain)):
                    self._folders.setdefault(hotel, []).append(os.path.join(self._images, chain, hotel))
        return self._folders.get(str(hotel_id), [])


def listed(folder: str) -> list[str]:
    """Return the names in a folder in their order; none where it is no folder that can be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
