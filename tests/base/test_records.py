import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from base.errors import QueryError
from base.records import converted, json_bytes, read_json, read_toml, write_json


@dataclass
class Nest:
    place: str
    eggs: dict[int, float] = field(default_factory=dict)


class Walk(msgspec.Struct, forbid_unknown_fields=True):
    pick: list[Nest]


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    nest = Nest("отель/ü\n", {1: 0.1, 2: 1e300})
    write_json(tmp_path / "nest.json", nest)
    assert read_json(tmp_path / "nest.json", Nest) == nest
    assert "отель/ü" in (tmp_path / "nest.json").read_text(encoding="utf-8")


def test_plain_values_are_written_as_they_are(tmp_path: Path) -> None:
    write_json(tmp_path / "plain.json", {"a": [1, None]})
    assert read_json(tmp_path / "plain.json", dict[str, Any]) == {"a": [1, None]}
    assert json_bytes([]) == b"[]\n"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"eggs": {}}', b'{"place": 3}', b"\xff", b"null"])
def test_what_is_no_such_record_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "nest.json").write_bytes(content)
    assert read_json(tmp_path / "nest.json", Nest) is None


def test_fields_of_a_later_version_are_passed_over_or_make_it_unreadable(tmp_path: Path) -> None:
    (tmp_path / "nest.json").write_bytes(b'{"place": "oak", "height_m": 3}')
    assert read_json(tmp_path / "nest.json", Nest) == Nest("oak")
    assert read_json(tmp_path / "nest.json", Nest, whole=True) is None
    write_json(tmp_path / "nest.json", Nest("oak"))
    assert read_json(tmp_path / "nest.json", Nest, whole=True) == Nest("oak")


@pytest.mark.skipif(not hasattr(os, "fchmod"), reason="this system has no modes of files")
def test_a_private_record_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "nest.json", Nest("oak"), private=True)
    assert (tmp_path / "nest.json").stat().st_mode & 0o777 == 0o600


def test_what_is_not_there_or_is_a_folder_counts_as_absent(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json", Nest) is None
    assert read_json(tmp_path, Nest) is None


def test_a_full_disk_leaves_the_record_that_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "nest.json"
    write_json(path, Nest("oak"))
    monkeypatch.setattr("base.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, Nest("elm"))
    assert read_json(path, Nest) == Nest("oak")
    assert list(tmp_path.iterdir()) == [path]


def test_values_become_a_record_of_their_type() -> None:
    assert converted({"pick": [{"place": "oak", "eggs": {"3": 1}}]}, Walk).pick == [Nest("oak", {3: 1.0})]
    assert converted({"a": 1}, dict[str, int]) == {"a": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"pick": [{"place": "oak"}, {"place": 3}]}, r"Expected `str`, got `int` - at `pick\[1\]\.place`"),
        ({"pick": "oak"}, "Expected `array`, got `str` - at `pick`"),
        ({"pick": [], "peck": 1}, "unknown field `peck`"),
        ({}, "missing required field `pick`"),
        ([], "Expected `object`, got `array`$"),
    ],
)
def test_values_that_do_not_fit_are_named_with_their_place(data: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        converted(data, Walk)
    assert "$" not in str(caught.value)


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('name = "ü"', encoding="utf-8")
    assert read_toml(tmp_path / "a.toml", "palette") == {"name": "ü"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = =\n", r"is no TOML file: .*line 1, column 8"),
        (b"a = 1\na = 2", r"is no TOML file: .*\(is a name there twice\?\)"),
        (b'name = "\xff"', "is no TOML file: .*utf-8"),
    ],
)
def test_what_is_no_toml_is_named_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(QueryError, match=rf"the palette {tmp_path / 'a.toml'} {message}"):
        read_toml(tmp_path / "a.toml", "palette")


def test_a_toml_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"the picks .* cannot be read: No such file"):
        read_toml(tmp_path / "none.toml", "picks")
    with pytest.raises(QueryError, match="cannot be read: Is a directory"):
        read_toml(tmp_path, "picks")
