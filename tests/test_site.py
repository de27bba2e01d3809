"""docs/ becomes a site without a warning and asks nothing of the network; tutorials show what commands print."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import aliens
import cli
from aliens.library import Library
from tests.conftest import copy_library

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package, reason=f"{package} makes the site: pip install '.[docs]'")
    made = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", made / "cache"]
    built = subprocess.run([*command, "docs", made / "html"], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return made / "html"


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script of docs/ that runs tutorials."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    return import_module("outputs")


def test_the_site_has_every_page_command_and_method(site: Path) -> None:
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= {page.stem for page in site.glob("*.html")}
    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert all(f'id="aliens-{name}"' in commands for name in cli.command_line().list_commands(None))
    facade = (site / "api.html").read_text(encoding="utf-8")
    assert all(f'id="aliens.{name}"' in facade for name in ("Library.search", "Library.tag", "open", "QueryError"))
    assert "Library.catalog" not in facade


def test_the_site_asks_nothing_of_the_network(site: Path) -> None:
    asked = re.compile(r"""<(?:script|img|iframe)[^>]+src=["']?(?:https?:)?//|<link[^>]+href=["']?(?:https?:)?//""")
    pages = list(site.glob("*.html"))
    assert len(pages) > 30
    assert [page.name for page in pages if asked.search(page.read_text(encoding="utf-8"))] == []
    styles = [*site.rglob("*.css"), *site.rglob("*.svg")]
    assert [page for page in styles if re.search(r"url\(.?https?:|@import", page.read_text(encoding="utf-8"))] == []


def test_a_tutorial_shows_what_its_commands_print(
    tmp_path: Path, embedded_samples: Path, samples: Path, outputs: ModuleType
) -> None:
    pytest.importorskip("pty", reason="tutorials are run on a terminal of POSIX")
    outputs.with_samples(tmp_path)
    copy_library(embedded_samples, tmp_path / "aliens-library", samples, tmp_path / "aliens" / "samples")
    wrong = outputs.wrong(outputs.TUTORIALS[0], tmp_path)
    assert wrong == [], "`make shown` writes the tutorials anew\n" + "\n".join(wrong)


def test_an_output_may_differ_in_time_and_in_the_last_digit_alone(outputs: ModuleType) -> None:
    shown = "0.663 99.6 % 60 a/1.jpg\nembedded 240 photos in 11.6 s (20.7 photos/s)"
    assert outputs.alike(shown, shown.replace("11.6 s (20.7", "3.1 s (77.4").replace("0.663", "0.661"))
    for other in ("0.563 99.6 % 60 a/1.jpg", "0.663 99.6 % 60 a/2.jpg", "0.663 99.6 % 90 a/1.jpg", "0.663 a/1.jpg"):
        assert not outputs.alike(shown, shown.replace("0.663 99.6 % 60 a/1.jpg", other)), other


@pytest.fixture
def tagged(sample_library: Library, tmp_path: Path) -> Iterator[Library]:
    shutil.copytree(sample_library.path, tmp_path / "tagged")
    with aliens.open(tmp_path / "tagged", encoder=sample_library.encoder) as library:
        library.tag("case-study")
        yield library


def test_figures_can_be_drawn(tmp_path: Path, tagged: Library, outputs: ModuleType) -> None:
    figures = import_module("figures")
    figures.main(tagged, tmp_path)
    for figure in figures.FIGURES:
        assert "<svg" in (tmp_path / figure.name).read_text(encoding="utf-8")
        assert (ROOT / "docs" / figure.name).exists()
