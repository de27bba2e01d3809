"""Photos of a Hotels-50K tree: three CSV files that name chains, hotels and photos, and the folder of images.

Source: Stylianou et al. 2019, "Hotels-50K: A Global Hotel Recognition Dataset", and its README.
"""

import csv
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from aliens.errors import SourceError
from indexer.source import FoundPhoto, Problem, Source, found_file

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
        self._images = os.path.join(self.root, "images", "train")
        self._chain_folder: dict[int, int] = {}  # hotel -> chain as Hotels-50K's folders name it
        self._read_chains()
        self._read_hotels()

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos in the order of train_set.csv."""
        seen: set[int] = set()
        unlisted: dict[int, int] = {}
        for where, row in self._rows("train_set.csv", PHOTO_COLUMNS):
            image_id = self._number(where, "image_id", row[0], int)
            hotel_id = self._number(where, "hotel_id", row[1], int)
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
            chain_id = self._number(where, "chain_id", row[0], int)
            if chain_id is not None and chain_id != NO_CHAIN:
                self.chains[chain_id] = row[1]

    def _read_hotels(self) -> None:
        for where, row in self._rows("hotel_info.csv", HOTEL_COLUMNS):
            hotel_id = self._number(where, "hotel_id", row[0], int)
            chain_id = self._number(where, "chain_id", row[2], int)
            if hotel_id is None or chain_id is None:
                continue
            self._chain_folder[hotel_id] = chain_id
            if chain_id != NO_CHAIN and chain_id not in self.chains:
                self._problem(where, f"chain {chain_id} is not in chain_info.csv: hotel {hotel_id} is kept in no chain")
            self.hotels[hotel_id] = {
                "id": hotel_id,
                "name": row[1],
                "chain_id": chain_id if chain_id in self.chains else None,
                "latitude": self._number(where, "latitude", row[3], float) if row[3] else None,
                "longitude": self._number(where, "longitude", row[4], float) if row[4] else None,
            }

    def _find_csv_folder(self) -> str:
        for name in CSV_FOLDERS:
            folder = os.path.join(self.root, name)
            if os.path.isfile(os.path.join(folder, "train_set.csv")):
                return folder
        raise SourceError(
            f"{self.root} is no Hotels-50K tree: it should hold dataset/chain_info.csv, dataset/hotel_info.csv, "
            "dataset/train_set.csv and images/train/"
        )

    def _rows(self, name: str, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
        """Yield (file:line, fields) of a CSV's sound rows; a header line is passed over."""
        path = os.path.join(self._csv_folder, name)
        try:
            with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
                reader = csv.reader(file)
                for row in reader:
                    where = f"{name}:{reader.line_num}"
                    if not row or tuple(row) == columns:
                        continue
                    if len(row) != len(columns):
                        self._problem(where, f"has {len(row)} fields, not {len(columns)} ({', '.join(columns)})")
                    else:
                        yield where, row
        except (OSError, csv.Error) as error:
            raise SourceError(f"{path} cannot be read: {error}") from error

    def _number(self, where: str, column: str, text: str, kind: Callable[[str], Any]) -> Any:
        try:
            return kind(text)
        except ValueError:
            self._problem(where, f"{column} {text!r} is no number")
            return None

    def _time(self, where: str, text: str) -> datetime | None:
        try:
            return datetime.fromisoformat(text) if text else None
        except ValueError:
            self._problem(where, f"upload_timestamp {text!r} is no time such as 2018-06-16 17:39:46")
            return None

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
