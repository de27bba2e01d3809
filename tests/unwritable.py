"""Folders in which nothing can be written, and processes that may not, whoever runs the tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RIGHTS = "-dac_override,-dac_read_search"  # by which root reads and writes everything


@contextmanager
def unwritable(root: Path) -> Iterator[Path]:
    """Take the right to write from a file, or a folder and all in it."""
    paths = [root, *root.rglob("*")] if root.is_dir() else [root]
    modes = {path: path.stat().st_mode for path in paths}
    try:
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        yield root
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def command_without_rights(script: str, *arguments: object) -> list[str]:
    """Return the command of a process that runs a script and has no rights beyond those of files."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root can write everywhere, and there is no setpriv to run without its rights")
        command = ["setpriv", f"--bounding-set={RIGHTS}", f"--inh-caps={RIGHTS}", *command]
    return command


def without_rights(script: str, *arguments: object, given: str = "") -> str:
    """Run a script in a process of its own that has no rights beyond those of files, and return what it printed."""
    command = command_without_rights(script, *arguments)
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout
