"""Hotels as files: tables for spreadsheets and programs, and a page with their pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from base.arrays import Bools, Longs
from base.console import counted, megabytes
from base.errors import QueryError
from base.files import HashedFile
from base.progress import Progress, Step, silent
from base.spreadsheets import refuse_rows
from embedding.html_pages import render
from search.export.exporter import FileManifest, facts_of_file, file_and_manifest, refuse_name, stream
from search.export.tables import TABLE_WRITERS, JsonlWriter, json_line
from search.gallery import GalleryMaker, unseen
from search.hotels import HotelTable, TaggedHotel
from search.result_pages import inlined_picture

HotelFormat = Literal["csv", "tsv", "xlsx", "jsonl", "json", "parquet", "html"]
HOTEL_ENDINGS: dict[str, HotelFormat] = {f".{name}": name for name in get_args(HotelFormat)}
TEMPLATE = Path(__file__).with_name("templates") / "hotels.html"
ROWS_AT_ONCE = 4_096  # hotels
GRADES = ("yes", "maybe", "unknown")  # sure, likely, and what the model cannot tell; empty where no photo shows it
MOST_ON_PAGE = 500  # hotels: some 100 MB, which is what a browser opens gladly
THUMBNAIL_PX, THUMBNAIL_QUALITY = 280, 70  # about 10 kB a picture


@dataclass(frozen=True, kw_only=True, slots=True)
class HotelManifest(FileManifest):
    """What a file of hotels holds."""

    hotels: int
    photos: int  # of these hotels
    columns: list[str]  # none of a page
    model: str
    vocabulary: str
    method: str
    bar: float  # probability from which a photo counts for its hotel's tags
    grades: dict[str, str]  # what stands in a tag's column, and what it means
    tags: dict[str, dict[str, int]]  # how many hotels have each tag, by grade
    gallery: int | None  # photos of a hotel's gallery; None without
    query: str | None  # what the hotels were found by
    notes: list[str]

    def __str__(self) -> str:
        return f"{counted(self.hotels, 'hotel')}, {megabytes(self.size_bytes)}, {self.vocabulary}"


MEANING = {
    "yes": "the two photos that show it best show it in the mean, or a person said so",
    "maybe": "one photo shows it",
    "unknown": "the model cannot tell it in this library, or no photo of the hotel is tagged yet",
    "": "no photo shows it",
}


class HotelBatches:
    """A table's hotels as a stream of record batches: a row a hotel, its tags side by side.

    First what people read: who it is, what is missing, its gallery, a column for each tag. Then, for each tag, the
    share of the hotel's photos that show it, and the photo that shows it best.
    """

    unit = "hotels"

    def __init__(self, table: HotelTable, maker: GalleryMaker | None) -> None:
        self.rows = 0
        self._table = table
        self._maker = maker
        text, texts = pa.string(), pa.list_(pa.string())
        facts = {"hotel_id": pa.int64(), "hotel_name": text, "chain_name": text, "photos": pa.int64()}
        facts |= {"no_photo_of": texts} | ({"gallery": texts} if maker else {})
        self._facts = list(facts)
        tags = [name if name not in facts else f"has({name})" for name in table.names]
        fields = [*facts.items(), *((tag, text) for tag in tags)]
        for name in table.names:
            fields += [(f"share({name})", pa.float32()), (f"photo({name})", text)]
        self.schema = pa.schema(fields)

    def batches(self) -> Iterator[Any]:
        """Yield pyarrow.RecordBatch after RecordBatch, and count the rows on the way."""
        at_once = 1 if self._maker else ROWS_AT_ONCE  # so that progress is seen, and little is lost
        for start in range(0, len(self._table.rows), at_once):
            rows = self._table.rows[start : start + at_once]
            columns = [*self._of_hotels(rows), *self._of_tags(rows)]
            self.rows += len(rows)
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _of_hotels(self, rows: Longs) -> Iterator[Any]:
        table = self._table
        facts = [table.hotels.facts(row) for row in rows.tolist()]
        ids = table.hotels.ids[rows]
        yield pa.array(ids)
        yield pa.array([name for name, _ in facts], pa.string())
        yield pa.array([chain for _, chain in facts], pa.string())
        yield pa.array(table.joined.photos[rows])
        yield pa.array([unseen(table.rooms(row)) for row in rows.tolist()], pa.list_(pa.string()))
        if self._maker:
            found = [
                self._maker.gallery(hotel_id, name or f"hotel {hotel_id}")
                for hotel_id, (name, _) in zip(ids.tolist(), facts, strict=True)
            ]
            yield pa.array([[str(photo.file) for photo in gallery] for gallery in found], pa.list_(pa.string()))

    def _of_tags(self, rows: Longs) -> Iterator[Any]:
        table, joined = self._table, self._table.joined
        yes, maybe, unknown = GRADES
        unknowns, shares = table.unknown(rows), table.shares(rows)
        for place in range(len(table.names)):
            sure, likely = joined.sure[rows, place], joined.likely[rows, place]
            grades = np.select([sure, likely, unknowns[:, place]], [yes, maybe, unknown], "")
            yield pa.array(grades, pa.string(), mask=grades == "")
        for place in range(len(table.names)):
            yield pa.array(shares[:, place], pa.float32())
            yield table.paths.of(joined.best_ids[rows, place], joined.likely[rows, place])


class JsonWriter(JsonlWriter):
    """The lines of JSON Lines as one array."""

    _before = "[\n"

    def write(self, batch: Any) -> None:
        """Write a batch."""
        for record in batch.to_pylist():
            self._file.write((self._before + json_line(record, self._floats).strip()).encode())
            self._before = ",\n"

    def close(self) -> None:
        """End the array."""
        self._file.write(b"\n]\n")


def hotel_format(path: Path, file_format: str | None, hotels: int | None = None) -> HotelFormat:
    """Return the format that was asked for, or that a path's ending names.

    Raises: QueryError: it names none, or so many hotels are too many for it.
    """
    chosen = next((known for known in get_args(HotelFormat) if known == file_format), None)
    if file_format is not None and chosen is None:
        raise QueryError(f"no format {file_format!r}: choose of {', '.join(get_args(HotelFormat))}")
    chosen = chosen or HOTEL_ENDINGS.get(path.suffix.lower())
    if chosen is None:
        endings = ", ".join(HOTEL_ENDINGS)
        raise QueryError(f"{path.name!r} does not say in what format: end it in {endings}, or give --format")
    if path.is_dir():
        raise QueryError(f"{path} is a folder: name a new file in it")
    refuse_name(path)
    if chosen == "html" and (hotels or 0) > MOST_ON_PAGE:
        raise QueryError(
            f"a page of {hotels} hotels is more than a browser opens (up to {MOST_ON_PAGE}): choose some by --hotel, "
            "--tag, --missing or --query, or write a table, such as hotels.xlsx"
        )
    if chosen == "xlsx":
        refuse_rows(hotels or 0)
    return chosen


def write_hotels(
    table: HotelTable,
    path: Path,
    file_format: HotelFormat,
    maker: GalleryMaker | None,
    progress: Progress = silent,
) -> HotelManifest:
    """Write the hotels of a table, and a manifest beside the file; both appear under their names when complete.

    `maker` suggests their galleries, which a page always has.

    Raises: OutputError: the file cannot be written.
    """
    with file_and_manifest(path) as (file, write_beside):
        hashed, columns = HashedFile(file), list[str]()
        if file_format == "html" and maker is not None:
            hashed.write(hotel_page(table, maker, progress).encode("utf-8", "replace"))
        else:
            hotels = HotelBatches(table, maker)
            writer = (TABLE_WRITERS | {"json": JsonWriter})[file_format](hashed, hotels.schema, [])
            stream(hotels, writer, progress)
            columns = hotels.schema.names
        manifest = manifest_of(table, path, file_format, hashed, columns, maker.n if maker else None)
        write_beside(manifest)
    return manifest


def manifest_of(
    table: HotelTable, path: Path, file_format: HotelFormat, hashed: HashedFile, columns: list[str], gallery: int | None
) -> HotelManifest:
    """Return the manifest of a file that is complete."""
    joined, rows = table.joined, table.rows

    def by_tag(grade: Bools) -> list[int]:
        counts: list[int] = grade[rows].sum(axis=0).tolist()
        return counts

    counts = zip(table.names, by_tag(joined.sure), by_tag(joined.likely & ~joined.sure), strict=True)
    return HotelManifest(
        **facts_of_file(path, file_format, hashed),
        hotels=len(rows),
        photos=int(joined.photos[rows].sum()),
        columns=columns,
        model=table.model,
        vocabulary=table.vocabulary,
        method=table.method,
        bar=table.bar,
        grades=MEANING,
        tags={name: {"yes": yes, "maybe": maybe} for name, yes, maybe in counts},
        gallery=gallery,
        query=table.query,
        notes=table.notes,
    )


def hotel_page(table: HotelTable, maker: GalleryMaker, progress: Progress = silent) -> str:
    """Return the page of a table's hotels, each with its gallery and the best photo of each of its tags."""
    shown = []
    for number, hotel in enumerate(table, start=1):
        shown.append(described_hotel(hotel, maker))
        progress(Step("hotels", number, len(table), unit="hotels"))
    return render(TEMPLATE, title="Hotels", hotels=shown, notes=table.notes, vocabulary=table.vocabulary)


def described_hotel(hotel: TaggedHotel, maker: GalleryMaker) -> dict[str, Any]:
    """Return what the template shows of a hotel: each photo once, those of the gallery first."""
    gallery = maker.gallery(hotel.hotel_id, hotel.title)
    best: dict[int, list[tuple[str, str, str]]] = {}
    for tag in hotel.tags:
        if tag.best_photo is not None:
            best.setdefault(tag.best_photo, []).append((tag.tag, tag.grade or "", counted(tag.photos, "photo")))
    chosen = {photo.photo_id: photo for photo in gallery}
    pictures = []
    for photo_id, file in maker.files([*chosen, *(photo_id for photo_id in best if photo_id not in chosen)]).items():
        photo = chosen.get(photo_id)
        caption = f"{photo.rank}. {photo.room}: {photo.why}" if photo else ""
        picture = {"photo_id": photo_id, "caption": caption, "tags": best.get(photo_id, []), "in_gallery": bool(photo)}
        pictures.append(picture | inlined_picture(file, THUMBNAIL_PX, THUMBNAIL_QUALITY))
    names = ("hotel_id", "number", "title", "chain_name", "photos", "sure", "likely", "missing", "no_photo_of")
    return {name: getattr(hotel, name) for name in names} | {"pictures": pictures, "notes": gallery.notes}
