"""Checking an engine before its first photo, which needs no library."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from restyle.engines.first_run import Check

Where = str | os.PathLike[str]


def check_engine(
    engine: str,
    *,
    preset: Literal["lcm", "turbo"] | None = None,
    controls: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    offload: bool = False,
    longest_px: int | None = None,
    palette: Where | None = None,
    fetch: bool = False,
    output: Where | None = None,
    on_examined: "Callable[[Check], None]" = lambda check: None,
) -> "Check":
    """Check whether `library.restyle` would work with an engine: what it needs, what there is, and one small photo.

    Nothing is fetched but what the hub says of its files, unless that is asked for. Prints as a report.

    Args:
        engine: regrade, grow, sd15, sdxl, klein, a model's name on the hub or its folder.
        preset: few steps, for CPUs: lcm or turbo.
        controls: control maps to begin with, such as softedge.
        device: auto, cpu, cuda or mps.
        precision: what the engine computes in: auto, float32, bfloat16 or float16.
        offload: less memory on the device, and slower.
        longest_px: the longer side that is to be painted.
        palette: fern, emerald, lagoon, moss or a .toml file; by default fern.
        fetch: fetch the weights that are missing, and then paint.
        output: a folder for the photo beside what became of it.
        on_examined: called with what was found, before anything is fetched or painted.

    Raises:
        EngineError: there is no such engine, preset, control or device, or packages are missing.
        OutputError: the folder cannot be written.
    """
    from restyle.engines import first_run
    from restyle.palettes import DEFAULT_PALETTE, read_palette

    asked = first_run.EngineChoice(
        engine=engine,
        device=device,
        precision=precision,
        preset=preset,
        offload=offload,
        longest_px=longest_px,
        controls=list(controls) or None,
        palette=read_palette(os.fspath(palette or DEFAULT_PALETTE)),
    )
    folder = None if output is None else Path(output)
    return first_run.check_and_try(asked, fetch=fetch, output=folder, on_examined=on_examined)
