import errno
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from base.errors import OutputError, QueryError
from base.files import HashedFile
from base.settings import LibraryFolder
from search.export import exporter
from search.export.exporter import ENDINGS
from search.export.tables import DEFAULT_COLUMNS, Selection, TagTable
from search.tags.vocabulary import read_vocabulary
from tests.conftest import LibraryFactory, raising
from tests.search.export.conftest import decided_tags, export, opened

FILES = [f"out{ending}" for ending in ENDINGS]
every_file = pytest.mark.parametrize("name", FILES)
every_format = pytest.mark.parametrize("name", [*FILES, "folder"])
# Where the way of writing a file decides, not the format: as it goes along, at the end, by another library.
some_files = pytest.mark.parametrize("name", ["out.csv", "out.xlsx", "out.parquet"])


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos come one at a time, so that an export of ten is one of many batches."""
    monkeypatch.setattr("search.tags.tagging.MOST_SCORES", 1)


def failing(error: BaseException, after: int) -> Callable[[TagTable], Iterator[Any]]:
    """Return batches() that fails after so many batches."""
    batches = TagTable.batches

    def until_failure(table: TagTable) -> Iterator[Any]:
        for number, batch in enumerate(batches(table)):
            if number == after:
                raise error
            yield batch

    return until_failure


@every_file
def test_the_manifest_describes_the_file(tagged_samples: LibraryFolder, out: Path, name: str) -> None:
    manifest = export(tagged_samples, out / name)
    data = (out / name).read_bytes()
    assert sorted(path.name for path in out.iterdir()) == [name, f"{name}.manifest.json"]
    assert json.loads((out / f"{name}.manifest.json").read_text(encoding="utf-8")) == asdict(manifest)
    assert (manifest.file, manifest.format) == (name, ENDINGS[Path(name).suffix])
    assert (manifest.sha256, manifest.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    decided = decided_tags(tagged_samples)
    assert manifest.photos == len(decided) == 240
    words = read_vocabulary("case-study")
    assert manifest.tags == {name: sum(name in tags for tags in decided.values()) for name in words.names}
    assert (manifest.vocabulary, manifest.threshold, manifest.method) == (words.key, 0.5, "signal")
    assert manifest.trust.startswith("on our sample hotels about 7 in 10 tags were right")
    with opened(tagged_samples) as (_, tagging):
        muted = zip(words.names, tagging.calibration.muted, strict=True)
        assert manifest.muted == [tag for tag, silent in muted if silent]
        assert manifest.model == tagging.model.key
    assert (manifest.query, manifest.with_tags, manifest.left_out) == (None, [], [])
    assert manifest.calibrated_on_labels == {}
    assert set(manifest.columns) >= {"photo_id", "path", "tags", "p(a pool)"}


@some_files
@pytest.mark.parametrize(("error", "after"), [(RuntimeError("stop"), 0), (KeyboardInterrupt(), 5)])
def test_an_interruption_leaves_nothing(
    small: LibraryFactory,
    small_batches: None,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: BaseException,
    after: int,
) -> None:
    monkeypatch.setattr(TagTable, "batches", failing(error, after))
    with pytest.raises(type(error)):
        export(small.folder, out / name)
    assert list(out.iterdir()) == []


@some_files
@pytest.mark.parametrize("moment", ["batch", "close", "manifest", "fsync"])
def test_an_interruption_leaves_the_older_pair(
    small: LibraryFactory, small_batches: None, out: Path, monkeypatch: pytest.MonkeyPatch, name: str, moment: str
) -> None:
    fail = raising(OSError(errno.ENOSPC, "No space left on device"))
    export(small.folder, out / name)
    before = content_of(out)
    match moment:
        case "batch":
            monkeypatch.setattr(TagTable, "batches", failing(KeyboardInterrupt(), 5))
        case "close":
            monkeypatch.setattr(HashedFile, "hexdigest", fail)
        case "manifest":
            monkeypatch.setattr(exporter, "json_bytes", fail)
        case "fsync":
            monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt if moment == "batch" else OutputError):
        export(small.folder, out / name)
    assert content_of(out) == before


@some_files
def test_a_new_export_replaces_the_older_pair(small: LibraryFactory, out: Path, name: str) -> None:
    export(small.folder, out / name)
    manifest = export(small.folder, out / name, selection=Selection(tags=("+1",)))
    assert sorted(path.name for path in out.iterdir()) == [name, f"{name}.manifest.json"]
    assert hashlib.sha256((out / name).read_bytes()).hexdigest() == manifest.sha256
    written = json.loads((out / f"{name}.manifest.json").read_text(encoding="utf-8"))
    assert (written["sha256"], written["with_tags"]) == (manifest.sha256, ["+1"])
    assert 0 < manifest.photos < 10


@some_files
def test_of_two_exports_to_one_path_the_later_to_end_leaves_its_pair(
    small: LibraryFactory, out: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    batches, within = TagTable.batches, []

    def exporting_meanwhile(table: TagTable) -> Iterator[Any]:
        monkeypatch.setattr(TagTable, "batches", batches)
        within.append(export(small.folder, out / name, selection=Selection(tags=("+1",))))
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == within[0].sha256
        yield from batches(table)

    monkeypatch.setattr(TagTable, "batches", exporting_meanwhile)
    last = export(small.folder, out / name)
    assert 0 < within[0].photos < last.photos == 10
    assert sorted(path.name for path in out.iterdir()) == [name, f"{name}.manifest.json"]
    assert hashlib.sha256((out / name).read_bytes()).hexdigest() == last.sha256
    assert json.loads((out / f"{name}.manifest.json").read_text(encoding="utf-8")) == asdict(last)


@some_files
def test_a_users_own_files_of_like_names_are_not_touched(small: LibraryFactory, out: Path, name: str) -> None:
    mine = {f"{name}.tmp": b"mine", f"{name}.manifest.json.tmp": b"mine", f".{name}.tmp": b"mine"}
    for other, content in mine.items():
        (out / other).write_bytes(content)
    export(small.folder, out / name)
    written = content_of(out)
    assert written.keys() == {name, f"{name}.manifest.json", *mine}
    assert {other: written[other] for other in mine} == mine


KILLED = """
import os, signal, sys
import aliens
import search.tags.tagging

def kill(step):
    if step.done >= 100:
        os.kill(os.getpid(), signal.SIGKILL)

search.tags.tagging.MOST_SCORES = 20 * 15
aliens.open(sys.argv[1]).export(sys.argv[2], format=sys.argv[3], progress=kill)
"""


@pytest.mark.parametrize(("name", "file_format"), [("tags.csv", "csv"), ("new", "imagefolder")])
def test_kill_9_leaves_the_older_pair_and_the_next_run_cleans_up(
    samples_copy: LibraryFolder, out: Path, name: str, file_format: str
) -> None:
    target = out / name
    if file_format == "csv":
        export(samples_copy, target, selection=Selection(tags=("a pool",)))
    before = content_of(out)
    command = [sys.executable, "-c", KILLED, str(samples_copy.root), str(target), file_format]
    assert subprocess.run(command, check=False, cwd=Path.cwd()).returncode == -signal.SIGKILL
    after = content_of(out)
    assert {name: data for name, data in after.items() if not name.endswith(".tmp") and "partial" not in name} == before
    assert len(after) > len(before)  # it was killed in the middle
    assert export(samples_copy, target).photos == 240
    assert not [name for name in content_of(out) if name.endswith(".tmp") or "partial" in name]


class FullDisk(HashedFile):
    """Takes 2,000 bytes and no more."""

    def write(self, data: Any) -> int:
        if self.size_bytes + memoryview(data).nbytes > 2000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@every_format
def test_a_full_disk_is_said_and_leaves_nothing(
    tagged_samples: LibraryFolder, out: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(exporter, "HashedFile", FullDisk)
    with pytest.raises(OutputError, match=f"{name}.* cannot be written: No space left on device"):
        export(tagged_samples, out / name)
    left = {path.name for path in out.rglob("*") if path.is_file() and path.parent.parent.name != "images"}
    assert left <= {".cv-aliens-export"}  # in the folder that the next export goes on in
    assert not (out / name).exists()


@every_file
def test_the_systems_own_limit_is_said_and_leaves_nothing(tagged_samples: LibraryFolder, out: Path, name: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tagged_samples) as (session, tagging):  # before the limit, which is the database's too
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, hard))
        try:
            with pytest.raises(OutputError, match="cannot be written: File too large"):
                exporter.export_tags(session, tagging, out / name, ENDINGS[Path(name).suffix])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(out.iterdir()) == []


@every_format
def test_a_folder_that_cannot_be_made_is_said(small: LibraryFactory, out: Path, name: str) -> None:
    (out / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"file.* cannot be written: (Not a directory|File exists)"):
        export(small.folder, out / "file" / "below" / name)
    assert content_of(out) == {"file": b"no folder"}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
@every_format
def test_an_unwritable_folder_is_said(small: LibraryFactory, out: Path, name: str) -> None:
    out.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written: Permission denied"):
        export(small.folder, out / name)
    out.chmod(0o700)
    assert list(out.iterdir()) == []


@some_files
def test_a_folder_is_no_file_to_write(small: LibraryFactory, out: Path, name: str) -> None:
    (out / name).mkdir()
    with pytest.raises(QueryError, match="is a folder"):
        export(small.folder, out / name)
    assert [path.name for path in out.iterdir()] == [name]


def test_missing_folders_are_made(small: LibraryFactory, out: Path) -> None:
    export(small.folder, out / "a" / "b" / "tags.csv")
    assert (out / "a" / "b" / "tags.csv").is_file()


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("count", [1, 2])
def test_photos_with_all_the_tags(tagged_samples: LibraryFolder, out: Path, count: int) -> None:
    decided = decided_tags(tagged_samples)
    tags = next(tuple(has[:count]) for has in decided.values() if len(has) >= count)
    manifest = export(tagged_samples, out / "tags.jsonl", selection=Selection(tags=tags))
    expected = [photo_id for photo_id, has in decided.items() if set(tags) <= set(has)]
    assert 0 < len(expected) < 240
    assert [record["photo_id"] for record in records(out / "tags.jsonl")] == expected
    assert manifest.photos == len(expected)
    assert manifest.with_tags == list(tags)
    assert all(manifest.tags[tag] == len(expected) for tag in tags)


def test_a_querys_hits_best_first(tagged_samples: LibraryFolder, out: Path, hits: Callable[..., Any]) -> None:
    found = hits("bathtub with a view", 30)
    selection = Selection(hits=found)
    manifest = export(tagged_samples, out / "tags.jsonl", selection=selection, query="bathtub with a view")
    rows = records(out / "tags.jsonl")
    assert [row["photo_id"] for row in rows] == list(found)
    assert [row["score"] for row in rows] == pytest.approx(list(found.values()), abs=1e-6)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert next(iter(rows[0])) == "score"
    assert (manifest.photos, manifest.query) == (30, "bathtub with a view")
    both = Selection(hits=found, tags=("bathtub",))
    export(tagged_samples, out / "both.jsonl", selection=both)
    decided = decided_tags(tagged_samples)
    expected = [photo_id for photo_id in found if "a bathtub" in decided[photo_id]]
    assert [row["photo_id"] for row in records(out / "both.jsonl")] == expected != []


def test_columns_come_in_the_order_asked(tagged_samples: LibraryFolder, out: Path) -> None:
    columns = ["tags", "caption", "hotel_name", "photo_id", "cosines", "width_px", "tags"]
    export(tagged_samples, out / "tags.jsonl", columns=columns)
    rows = records(out / "tags.jsonl")
    cosines = [f"cos({name})" for name in read_vocabulary("case-study").names]
    assert list(rows[0]) == ["tags", "caption", "hotel_name", "photo_id", *cosines, "width_px"]
    assert all(-1 <= row["cos(a pool)"] <= 1 for row in rows)
    assert all(row["hotel_name"] and row["width_px"] for row in rows)


def test_the_default_columns_tell_the_truth_of_hotels(tagged_samples: LibraryFolder, out: Path) -> None:
    export(tagged_samples, out / "tags.jsonl")
    rows = records(out / "tags.jsonl")
    assert list(rows[0])[: len(DEFAULT_COLUMNS) - 1] == list(DEFAULT_COLUMNS[:-1])
    for row in rows:  # .../images/train/<chain_id>/<hotel_id>/<image_source>/<image_id>.jpg
        chain, hotel, _, name = Path(row["path"]).parts[-4:]
        assert (str(row["hotel_id"]), f"{row['image_id']}.jpg") == (hotel, name)
        assert row["chain_id"] is None or str(row["chain_id"]) == chain
        assert (row["chain_name"] is None) == (row["chain_id"] is None)


@every_format
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["photo_id", "colour"]}, "no column 'colour' to export: choose of photo_id, .*probabilities"),
        ({"selection": Selection(tags=("a pol",))}, "no tag 'a pol' .* did you mean 'a pool'"),
        ({"selection": Selection(tags=("a pool", "a restaurant", "two beds"))}, "nothing was exported"),
        ({"selection": Selection(hits={})}, "nothing was exported"),
        ({"selection": Selection(hits={999_999: 1.0})}, "nothing was exported"),
    ],
)
def test_a_selection_of_nothing_is_refused_and_leaves_nothing(
    tagged_samples: LibraryFolder, out: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        export(tagged_samples, out / name, **options)
    assert list(out.iterdir()) == []
