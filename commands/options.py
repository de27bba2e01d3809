"""What several commands share: options, and how a long one is stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from aliens import console
from aliens.settings import DEFAULT_LIBRARY

LibraryOption = Annotated[
    Path, typer.Option("--library", "-l", envvar="ALIENS_LIBRARY", help="The library's folder.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option("--device", envvar="ALIENS_DEVICE", help="What the model runs on.", show_default=True),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option("--precision", envvar="ALIENS_PRECISION", help="What it computes in.", show_default=True),
]
LIBRARY = Path(DEFAULT_LIBRARY)


@contextmanager
def stopping(what_is_kept: str) -> Iterator[None]:
    """Turn Ctrl-C into a word about what is kept, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        console.note(what_is_kept)
        raise typer.Exit(130) from None
