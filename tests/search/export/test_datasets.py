"""Hugging Face's `datasets` loads what is exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from base.settings import LibraryFolder
from search.export.tables import Selection
from tests.conftest import LibraryFactory
from tests.search.export.conftest import decided_tags, export
from tests.search.export.test_folder import interrupted

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:datasets.*", "ignore::FutureWarning:datasets.*", "ignore::DeprecationWarning:dill.*"
)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """load_dataset without network, with a cache of its own."""
    for name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    return lambda kind, **options: datasets.load_dataset(
        kind, split="train", cache_dir=str(tmp_path / "cache"), **options
    )


@pytest.mark.parametrize(("file_format", "kind"), [("parquet", "parquet"), ("csv", "csv"), ("jsonl", "json")])
def test_tables_load(
    tagged_samples: LibraryFolder, tmp_path: Path, load: Callable[..., Any], file_format: Any, kind: str
) -> None:
    path = tmp_path / f"tags.{file_format}"
    export(tagged_samples, path, file_format)
    rows = load(kind, data_files=str(path))
    tags = [text.split(";") if text else [] for text in rows["tags"]] if kind == "csv" else rows["tags"]
    assert dict(zip(rows["photo_id"], tags, strict=True)) == decided_tags(tagged_samples)
    assert len(rows) == 240


@pytest.mark.parametrize("link", [False, True])
def test_an_imagefolder_of_several_folders_of_images_loads(
    tagged_samples: LibraryFolder,
    tmp_path: Path,
    load: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    link: bool,
) -> None:
    from PIL import Image

    monkeypatch.setattr("search.export.exporter.PHOTOS_A_FOLDER", 100)
    export(tagged_samples, tmp_path / "folder", link=link)
    assert sorted(path.name for path in (tmp_path / "folder" / "images").iterdir()) == ["0000", "0001", "0002"]
    rows = load("imagefolder", data_dir=str(tmp_path / "folder"))
    assert len(rows) == 240
    assert "label" not in rows.features
    decided = decided_tags(tagged_samples)
    seen = set()
    for row in rows:
        assert row["tags"] == decided[row["photo_id"]]
        seen.add(row["photo_id"])
        with Image.open(row["path"]) as original:
            assert row["image"].size == original.size
            assert row["image"].convert("RGB").tobytes() == original.convert("RGB").tobytes()
    assert seen == set(decided)


def test_an_imagefolder_resumed_with_another_selection_loads(
    small: LibraryFactory, tmp_path: Path, load: Callable[..., Any]
) -> None:
    interrupted(small, tmp_path / "folder")
    manifest = export(small.folder, tmp_path / "folder", selection=Selection(tags=("+1",)))
    assert len(load("imagefolder", data_dir=str(tmp_path / "folder"))) == manifest.photos < 10
