"""Writes anew what the tutorials and the figures of docs/ show, all from the sample hotels: `make shown`.

A block ```bash of a tutorial is run; the block ```text behind it becomes what was printed. The tutorials in other
languages show the same commands, so one run fills all of them. `check` compares instead, for the tests.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import figures

import aliens

DOCS = Path(__file__).parent
TUTORIALS = (DOCS / "tutorial.md", DOCS / "tutorial.ru.md")
STEP = re.compile(r"```bash\n(?P<command>.*?)```(?:\n\n```text\n(?P<shown>.*?)```)?", re.DOTALL)
ADDING = re.compile(r"aliens (init|add) ")
WIDTH = 92  # characters of the terminal
# The same bits on most machines, as far as that can be had.
SETTINGS = {"backend": "torch", "precision": "float32", "device": "cpu"}
PASSING = re.compile(r"[\d.]+ s\b|\([\d.]+ photos/s\)|\(\d+ threads?\)")  # what is another each time
NUMBER = re.compile(r"\d+(?:\.\d+)?")
PICTURES = {  # of a tutorial's folder, or of commands: what docs/ shows of them
    "bathtub-with-a-view.jpg": 'aliens search "bathtub with a view" --sheet out.jpg',
    "tag-bathtub.jpg": "aliens tag sheet bathtub -o out.jpg",
    "tutorial-restyled.jpg": "aliens see 188 --against alien/*.png -o out.jpg",
}


def steps(page: str) -> Iterator[tuple[str, str | None]]:
    """Yield a page's commands with what it shows of them: None where it shows nothing."""
    for step in STEP.finditer(page):
        if "aliens " in step["command"]:
            yield step["command"], step["shown"]


def run(command: str, folder: Path) -> str:
    """Return what commands print on a terminal without colours. Raises: RuntimeError: one failed."""
    ours, theirs = pty.openpty()
    settings = {f"ALIENS_{name.upper()}": value for name, value in SETTINGS.items()}
    settings |= {"TERM": "dumb", "COLUMNS": str(WIDTH), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    running = subprocess.Popen(
        ["bash", "-e", "-c", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **settings},
    )
    os.close(theirs)
    printed = b""
    try:
        while some := os.read(ours, 1 << 16):
            printed += some
    except OSError:  # how Linux says that the terminal's other side is closed
        pass
    os.close(ours)
    lines = [line.rstrip() for line in printed.decode().replace("\r\n", "\n").split("\n")]
    text = re.sub(r"\n{2,}", "\n\n", "\n".join(lines).strip("\n")) + "\n"
    if running.wait():
        raise RuntimeError(f"{command}\n{text}")
    return text


def with_samples(folder: Path) -> Path:
    """Put the sample hotels where a clone of the repository has them."""
    shutil.copytree(DOCS.parent / "aliens" / "samples", folder / "aliens" / "samples")
    return folder


def alike(shown: str, printed: str) -> bool:
    """Tell whether a page shows what was printed, but for time, and for what another processor rounds otherwise."""
    pair = [PASSING.sub("", text).split() for text in (shown, printed)]
    words = [sorted(word for word in text if not NUMBER.fullmatch(word.strip(",%()"))) for text in pair]
    numbers = [
        [float(found) for word in text for found in NUMBER.findall(word) if NUMBER.fullmatch(word.strip(",%()"))]
        for text in pair
    ]
    return words[0] == words[1] and all(
        abs(one - other) <= (0.02 if one < 1 else 2 + one / 20)
        for one, other in zip(*map(sorted, numbers), strict=True)
    )


def wrong(page: Path, folder: Path, *, but: re.Pattern[str] = ADDING) -> list[str]:
    """Run a tutorial and return what it shows otherwise than it was printed, as a text for each step.

    but: commands that are not run, since what they make lies in the folder.
    """
    found = []
    for command, shown in steps(page.read_text(encoding="utf-8")):
        if but.match(command):
            continue
        printed = run(command, folder)
        if shown is not None and not alike(shown, printed):
            found.append(f"{command}shows\n{shown}but prints\n{printed}")
    return found


def write(folder: Path) -> None:
    """Run the tutorial in a folder and fill all tutorials and pictures."""
    printed = {command: run(command, folder) for command, _ in steps(TUTORIALS[0].read_text(encoding="utf-8"))}

    def filled(step: re.Match[str]) -> str:
        if step["shown"] is None:
            return step[0]
        return f"```bash\n{step['command']}```\n\n```text\n{printed[step['command']]}```"

    for page in TUTORIALS:
        page.write_text(STEP.sub(filled, page.read_text(encoding="utf-8")), encoding="utf-8")
    for name, command in PICTURES.items():
        run(command, folder)
        shutil.move(folder / "out.jpg", DOCS / name)


def main() -> None:
    """Write everything anew."""
    with tempfile.TemporaryDirectory() as made:
        write(with_samples(Path(made)))
        with aliens.open(Path(made) / "aliens-library", **SETTINGS) as library:
            figures.main(library)


if __name__ == "__main__":
    main()
