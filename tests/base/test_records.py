import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import QueryError
from base.records import (
    MOST_NESTED,
    converted,
    json_bytes,
    parse_json,
    read_json,
    read_record,
    read_toml,
    record_problem,
    write_json,
    write_record,
)
from tests.conftest import raising


@dataclass
class Nest:
    place: str
    eggs: dict[int, float] = field(default_factory=dict)


class Walk(msgspec.Struct, forbid_unknown_fields=True):
    pick: list[Nest]


# Plain JSON


def test_what_is_written_as_json_comes_back(tmp_path: Path) -> None:
    nest = Nest("отель/ü\n", {1: 0.1, 2: 1e300})
    write_json(tmp_path / "nest.json", nest)
    assert read_json(tmp_path / "nest.json", Nest) == nest
    assert "отель/ü" in (tmp_path / "nest.json").read_text(encoding="utf-8")
    write_json(tmp_path / "plain.json", {"a": [1, None]})
    assert read_json(tmp_path / "plain.json", dict[str, Any]) == {"a": [1, None]}
    assert json_bytes([]) == b"[]\n"


NO_NESTS = [b"", b"{", b"[]", b'{"eggs": {}}', b'{"place": 3}', b"\xff", b"null", b"3", b'"oak"', b"[" * 5_000]


@pytest.mark.parametrize("content", NO_NESTS)
def test_what_is_no_such_json_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "nest.json").write_bytes(content)
    assert read_json(tmp_path / "nest.json", Nest) is None


def test_fields_of_a_later_version_are_passed_over_in_json(tmp_path: Path) -> None:
    (tmp_path / "nest.json").write_bytes(b'{"place": "oak", "height_m": 3}')
    assert read_json(tmp_path / "nest.json", Nest) == Nest("oak")


# Records


@given(st.text(), st.dictionaries(st.integers(), st.floats(allow_nan=False)))
def test_a_record_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, place: str, eggs: dict[int, float]
) -> None:
    path, nest = tmp_path_factory.getbasetemp() / "nest.json", Nest(place, eggs)
    write_record(path, nest)
    assert read_record(path, Nest) == nest
    assert record_problem(path) is None


def test_a_record_is_for_people_to_read_and_may_be_laid_out_anew(tmp_path: Path) -> None:
    path = tmp_path / "nest.json"
    write_record(path, Nest("отель/ü", {1: 0.5}))
    assert "отель/ü" in path.read_text(encoding="utf-8")
    plain = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(plain.items()))), encoding="utf-8")
    assert read_record(path, Nest) == Nest("отель/ü", {1: 0.5})
    assert record_problem(path) is None


def test_a_record_in_which_any_bit_has_flipped_is_none(tmp_path: Path) -> None:
    path = tmp_path / "nest.json"
    write_record(path, Nest("oak", {1: 0.5}))
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            assert read_record(path, Nest) is None
            assert record_problem(path) == f"{path} is damaged"


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain | {"place": "elm"},
        lambda plain: plain | {"height_m": 3},
        lambda plain: {"checksum": plain["checksum"], "place": plain["place"]},
        lambda plain: plain | {"checksum": "0" * 64},
        lambda plain: plain | {"checksum": None},
        lambda plain: {name: value for name, value in plain.items() if name != "checksum"},
    ],
    ids=["another value", "a field more", "a field less", "another checksum", "no text", "no checksum"],
)
def test_a_record_that_was_changed_is_none_and_said_to_be_damaged(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    path = tmp_path / "nest.json"
    write_record(path, Nest("oak", {1: 0.5}))
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    assert read_record(path, Nest) is None
    assert record_problem(path) == f"{path} is damaged"


@dataclass
class HighNest:
    """A nest of a later version."""

    place: str
    eggs: dict[int, float] = field(default_factory=dict)
    height_m: float = 0.0


@dataclass
class BareNest:
    """A nest of an earlier version."""

    place: str


def test_a_record_of_another_version_is_none_where_it_says_more_and_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "nest.json"
    write_record(path, HighNest("oak", {}, 3.0))
    assert read_record(path, Nest) is None
    assert record_problem(path) is None
    write_record(path, BareNest("oak"))
    assert read_record(path, Nest) == Nest("oak")  # what it does not say is as by default
    write_record(path, {"place": 3})
    assert read_record(path, Nest) is None


@pytest.mark.parametrize("content", [*NO_NESTS, b'{"place":' * 900 + b"1" + b"}" * 900])
def test_what_is_no_record_counts_as_absent_and_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nest.json"
    path.write_bytes(content)
    assert read_record(path, Nest) is None
    assert record_problem(path) == f"{path} is damaged"


def test_a_private_record_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_record(tmp_path / "nest.json", Nest("oak"), private=True)
    assert (tmp_path / "nest.json").stat().st_mode & 0o777 == 0o600
    assert read_record(tmp_path / "nest.json", Nest) == Nest("oak")


# Either


def test_what_is_not_there_or_is_a_folder_counts_as_absent(tmp_path: Path) -> None:
    for read in (read_json, read_record):
        assert read(tmp_path / "none.json", Nest) is None
        assert read(tmp_path, Nest) is None
    assert record_problem(tmp_path / "none.json") is None
    assert record_problem(tmp_path) == f"{tmp_path} is damaged"


@pytest.mark.parametrize(("write", "read"), [(write_json, read_json), (write_record, read_record)])
def test_a_full_disk_leaves_the_record_that_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None], read: Callable[..., Nest | None]
) -> None:
    path = tmp_path / "nest.json"
    write(path, Nest("oak"))
    monkeypatch.setattr("base.files.os.fsync", raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(OSError, match="No space left"):
        write(path, Nest("elm"))
    assert read(path, Nest) == Nest("oak")
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
    (tmp_path / "a.toml").write_text('name = "ü"', encoding="utf-8-sig")  # as Windows' editors mark it
    assert read_toml(tmp_path / "a.toml", "palette") == {"name": "ü"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = =\n", r"is no TOML file: .*line 1, column 8"),
        (b"a = 1\na = 2", r"is no TOML file: .*\(is a name there twice\?\)"),
        (b'name = "\xff"', "is no TOML file: .*utf-8"),
        (b"a = " + b"[" * 5_000, "is no TOML file: it is nested more than 100 deep"),
        (b"a." * 200 + b"a = 1", "is no TOML file: it is nested more than 100 deep"),
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


# What others wrote


@pytest.mark.parametrize("begin, end", [("[", "]"), ('{"a":', "}"), ('[{"a":1},{"a":', "}]")])
def test_json_is_read_as_deep_as_anybody_nests_it_and_no_deeper(begin: str, end: str) -> None:
    deepest = MOST_NESTED // len(end)
    whole = begin * deepest + "1" + end * deepest
    for text in (whole, whole.encode()):
        assert parse_json(text) == json.loads(text)
    for depth in (deepest + 1, 900, 100_000):
        for text in (begin * depth + "1" + end * depth, begin * depth, (begin * depth).encode()):
            with pytest.raises(ValueError):
                parse_json(text)


def test_json_of_many_values_beside_each_other_is_read() -> None:
    values = [{"a": [number]} for number in range(5_000)]
    assert parse_json(json.dumps(values)) == values
