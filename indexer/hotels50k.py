"""Photos of a Hotels-50K tree: three CSV files that name chains, hotels and photos, and the folder of images.

Source: Stylianou et al. 2019, "Hotels-50K: A Global Hotel Recognition Dataset", and its README.
"""

import csv
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from base.errors import SourceError
from base.files import storable
from base.spreadsheets import open_text, separator_of, western
from indexer.passed_over import Problem
from indexer.sources import FoundPhoto, Source, found_file

NO_CHAIN = -1
CSV_FOLDERS = ("dataset", "input/dataset", ".")
CHAIN_COLUMNS = ("chain_id", "chain_name")
HOTEL_COLUMNS = ("hotel_id", "hotel_name", "chain_id", "latitude", "longitude")
PHOTO_COLUMNS = ("image_id", "hotel_id", "image_url", "image_source", "upload_timestamp")


class Hotels50kSource(Source):
    """The photos that train_set.csv lists, at images/train/<chain_id>/<hotel_id>/<image_source>/<image_id>.jpg.

    Photos that are listed but absent on disk are yielded as missing. A row that cannot be used becomes a
    problem with its file and line; the other rows are not affected.
    """

    kind = "hotels50k"
    whole = False  # files that train_set.csv does not list are none of its business

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._csv_folder = self._find_csv_folder()
        self._images = os.path.join(self.path, "images", "train")
        self._chain_folder: dict[int, int] = {}  # hotel -> chain as Hotels-50K's folders name it
        self._read_chains()
        self._read_hotels()

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos in the order of train_set.csv."""
        seen: set[int] = set()
        unlisted: dict[int, int] = {}
        for where, row in self._rows("train_set.csv", PHOTO_COLUMNS):
            image_id = self._whole(where, "image_id", row[0])
            hotel_id = self._whole(where, "hotel_id", row[1])
            if image_id is None or hotel_id is None:
                continue
            if image_id in seen:
                self._problem(where, f"image {image_id} is listed a second time")
                continue
            seen.add(image_id)
            if hotel_id not in self._chain_folder and hotel_id not in unlisted:
                unlisted[hotel_id] = self._find_chain_folder(hotel_id)
                self._problem(where, f"hotel {hotel_id} is not in hotel_info.csv: its photos are kept without its name")
            chain_folder = self._chain_folder.get(hotel_id, unlisted.get(hotel_id, NO_CHAIN))
            folder = os.path.join(self._images, str(chain_folder), str(hotel_id), row[3])
            yield found_file(
                self._file(folder, image_id, row[2]),
                image_id=image_id,
                hotel_id=hotel_id,
                image_source=row[3] or None,
                uploaded_at=self._time(where, row[4]),
            )

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
        for name in CSV_FOLDERS:
            folder = os.path.join(self.path, name)
            if os.path.isfile(os.path.join(folder, "train_set.csv")):
                return folder
        raise SourceError(
            f"{self.named} is no Hotels-50K tree: it should hold dataset/chain_info.csv, dataset/hotel_info.csv, "
            "dataset/train_set.csv and images/train/"
        )

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

    def _file(self, folder: str, image_id: int, url: str) -> str:
        """Return the photo's path: .jpg, or where that is absent the ending that its address has."""
        path = os.path.join(folder, f"{image_id}.jpg")
        ending = url.rpartition(".")[2]
        if ending.isalnum() and len(ending) <= 4 and ending != "jpg" and not os.path.exists(path):
            other = os.path.join(folder, f"{image_id}.{ending}")
            return other if os.path.exists(other) else path
        return path

    def _find_chain_folder(self, hotel_id: int) -> int:
        """Return the chain whose folder holds an unlisted hotel's photos."""
        for folder in sorted(Path(self._images).glob(f"*/{hotel_id}")):
            if folder.parent.name.lstrip("-").isdigit():
                return int(folder.parent.name)
        return NO_CHAIN
