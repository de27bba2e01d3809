"""The wheel is whole: built, installed and used without the checkout."""

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from aliens.library import Library

ROOT = Path(__file__).parents[1]
PACKAGES = ("aliens", "analysis", "base", "commands", "db", "embedding", "indexer", "restyle", "search", "web")
LEFT_ALONE = {".git", ".venv", "mutants", ".mypy_cache", ".ruff_cache", ".hypothesis", "build", "dist", "work"}
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")

# Runs in a process that has the folder of the installed wheel on its path, and the dependencies, but not the checkout.
RUN = """
import contextlib, importlib, io, json, sys
installed, dependencies, root, packages, photos = sys.argv[1:]
sys.path = [installed, *(path for path in sys.path if "site-packages" not in path), dependencies]
def aliens(*arguments):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["aliens", *map(str, arguments)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    said.append((sys.argv[1:], code, out.getvalue(), err.getvalue()))
    return out.getvalue()
import cli
said = []
aliens("init", "--model", "starter")
aliens("add", photos)
aliens("search", "a bathroom")
aliens("tag")
aliens("candidates", "-n", "2")
aliens("restyle", "1", "--engine", "regrade")
aliens("demo")
found = {name: importlib.import_module(name).__file__ for name in packages.split()}
files = [str(getattr(module, "__file__", None)) for module in list(sys.modules.values())]
strays = [path for path in files if path.startswith(root) and not path.startswith(dependencies)]
print(json.dumps({"said": said, "found": found, "strays": strays}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of a copy, since setuptools builds in the source's folder."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        ROOT, folder / "source", ignore=lambda _, names: [name for name in names if name in LEFT_ALONE or "egg" in name]
    )
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*PIP, *build, str(folder / "source")], check=True, cwd=folder)
    (built,) = folder.glob("cv_aliens-*.whl")
    return built


def test_it_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    own = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in held if ".dist-info/" not in name} == own | {"cli.py"}
    assert "db/migrations/script.py.mako" in held
    assert sum(name.startswith("db/migrations/versions/0") for name in held) >= 4
    assert {
        "web/templates/shell.html",
        "web/static/vendor/vendor.toml",
        "web/locale/ru/LC_MESSAGES/messages.mo",
    } <= held
    assert not [name for name in held if name.startswith(("tests/", "benchmarks/")) or name.endswith(".pyc")]


def test_installed_elsewhere_every_main_command_works(
    wheel: Path, tmp_path: Path, samples: Path, sample_library: Library
) -> None:
    installed, elsewhere, photos = tmp_path / "installed", tmp_path / "elsewhere", tmp_path / "photos"
    subprocess.run(
        [*PIP, "install", "--no-deps", "--no-index", "--no-compile", "--target", installed, wheel], check=True
    )
    shutil.copytree(sample_library.path, elsewhere / "aliens-demo")  # the demo knows the samples by their bytes
    photos.mkdir()
    for path in sorted(samples.rglob("*.jpg"))[:6]:
        shutil.copy(path, photos)
    arguments = [str(installed), sysconfig.get_path("purelib"), str(ROOT), " ".join(PACKAGES), str(photos)]
    # -I: neither PYTHONPATH nor the working folder; -S: no .pth file, so that no editable install of ours is found.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", RUN, *arguments],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["found"] == {name: str(installed / name / "__init__.py") for name in PACKAGES}
    assert told["strays"] == []
    assert [(command, code) for command, code, _, err in told["said"] if code] == [], told["said"]
    out = {command[0]: said for command, _, said, _ in told["said"]}
    assert len(out["search"].splitlines()) == 6
    assert len(out["candidates"].splitlines()) >= 1
    assert len(list((elsewhere / "aliens-library" / "restyled").glob("*.png"))) >= 1
    assert "240 new" in out["demo"]
    assert "240 more had known bytes" in out["demo"]
    assert "traffickcam" in out["demo"] or "travel_website" in out["demo"]
