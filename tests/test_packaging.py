import ast
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"cli", "aliens", "commands", "db", "embedding", "indexer", "restyle", "search"}
HEAVY = {"torch", "torchvision", "open_clip", "timm", "faiss", "numpy", "PIL", "sqlalchemy", "alembic"}
HEAVY |= {"sklearn", "pyarrow", "matplotlib", "transformers", "scipy", "pandas"}
HEAVY |= {"skimage", "diffusers", "daltonlens", "jinja2"}


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
    for package in sorted(OURS - {"cli"}):
        for path in (ROOT / package).rglob("*.py"):
            assert "cli" not in imported_modules(path), path


def test_heavy_imports_stay_with_their_owners() -> None:
    owners = {
        "torch": {
            "embedding/captioner.py",
            "embedding/device.py",
            "embedding/encoder.py",
            "embedding/index/product.py",  # inside its functions
            "embedding/scoring.py",
            "restyle/depth.py",
            "restyle/engines/loading.py",
            "restyle/engines/pipelines.py",
            "restyle/engines/weights.py",
        },
        "diffusers": {
            "restyle/engines/loading.py",
            "restyle/engines/nets.py",
            "restyle/engines/pipelines.py",
            "restyle/engines/weights.py",
        },
        "open_clip": {"embedding/captioner.py", "embedding/encoder.py", "embedding/weights.py"},
        "faiss": {
            "embedding/index/approximate.py",
            "embedding/index/building.py",
            "embedding/index/exact.py",
            "embedding/index/faiss_file.py",
        },
    }
    for module, files in owners.items():
        importing = {
            str(path.relative_to(ROOT))
            for package in OURS - {"cli"}
            for path in (ROOT / package).rglob("*.py")
            if module in imported_modules(path)
        }
        assert importing == files


def test_no_other_distribution_owns_our_names() -> None:
    for distribution in distributions():
        if distribution.metadata["Name"] == "cv-aliens":
            continue
        top_level = {str(file).split("/")[0].removesuffix(".py") for file in distribution.files or []}
        assert not top_level & OURS, distribution.metadata["Name"]


def test_modules_stay_small() -> None:
    for path in [ROOT / "cli.py", *(file for package in OURS - {"cli"} for file in (ROOT / package).rglob("*.py"))]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 340, f"{path} has grown: what else is in it?"
