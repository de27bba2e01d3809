"""`aliens restyle --check ENGINE`: whether an engine would work here, before its first photo."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from base import console
from base.console import FilePath
from commands.options import stopping

if TYPE_CHECKING:
    from restyle.engines.checking import Check

STOPPED = "stopped: no picture was kept; what was fetched so far is, and the same command goes on from there"


def check_engine_command(
    engine: str,
    *,
    preset: Literal["lcm", "turbo"] | None,
    controls: list[str],
    device: str,
    precision: str,
    offload: bool,
    longest_px: int | None,
    palette: str | None,
    fetch: bool,
    output: Path | None,
    json: bool,
) -> None:
    """Print what was found out about an engine; exit with 1 where it would not work."""
    import aliens

    def found(check: "Check") -> None:
        from restyle.engines.check_report import found_of

        if not json:
            console.say(*found_of(check))
            if fetch and not check.is_here and check.works:
                console.note("fetching what is missing")

    with stopping(STOPPED):
        check = aliens.check_engine(
            engine,
            preset=preset,
            controls=controls,
            device=device,
            precision=precision,
            offload=offload,
            longest_px=longest_px,
            palette=palette,
            fetch=fetch,
            output=output,
            on_examined=found,
        )
    if json:
        console.print_json(check.as_json())
    else:
        print_verdict(check)
    if not check.works:
        raise typer.Exit(1)


def print_verdict(check: "Check") -> None:
    """Print whether an engine works; the picture's place is a link."""
    from restyle.engines.check_report import verdict_of

    path = check.look.path if check.look else ""
    for line in verdict_of(check):
        before, place, _ = line.partition(path) if path else (line, "", "")
        console.say((before, FilePath(FilePath(path).near, path)) if place else line)
