"""Counts of what photos have in common: each is what choosing the value leaves; and the map of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql

import aliens
from aliens.library import Library
from search.facets import Facet
from search.query import format_filter, parse
from search.query_edits import toggled_filter
from search.tags.tag_bits import packed
from tests.conftest import photo_bytes

TEXTS = ["", "a bathtub", "a room -window", "like:7", "a pool", "sea"]
FILTERS = ["chain:none", "-chain:none", "chain:11", "year:2016", "year:none", "size:small", "size:medium", "color:grey"]
FILTERS += ["hotel:1001", "-hotel:casa", "tag:case-study/bathtub", "-tag:hotel/sofa", "source:traffickcam", "path:.jpg"]
FILTERS += ["near:36.68347,-4.39199,900km", "size:>=300x200", "tag:hotel/chair>0.5", "orientation:portrait"]


@pytest.fixture(scope="module")
def tagged(sample_library: Library, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The sample hotels, tagged, some of them without a hotel, a date or a colour, some copied, a few labelled."""
    folder = tmp_path_factory.mktemp("facets") / "library"
    shutil.copytree(sample_library.path, folder)
    with aliens.open(folder, encoder=sample_library.encoder) as library:
        copies = folder.parent / "copies"
        copies.mkdir()
        for photo_id in (3, 4, 44):
            shutil.copy(library.photo(photo_id).path, copies / f"{photo_id}.jpg")
        library.add(copies)
        with library.catalog.session() as session:
            for change in (
                "hotel_id = NULL WHERE id % 11 = 0",
                "uploaded_at = NULL WHERE id % 13 = 0",
                "grey = NULL WHERE id % 17 = 0",
                "latitude = 10, longitude = 20 WHERE id % 29 = 0",
            ):
                session.execute(sql(f"UPDATE photo SET {change}"))
            session.commit()
        library.tag("case-study")
        library.tag("hotel")
        library.label([1, 2, 3], "a bathtub")
        library.label([1, 2, 3], "a sofa", False)
        yield library


def left(library: Library, text: str) -> int:
    """How many photos an order has above its line, or in all."""
    order = library.order(text)
    return order.total if order.above is None else order.above


def without(text: str, name: str) -> str:
    """A query without the filters that a facet is counted without."""
    if name == "tag":
        return text
    wanted = {"colour": "color"}.get(name, name)
    for part in parse(text).filters:
        if part.name == wanted and not part.negated and not part.value.startswith(">"):
            text = toggled_filter(text, format_filter(part))
    return text


@given(text=st.sampled_from(TEXTS), filters=st.lists(st.sampled_from(FILTERS), max_size=3, unique=True), data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_count_is_what_choosing_the_value_leaves(
    tagged: Library, text: str, filters: list[str], data: st.DataObject
) -> None:
    query = " ".join([text, *filters])
    facets = tagged.facets(tagged.order(query))
    for facet in facets:
        value = data.draw(st.sampled_from(list(facet.values)))
        bare = without(query, facet.name)
        chosen = bare if facet.name == "tag" and value.chosen else f"{bare} {value.term}"
        assert left(tagged, chosen) == value.count, (facet.name, value)
        assert value.chosen == (len(parse(toggled_filter(query, value.term)).filters) < len(parse(query).filters))


def by_name(library: Library, text: str) -> dict[str, Facet]:
    return {facet.vocabulary or facet.name: facet for facet in library.facets(library.order(text))}


def test_what_is_not_known_is_told(tagged: Library) -> None:
    facets = by_name(tagged, "")
    years = facets["year"].values
    assert [value.value for value in years] == ["2016", "2017", "2018", "none"]
    assert (years[-1].term, years[-1].count) == ("year:none", left(tagged, "year:none"))
    assert facets["colour"].unknown == tagged.order("").total - left(tagged, "color:grey color:colour")
    assert facets["size"].unknown == 0


def test_photos_that_came_after_the_last_tagging_are_told(
    sample_library: Library, own_copy: Library, tmp_path: Path
) -> None:
    own_copy.tag("case-study")
    assert by_name(own_copy, "")["case-study"].unknown == 0
    (tmp_path / "new.jpg").write_bytes(photo_bytes(5))
    own_copy.add(tmp_path / "new.jpg")
    assert by_name(own_copy, "")["case-study"].unknown == 1
    assert "1 photo came after the last tagging" in own_copy.order("tag:bathtub").note
    own_copy.tag()
    assert by_name(own_copy, "")["case-study"].unknown == 0


@pytest.fixture
def own_copy(sample_library: Library, tmp_path: Path) -> Iterator[Library]:
    """A copy of the sample hotels that a test may change."""
    shutil.copytree(sample_library.path, tmp_path / "library")
    with aliens.open(tmp_path / "library", encoder=sample_library.encoder) as library:
        yield library


def test_labels_are_seen_at_once(own_copy: Library) -> None:
    own_copy.tag("case-study")

    def bathtubs() -> dict[str, int]:
        return {value.value: value.count for value in by_name(own_copy, "")["case-study"].values}

    before = bathtubs()
    states = [own_copy.state]
    ids = own_copy.order("-tag:bathtub").photo_ids[:2].tolist()
    own_copy.label(ids, "a bathtub")
    states.append(own_copy.state)
    assert bathtubs()["a bathtub"] == before["a bathtub"] + 2
    assert set(ids) <= set(own_copy.order("tag:bathtub").photo_ids.tolist())
    own_copy.label(ids[:1], "a bathtub", False)
    states.append(own_copy.state)
    assert bathtubs()["a bathtub"] == before["a bathtub"] + 1
    own_copy.label(ids, "a bathtub", None)
    states.append(own_copy.state)
    assert bathtubs() == before
    assert len(set(states)) == 3  # what was said was taken back


def test_a_library_without_tags_hotels_and_dates_tells_of_what_it_has(opened: Library) -> None:
    facets = by_name(opened, "")
    assert set(facets) == {"size", "colour"}
    assert [(v.value, v.count, v.term) for v in facets["size"].values] == [("small", 10, "size:small")]
    assert opened.mapped(opened.order("")) == []


def test_hotels_are_the_most_frequent_and_those_that_are_typed(tagged: Library) -> None:
    order = tagged.order("")
    facet = next(facet for facet in tagged.facets(order) if facet.name == "hotel")
    assert len(facet.values) == 20
    counts = [value.count for value in facet.values]
    assert counts == sorted(counts, reverse=True)
    found = tagged.hotels_like(order, "AZURA")
    assert {value.value.split()[0] for value in found} == {"Azura"}
    assert all(left(tagged, value.term) == value.count for value in found)
    chosen = tagged.order("hotel:1152 hotel:1001")
    values = {v.term: v for f in tagged.facets(chosen) if f.name == "hotel" for v in f.values}
    assert values["hotel:1001"].chosen


def test_the_map_has_each_photo_with_a_place_once(tagged: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    order = tagged.order("")
    placed = left(tagged, "near:0,0,30000km")
    places = tagged.mapped(order)
    assert sum(place.count for place in places) == placed
    for place in places:
        if place.title:
            assert left(tagged, place.term) >= place.count
    pool = tagged.order("a pool")
    assert tagged.mapped(pool)[0].photo_id in pool.photo_ids[:30]
    monkeypatch.setattr("search.maps.MOST_PLACES", 5)
    few = tagged.mapped(order)
    assert len(few) <= 5
    assert sum(place.count for place in few) == placed
    for place in few:
        assert place.photo_id in tagged.order(place.term).photo_ids


def test_counts_of_many_tags_are_those_of_numpy(tagged: Library) -> None:
    with tagged.catalog.session() as session:
        standing = tagged._standing.at(session)
    draw = np.random.default_rng(1)
    for bits in standing.tags:
        mask = draw.random(len(standing.columns)) < 0.3
        assert bits.counts(packed(mask)) == [int((bits.mask(t) & mask).sum()) for t in range(len(bits.has))]
        rows = np.flatnonzero(mask)
        tags = bits.tags_at(rows)
        names = bits.vocabulary.names
        assert tags == [[names[t] for t in range(len(names)) if bits.mask(t)[row]] for row in rows]
