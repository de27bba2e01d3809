"""What is said of each vector beside it: the path of its photo, and further columns. Reads lists; opens no photo."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from base.arrays import read_npy
from base.errors import SourceError
from base.files import open_regular
from base.spreadsheets import BETWEEN_WORDS, cell_text, is_parquet, open_text
from embedding.vector_layouts import IMAGE_PATH
from indexer.details import kept_details
from indexer.metadata import COLUMN_NAMES, MEANINGS
from indexer.photo_lists import is_bulky, rows_of_list

READ_ROWS = 8_192  # of a list, at a time
PATH_NAMES = ("path", "image_path", "url")  # the most usual ones; others are those of any table of photos
FEW_NAMES = 20  # of columns, in a message
PATH_OPTION = "name the one that holds the photos' paths by --path-column"

Records = Iterator[tuple[list[str | None], list[dict[str, Any] | None]]]  # places as written, and what else is said


class RecordFile:
    """A list of photos, one a row: Parquet, CSV, TSV, Excel, JSON Lines, a text of paths, or a .npy of texts."""

    def __init__(self, path: Path, path_column: str | None = None, *, without: Sequence[str] = ()) -> None:
        """Open a list.

        Args:
            path: of the file.
            path_column: that holds paths; None: by its name.
            without: columns that are left out.

        Raises: SourceError: it cannot be read, or has no column of paths.
        """
        self.path = path
        self.rows: int | None = None  # where that is known without reading all
        self.columns: list[str] = []  # besides the paths
        self._path_column = path_column
        self._without = {*without}
        with naming_file(path):
            if is_parquet(path):
                self._read = self._parquet_records
                self._look_at_parquet()
            elif path.suffix.lower() == ".npy":
                self._read = self._array_records
            else:
                self._read = self._line_records if path.suffix.lower() == ".txt" else self._table_records

    def records(self, *, whole: bool = True) -> Records:
        """Yield paths as they are written, and {column: value} of what else is said; some thousands at a time.

        whole: read the further columns as well.

        Raises: SourceError: the list cannot be read to its end.
        """
        with naming_file(self.path):
            yield from self._read(whole)

    def _look_at_parquet(self) -> None:
        import pyarrow.parquet as pq

        with open_regular(self.path) as file:
            opened = pq.ParquetFile(file)
            schema, self.rows = opened.schema_arrow, opened.metadata.num_rows
        texts = [field.name for field in schema if is_text(field.type)]
        self._path_column = self._chosen(texts, self._path_column, schema.names)
        left_out = {self._path_column, *self._without}
        self.columns = [field.name for field in schema if field.name not in left_out and not is_bulky(field.type)]

    def _parquet_records(self, whole: bool) -> Records:
        import pyarrow.parquet as pq

        names = [str(self._path_column), *(self.columns if whole else ())]
        with open_regular(self.path) as file:
            for batch in pq.ParquetFile(file).iter_batches(READ_ROWS, columns=names):
                places: list[str | None] = batch.column(self._path_column).to_pylist()
                rest = batch.select(self.columns).to_pylist() if whole and self.columns else ()
                yield places, [kept_details(row) for row in rest] or [None] * len(places)

    def _table_records(self, whole: bool) -> Records:
        places: list[str | None] = []
        rest: list[dict[str, Any] | None] = []
        name = None
        for number, record in rows_of_list(self.path, [*MEANINGS]):
            if isinstance(record, str):
                raise ValueError(f"row {number} {record}")
            if name is None:
                name = self._chosen(list(record), self._path_column, list(record))
                self.columns = [each for each in record if each != name and each not in self._without]
            places.append(cell_text(record.get(name)) or None)
            rest.append(kept_details({each: record.get(each) for each in self.columns}))
            if len(places) == READ_ROWS:
                yield places, rest
                places, rest = [], []
        if places:
            yield places, rest

    def _line_records(self, whole: bool) -> Records:
        with open_text(self.path) as file:
            places: list[str | None] = []
            for line in file:
                text = line.rstrip("\r\n")
                if text:
                    places.append(text)
                if len(places) == READ_ROWS:
                    yield places, [None] * READ_ROWS
                    places = []
            if places:
                yield places, [None] * len(places)

    def _array_records(self, whole: bool) -> Records:
        array = read_npy(self.path, mapped=True)
        if array.ndim != 1 or array.dtype.kind != "U":
            raise ValueError(f"it holds {array.dtype.name} {array.shape}, no paths as texts: {REMEDY}")
        for start in range(0, len(array), READ_ROWS):
            places = array[start : start + READ_ROWS].tolist()
            yield places, [None] * len(places)

    def _chosen(self, names: Sequence[str], asked: str | None, every: Sequence[str]) -> str:
        """Return the name of the column of paths. Raises: ValueError: there is none, or not the one asked for."""
        shown = ", ".join(every[:FEW_NAMES]) + (", ..." if len(every) > FEW_NAMES else "")
        if asked is not None:
            if asked not in names:
                what = "is no column of texts" if asked in every else "is no column of it"
                raise ValueError(f"{asked!r} {what}: it has {shown or 'none'}")
            return asked
        known = {name: BETWEEN_WORDS.sub("", name.casefold()) for name in names}
        usual = [*(BETWEEN_WORDS.sub("", name) for name in PATH_NAMES[:2]), *COLUMN_NAMES["path"], PATH_NAMES[2]]
        for meaning in usual:
            if found := next((name for name in names if known[name] == meaning), None):
                return found
        raise ValueError(f"it has no column such as {IMAGE_PATH} or path, but {shown or 'none'}: {PATH_OPTION}")


REMEDY = "give a list with one path a row, as CSV, Parquet, a text with one a line, or a .npy file of texts"


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Turn whatever readers raise on a damaged file into one error that names it. Raises: SourceError."""
    import csv

    import pyarrow as pa

    try:
        yield
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, csv.Error, pa.ArrowException, MemoryError, OverflowError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def is_text(kind: Any) -> bool:
    """Tell whether a column of Parquet holds texts."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
