"""Records as JSON and TOML files: written whole or not at all, checked against their types when they are read.

What the values mean is for those to check who own the record.
"""

import json
import os
import tomllib
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from base.errors import QueryError
from base.files import atomic_write

T = TypeVar("T")


def converted(data: object, kind: type[T]) -> T:
    """Return plain values as a record of a type: a dataclass, a msgspec.Struct, a list or a dict of them.

    Raises: ValueError: they do not fit; the message names the place, such as `pick[1].strength`.
    """
    try:
        return msgspec.convert(data, kind, str_keys=True)  # JSON has no numbers for keys
    except msgspec.ValidationError as error:
        raise ValueError(str(error).replace("`$.", "`").replace(" - at `$`", "")) from None


def read_json(path: Path, kind: type[T], *, whole: bool = False) -> T | None:
    """Return what a JSON file says, or None where there is none that can be read: whoever wrote it makes it anew.

    `whole`: one with fields that the type lacks, of a later version, cannot be read either.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        record = converted(plain, kind)
    except (OSError, ValueError):
        return None
    return None if whole and plain.keys() - get_type_hints(kind).keys() else record


def write_json(path: Path, record: object, *, private: bool = False) -> None:
    """Write a dataclass, or plain values, as JSON; where it is `private`, for the owner's eyes alone.

    Raises: OSError: the disk is full or cannot be written.
    """
    with atomic_write(path) as file:
        if private and hasattr(os, "fchmod"):  # not on Windows
            os.fchmod(file.fileno(), 0o600)
        file.write(json_bytes(record))


def json_bytes(record: object) -> bytes:
    """Return a dataclass, or plain values, as the content of a JSON file."""
    plain = asdict(record) if is_dataclass(record) and not isinstance(record, type) else record
    return json.dumps(plain, indent=1, ensure_ascii=False).encode() + b"\n"


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return what a TOML file says; `what` names the kind of file, such as palette.

    Raises: QueryError: it cannot be read or is no TOML; the message has line and column.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QueryError(f"the {what} {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or no TOML
        doubled = " (is a name there twice?)" if "overwrite" in str(error) else ""
        raise QueryError(f"the {what} {path} is no TOML file: {error}{doubled}") from error
