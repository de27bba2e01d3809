"""`import aliens` beside a user's own files that are called as our packages are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USE = "import aliens, search.answers, db.catalog; print('works', aliens.Library.__name__)"
# As an editable install does: ours are found after everything that lies on the path.
BEHIND = f"""
import sys
from importlib.machinery import PathFinder
class Behind:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [{str(ROOT)!r}]) if path is None else None
sys.meta_path.append(Behind)
"""


def run(folder: Path, script: str, *, behind: bool = False, name: str = "script.py") -> tuple[int, str, str]:
    (folder / name).write_text((BEHIND if behind else f"import sys; sys.path.append({str(ROOT)!r})\n") + script)
    site = [path for path in sys.path if path.endswith("site-packages")]
    prepare = f"import sys; sys.path[:0] = [{str(folder)!r}]; sys.path += {site!r}; import runpy\n"
    command = [sys.executable, "-S", "-c", prepare + f"runpy.run_path({str(folder / name)!r}, run_name='__main__')"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture(params=["file", "package"])
def hiding(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A user's module that is called search."""
    path = tmp_path / "search.py" if request.param == "file" else tmp_path / "search" / "__init__.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("OWN = 1\n")
    return path


def refused(ended: tuple[int, str, str], path: Path, name: str = "search") -> bool:
    """Tell whether the last line of the traceback says all, and the traceback ends in aliens/__init__.py."""
    code, out, err = ended
    last = err.splitlines()[-1]
    frames = [line for line in err.splitlines() if line.startswith("  File")]
    said = f"ImportError: {path} hides a part of CV-Aliens that is also called {name!r}: give it another name"
    return code == 1 and out == "" and last.startswith(said) and "aliens/__init__.py" in frames[-1]


@pytest.mark.parametrize("behind", [False, True])
def test_a_file_beside_the_script_is_named(tmp_path: Path, hiding: Path, behind: bool) -> None:
    assert refused(run(tmp_path, USE, behind=behind), hiding)


def test_a_file_that_was_imported_before_is_named(tmp_path: Path, hiding: Path) -> None:
    assert refused(run(tmp_path, "import search; assert search.OWN == 1\n" + USE), hiding)


def test_the_script_itself_is_named(tmp_path: Path) -> None:
    assert refused(run(tmp_path, USE, name="db.py"), tmp_path / "db.py", "db")


def test_a_file_that_is_found_later_takes_no_place(tmp_path: Path, hiding: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    (later / "restyle.py").write_text("OWN = 1\n")
    (tmp_path / hiding.relative_to(tmp_path).parts[0]).rename(later / hiding.relative_to(tmp_path).parts[0])
    script = f"import aliens; sys.path.insert(0, {str(later)!r})\n" + USE + "\nimport restyle.studio"
    assert run(tmp_path, script)[:2] == (0, "works Library")


@pytest.mark.parametrize("behind", [False, True])
def test_a_folder_without_code_does_no_harm(tmp_path: Path, behind: bool) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "library.db").write_bytes(b"")
    assert run(tmp_path, USE, behind=behind)[:2] == (0, "works Library")


def test_a_folder_that_was_imported_from_is_named(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "notes.py").write_text("OWN = 1\n")
    assert refused(run(tmp_path, "import db.notes\n" + USE, behind=True), tmp_path / "db", "db")


def test_a_made_up_module_is_named(tmp_path: Path) -> None:
    code, _, err = run(tmp_path, "import types; sys.modules['base'] = types.ModuleType('base')\n" + USE)
    assert code == 1
    assert err.splitlines()[-1].startswith("ImportError: <module 'base'> hides a part of CV-Aliens")


def test_names_that_are_not_imported_may_be_taken(tmp_path: Path) -> None:
    for name in ("cli.py", "commands.py", "query.py", "library.py"):
        (tmp_path / name).write_text("raise RuntimeError(__name__)")
    assert run(tmp_path, USE)[:2] == (0, "works Library")


def test_importing_imports_nothing_heavy_nor_the_library(tmp_path: Path) -> None:
    script = "before = set(sys.modules); import aliens; print(sorted(set(sys.modules) - before))"
    code, out, _ = run(tmp_path, script)
    new = {name.strip("'") for name in out.strip("[]").split(", ")}
    ours = {"aliens", "base", "db", "embedding", "indexer", "restyle", "search"}
    assert code == 0
    assert {name for name in new if name.partition(".")[0] in ours} == ours | {"base.forks"}
    assert not {name.partition(".")[0] for name in new} & {"numpy", "sqlalchemy", "PIL", "torch", "msgspec", "rich"}


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    import aliens

    with pytest.raises(AttributeError, match="no attribute 'opne': it has Library, create, open"):
        aliens.opne  # noqa: B018
    assert {"Library", "create", "open", "AliensError", "__version__"} <= set(dir(aliens))
