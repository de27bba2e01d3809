import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy.orm import Session

from base.errors import OutputError, QueryError
from search.captions import export_captions
from tests.by_folder import choose_captions, session_of
from tests.conftest import LibraryFactory, raising

LINES = ["a room with a pool", "=1+1, a formula", "Zürich „bei Nacht“"]


@pytest.fixture
def session(stocked: LibraryFactory) -> Iterator[Session]:
    with session_of(stocked.folder) as session:
        yield session


@pytest.fixture
def captioned(library: LibraryFactory, session: Session) -> Session:
    choose_captions(library.folder, LINES, source="lines.txt", load_encoder=lambda model: library.encoder, k=2)
    return session


def test_csv_parquet_and_json_lines_hold_every_caption_with_its_rank(captioned: Session, tmp_path: Path) -> None:
    for file_format in ("csv", "parquet", "jsonl"):
        export_captions(captioned, tmp_path / f"out.{file_format}")
    found = {
        "csv": pd.read_csv(tmp_path / "out.csv"),
        "parquet": pd.read_parquet(tmp_path / "out.parquet"),
        "jsonl": pd.read_json(tmp_path / "out.jsonl", lines=True),
    }
    for name, table in found.items():
        assert len(table) == 20
        assert table["rank"].tolist() == [1, 2] * 10
        assert table["photo_id"].tolist() == sorted([*range(1, 11)] * 2)
        captions = {text.removeprefix("'") if name == "csv" else text for text in table["caption"]}
        assert captions <= set(LINES)
        best, second = table["score"][::2].to_numpy(), table["score"][1::2].to_numpy()
        assert (best >= second).all()
    assert not any(str(text).startswith("=") for text in found["csv"]["caption"])


def test_the_manifest_names_the_sets_and_the_checksum(captioned: Session, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    manifest = export_captions(captioned, path)
    beside = json.loads((tmp_path / "out.csv.manifest.json").read_text(encoding="utf-8"))
    assert beside["sha256"] == manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert beside["captions"] == 20
    assert list(beside["sets"].values()) == ["fake-00000000"]


def test_without_captions_nothing_is_written(session: Session, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="aliens caption --from FILE"):
        export_captions(session, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_failure_in_the_middle_leaves_the_older_export(
    captioned: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    export_captions(captioned, path)
    before = path.read_bytes(), (tmp_path / "out.csv.manifest.json").read_bytes()

    with pytest.raises(OutputError, match=r"cannot be written: No space left on device"):
        export_captions(captioned, path, progress=raising(OSError(28, "No space left on device")))
    assert (path.read_bytes(), (tmp_path / "out.csv.manifest.json").read_bytes()) == before
    assert {file.name for file in tmp_path.glob("out*")} == {"out.csv", "out.csv.manifest.json"}


def test_a_photo_whose_bytes_change_loses_its_captions(
    library: LibraryFactory, captioned: Session, photos: Path
) -> None:
    (photos / "03.jpg").write_bytes((photos / "04.jpg").read_bytes() + b"\0")
    (photos / "05.jpg").touch()
    library.add(photos)
    captioned.expire_all()
    captioned.rollback()
    assert export_captions(captioned, photos / "out.csv").captions == 18
    assert 4 not in pd.read_csv(photos / "out.csv")["photo_id"].tolist()
