"""Letters written in one character or in two, in either case: paths, hotels, chains, tags, searches, captions."""

import sqlite3
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy import text as sql

from aliens.library import Library
from base.errors import QueryError
from db.conditions import path_contains
from db.models import Photo
from db.settings_rows import save_search
from db.tag_rows import Label, all_labels
from search.query import Filter, format_query, parse
from tests.conftest import LibraryFactory, photo_bytes

pytestmark = pytest.mark.every_database


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def apart(text: str) -> str:
    return unicodedata.normalize("NFD", text)


NAMES = [
    apart("Été à la mer/café.jpg"),
    composed("Été à la mer/thé.jpg"),
    apart("été") + "/" + composed("Zoé") + ".jpg",
    "cafe/straße.jpg",
    "plain/100% ICE.jpg",
    "한국/" + apart("바다") + ".jpg",
]


@pytest.fixture
def named(library: LibraryFactory, tmp_path: Path) -> Library:
    """Six photos under names that are composed, decomposed, mixed and plain."""
    for number, name in enumerate(NAMES):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo_bytes(number))
    library.add(tmp_path / "photos")
    return library.open()


def found(library: Library, query: str) -> list[int]:
    """Return which of the photos are found, by their places among the names."""
    hits = library.search(f"anything {query}", k=100)
    return sorted(NAMES.index("/".join(Path(hit.path).parts[-2:])) for hit in hits)


@pytest.mark.parametrize("form", [composed, apart])
@pytest.mark.parametrize(
    ("part", "places"),
    [
        ("café", [0]),
        ("CAFÉ.JPG", [0]),
        ("Été", [0, 1, 2]),
        ('"à LA Mer/thé"', [1]),
        ("été/zoé", [2]),
        ("é", [0, 1, 2]),
        ("cafe", [3]),
        ("Straße", [3]),
        ("ice", [4]),
        ('"100% i"', [4]),
        ("100_", []),
        ("한국/바다", [5]),
        ("국/바", [5]),
        ("è", []),
    ],
)
def test_a_path_is_found_however_its_letters_are_written(
    named: Library, form: Any, part: str, places: list[int]
) -> None:
    assert found(named, f"path:{form(part)}") == places
    assert found(named, f"-path:{form(part)}") == [place for place in range(6) if place not in places]


def test_a_photos_path_stays_as_its_file_system_has_it(named: Library) -> None:
    assert all(Path(hit.path).is_file() for hit in named.search("anything path:/", k=100))


def test_names_inside_a_tar_are_found_too(named: Library) -> None:
    with named.catalog.session() as session:
        session.execute(sql("UPDATE photo SET member = :member WHERE id = 4"), {"member": apart("Málaga.jpg")})
        session.commit()
    assert {hit.photo_id for hit in named.search(f"anything path:{composed('málaga')}", k=100)} == {4}


def test_ascii_is_looked_for_as_it_stands_by_sqlite(named: Library, on_postgres: object) -> None:
    assert found(named, "path:STRASSE") == ([] if on_postgres is None else [3])


@pytest.mark.sqlite("it stands for a database that is neither")
@pytest.mark.parametrize("form", [composed, apart])
def test_other_databases_compare_both_ways_of_writing(named: Library, form: Any) -> None:
    elsewhere: Any = SimpleNamespace(get_bind=lambda: SimpleNamespace(dialect=SimpleNamespace(name="another")))
    with named.catalog.session() as session:
        for part, names in (("thé", ["thé.jpg"]), ("café", ["café.jpg"]), ("100% ice", ["100% ICE.jpg"])):
            paths = session.scalars(select(Photo.path).where(path_contains(elsewhere, form(part))))
            assert [composed(Path(path).name) for path in paths] == names


@pytest.mark.sqlite("PostgreSQL never calls Python")
def test_ascii_is_compared_without_a_call_of_python(named: Library) -> None:
    called: list[str] = []
    with named.catalog.session() as session:
        connection = session.connection().connection.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        connection.create_function("folded", 1, lambda text: called.append(text) or text.lower(), deterministic=True)
        for part in ("plain", "absent", "/thé."):
            session.scalars(select(Photo.path).where(path_contains(session, part))).all()
    assert {Path(path).name for path in called} == {"thé.jpg"}


@pytest.mark.parametrize("form", [composed, apart])
@pytest.mark.parametrize(
    "query",
    ['hotel:"hôtel DU"', "hotel:Élan", 'chain:"hôtels Élan"', "source:TÉLÉ", 'hotel:"hôtel  du Lac"', "-chain:NONE"],
)
def test_hotels_chains_and_sources_are_found_however_they_are_written(named: Library, form: Any, query: str) -> None:
    for stored in (composed, apart):
        with named.catalog.session() as session:
            for statement in ("DELETE FROM hotel WHERE id = 1", "DELETE FROM chain WHERE id = 1"):
                session.execute(sql("UPDATE photo SET hotel_id = NULL"))
                session.execute(sql(statement))
            session.execute(sql("INSERT INTO chain VALUES (1, :name)"), {"name": stored("Hôtels Élan")})
            hotel = {"name": stored("Hôtel du Lac Élan")}
            session.execute(sql("INSERT INTO hotel VALUES (1, :name, 1, NULL, NULL)"), hotel)
            source = {"source": stored("télé")}
            session.execute(sql("UPDATE photo SET hotel_id = 1, image_source = :source WHERE id = 2"), source)
            session.commit()
        assert {hit.photo_id for hit in named.search(f"anything {form(query)}", k=100)} == {2}
        with pytest.raises(QueryError, match=f"near it: {stored('Hôtel du Lac Élan')}"):
            named.search(f'anything hotel:"{form("hôtel de Lac élan")}"')


def test_a_filters_name_is_mistyped_in_either_way_of_writing() -> None:
    for form in (composed, apart):
        with pytest.raises(QueryError, match="is hotel: meant"):
            parse(form("hôtel:Coral"))
        query = parse(f'"{form("hôtel")}:Coral"')
        assert query.filters == ()
        assert parse(format_query(query)) == query
    assert parse(apart("path:é")).filters == (Filter("path", apart("é")),)  # a value stays as it was written


def test_a_text_is_the_same_query_however_it_is_written(sample_library: Library) -> None:
    text = "a café à l'été"
    one, other = ([hit.score for hit in sample_library.search(form(text))] for form in (composed, apart))
    assert one == other


# Tags


@pytest.mark.parametrize("form", [composed, apart])
def test_tags_vocabularies_and_labels_compare_equal(named: Library, form: Any, tmp_path: Path) -> None:
    other = apart if form is composed else composed
    lines = ["[tags]", f'"une {form("méridienne")}" = ["a sofa"]', '"a pool" = []', "[[groups]]", 'rule = "exclude"']
    (tmp_path / "mots.toml").write_text(
        "\n".join([*lines, f'tags = ["UNE {other("Méridienne")}", "pool"]']), encoding="utf-8"
    )
    named.tag(str(tmp_path / "mots.toml"))
    tag = other("UNE Méridienne")
    assert named.label(3, tag) == f"une {form('méridienne')}"
    assert named.label(3, tag, vocabulary="MOTS") == f"une {form('méridienne')}"
    assert {hit.photo_id for hit in named.search(f'anything tag:"{tag}">=1', k=100)} == {3}
    assert {hit.photo_id for hit in named.search(f'anything tag:"Mots/{tag}">=1', k=100)} == {3}
    with pytest.raises(QueryError, match=f"did you mean 'une {form('méridienne')}'"):
        named.search(f"anything tag:{other('méridiennes')}")
    assert named.export(tmp_path / "tags.csv", tags=[tag]).photos >= 1
    (tmp_path / "truth.csv").write_text(f"photo_id,tags\n3,{tag}\n4,pool\n", encoding="utf-8")
    assert [t.true for t in named.evaluate(tmp_path / "truth.csv")[0].measures.tags] == [1, 1]


def test_a_label_that_an_earlier_version_kept_counts_and_is_replaced(named: Library, tmp_path: Path) -> None:
    (tmp_path / "mots.toml").write_text(f'[tags]\n"{apart("méridienne")}" = []\n', encoding="utf-8")
    named.tag(str(tmp_path / "mots.toml"))
    with named.catalog.session() as session:
        said = "INSERT INTO tag_label SELECT content_sha256, :tag, TRUE, '2020-01-01' FROM photo WHERE id = 2"
        session.execute(sql(said), {"tag": apart("méridienne")})
        session.commit()
    assert {hit.photo_id for hit in named.search("anything tag:méridienne>=1", k=100)} == {2}
    named.label(2, "méridienne", False)
    with named.catalog.session() as session:
        assert list(all_labels(session)) == [Label(2, "méridienne", False)]


# Searches and captions


def test_a_saved_search_is_found_by_its_name_however_it_is_written(named: Library) -> None:
    with named.catalog.session() as session:
        save_search(session, apart("Été"), "a beach", {})
        session.commit()
    for name in (composed("Été"), apart("Été"), composed("ÉTÉ"), " été "):
        assert named.saved_search(name).text == "a beach"
    named.save_search(composed("été"), "a pool")
    assert [(saved.name, saved.text) for saved in named.saved_searches()] == [(composed("été"), "a pool")]
    with pytest.raises(QueryError, match=f"there are: {composed('été')}"):
        named.saved_search(apart("étés"))
    named.forget_search(apart("ÉTÉ"))
    assert list(named.saved_searches()) == []


def test_of_two_searches_whose_names_compare_equal_the_one_spelt_so_is_meant(named: Library) -> None:
    with named.catalog.session() as session:
        for name in ("Pools", "pools"):
            save_search(session, name, name, {})
        session.commit()
    assert (named.saved_search("Pools").text, named.saved_search("pools").text) == ("Pools", "pools")
    named.forget_search("pools")
    assert [saved.name for saved in named.saved_searches()] == ["Pools"]


@pytest.mark.parametrize("form", [composed, apart])
@pytest.mark.parametrize("words", ["été", "ÉTÉ plage", "바다", "phố cổ", "ガラス"])
def test_captions_are_found_however_their_words_are_written(named: Library, form: Any, words: str) -> None:
    for stored in (composed, apart):
        named.caption([stored(caption) for caption in ("une plage en été", "바다", "phố cổ", "ガラス")], k=4)
        (found_set,) = named.caption_sets()
        assert len(named.captions([form(word) for word in words.split()])) == 6
        named.forget_captions(found_set.key)


def test_a_caption_given_in_both_ways_of_writing_is_given_once(named: Library) -> None:
    named.caption([composed("une plage en été"), apart("une plage en été"), "a pool"], k=3)
    assert named.caption_sets()[0].captions == 2 * 6
