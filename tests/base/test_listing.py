import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from base.listing import MOST_PRINTED, WIDEST, Listing, as_dict, cell


@dataclass(frozen=True)
class Bird:
    name: str
    weight_g: float
    ring: int | None = None
    songs: list[str] = field(default_factory=list)


class Told:
    """A record that says itself what its values are."""

    def as_json(self) -> dict[str, Any]:
        return {"told": 1}


class Birds(Listing[Bird]):
    columns = ("weight_g", "name", "ring")


WREN, OWL = Bird("wren", 9.51234, songs=["trill"]), Bird("owl <&>", 450.0, 7)


def test_it_behaves_as_a_list() -> None:
    source = [WREN, OWL]
    listing = Listing(source)
    source.clear()
    assert (len(listing), listing[0], listing[-1], listing[:1]) == (2, WREN, OWL, [WREN])
    assert list(listing) == [WREN, OWL]
    assert OWL in listing
    assert listing.index(OWL) == 1
    assert listing == [WREN, OWL] == listing
    assert listing == Listing([WREN, OWL])
    assert listing != [OWL, WREN]
    assert not Listing()
    with pytest.raises(IndexError):
        listing[2]
    with pytest.raises(TypeError):
        hash(listing)


def test_it_prints_as_a_table_without_empty_columns() -> None:
    assert repr(Listing([WREN, Bird("owl", 450.0)])).splitlines() == [
        "Listing: 2 records",
        "name  weight_g  songs",
        "wren  9.512     trill",
        "owl   450",
    ]


def test_a_kind_of_listing_says_which_columns_are_printed() -> None:
    assert repr(Birds([OWL])).splitlines() == ["Birds: 1 record", "weight_g  name     ring", "450       owl <&>  7"]


def test_no_record_prints_as_none() -> None:
    assert repr(Birds()) == "Birds: 0 records"
    assert Birds()._repr_html_() == "<table><thead><tr></tr></thead><tbody></tbody></table>"
    assert Birds().to_dicts() == []


def test_what_is_too_much_is_counted() -> None:
    listing = Listing([Bird(f"no. {number}", number) for number in range(MOST_PRINTED + 3)])
    lines = repr(listing).splitlines()
    assert (len(lines), lines[-1]) == (MOST_PRINTED + 3, "... and 3 more")
    assert f"no. {MOST_PRINTED - 1}" in lines[-2]
    page = listing._repr_html_()
    assert page.count("<tr>") == MOST_PRINTED + 1
    assert page.endswith("<p>... and 3 more</p>")
    assert len(listing.to_dicts()) == MOST_PRINTED + 3


def test_a_column_that_is_filled_beyond_what_is_printed_is_left_out() -> None:
    listing = Listing([*[Bird("wren", 9)] * MOST_PRINTED, OWL])
    assert "ring" not in repr(listing)
    assert "weight_g" in repr(Listing([Bird("feather", 0.0)]))  # zero is no empty value
    assert listing.to_dicts()[-1]["ring"] == 7


def test_html_is_a_table_whose_values_are_escaped() -> None:
    page = Birds([OWL])._repr_html_()
    assert "<th>weight_g</th><th>name</th><th>ring</th>" in page
    assert "<td>450</td><td>owl &lt;&amp;&gt;</td><td>7</td>" in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (["a pool", "a\tbed"], r"a pool, a\tbed"),
        (["a pool"] * 10, ("a pool, " * 10)[: WIDEST - 1] + "…"),
        (0, "0"),
        (1_234_567, "1234567"),
        (0.123456, "0.1235"),
        (float("nan"), "nan"),
        ("a\tb\r\nc  d", r"a\tb\r\nc  d"),
        ("\x1b[31m\u202egpj", r"\x1b[31m\u202egpj"),
        ("x" * WIDEST, "x" * WIDEST),
        ("x" + "y" * WIDEST, "…" + "y" * (WIDEST - 1)),
    ],
)
def test_a_cell_is_one_line_whose_end_is_kept(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_records_are_dicts_by_their_own_word_or_by_their_fields() -> None:
    assert as_dict(OWL) == {"name": "owl <&>", "weight_g": 450.0, "ring": 7, "songs": []}
    assert as_dict(Told()) == {"told": 1}
    assert as_dict({"a": 1}) == {"a": 1}
    for nothing in (3, Bird):
        with pytest.raises(TypeError, match="has no fields that could be shown"):
            as_dict(nothing)


def test_records_become_a_data_frame() -> None:
    pytest.importorskip("pandas")
    frame = Birds([WREN, OWL]).to_pandas()
    assert list(frame.columns) == ["name", "weight_g", "ring", "songs"]
    assert list(frame["name"]) == ["wren", "owl <&>"]
    assert len(Birds().to_pandas()) == 0


def test_without_pandas_only_data_frames_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pandas"):
        Birds([WREN]).to_pandas()
    assert Birds([WREN]).to_dicts()[0]["name"] == "wren"
