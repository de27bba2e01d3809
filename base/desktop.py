"""What the desktop opens by its own programs: files and folders. Imports nothing that draws."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def has_desktop() -> bool:
    """Tell whether files and addresses can be opened on this machine's screen."""
    if sys.platform == "darwin":
        return True
    desktop = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(desktop and shutil.which("xdg-open"))


def open_files(paths: Sequence[Path]) -> None:
    """Have the desktop open files and folders by the programs that are set there."""
    import typer

    for path in paths:
        typer.launch(str(path.absolute()))


def show_in_folder(path: Path) -> None:
    """Have the desktop open the folder of a file, with the file chosen where it can do that."""
    import typer

    typer.launch(str(path.absolute()), locate=True)
