"""Everything but photos that people hand in: queries, tables, archives, vectors, settings, cursors."""

import bz2
import gzip
import io
import json
import lzma
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.judged.query_files import read_judged_rows
from base.errors import AliensError, SourceError
from base.files import PhotoFile
from base.settings import LibraryFolder, asset
from base.spreadsheets import WorkbookWriter
from base.tars import tar_stamp
from embedding.vector_layouts import IMAGES, METADATA
from indexer.dataset_lists import LISTS, unpack_lists
from indexer.hotels50k import Hotels50kSource
from indexer.ignoring import parsed
from indexer.metadata import MetadataTable
from indexer.photo_lists import ListSource
from indexer.tar_source import TarSource
from indexer.vector_files import vectors_at
from restyle.palettes import read_palette
from restyle.picks import read_picks
from search.captions import read_captions
from search.query import parse
from search.results import Cursor, read_cursor
from search.tags.tag_files import read_tag_file
from search.tags.vocabulary import read_vocabulary
from tests.conftest import photo_bytes
from tests.fuzz.target import Target

HEAD = ["path", "hotel", "chain", "latitude", "longitude", "date", "tags", "photo_id", "query", "caption", "note"]
ROWS = [
    ["a.jpg", "Grand", "Chain", "48.85", "2.35", "2015-01-31", "pool;?bath", "1", "a room", "a room", "=1+1"],
    ["sub/b.jpg", "Grand", "", "", "", "", "", "2", 'say "it"', "words", "ü, ; \t"],
    ["https://example.org/c.jpg", "", "", "-90", "180", "", "pool", "3", "x", "y", ""],
]
CELLS = [*b'path tags photo_id , ; " sep=;\n 1e999'.split(b" "), b"\t", b"\n", b"\r\n", b"\0", b"\xff\xfe"]


def csv_file(separator: str = ",", encoding: str = "utf-8") -> bytes:
    """Return the table as CSV."""
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in (HEAD, *ROWS)]
    return "\r\n".join(map(separator.join, quoted)).encode(encoding)


def csv_files() -> list[bytes]:
    """Return the table as CSV in several ways."""
    return [csv_file(), csv_file(";", "utf-8-sig"), csv_file("\t", "utf-16"), csv_file(encoding="cp1252")]


def json_lines() -> list[bytes]:
    """Return the table as JSON Lines."""
    lines = [json.dumps(dict(zip(HEAD, row, strict=True)) | {"tags": ["pool"], "photo_id": 1}) for row in ROWS]
    return ["\n".join(lines).encode(), lines[0].encode()]


JSON_WORDS = [b"{", b"}", b"[", b"]", b"null", b"true", b"1e999", b"NaN", b'"\\ud800"', b"[" * 3_000, b'{"a":' * 3_000]
JSON_WORDS += [b"9" * 5_000, b'"tags":', b'"path":', b"\n"]


def parquet_file(**columns: Any) -> bytes:
    """Return a Parquet file."""
    table = pa.table(columns or {name: [row[at] for row in ROWS] for at, name in enumerate(HEAD)})
    data = io.BytesIO()
    pq.write_table(table, data)
    return data.getvalue()


def workbook() -> bytes:
    """Return the table as an Excel workbook."""
    writer = WorkbookWriter(HEAD)
    for row in ROWS:
        writer.append([*row[:-1], 1.5])
    data = io.BytesIO()
    writer.save(data)
    return data.getvalue()


WHOLE_BOOK = workbook()


def book_parts() -> list[bytes]:
    """Return the files inside a workbook, each behind its name."""
    with zipfile.ZipFile(io.BytesIO(WHOLE_BOOK)) as book:
        return [name.encode() + b"\n" + book.read(name) for name in book.namelist()]


def as_workbook(data: bytes, rng: random.Random) -> bytes:
    """Return a workbook of which one file is this."""
    changed, _, content = data.partition(b"\n")
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHOLE_BOOK)) as book, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in book.namelist():
            made.writestr(name, content if name.encode() == changed else book.read(name))
    return out.getvalue()


XML_WORDS = [b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<!ENTITY", b"&b;", b"<f>1+1</f>", b"</row>", b"<v>1e999</v>", b"<c/>"]
XML_WORDS += [b"<v>-1</v>", *b't="e" t="d" t="s" r="XFD1048577" r="99999999999" count="-1"'.split()]


def tars() -> list[bytes]:
    """Return tars: in all formats, with links, folders, devices and sparse files, with names that lead elsewhere."""
    names = [
        "a.jpg",
        "../b.jpg",
        "/etc/c.jpg",
        f"{'x' * 90}/{'y' * 80}.jpg",
        "ü.jpg",
        "d\n\x1b[2J.jpg",
        "a.json",
        "a.txt",
    ]
    files = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=kind) as tar:
            for number, name in enumerate(names):
                member = tarfile.TarInfo(name)
                content = photo_bytes(number) if name.endswith("jpg") else b'{"caption": "a room"}'
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            for kind_of, name in ((tarfile.SYMTYPE, "l.jpg"), (tarfile.LNKTYPE, "h.jpg"), (tarfile.CHRTYPE, "e.jpg")):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind_of, "a.jpg" if kind_of != tarfile.SYMTYPE else "/etc/passwd"
                tar.addfile(member)
            member = tarfile.TarInfo("s.jpg")
            member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
            tar.addfile(member, io.BytesIO(b""))
        files.append(data.getvalue())
    return files


TAR_WORDS = [b"ustar\x0000", b"ustar  \0", b"L", b"x", b"g", b"S", b"\x80" + b"\xff" * 11, b"7" * 11, b"0000000\0"]
TAR_WORDS += [b"30 path=../../x\n", b"GNU.sparse.map=0,1", b"99999999 size=1\n", b"-1"]


def packed(data: bytes, rng: random.Random) -> bytes:
    """Return a compressed tar, sometimes changed once more; its first byte says how it is compressed."""
    kind = rng.choice((b"g", b"b", b"x"))
    whole = {b"g": partial(gzip.compress, mtime=0), b"b": bz2.compress, b"x": lzma.compress}[kind](data)
    if rng.random() < 0.3:
        at = rng.randrange(len(whole))
        whole = whole[:at] + rng.randbytes(rng.randint(0, 4)) + whole[at + rng.randint(0, 3) :]
    return kind + whole


def feed_tar(data: bytes, folder: Path) -> None:
    """Read the photos of a tar."""
    path = folder / "a.tar"
    path.write_bytes(data)
    read_tar(path)


def feed_packed(data: bytes, folder: Path) -> None:
    """Read the photos of a compressed tar."""
    path = folder / {b"g": "a.tar.gz", b"b": "a.tar.bz2", b"x": "a.tar.xz"}.get(data[:1], "a.tgz")
    path.write_bytes(data[1:])
    read_tar(path)


def read_tar(path: Path) -> None:
    """Read a tar as `aliens add` does: what it holds, then the bytes of each photo."""
    tar_stamp(str(path))
    for found in TarSource(path).photos():
        if found.failure_kind is None:
            try:
                PhotoFile(found.path, found.member).read()
            except (OSError, AliensError) as error:
                assert str(error)


def npy(kind: str = "<f2", shape: tuple[int, ...] = (3, 4), **options: Any) -> bytes:
    """Return a .npy file."""
    data = io.BytesIO()
    np.lib.format.write_array(data, np.ones(shape, kind), **options)
    return data.getvalue()


NPY_WORDS = [b"'|O'", b"'<f8'", b"(3, -4)", b"(99999999999, 4)", b"True", b"(3, 4)", b"'<U9'", b"[('a', '<f4')]"]
NPY_WORDS += [b"\x93NUMPY"]


def feed_npy(data: bytes, folder: Path) -> None:
    """Read vectors of a .npy file, with a list of paths."""
    (folder / "v.npy").write_bytes(data)
    (folder / "v.txt").write_text("a.jpg\nb.jpg\nc.jpg\n")
    take(vectors_at(folder / "v.npy").blocks())


def feed_pairs(data: bytes, folder: Path) -> None:
    """Read vectors as clip-retrieval writes them, of which the Parquet file is unsound."""
    for name in (IMAGES, METADATA):
        (folder / name).mkdir(exist_ok=True)
    (folder / IMAGES / "img_emb_0.npy").write_bytes(npy())
    (folder / METADATA / "metadata_0.parquet").write_bytes(data)
    files = vectors_at(folder)
    take(files.blocks())
    take(files.records())


def feed_vectors(data: bytes, folder: Path) -> None:
    """Read vectors of a Parquet file."""
    (folder / "v.parquet").write_bytes(data)
    files = vectors_at(folder / "v.parquet")
    take(files.blocks())
    take(files.records())


def vector_files() -> list[bytes]:
    """Return Parquet files of vectors."""
    paths, vectors = ["a.jpg", "b.jpg"], [[0.5, 0.5], [1.0, 0.0]]
    fixed = pa.array(vectors, pa.list_(pa.float32(), 2))
    return [
        parquet_file(path=paths, embedding=vectors),
        parquet_file(image_path=paths, embedding=fixed, note=[1, None]),
    ]


def take(found: Iterable[Any]) -> None:
    """Take all of what is yielded."""
    for _ in found:
        pass


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    """Return what has bytes read as a file of a name."""

    def feed(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        found = read(folder / name)
        if isinstance(found, Iterable) and not isinstance(found, str | bytes):
            take(found)

    return feed


def listed(path: Path) -> Iterable[Any]:
    """Read a list of photos; addresses are not asked for, since nothing of the kind may be in it."""
    source = ListSource(path, path.parent / "library")
    return source._listed()


def judged(path: Path) -> Iterable[Any]:
    """Read judged queries."""
    return read_judged_rows(path, "query", [])


def feed_text(read: Callable[[str], object]) -> Callable[[bytes, Path], None]:
    """Return what has bytes read as a text that somebody typed."""
    return lambda data, folder: read(data.decode("utf-8", "replace")) and None


QUERIES = [b'bathtub with a view -people +pool:0.5 like:42 tag:"pool">0.6 -hotel:"Grand Hotel" near:48.85,2.35,10km']
QUERIES += [
    b"after:2015-01 before:2016 year:none size:>=1024x728 color:grey orientation:square path:a/*.jpg column:a=1"
]
QUERY_WORDS = [word for query in QUERIES for word in query.split()]
QUERY_WORDS += [*b'" : - + ( \\ near:nan,inf,1e9km size:0x0 kind:any image:/dev/zero like:-1 :0.'.split()]
QUERY_WORDS += [b"\xe2\x80\xae", b":" + b"1" * 400]

VOCABULARY = asset("search/vocabularies/case-study.toml").read_bytes()
PALETTE = asset("restyle/palettes/fern.toml").read_bytes()
MANIFEST = b"""palette = "fern"
library = "x"
created = 2026-01-01T00:00:00+00:00
[[pick]]
photo = 12
path = "a.jpg"
strength = 0.45
seed = 1
prompt = "a room"
"""
TOML_LINES = b"[[pick]]\n[tags]\nphoto = -1\nphoto = 1e300\nstrength = nan\nseed = 99999999999999999999\n"
TOML_WORDS = [*b'"""  inf nan 0x7fffffffffffffff 2026-01-01 {a.b.c=1}'.split(), b"= ", b"[" * 600, b"a." * 600]
TOML_WORDS += TOML_LINES.splitlines(True)

CURSOR = str(Cursor(library="a", query="b", newest=9, score=0.25, photo_id=3, rank=4)).encode()
HOTELS = b"1,Grand,2,48.85,2.35\n2,Small,-1,,\n"
IMAGES_LIST = b"10,1,https://example.org/a.jpg,traffickcam,2015-01-31 17:40\n11,2,,travel_website,\n"


def feed_hotels50k(data: bytes, folder: Path) -> None:
    """Read the lists of Hotels-50K."""
    lists = folder / "dataset"
    lists.mkdir(exist_ok=True)
    (lists / "chain_info.csv").write_bytes(b"chain_id,chain_name\n2,Chain\n")
    head, _, rest = data.partition(b"\x1e")
    (lists / "hotel_info.csv").write_bytes(head)
    (lists / "train_set.csv").write_bytes(rest)
    take(Hotels50kSource(folder).listed_photos())


def archive_of_lists() -> bytes:
    """Return the archive in which the lists of Hotels-50K come."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in LISTS:
            tar.addfile(tarfile.TarInfo(f"dataset/{name}"))
    return data.getvalue()


def feed_archive(data: bytes, folder: Path) -> None:
    """Unpack the lists of Hotels-50K."""
    (folder / "dataset.tar.gz").write_bytes(gzip.compress(data, 1, mtime=0))
    shutil.rmtree(folder / "dataset", ignore_errors=True)
    unpack_lists(folder)
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names <= {"dataset.tar.gz", *LISTS}, names


def feed_settings(data: bytes, folder: Path) -> None:
    """Read which database a library has."""
    (folder / "library.toml").write_bytes(data)
    LibraryFolder(folder).database_url()


COCO = b"""{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "pool"}],
"annotations": [{"id": 1, "image_id": 1, "category_id": 1}]}"""
JUDGED = b"query,path,relevance\na room,a.jpg,2\na pool,sub/b.jpg,\n"
PATTERNS = b"*.jpg\n!a.jpg\n/sub/\n**/x\n[a-z]*\n# no\n"
PATTERN_WORDS = [b"[", b"]", b"**", b"!", b"\\", b"*" * 200, b"[!a-"]
vocabulary = partial(in_file, read=lambda path: read_vocabulary(str(path)))

FILE_TARGETS = [
    Target("query", lambda: QUERIES, feed_text(parse), words=QUERY_WORDS),
    Target("vocabulary", lambda: [VOCABULARY], vocabulary("v.toml"), words=TOML_WORDS),
    Target("plain vocabulary", lambda: [b"pool\nbath\n# no tag\n"], vocabulary("v.txt"), words=CELLS),
    Target("palette", lambda: [PALETTE], in_file("p.toml", lambda path: read_palette(str(path))), words=TOML_WORDS),
    Target("manifest", lambda: [MANIFEST], in_file("m.toml", read_picks), words=TOML_WORDS),
    Target("settings", lambda: [b'database = "sqlite:///x"\n'], feed_settings, words=TOML_WORDS),
    Target("list CSV", csv_files, in_file("l.csv", listed), words=CELLS),
    Target("list JSON", json_lines, in_file("l.jsonl", listed), words=JSON_WORDS),
    Target("list Parquet", lambda: [parquet_file()], in_file("l.parquet", listed)),
    Target("list Excel", book_parts, in_file("l.xlsx", listed), finish=as_workbook, words=XML_WORDS, share=0.5),
    Target("metadata CSV", csv_files, in_file("m.csv", MetadataTable), words=CELLS),
    Target("labels CSV", csv_files, in_file("t.csv", read_tag_file), words=CELLS),
    Target("labels JSON", json_lines, in_file("t.jsonl", read_tag_file), words=JSON_WORDS),
    Target("labels Parquet", lambda: [parquet_file(path=["a"], tags=[["b"]])], in_file("t.parquet", read_tag_file)),
    Target("labels COCO", lambda: [COCO], in_file("t.json", read_tag_file), words=JSON_WORDS),
    Target(
        "labels Excel", book_parts, in_file("t.xlsx", read_tag_file), finish=as_workbook, words=XML_WORDS, share=0.5
    ),
    Target("judged queries", lambda: [JUDGED], in_file("q.csv", judged), words=CELLS),
    Target("captions", lambda: [b"a room\na pool\n", *csv_files()], in_file("c.txt", read_captions), words=CELLS),
    Target("tar", tars, feed_tar, words=TAR_WORDS, refusals=(SourceError,)),
    Target("packed tar", tars, feed_packed, finish=packed, words=TAR_WORDS, refusals=(SourceError,)),
    Target("vectors npy", lambda: [npy(), npy("<f4"), npy("<f8")], feed_npy, words=NPY_WORDS),
    Target("vectors clip-retrieval", lambda: [parquet_file(image_path=["a.jpg", "b.jpg", "c.jpg"])], feed_pairs),
    Target("vectors Parquet", vector_files, feed_vectors),
    Target("cursor", lambda: [CURSOR], feed_text(lambda text: read_cursor(text, "a", "b")), words=[b"=", b"-", b"W10"]),
    Target("ignored patterns", lambda: [PATTERNS], feed_text(parsed), words=PATTERN_WORDS),
    Target(
        "Hotels-50K lists", lambda: [HOTELS + b"\x1e" + IMAGES_LIST], feed_hotels50k, words=[*CELLS, b"\x1e", b"-1"]
    ),
    Target("Hotels-50K archive", lambda: [archive_of_lists(), *tars()], feed_archive, words=TAR_WORDS),
]
