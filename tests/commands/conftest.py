"""Fixtures for the commands: run as the shell would, with the fake encoder, in the test's own folder."""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cli
from aliens.library import Library
from base.settings import DEFAULT_LIBRARY
from tests.conftest import FakeEncoder, copy_library

if TYPE_CHECKING:
    from tests.restyle.engines.conftest import Folders


class Aliens:
    """Runs commands as the shell would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Return (exit code, stdout, stderr)."""
        self._monkeypatch.setattr(sys, "argv", ["aliens", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = self._capsys.readouterr()
        return code, out, err

    def well(self, *arguments: object) -> tuple[str, str]:
        """Return (stdout, stderr) of a command that ends with 0."""
        code, out, err = self(*arguments)
        assert code == 0, err
        return out, err

    def fails(self, code: int, *arguments: object) -> str:
        """Return the stderr of a command that ends with a code and prints nothing else."""
        ended, out, err = self(*arguments)
        assert (ended, out) == (code, ""), err
        return err

    def records(self, *arguments: object) -> list[Any]:
        """Return the objects that a command prints with --json."""
        return objects(self.well(*arguments, "--json")[0])


def objects(out: str) -> list[Any]:
    """Return the objects that were printed, one a line."""
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every command loads the fake encoder and works in the test's own folder."""
    from embedding.open_clip_encoder import OpenClipEncoder

    monkeypatch.setattr(OpenClipEncoder, "load", lambda name, **options: FakeEncoder())
    forget_settings(monkeypatch, tmp_path)


def forget_settings(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Work in a folder, with no settings of the environment's."""
    monkeypatch.chdir(folder)
    for name in ("ALIENS_LIBRARY", "ALIENS_MODEL", "ALIENS_DATABASE", "ALIENS_DEVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> "Folders":
    """Folders of tiny models."""
    from tests.restyle.engines.conftest import Folders

    return Folders(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def coca(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a tiny CoCa."""
    from tests.embedding.test_captioner import save_coca

    return f"local-dir:{save_coca(tmp_path_factory.mktemp('captioner') / 'tiny-coca')}"


@pytest.fixture
def aliens(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aliens:
    """Run a command as the shell would: returns (exit code, stdout, stderr)."""
    return Aliens(monkeypatch, capsys)


@pytest.fixture
def filled(filled_template: Path, ten_photos: Path, photos: Path, tmp_path: Path) -> Path:
    """A library in the working folder with the ten small photos in it."""
    copy_library(filled_template, tmp_path / "aliens-library", ten_photos, photos)
    return photos


@pytest.fixture
def sample_hotels(sample_library: Library, fake_encoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample hotels in the working folder; every command loads the embedded model."""
    from embedding.open_clip_encoder import OpenClipEncoder

    starter = sample_library.encoder
    monkeypatch.setattr(OpenClipEncoder, "load", lambda name, **options: starter)
    shutil.copytree(sample_library.folder.root, DEFAULT_LIBRARY)


@pytest.fixture
def tagged(tagged_template: Path, ten_photos: Path, photos: Path, tmp_path: Path) -> Path:
    """The same, tagged with the case study's vocabulary."""
    copy_library(tagged_template, tmp_path / "aliens-library", ten_photos, photos)
    return photos
