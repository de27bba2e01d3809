"""Every filter against the same rule written in Python, over every photo of the sample hotels."""

import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy import text as sql

from aliens.library import Library
from base.errors import QueryError
from base.settings import LibraryFolder
from db.detail_rows import note_columns
from db.hotel_rows import FIRST_OWN_ID
from db.models import Photo
from search import filters as filtering
from search.filters import OfHotels, chosen, hotels_called_so, kinds_of
from search.masks import Masks
from search.query import FILTER_NAMES, parse
from search.tags.calibration import TagOptions
from search.tags.tagging import Tagging
from tests.by_folder import open_library, tag_library
from tests.conftest import FakeEncoder, LibraryFactory, fill_folder

pytestmark = pytest.mark.every_database

if TYPE_CHECKING:
    from embedding.open_clip_encoder import OpenClipEncoder

Row = dict[str, Any]
PLACE = (36.68347, -4.39199)  # of hotel 1001


@pytest.fixture(scope="module")
def hotels(
    sample_library: Library, starter: "OpenClipEncoder", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Library]:
    """The sample hotels, tagged; some photos lack a hotel, a date or a word on their colour, some are grey."""
    folder = LibraryFolder(tmp_path_factory.mktemp("filters") / "library")
    shutil.copytree(sample_library.folder.root, folder.root)
    with open_library(folder.root, load_encoder=lambda model: starter) as library:
        with library.catalog.session() as session:
            for change in (
                "hotel_id = NULL WHERE id % 11 = 0",
                "uploaded_at = NULL WHERE id % 13 = 0",
                "grey = (id % 5 = 0)",
                "grey = NULL WHERE id % 17 = 0",
                "width_px = height_px WHERE id % 19 = 0",
                "image_source = NULL WHERE id % 23 = 0",
            ):
                session.execute(sql(f"UPDATE photo SET {change}"))
            for photo in session.scalars(select(Photo)):
                if photo.id % 7 == 0:
                    photo.details = {"price": "on request"}
                elif photo.id % 3 == 0:
                    photo.details = {"price": str(photo.id % 40), "stars": photo.id % 5}
            session.execute(sql("UPDATE hotel SET latitude = NULL WHERE id = (SELECT max(id) FROM hotel)"))
            note_columns(session, [{"price": "1", "stars": 1}])
            session.commit()
        tag_library(folder, None, lambda model: starter, options=TagOptions())
        with library.catalog.session() as session:
            yes, no = (
                session.scalar(sql("SELECT id FROM photo WHERE path LIKE :end"), {"end": f"%{name}"})
                for name in ("500065.jpg", "500099.jpg")
            )
            said = "INSERT INTO tag_label SELECT content_sha256, 'a bathtub', :present, '2020-01-01' FROM photo"
            said += " WHERE id = :id"
            session.execute(sql(said), [{"id": yes, "present": True}, {"id": no, "present": False}])
            session.commit()
        yield library


@pytest.fixture(scope="module")
def rows(hotels: Library) -> list[Row]:
    """All photos with what filters can ask of them."""
    with hotels.catalog.session() as session:
        found = [
            dict(row._mapping)
            for row in session.execute(
                sql(
                    "SELECT photo.id, path, member, mtime_ns, hotel_id, image_source, uploaded_at, width_px, height_px,"
                    " grey, hotel.name AS hotel, hotel.latitude, hotel.longitude, chain.name AS chain FROM"
                    " photo LEFT JOIN hotel ON hotel.id = photo.hotel_id LEFT JOIN chain ON chain.id = hotel.chain_id"
                    " ORDER BY photo.id"
                )
            )
        ]
        tagging = Tagging.open(hotels.catalog, session, hotels.store)
        place = tagging.vocabulary.places()["bathtub"]
        for row in found:  # which some databases give as a text, others as a time
            row["uploaded_at"] = None if row["uploaded_at"] is None else str(row["uploaded_at"])[:19]
        by_id = {row["id"]: row for row in found}
        for photos in tagging.photos():
            for photo_id, decided, probability in zip(
                photos.photo_ids.tolist(), photos.decided[:, place], photos.probabilities[:, place], strict=True
            ):
                label = photos.labels.get(photo_id, {}).get("a bathtub")
                by_id[photo_id]["bathtub"] = bool(decided)
                by_id[photo_id]["p"] = float(probability) if label is None else float(label)
    return found


def km(row: Row, latitude: float, longitude: float) -> float:
    """Distance by the chord between points on the sphere, unlike the haversine formula of the code."""
    if row["latitude"] is None:
        return math.inf
    points = []
    for north, east in ((row["latitude"], row["longitude"]), (latitude, longitude)):
        lat, lon = math.radians(north), math.radians(east)
        points.append((math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)))
    return 2 * 6371.0088 * math.asin(min(math.dist(*points) / 2, 1))


def when(row: Row) -> datetime:
    if row["uploaded_at"] is not None:
        return datetime.fromisoformat(row["uploaded_at"])
    return datetime.fromtimestamp(row["mtime_ns"] / 1e9, UTC).replace(tzinfo=None)


def priced(row: Row) -> Any:
    """What the list says that a photo costs, None where it says no number."""
    return row["id"] % 40 if row["id"] % 3 == 0 and row["id"] % 7 else None


RULES: dict[str, Callable[[Row], bool]] = {
    "hotel:1001": lambda r: r["hotel_id"] == 1001,
    "hotel:azura": lambda r: "azura" in (r["hotel"] or "").casefold(),
    'hotel:"Azura Bay"': lambda r: "Azura Bay" in (r["hotel"] or ""),
    "hotel:1001 hotel:1112": lambda r: r["hotel_id"] in (1001, 1112),
    "chain:11": lambda r: r["chain"] == CHAINS[11],
    "chain:none": lambda r: r["chain"] is None,
    "chain:none chain:11": lambda r: r["chain"] in (None, CHAINS[11]),
    "source:traffickcam": lambda r: r["image_source"] == "traffickcam",
    "source:TRAVEL_website": lambda r: r["image_source"] == "travel_website",
    "tag:bathtub": lambda r: r["bathtub"],
    'tag:"a bathtub"': lambda r: r["bathtub"],
    "tag:bathtub>0.6": lambda r: r["p"] > 0.6,
    "tag:bathtub>=1": lambda r: r["p"] >= 1,
    'tag:"a bathtub"<0.1': lambda r: r["p"] < 0.1,
    "tag:bathtub<=0": lambda r: r["p"] <= 0,
    f"near:{PLACE[0]},{PLACE[1]},1m": lambda r: km(r, *PLACE) <= 0.001,
    f"near:{PLACE[0]},{PLACE[1]},900km": lambda r: km(r, *PLACE) <= 900,
    f"near:{PLACE[0]},{PLACE[1]},900mi": lambda r: km(r, *PLACE) <= 900 * 1.609344,
    "near:0,180,15000km": lambda r: km(r, 0, 180) <= 15000,
    "near:-90,0,20100km": lambda r: r["latitude"] is not None,
    "after:2017": lambda r: when(r) >= datetime(2017, 1, 1),
    "before:2016-05": lambda r: when(r) < datetime(2016, 5, 1),
    "after:2016-01-15 before:2017-01-15": lambda r: datetime(2016, 1, 15) <= when(r) < datetime(2017, 1, 15),
    "year:2016": lambda r: (r["uploaded_at"] or "").startswith("2016"),
    "year:none": lambda r: r["uploaded_at"] is None,
    "year:2017 year:NONE": lambda r: (r["uploaded_at"] or "2017").startswith("2017"),
    "size:small": lambda r: max(r["width_px"], r["height_px"]) < 640,
    "size:Medium": lambda r: 640 <= max(r["width_px"], r["height_px"]) < 1600,
    "size:large size:medium": lambda r: max(r["width_px"], r["height_px"]) >= 640,
    "size:medium size:>=300x500": lambda r: 640 <= max(r["width_px"], r["height_px"]) < 1600 and r["height_px"] >= 500,
    "size:>=400x300": lambda r: r["width_px"] >= 400 and r["height_px"] >= 300,
    "size:350x233": lambda r: r["width_px"] >= 350 and r["height_px"] >= 233,
    "size:<=350x233": lambda r: r["width_px"] <= 350 and r["height_px"] <= 233,
    "color:grey": lambda r: r["grey"] == 1,
    "colour:colour": lambda r: r["grey"] == 0,
    "color:grey color:colour": lambda r: r["grey"] is not None,
    "orientation:landscape": lambda r: r["width_px"] > r["height_px"],
    "orientation:portrait": lambda r: r["width_px"] < r["height_px"],
    "orientation:square": lambda r: r["width_px"] == r["height_px"],
    "path:traffickcam": lambda r: "traffickcam" in r["path"],
    "path:5000 path:.jpg": lambda r: "5000" in r["path"] and ".jpg" in r["path"],
    "path:%": lambda r: False,
    "path:l_w": lambda r: "l_w" in r["path"],
    "column:price>=20": lambda r: priced(r) is not None and priced(r) >= 20,
    "column:STARS=4": lambda r: priced(r) is not None and r["id"] % 5 == 4,
    "column:price": lambda r: r["id"] % 3 == 0 or r["id"] % 7 == 0,
    'column:"price~ON REQ"': lambda r: r["id"] % 7 == 0,
    "column:price>5 column:price<=9": lambda r: priced(r) is not None and 5 < priced(r) <= 9,
    "kind:photo source:traffickcam": lambda r: r["image_source"] == "traffickcam",
}
CHAINS: dict[int, str] = {}
SINGLE = [query for query in RULES if query.count(":") == 1]


def selected(library: Library, query: str) -> list[int] | None:
    with library.catalog.session() as session:
        connection = session.connection().connection.driver_connection
        if isinstance(connection, sqlite3.Connection):
            connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)  # its default; some builds allow more
        found = chosen(library.catalog, session, library.store, parse(query).filters).ids
    return None if found is None else found.tolist()


def masked(library: Library, query: str) -> list[int] | None:
    """The photos that a filter leaves as masks over columns have it."""
    filters = parse(query).filters
    with library.catalog.session() as session:
        standing = library._standing.at(session, kinds_of(filters))
        mask = Masks(library.catalog, session, library.store, standing).selection(filters).photos()
    return None if mask is None else standing.columns.ids[mask].tolist()


@pytest.fixture(scope="module", autouse=True)
def chain_names(hotels: Library) -> None:
    with hotels.catalog.session() as session:
        CHAINS.update(dict(session.execute(sql("SELECT id, name FROM chain")).all()))  # type: ignore[arg-type]


@pytest.mark.parametrize("query", ["before:9999", "after:1500", "after:9999-12-31", "before:0001"])
def test_dates_far_from_those_that_files_have(hotels: Library, query: str) -> None:
    everything = query in ("before:9999", "after:1500")
    assert len(selected(hotels, query) or []) == len(masked(hotels, query) or []) == (240 if everything else 0)


def test_every_filter_is_among_the_rules() -> None:
    assert {query.split(":")[0] for query in RULES} >= set(FILTER_NAMES)


@pytest.mark.parametrize("query", RULES)
def test_a_filter_leaves_what_its_rule_leaves(hotels: Library, rows: list[Row], query: str) -> None:
    wanted = [row["id"] for row in rows if RULES[query](row)]
    assert selected(hotels, query) == masked(hotels, query) == wanted
    assert len(wanted) < len(rows)
    assert wanted or query == "path:%"
    if query in SINGLE:
        others = [row["id"] for row in rows if not RULES[query](row)]
        assert selected(hotels, f"-{query}") == masked(hotels, f"-{query}") == others


@given(st.lists(st.tuples(st.sampled_from(SINGLE), st.booleans()), min_size=1, max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_filters_of_different_names_all_hold(hotels: Library, rows: list[Row], parts: list[tuple[str, bool]]) -> None:
    either = ("hotel", "chain", "source", "near", "year", "color", "colour", "orientation")
    groups: dict[str, list[Callable[[Row], bool]]] = {}
    refused = []
    for place, (query, negated) in enumerate(parts):
        name = query.split(":")[0].replace("colour", "color")
        if negated:
            refused.append(RULES[query])
        else:
            named = name in either or query in ("size:small", "size:Medium")
            groups.setdefault(name if named else str(place), []).append(RULES[query])
    wanted = [
        row["id"]
        for row in rows
        if all(any(rule(row) for rule in group) for group in groups.values()) and not any(rule(row) for rule in refused)
    ]
    query = " ".join("-" * negated + query for query, negated in parts)
    assert selected(hotels, query) == masked(hotels, query) == wanted


def test_without_filters_nothing_is_chosen(hotels: Library) -> None:
    assert selected(hotels, "a bathtub") is None


def test_a_filtered_search_ranks_just_the_chosen_photos_as_the_whole_search_does(hotels: Library) -> None:
    whole = [hit.photo_id for hit in hotels.search("a bathtub", k=240)]
    chosen = selected(hotels, "source:traffickcam -tag:bathtub")
    found = [hit.photo_id for hit in hotels.search("a bathtub source:traffickcam -tag:bathtub", k=10_000_000)]
    assert found == [photo_id for photo_id in whole if photo_id in set(chosen or [])]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tag:bathtup", "no tag 'bathtup' .*did you mean 'a bathtub'"),
        ("tag:unicorn>0.5", "no tag 'unicorn' in the vocabulary case-study"),
        ("chain:Azur", "no chain 'Azur' .*near it: Azura"),
        ("hotel:999999", "no hotel '999999'"),
        ('hotel:"Azura Bay Porto Luma"', "near it: Azura Bay Porto Lume"),
        ("source:trafikcam", r"no source 'trafikcam' of this library \(near it: traffickcam"),
        ("column:prise>3", r"no column 'prise' of this library \(near it: price\)"),
        ("-chain:nobody", "no chain 'nobody'"),
    ],
)
def test_unknown_names_list_what_is_near(hotels: Library, query: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        selected(hotels, query)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("hotel:spa", "no hotel 'spa': no photo of this library has a hotel: `aliens add"),
        ("chain:inns", "no chain 'inns': no photo of this library has a hotel of a chain: `aliens add"),
        ("near:0,0,1km", "near:0,0,1km finds nothing: no photo of this library has a place: `aliens add"),
        ("column:price", "no column 'price': no photo of this library has columns of a list: `aliens add"),
    ],
)
def test_what_a_library_lacks_altogether_is_told_with_the_remedy(
    library: LibraryFactory, query: str, words: str
) -> None:
    with pytest.raises(QueryError, match=f"^{words}"):
        selected(library.open(), query)


@pytest.mark.parametrize(
    ("query", "places"), [("jp1", [2]), ("JP10", [3]), ("jp", [0, 1, 2, 3]), ("7", [5, 0]), ("inn", [0])]
)
def test_hotels_that_people_named_are_meant_by_their_whole_names(query: str, places: list[int]) -> None:
    ids = [7, 100, *range(FIRST_OWN_ID, FIRST_OWN_ID + 4)]
    names = ["JP10 Inn", "jp1", "jp1", "jp10", None, "7"]
    rows = [(hotel_id, name, (name or "").casefold()) for hotel_id, name in zip(ids, names, strict=True)]
    assert hotels_called_so(query, rows) == [ids[place] for place in places]


def test_hotels_that_are_meant_by_their_ids_are_told_as_filters() -> None:
    told = [str(OfHotels()), str(OfHotels((5, 7))), str(OfHotels((5,), negated=True))]
    assert told == ["of any hotel", "hotel:5 hotel:7", "-hotel:5"]


def test_tags_of_a_library_that_is_not_tagged_are_refused_with_the_remedy(
    sample_library: Library, tmp_path: Path
) -> None:
    folder = LibraryFolder(tmp_path / "untagged")
    shutil.copytree(sample_library.folder.root, folder.root)
    with open_library(folder.root) as library:
        with library.catalog.session() as session:
            session.execute(sql("DELETE FROM tagging"))
            session.commit()
        with pytest.raises(QueryError, match="`aliens tag"):
            selected(library, "tag:bathtub")


@pytest.fixture(scope="module")
def with_inns(filled_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of ten photos, nine of which have a hotel each, among 70,000 of one chain; one has another name."""
    root = Path(shutil.copytree(filled_template, tmp_path_factory.mktemp("inns") / "library"))
    with open_library(root) as library, library.catalog.session() as session:
        session.execute(sql("INSERT INTO chain VALUES (1, 'Inns')"))
        new = [{"id": number} for number in range(1, 70_001)]
        session.execute(sql("INSERT INTO hotel VALUES (:id, 'Inn ' || :id, 1, :id % 90, :id % 180)"), new)
        session.execute(sql("INSERT INTO hotel VALUES (70001, 'Spa', NULL, NULL, NULL)"))
        session.execute(sql("UPDATE photo SET hotel_id = id * 7000 WHERE id < 10"))
        session.commit()
    return root


@pytest.fixture
def inns(with_inns: Path) -> Iterator[Library]:
    """That library, to be read alone."""
    with open_library(with_inns, load_encoder=lambda model: FakeEncoder()) as library:
        yield library


@pytest.mark.parametrize("few", [1, 50_000], ids=["all photos read", "photo by photo"])
def test_photos_that_came_after_the_last_tagging_meet_no_tag_filter_unless_a_person_says_so(
    library: LibraryFactory, photos: Path, tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtering, "FEW", few)
    library.add(photos)
    tag_library(library.folder, None, lambda model: library.encoder, options=TagOptions())
    library.add(fill_folder(tmp_path / "more", range(100, 103)))
    opened = library.open()
    with opened.catalog.session() as session:
        said = "INSERT INTO tag_label SELECT content_sha256, 'bathtub', :present, '2020-01-01' FROM photo"
        said += " WHERE id = :id"
        session.execute(sql(said), [{"id": 11, "present": True}, {"id": 12, "present": False}])
        session.commit()
    for query in ("tag:bathtub", "tag:bathtub>0.5", "tag:bathtub<0.5", "tag:bathtub>=0"):
        for rest in ("", " path:/"):
            yes, no = selected(opened, query + rest), selected(opened, "-" + query + rest)
            assert yes is not None
            assert no is not None
            assert sorted([*yes, *no]) == list(range(1, 13))  # all but 13
            assert (11 in yes, 12 in yes) == ("<" not in query, "<" in query or "=" in query)
            for unknown_too in (f"-tag:sofa {query}", f"{query} -tag:sofa"):
                assert not {11, 12, 13}.intersection(selected(opened, unknown_too + rest) or [])
    untold = "1 photo came after the last tagging and meets no tag filter: run `aliens tag`"
    assert opened.search("a pool -tag:bathtub").explanation.note == untold
    assert opened.search("a pool -tag:bathtub path:more").explanation.note == untold
    assert opened.search("a pool path:more").explanation.note == ""
    assert opened.search("a pool -tag:bathtub -path:more").explanation.note == ""
    notes: list[str] = []
    list(opened.stream("a pool -tag:bathtub", tell=notes.append))
    assert notes == [untold]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("hotel:inn near:0,0,20100km", range(1, 10)),
        ("hotel:7000 near:0,0,20100km", [1]),
        ("hotel:7000 hotel:14000 near:0,0,20100km chain:Inns", [1, 2]),
        ("hotel:7000 hotel:Spa", [1]),
        ("hotel:inn chain:Inns", range(1, 10)),
        ("hotel:inn -hotel:7000", range(2, 10)),
        ("hotel:inn -near:0,0,20100km", []),
        ("hotel:inn chain:none", []),
    ],
)
def test_filters_that_mean_many_hotels_twice_ask_the_database_for_those_that_meet_both(
    inns: Library, query: str, wanted: list[int]
) -> None:
    statements: list[str] = []
    event.listen(inns.catalog.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    assert selected(inns, query) == list(wanted)
    assert max(statement.count("FROM hotel") for statement in statements) <= 3
    if "chain:Inns" in query:
        assert not any("FROM photo" in statement and "FROM hotel" in statement for statement in statements)


@pytest.mark.parametrize("query", ["near:0,0,20100km", "hotel:inn", "-near:0,0,20100km", "-hotel:inn", "-chain:none"])
def test_filters_that_mean_seventy_thousand_hotels(inns: Library, query: str) -> None:
    assert selected(inns, query) == ([10] if query in ("-near:0,0,20100km", "-hotel:inn") else list(range(1, 10)))
