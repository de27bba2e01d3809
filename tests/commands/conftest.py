"""Fixtures for the commands: run as the shell would, with the fake encoder, in the test's own folder."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from tests.conftest import FakeEncoder, copy_library

Aliens = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every command loads the fake encoder and works in the test's own folder."""
    from embedding.open_clip_encoder import OpenClipEncoder

    monkeypatch.setattr(OpenClipEncoder, "load", lambda name, **options: FakeEncoder())
    forget_settings(monkeypatch, tmp_path)


def command_runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aliens:
    """Return what runs a command as the shell would: it returns (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aliens", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def forget_settings(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Work in a folder, with no settings of the environment's."""
    monkeypatch.chdir(folder)
    for name in ("ALIENS_LIBRARY", "ALIENS_MODEL", "ALIENS_DATABASE", "ALIENS_DEVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def aliens(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aliens:
    """Run a command as the shell would: returns (exit code, stdout, stderr)."""
    return command_runner(monkeypatch, capsys)


@pytest.fixture
def filled(filled_template: Path, ten_photos: Path, photos: Path, tmp_path: Path) -> Path:
    """A library in the working folder with the ten small photos in it."""
    copy_library(filled_template, tmp_path / "aliens-library", ten_photos, photos)
    return photos


@pytest.fixture
def tagged(tagged_template: Path, ten_photos: Path, photos: Path, tmp_path: Path) -> Path:
    """The same, tagged with the case study's vocabulary."""
    copy_library(tagged_template, tmp_path / "aliens-library", ten_photos, photos)
    return photos
