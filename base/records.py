"""Records as JSON and TOML files: written whole or not at all, checked against their types when they are read.

Whatever JSON or TOML others wrote, or lay on a disk, is parsed here: what cannot be read raises one error. Python's own
readers raise another where values are nested too deeply, and so would whoever looks at such values later. What the
values mean is for those to check who own the record.
"""

import hashlib
import json
import os
import tomllib
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from base.errors import QueryError
from base.files import atomic_write, checksum_problem, read_regular, size_problem

T = TypeVar("T")
MANIFEST_FILE = "manifest.json"  # of an exported folder
MANIFEST_SUFFIX = ".manifest.json"  # of an exported file
MOST_NESTED = 100  # lists and objects, one inside another


def manifest_path(path: Path) -> Path:
    """Return where the manifest of an export lies: inside a folder, beside a file."""
    return path / MANIFEST_FILE if path.is_dir() else path.with_name(path.name + MANIFEST_SUFFIX)


def converted(data: object, kind: type[T]) -> T:
    """Return plain values as a record of a type: a dataclass, a msgspec.Struct, a list or a dict of them.

    Raises: ValueError: they do not fit; the message names the place, such as `pick[1].strength`.
    """
    import msgspec  # which much that only parses can do without

    try:
        return msgspec.convert(data, kind, str_keys=True)  # JSON has no numbers for keys
    except msgspec.ValidationError as error:
        raise ValueError(str(error).replace("`$.", "`").replace(" - at `$`", "")) from None


def read_record(path: Path, kind: type[T]) -> T | None:
    """Return a record that `write_record` wrote, or None where there is no sound one: whoever wrote it makes it anew.

    One with other fields than the type has, of another version, is none; nor is one in which a bit has flipped.
    """
    try:
        plain = parse_json(read_regular(path))
        checksum = plain.pop(CHECKSUM)
        record = converted(plain, kind)
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None
    return record if checksum == checksum_of(plain) and not plain.keys() - get_type_hints(kind).keys() else None


def write_record(path: Path, record: object, *, private: bool = False) -> None:
    """Write a dataclass as JSON with a checksum of its own; where it is `private`, for the owner's eyes alone.

    Raises: OSError: the disk is full or cannot be written.
    """
    plain = parse_json(json.dumps(plain_values(record)))  # as it will be read: keys that are numbers become texts
    with atomic_write(path) as file:
        if private:
            os.fchmod(file.fileno(), 0o600)
        file.write(json_bytes(plain | {CHECKSUM: checksum_of(plain)}))


def record_problem(path: Path) -> str | None:
    """Return what is wrong with a record's file, or None; None where there is none."""
    if not path.exists():
        return None
    try:
        plain = parse_json(read_regular(path))
        whole = plain.pop(CHECKSUM) == checksum_of(plain)
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        whole = False
    return None if whole else f"{path} is damaged"


def derived_problem(path: Path, manifest: Path, about: Any, *, quick: bool) -> str | None:
    """Return what is wrong with a file whose size and SHA-256 its manifest tells, or None; None without a manifest.

    about: the manifest as it was read, None where it could not be. quick: compare sizes alone.
    """
    if about is None:
        return f"{manifest} is damaged" if manifest.exists() else None
    return size_problem(path, about.size_bytes) if quick else checksum_problem(path, about.sha256)


CHECKSUM = "checksum"


def checksum_of(plain: dict[str, Any]) -> str:
    """Return the SHA-256 of plain values, however their JSON is laid out."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def read_json(path: Path, kind: type[T]) -> T | None:
    """Return what a JSON file says, or None where there is none that can be read."""
    try:
        return converted(parse_json(read_regular(path)), kind)
    except (OSError, ValueError):
        return None


def write_json(path: Path, record: object) -> None:
    """Write a dataclass, or plain values, as JSON. Raises: OSError: the disk is full or cannot be written."""
    with atomic_write(path) as file:
        file.write(json_bytes(record))


def json_bytes(record: object) -> bytes:
    """Return a dataclass, or plain values, as the content of a JSON file."""
    return json.dumps(plain_values(record), indent=1, ensure_ascii=False).encode() + b"\n"


def plain_values(record: object) -> Any:
    """Return a dataclass as a dict, and plain values as they are."""
    return asdict(record) if is_dataclass(record) and not isinstance(record, type) else record


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return what a TOML file says; `what` names the kind of file, such as palette.

    Raises: QueryError: it cannot be read or is no TOML; the message has line and column.
    """
    try:
        return parse_toml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise QueryError(f"the {what} {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or no TOML
        doubled = " (is a name there twice?)" if "overwrite" in str(error) else ""
        raise QueryError(f"the {what} {path} is no TOML file: {error}{doubled}") from error


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says. Raises: ValueError: it is none, no UTF-8, or nested too deeply."""
    try:
        value = json.loads(text)  # noqa: TID251
    except RecursionError as error:
        raise ValueError(too_deep()) from error
    opened = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    return value if opened <= MOST_NESTED else not_too_deep(value)


def parse_toml(text: str) -> dict[str, Any]:
    """Return what TOML says. Raises: ValueError: it is none, or nested too deeply."""
    try:
        table: dict[str, Any] = not_too_deep(tomllib.loads(text))  # noqa: TID251
    except RecursionError as error:
        raise ValueError(too_deep()) from error
    return table


def not_too_deep(value: Any) -> Any:
    """Return plain values as they are. Raises: ValueError: they are nested too deeply."""
    inside = [value]
    for _ in range(MOST_NESTED + 1):
        inside = [each for each in inside if isinstance(each, dict | list)]
        if not inside:
            return value
        inside = [inner for each in inside for inner in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(too_deep())


def too_deep() -> str:
    """Return what is wrong with values that are nested too deeply."""
    return f"it is nested more than {MOST_NESTED} deep"
