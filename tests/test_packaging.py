import ast
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"cli", "aliens", "analysis", "base", "commands", "db", "embedding", "indexer", "restyle", "search", "web"}
HEAVY = {"torch", "torchvision", "open_clip", "timm", "faiss", "numpy", "PIL", "sqlalchemy", "alembic"}
HEAVY |= {"sklearn", "pyarrow", "openpyxl", "matplotlib", "transformers", "scipy", "pandas"}
HEAVY |= {"skimage", "diffusers", "daltonlens", "ray", "jinja2", "fastapi", "uvicorn", "imagehash"}

FILES = sorted(path for package in OURS - {"cli"} for path in (ROOT / package).rglob("*.py"))
# Typer calls a command as its function: the command and what it calls in the end are one thing.
COMMANDS = {"duplicates", "forget", "verify"}


def imported_modules(path: Path) -> set[str]:
    """Return the top-level names of everything that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["add", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = f"import sys; sys.argv = ['aliens', *{arguments}]\nimport cli, atexit\n"
    script += f"atexit.register(lambda: print('HEAVY', sorted({HEAVY} & set(sys.modules))))\ncli.main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "HEAVY []" in done.stdout


def test_nothing_imports_the_command_line() -> None:
    for path in FILES:
        assert "cli" not in imported_modules(path), path


def test_heavy_imports_stay_with_their_owners() -> None:
    owners = {
        "torch": {
            "embedding/backends.py",
            "embedding/captioner.py",
            "embedding/device.py",
            "embedding/device_speed.py",
            "embedding/gpu_memory.py",
            "embedding/index/near_pairs.py",  # inside its functions
            "embedding/index/product.py",
            "embedding/open_clip_encoder.py",
            "embedding/openvino_tower.py",
            "embedding/resizing.py",  # inside its functions
            "embedding/scores.py",
            "restyle/controls.py",
            "restyle/engines/loading.py",
            "restyle/engines/pipelines.py",
            "restyle/engines/weights.py",
        },
        "ray": {"indexer/ray_cluster.py"},
        "openvino": {"embedding/openvino_tower.py"},
        "openpyxl": {"base/spreadsheets.py"},
        "diffusers": {"restyle/engines/loading.py", "restyle/engines/pipelines.py"},
        "open_clip": {"embedding/captioner.py", "embedding/open_clip_encoder.py"},
        "faiss": {
            "embedding/faiss_files.py",
            "embedding/index/approximate.py",
            "embedding/index/building.py",
            "embedding/index/exact.py",
            "embedding/index/gpu_scan.py",
            "embedding/opened_segment.py",
        },
    }
    for module, files in owners.items():
        importing = {str(path.relative_to(ROOT)) for path in FILES if module in imported_modules(path)}
        assert importing == files


def test_all_that_is_printed_goes_through_the_console() -> None:
    """Which shows what names hide: nothing else writes to stdout or stderr."""
    for path in [ROOT / "cli.py", *FILES]:
        written = re.search(r"typer\.s?echo|sys\.std(out|err)\.write", path.read_text(encoding="utf-8"))
        assert written is None or path == ROOT / "base" / "console.py", path


def test_no_other_distribution_owns_our_names() -> None:
    for distribution in distributions():
        if distribution.metadata["Name"] == "cv-aliens":
            continue
        top_level = {str(file).split("/")[0].removesuffix(".py") for file in distribution.files or []}
        assert not top_level & OURS, distribution.metadata["Name"]


def test_modules_stay_few_and_small() -> None:
    assert len(FILES) <= 424
    for path in [ROOT / "cli.py", *FILES]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, f"{path} has grown: what else is in it?"


def test_one_word_is_one_thing() -> None:
    """No two files, and no two classes or functions of files' outermost level, share a name."""
    named: dict[str, set[str]] = {}
    for path in FILES:
        if "migrations" in path.parts:  # whose files and functions are named by Alembic
            continue
        where = str(path.relative_to(ROOT))
        if path.name != "__init__.py":
            named.setdefault(path.name, set()).add(where)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name not in COMMANDS:
                named.setdefault(node.name, set()).add(where)
    assert {name: sorted(places) for name, places in named.items() if len(places) > 1} == {}
