"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from aliens.settings import DEFAULT_LIBRARY

LibraryOption = Annotated[
    Path, typer.Option("--library", "-l", envvar="ALIENS_LIBRARY", help="The library's folder.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
DeviceOption = Annotated[
    str, typer.Option("--device", envvar="ALIENS_DEVICE", help="auto, cpu, cuda or mps.", show_default=True)
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", envvar="ALIENS_PRECISION", help="auto, float32 or bfloat16.", show_default=True)
]
LIBRARY = Path(DEFAULT_LIBRARY)
