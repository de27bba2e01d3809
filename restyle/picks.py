"""Manifests: which photos to restyle and how, as TOML files that people may edit. Picks and restyles nothing."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from base.console import shell_word
from base.errors import OutputError, QueryError
from base.files import atomic_write
from base.records import read_toml

MOST_SEED = 1 << 32  # what NumPy's and PyTorch's generators both take
DELETE = "\x7f"  # the one control character that JSON leaves as it is and TOML does not


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """One photo to restyle.

    photo_id: its number in the library. path, member: where it lies, so that a manifest of another library is noticed.
    prompt, negative_prompt: what diffusion engines are told; empty: built from the photo's tags. strength, seed: as in
    Settings; None: searched for. kind, why: what it was picked as and for, for people.
    """

    photo_id: int
    path: str
    member: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    strength: float | None = None
    seed: int | None = None
    kind: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PickList:
    """Photos to restyle, in order, and where the list comes from.

    created: UTC. library: its folder. query: what the pool was searched by, empty for the whole library. engine: what
    they are to be restyled by.
    """

    picks: tuple[Pick, ...]
    created: datetime | None = None
    library: str = ""
    query: str = ""
    strategy: str = ""
    palette: str = ""
    engine: str = ""


HEAD = """\
# Photos to restyle: `{command}`. Edit it as you like: drop picks, add some, change their order.
"""
HOW = """\
# prompt = "…"           # what a diffusion engine is told; without it, it is built from the photo's tags
# negative_prompt = "…"  # and what must not be seen
# strength = 0.45        # 0 keeps the photo, 1 forgets it; without it, it is searched for
# seed = 1               # without it, 0
"""
PICK_KEYS = {field.name if field.name != "photo_id" else "photo": field for field in fields(Pick)}
HEAD_KEYS = [field.name for field in fields(PickList) if field.name != "picks"]


def write_picks(manifest: PickList, path: Path) -> None:
    """Write a manifest as TOML.

    Raises: OutputError: the file cannot be written.
    """
    try:
        with atomic_write(path) as file:
            file.write(as_toml(manifest, path.name).encode())
    except OSError as error:
        raise OutputError(f"the manifest {path} cannot be written: {error.strerror}") from error


def as_toml(manifest: PickList, name: str = "picks.toml") -> str:
    """Return a manifest as TOML, with comments for people; `read` of it gives the same manifest."""
    library = f" --library {shell_word(manifest.library)}" if manifest.library else ""
    lines = [HEAD.format(command=f"aliens restyle --manifest {shell_word(name)}{library}")]
    lines += [f"{key} = {value_of(getattr(manifest, key))}\n" for key in HEAD_KEYS if getattr(manifest, key)]
    for place, pick in enumerate(manifest.picks):
        lines.append("\n[[pick]]\n")
        for key, field in PICK_KEYS.items():
            value = getattr(pick, field.name)
            if value != field.default:
                lines.append(f"{key} = {value_of(value)}\n")
        if not place:
            lines.append(HOW)
    return "".join(lines)


def value_of(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).isoformat(timespec="seconds")
    if isinstance(value, str):  # JSON's strings are TOML's, but for one character, and for halves of characters
        whole = value.encode(errors="replace").decode()
        return json.dumps(whole, ensure_ascii=False).replace(DELETE, "\\u007f")
    return repr(value)


def read_picks(path: Path) -> PickList:
    """Return the manifest of a file.

    Raises: QueryError: it cannot be read, picks nothing, or is not as it should be; the message says where.
    """
    data = read_toml(path, "manifest")
    try:
        manifest = as_manifest(data)
    except QueryError as error:
        raise QueryError(f"the manifest {path} is not as it should be: {error}") from error
    if not manifest.picks:
        raise QueryError(f"the manifest {path} picks nothing: add a line [[pick]], and below it one such as photo = 12")
    return manifest


def as_manifest(data: Mapping[str, Any]) -> PickList:
    """Return the manifest that a TOML file says.

    Raises: QueryError: something is unknown, missing or of a wrong kind; the message names the pick.
    """
    refuse_unknown(data, [*HEAD_KEYS, "pick"], "")
    entries = data.get("pick", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise QueryError("picks are tables: begin each with a line [[pick]]")
    created = data.get("created")
    if created is not None and not isinstance(created, datetime):
        raise QueryError(f"created is {created!r}: write a date and time, such as 2030-01-31T12:00:00Z")
    head = {key: text_value(data[key], key, "") for key in HEAD_KEYS if key in data and key != "created"}
    picks = tuple(as_pick(entry, place) for place, entry in enumerate(entries, start=1))
    refuse_repeats(picks)
    return PickList(picks=picks, created=created, **head)


def as_pick(entry: Mapping[str, Any], place: int) -> Pick:
    """Return one pick. Raises: QueryError: as `as_manifest`."""
    where = f"pick {place}"
    photo = entry.get("photo")
    if photo is None:
        raise QueryError(f"{where} names no photo: add a line such as photo = 12")
    if not isinstance(photo, int) or isinstance(photo, bool) or photo < 1:
        raise QueryError(f"{where}: photo is {photo!r}: give the photo's number, as searches show it")
    where += f" (photo {photo})"
    refuse_unknown(entry, PICK_KEYS, where)
    given: dict[str, Any] = {}
    for key, value in entry.items():
        if key == "strength":
            given[key] = strength_of(value, where)
        elif key == "seed":
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_SEED:
                raise QueryError(f"{where}: seed is {value!r}: give a whole number from 0 to 2^32 - 1")
            given[key] = value
        elif key != "photo":
            given[key] = text_value(value, key, where)
    return Pick(photo_id=photo, **{"path": ""} | given)


def strength_of(value: object, where: str) -> float:
    """Return a strength. Raises: QueryError: it is no number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise QueryError(f"{where}: strength is {value!r}: give a number from 0 to 1")
    return float(value)


def text_value(value: object, key: str, where: str) -> str:
    """Return a text. Raises: QueryError: it is something else."""
    if not isinstance(value, str):
        raise QueryError(f"{where}{': ' if where else ''}{key} is {value!r}: put a text in quotes")
    return value


def refuse_unknown(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise QueryError: a key is not known; the message lists those that are."""
    if unknown := [key for key in table if key not in known]:
        raise QueryError(f"{where}{': ' if where else ''}{unknown[0]!r} is not known: there are {', '.join(known)}")


def refuse_repeats(picks: tuple[Pick, ...]) -> None:
    """Raise QueryError: two picks ask for the same; one photo with two prompts, strengths or seeds is no repeat."""
    seen: dict[Pick, int] = {}
    for place, pick in enumerate(picks, start=1):
        wish = replace(pick, path="", member="", kind="", why="")
        if wish in seen:
            raise QueryError(
                f"pick {place} asks for photo {pick.photo_id} as pick {seen[wish]} does: "
                "drop one, or give them different prompts, strengths or seeds"
            )
        seen[wish] = place
