"""Tags of several vocabularies: which one a name means, in queries, saved searches, labels, sheets and exports."""

import json
from pathlib import Path

import pytest

from aliens.library import Library
from base.errors import QueryError
from db.settings_rows import save_search
from db.tag_rows import all_labels
from search.pool import read_pool
from search.tags.tagging import Tagging
from search.tags.vocabulary import Vocabularies, as_vocabulary
from tests.conftest import LibraryFactory, fill_folder

HOTEL = 'name = "hotel-rooms"\n[tags]\n"a sofa" = []\n"a pool" = ["blue water"]\n"tv/radio" = []\n'
MINE = 'name = "mine"\n[tags]\n"a pool" = ["swimming"]\n"a bed" = []\n'


@pytest.fixture
def both(library: LibraryFactory, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Ten photos, tagged with hotel-rooms.toml and then with mine.toml, which is the current one."""
    monkeypatch.chdir(tmp_path)
    library.add(photos)
    opened = library.open()
    for name, text in (("hotel-rooms.toml", HOTEL), ("mine.toml", MINE)):
        Path(name).write_text(text, encoding="utf-8")
        opened.tag(name)
    return opened


def having(library: Library, vocabulary: str, tag: str, least: float | None = None) -> set[int]:
    """Return the photos that have a tag of a vocabulary, or are at least this likely to."""
    with library.catalog.session() as session:
        tagging = Tagging.open(library.catalog, session, library.store, vocabulary)
        place, found = tagging.vocabulary.position(tag), set()
        for photos in tagging.photos():
            has = photos.decided[:, place] if least is None else photos.probabilities[:, place] >= least
            found |= set(photos.photo_ids[has].tolist())
    return found


def found(library: Library, query: str) -> set[int]:
    return {hit.photo_id for hit in library.search(f"anything {query}", k=100)}


def more_photos(library: LibraryFactory, tmp_path: Path, count: int = 3) -> None:
    library.add(fill_folder(tmp_path / "more", range(200, 200 + count)))


# Queries


def test_a_tag_of_any_vocabulary_is_meant_by_its_name(both: Library) -> None:
    assert found(both, "tag:sofa") == having(both, "hotel-rooms", "sofa")
    assert found(both, "-tag:sofa") == set(range(1, 11)) - having(both, "hotel-rooms", "sofa")
    assert found(both, "tag:bed") == having(both, "mine", "bed")
    assert found(both, "tag:sofa>=0.2") == having(both, "hotel-rooms", "sofa", least=0.2)


def test_a_tag_of_two_vocabularies_is_asked_for_and_chosen_by_name_or_key(both: Library) -> None:
    with pytest.raises(QueryError, match=r"2 vocabularies have a tag 'pool': .*'mine/pool' or 'hotel-rooms/pool'"):
        both.search("anything tag:pool")
    with pytest.raises(QueryError, match=r'\(in a query tag:"mine/a pool"\)'):
        both.search('anything tag:"a pool"')
    key = next(key for key in both.info().vocabularies if key.startswith("hotel"))
    for written in ("hotel-rooms/pool", "Hotel-Rooms/POOL", f"{key}/pool"):
        assert found(both, f"tag:{written}>=0.3") == having(both, "hotel-rooms", "pool", least=0.3)
    assert found(both, 'tag:"mine/the pool">=0.3') == having(both, "mine", "pool", least=0.3)
    assert having(both, "mine", "pool", least=0.3) != having(both, "hotel-rooms", "pool", least=0.3)


def test_tags_of_several_vocabularies_meet_in_one_query(both: Library) -> None:
    for sign, turned in (("", False), ("-", True)):
        for least in (0.1, 0.3):
            sofa, pool = having(both, "hotel-rooms", "sofa", least), having(both, "mine", "pool", least)
            wanted = pool - sofa if turned else pool & sofa
            query = f"{sign}tag:sofa>={least} tag:mine/pool>={least}"
            assert found(both, query) == wanted == found(both, f"{query} path:photos")
            explained = both.search(f"anything {query} path:photos").explanation.filters
            assert explained == f"{sign}tag:hotel-rooms/sofa>={least} tag:mine/pool>={least} path:photos"


def test_a_tag_may_hold_a_slash_itself(both: Library) -> None:
    assert found(both, "tag:tv/radio") == having(both, "hotel-rooms", "tv/radio")
    assert found(both, "tag:hotel-rooms/tv/radio") == having(both, "hotel-rooms", "tv/radio")
    with pytest.raises(QueryError, match="no tag 'tv/' in the vocabularies"):
        both.search("anything tag:tv/")


def test_an_unknown_tag_is_told_what_is_near_and_in_which_vocabulary(both: Library) -> None:
    for written, words in (
        ("sofer", r"no tag 'sofer' in the vocabularies mine-\w+, hotel-rooms-\w+: did you mean 'hotel-rooms/a sofa'"),
        ("hotel-rooms/sofer", r"no tag 'sofer' in the vocabulary hotel-rooms-\w+: did you mean 'a sofa'"),
        ("pol", "did you mean 'mine/a pool' or 'hotel-rooms/a pool'"),
        ("mine/sofa", r"no tag 'sofa' in the vocabulary mine-"),
        ("yours/pool", r"no tag 'yours/pool' in the vocabularies .*did you mean"),
    ):
        with pytest.raises(QueryError, match=words):
            both.search(f"anything tag:{written}")


def test_a_library_of_one_vocabulary_is_answered_as_the_query_was_written(both: Library, tmp_path: Path) -> None:
    alone = LibraryFactory(tmp_path / "alone")
    alone.add(tmp_path / "photos")
    opened = alone.open()
    opened.tag("mine.toml")
    assert opened.search("anything tag:pool").explanation.filters == "tag:pool"
    assert found(opened, "tag:mine/pool") == found(opened, "tag:pool") == having(opened, "mine", "pool")
    alone.close()


def test_of_two_contents_of_one_name_the_newest_counts_unless_a_key_is_given(both: Library) -> None:
    (before,) = (key for key in both.info().vocabularies if key.startswith("mine"))
    Path("mine.toml").write_text(MINE.replace("swimming", "a lagoon").replace('"a bed"', '"a desk"'), encoding="utf-8")
    both.tag("mine.toml")
    after = both.info().vocabularies[0]
    assert after != before
    for least in (0.2, 0.3, 0.4):
        assert found(both, f"tag:mine/pool>={least}") == having(both, after, "pool", least)
        assert found(both, f"tag:{before}/pool>={least}") == having(both, before, "pool", least)
    assert found(both, "tag:desk") == having(both, after, "desk")
    assert found(both, f"tag:{before}/bed") == having(both, before, "bed")
    with pytest.raises(QueryError, match="no tag 'bed'"):
        both.search("anything tag:bed")


def test_photos_without_scores_are_told_by_vocabulary_with_what_tags_them(
    both: Library, library: LibraryFactory, tmp_path: Path
) -> None:
    more_photos(library, tmp_path)
    both.tag()  # with mine alone
    key = next(key for key in both.info().vocabularies if key.startswith("hotel"))
    Path("hotel-rooms.toml").unlink()
    assert both.search("anything tag:mine/pool>=0").explanation.note == ""
    assert found(both, "tag:mine/pool>=0") == set(range(1, 14))
    late = f"3 photos came after the last tagging and meet no tag filter: run `aliens tag --vocabulary {key}`"
    assert both.search("anything tag:sofa>=0").explanation.note == late
    assert both.search("anything -tag:sofa tag:mine/pool>=0").explanation.note == late
    assert found(both, "tag:sofa>=0 tag:mine/pool>=0") == set(range(1, 11))
    both.label(12, "sofa")
    assert found(both, "tag:sofa>=0") == {*range(1, 11), 12}
    assert f"`aliens tag --vocabulary {key}`" in both.tags("hotel-rooms").notes[0]
    both.tag(key)  # the library has kept what its file said
    assert both.search("anything tag:sofa>=0 tag:mine/pool>=0").explanation.note == ""
    assert found(both, "tag:sofa>=0 tag:mine/pool>=0") == set(range(1, 14))


def test_a_vocabulary_that_is_neither_shipped_nor_kept_is_refused_with_those_that_are(both: Library) -> None:
    with pytest.raises(QueryError, match=r"no vocabulary 'yours': .* one of case-study, hotel, mine, hotel-rooms$"):
        both.tag("yours")


def test_a_vocabulary_named_like_a_tag_does_not_hide_it() -> None:
    words = Vocabularies(
        [
            (as_vocabulary({"tags": {"radio": [], "x": []}}, "tv"), {}),
            (as_vocabulary({"tags": {"tv/radio": [], "tv/bed": [], "tv": []}}, "mine"), {}),
        ]
    )
    named = {
        name: (vocabulary.name, place)
        for name in ("tv/bed", "tv", "tv/x", "mine/tv/radio", "tv/radio")
        for vocabulary, place in [words.find(name)]
    }
    assert named == {
        "tv/bed": ("mine", 1),
        "tv": ("mine", 2),
        "tv/x": ("tv", 1),
        "mine/tv/radio": ("mine", 0),
        "tv/radio": ("tv", 0),
    }
    for name in named:
        in_full = words.in_full(name)
        assert words.find(in_full) == words.find(name)
        assert words.in_full(in_full) == in_full
    with pytest.raises(QueryError, match="no tag 'bath'"):
        words.find("tv/bath")
    assert words.in_full("bath") == "bath"


# Saved searches


def test_a_saved_search_keeps_its_vocabulary(
    library: LibraryFactory, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library.add(photos)
    opened = library.open()
    opened.save_search("early", "anything tag:pool>=0.3")  # nothing is tagged yet
    Path("mine.toml").write_text(MINE, encoding="utf-8")
    opened.tag("mine.toml")
    opened.save_search("pools", 'anything -tag:bed "blue water" tag:"a pool">=0.3')
    wanted = having(opened, "mine", "pool", 0.3) - having(opened, "mine", "bed")
    Path("hotel-rooms.toml").write_text(HOTEL, encoding="utf-8")
    opened.tag("hotel-rooms.toml")
    saved = opened.saved_search("pools")
    assert {hit.photo_id for hit in opened.search(saved.text, k=100)} == wanted
    assert {hit.photo_id for hit in opened.search(opened.saved_search("early").text, k=100)} == having(
        opened, "mine", "pool", 0.3
    )


def test_only_tags_are_written_in_full_and_an_unclear_one_is_asked_for(both: Library) -> None:
    both.save_search("plain", "  a pool,  +sea:0.50 path:x")
    assert both.saved_search("plain").text == "  a pool,  +sea:0.50 path:x"
    both.save_search("clear", "a room  tag:mine/pool -tag:hotel-rooms/sofa<0.5")
    assert both.saved_search("clear").text == "a room  tag:mine/pool -tag:hotel-rooms/sofa<0.5"
    both.save_search("named", "a room tag:sofa tag:unheard")
    assert both.saved_search("named").text == "a room tag:hotel-rooms/sofa tag:unheard"
    with pytest.raises(QueryError, match="2 vocabularies have a tag 'pool'"):
        both.save_search("unclear", "a room tag:pool")
    assert "unclear" not in [saved.name for saved in both.saved_searches()]


def test_searches_of_earlier_versions_go_on_meaning_what_they_meant(both: Library) -> None:
    texts = {"pool": "a room tag:pool", "both": "tag:pool tag:sofa", "no query": 'a "', "gone": "a room tag:unheard"}
    with both.catalog.session() as session:
        for name, text in texts.items():
            save_search(session, name, text, {})
        session.commit()
    meant = {name: both.saved_search(name).text for name in texts}
    assert meant == {
        "pool": "a room tag:mine/pool",
        "both": "tag:mine/pool tag:hotel-rooms/sofa",
        "no query": 'a "',
        "gone": "a room tag:unheard",
    }
    both.tag("hotel-rooms.toml")  # is the current one now
    assert {name: both.saved_search(name).text for name in texts} == meant
    assert {saved.name: saved.text for saved in both.saved_searches()} == meant


# Labels, sheets, exports, candidates


def test_a_label_may_be_of_any_vocabulary_and_counts_in_all(both: Library) -> None:
    assert both.label(3, "SOFA") == "a sofa"
    assert both.label(4, "hotel-rooms/pool", False) == "a pool"
    assert both.label(5, "pool") == "a pool"
    with both.catalog.session() as session:
        assert [tuple(label) for label in all_labels(session)] == [
            (3, "sofa", True),
            (4, "pool", False),
            (5, "pool", True),
        ]
    assert 3 in found(both, "tag:sofa>=1")
    assert found(both, "tag:mine/pool>=1") == found(both, "tag:hotel-rooms/pool>=1") == {5}
    with pytest.raises(QueryError, match="no tag 'a sofa' in the vocabulary mine-"):
        both.label(3, "a sofa", vocabulary="mine")
    with pytest.raises(QueryError, match="no tag 'a car' in the vocabularies"):
        both.label(3, "a car")


def test_a_sheet_is_of_the_vocabulary_that_has_the_tag(both: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr("embedding.sheet.write_sheet", lambda sections, title, path: titles.append(title))
    both.tag_sheet("sofa", "x.jpg")
    both.tag_sheet("mine/pool", "x.jpg")
    both.tag_sheet("pool", "x.jpg", vocabulary="hotel-rooms")
    assert [title.split(" (")[0] for title in titles] == ["a sofa, by probability", *["a pool, by probability"] * 2]
    assert [title.split("(")[1].rpartition("-")[0] for title in titles] == ["hotel-rooms", "mine", "hotel-rooms"]
    with pytest.raises(QueryError, match="2 vocabularies have a tag 'pool'"):
        both.tag_sheet("pool", "x.jpg")
    with pytest.raises(QueryError, match="no tag 'sofa' in the vocabulary mine-"):
        both.tag_sheet("sofa", "x.jpg", vocabulary="mine")


def test_an_export_chooses_photos_by_the_tags_of_any_vocabulary(both: Library, library: LibraryFactory) -> None:
    def exported(*tags: str, vocabulary: str | None = None) -> set[int]:
        manifest = both.export("out.jsonl", tags=tags, vocabulary=vocabulary, columns=["photo_id", "tags"])
        rows = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
        assert manifest.photos == len(rows)
        assert manifest.vocabulary.startswith(vocabulary or "mine")
        return {row["photo_id"] for row in rows}

    for photo_id in (2, 3, 4):
        both.label(photo_id, "sofa")
    both.label(3, "bed")
    both.label(4, "pool")
    assert exported("sofa") == having(both, "hotel-rooms", "sofa")
    assert exported("sofa", "bed") == having(both, "hotel-rooms", "sofa") & having(both, "mine", "bed")
    assert exported("hotel-rooms/pool", vocabulary="mine") == having(both, "hotel-rooms", "pool")
    assert exported("pool", vocabulary="mine") == having(both, "mine", "pool")
    assert exported("mine/pool") == having(both, "mine", "pool")
    with pytest.raises(QueryError, match="2 vocabularies have a tag 'pool'"):
        exported("pool")
    library.add(fill_folder(library.folder.root.parent / "photos", [300]))
    both.tag()  # with mine alone
    with pytest.raises(QueryError, match=r"1 photo came after .*`aliens tag --vocabulary hotel-rooms-"):
        exported("sofa")


def test_candidates_are_chosen_by_the_tags_of_any_vocabulary(both: Library) -> None:
    both.label(3, "sofa")
    pool = read_pool(both.searcher, None, ["sofa"], most=100, least=1)
    assert {record.photo_id for record in pool.records} == having(both, "hotel-rooms", "sofa")


def test_a_sheet_and_the_counts_by_chain_tell_of_photos_that_came_late(
    both: Library, library: LibraryFactory, tmp_path: Path
) -> None:
    (trust,) = both.tag_sheet("bed", "x.jpg")
    assert both.tags_by_chain().notes == [trust]
    more_photos(library, tmp_path, 2)
    late = "2 photos came after the last tagging and have no tags yet: run `aliens tag`"
    assert both.tag_sheet("bed", "x.jpg") == both.tags_by_chain().notes == [late, trust]
    both.tag()
    (trust,) = both.tag_sheet("bed", "x.jpg")
    assert both.tags_by_chain().notes == [trust]
    assert len(both.tag_sheet("sofa", "x.jpg")) == 2


def test_an_export_and_a_restyling_of_a_query_pass_on_its_note(
    both: Library, library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more_photos(library, tmp_path, 2)
    both.tag()  # with mine alone
    told: list[str] = []
    monkeypatch.setattr(both, "tell", told.append)
    manifest = both.export("out.csv", query="anything tag:sofa>=0", k=3)
    assert manifest.photos == 3
    assert manifest.notes == [both.search("anything tag:sofa>=0").explanation.note, manifest.trust]
    assert manifest.notes[0].startswith("2 photos came after the last tagging")
    assert both.export("out.csv", query="anything tag:mine/pool>=0").notes == [manifest.trust]
    assert len(both._picks((), None, "anything tag:sofa>=0", 2)) == 2
    assert told == manifest.notes[:1]
