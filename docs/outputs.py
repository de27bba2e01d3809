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
from PIL import Image

import aliens

DOCS = Path(__file__).parent
TUTORIALS = (DOCS / "tutorial.md", DOCS / "tutorial.ru.md")
STEP = re.compile(r"```bash\n(?P<command>.*?)```(?:\n\n```text\n(?P<shown>.*?)```)?", re.DOTALL)
ADDING = re.compile(r"aliens (init|add) ")
WIDTH = 92  # characters of the terminal
# The same bits on most machines, as far as that can be had.
SETTINGS = {"backend": "torch", "precision": "float32", "device": "cpu"}
PASSING = re.compile(  # what is another each time, or elsewhere
    r"[\d.]+ s\b|\([\d.]+ photos/s\)|\(\d+ threads?\)|bfloat16|float32|(?<=-)[0-9a-f]{8}\b"
)
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
    text = re.sub(r"\n{2,}", "\n\n", "\n".join(lines).strip("\n")).replace(f"{folder}/", "…/") + "\n"
    if running.wait():
        raise RuntimeError(f"{command}\n{text}")
    return text


def with_samples(folder: Path) -> Path:
    """Put the sample hotels where a clone of the repository has them."""
    shutil.copytree(DOCS.parent / "aliens" / "samples", folder / "aliens" / "samples")
    return folder


def alike(shown: str, printed: str) -> bool:
    """Tell whether a page shows what was printed, but for time, and for what another processor rounds otherwise."""
    (words, numbers), (others, now) = map(parts, (shown, printed))
    return (
        words == others
        and len(numbers) == len(now)
        and all(abs(a - b) <= (0.02 if a < 1 else 2 + a / 20) for a, b in zip(numbers, now, strict=True))
    )


def parts(text: str) -> tuple[list[str], list[float]]:
    """Return the words and the numbers of a text, sorted: rows that score nearly the same may change places."""
    words, numbers = [], []
    for word in PASSING.sub("", text).split():
        bare = word.strip(",%()")
        if NUMBER.fullmatch(bare):
            numbers.append(float(bare))
        else:
            words.append(word)
    return sorted(words), sorted(numbers)


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
        Image.open(folder / "out.jpg").save(DOCS / name, quality=80, optimize=True, progressive=True)


def main() -> None:
    """Write everything anew."""
    with tempfile.TemporaryDirectory() as made:
        write(with_samples(Path(made)))
        with aliens.open(Path(made) / "aliens-library", **SETTINGS) as library:
            figures.main(library)


if __name__ == "__main__":
    main()
