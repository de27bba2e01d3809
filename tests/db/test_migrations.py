from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event, inspect, text

from base.errors import DamagedDatabaseError, LibraryError
from base.settings import LibraryFolder
from db.catalog import connect, new_session, open_database
from db.models import Base
from db.revisions import MIGRATIONS, REVISION, current_revision, migrate
from db.source_rows import remembered_sources
from tests.conftest import LibraryFactory
from tests.postgres import EveryLibrary

pytestmark = pytest.mark.every_database


@pytest.fixture
def bare(tmp_path: Path, on_postgres: EveryLibrary | None) -> Iterator[Engine]:
    """A database without tables."""
    file = tmp_path / "bare.db"
    engine = connect(f"sqlite:///{file}" if on_postgres is None else on_postgres.server.url(on_postgres.new(file)))
    yield engine
    engine.dispose()


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "target_metadata": Base.metadata,
                "include_name": not_of_the_word_index,
            },
        )
        return compare_metadata(context, Base.metadata)


def not_of_the_word_index(name: str | None, kind: str, _: object) -> bool:
    """SQLite's full-text index is no table of the models, and PostgreSQL's index of folders is no other's."""
    return not str(name).startswith(("caption_words", "ix_photo_path_bytes"))


def tables_of(engine: Engine) -> dict[str, object]:
    """Return {table: its columns and its indexes}."""
    known = inspect(engine)
    return {
        table: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in known.get_columns(table)],
            sorted((str(index["name"]), index["column_names"]) for index in known.get_indexes(table)),
        )
        for table in known.get_table_names()
    }


def bytes_of(engine: Engine, digits: str) -> str:
    """Return bytes as a statement has them."""
    return f"x'{digits}'" if engine.dialect.name == "sqlite" else f"'\\x{digits}'"


def rows_of(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_migrations_make_exactly_the_tables_of_the_models(engine: Engine) -> None:
    assert differences(engine) == []


@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE photo DROP COLUMN grey", "DROP INDEX ix_photo_place", "ALTER TABLE hotel ADD COLUMN stars INTEGER"],
)
def test_a_table_unlike_its_model_would_be_noticed(engine: Engine, change: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(change))
    assert differences(engine)


def test_revision_is_the_newest_migration(engine: Engine) -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [REVISION]
    assert current_revision(engine) == REVISION


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_a_database_of_revision_3_keeps_what_it_has_and_gets_room_for_results_and_segments(bare: Engine) -> None:
    migrate(bare, "0003")
    assert "restyling" not in inspect(bare).get_table_names()
    execute(
        bare,
        "INSERT INTO model VALUES (1, 'key', 'name', 2, 0)",
        "INSERT INTO photo (id, path, member, state) VALUES (7, '/a.jpg', '', 'embedded'), (8, '/b.jpg', '', 'failed')",
        "INSERT INTO photo (id, path, member, state) VALUES (9, '/c.jpg', '', 'embedded')",
        "INSERT INTO vector_shard (id, model_id, number, count) VALUES (3, 1, 1, 2), (4, 1, 2, 1)",
        "INSERT INTO embedding VALUES (1, 7, 3, 0), (1, 8, 3, 1), (1, 9, 4, 0)",
    )
    segment = {"id": 5, "model_id": 1, "name": "ab", "rows": 2, "size_bytes": 99, "sha256": "cd", "restyled": False}
    migrate(bare, segments=[segment | {"shards": [3]}])
    assert differences(bare) == []
    assert rows_of(bare, "SELECT id, key, name, dim FROM model") == [(1, "key", "name", 2)]
    assert rows_of(
        bare, "SELECT id, model_id, name, rows, alive, size_bytes, sha256, restyled FROM vector_segment"
    ) == [(5, 1, "ab", 2, 1, 99, "cd", 0)]
    assert rows_of(bare, "SELECT model_id, photo_id, segment_id FROM embedding") == [(1, 7, 5), (1, 8, 5)]
    assert rows_of(bare, "SELECT id, path, state FROM photo") == [
        (7, "/a.jpg", "embedded"),
        (8, "/b.jpg", "failed"),
        (9, "/c.jpg", "pending"),  # its shard is in no segment
    ]
    assert rows_of(bare, "SELECT * FROM restyling") == rows_of(bare, "SELECT * FROM quiz_game") == []


def test_places_that_were_looked_at_before_revision_9_are_remembered(bare: Engine) -> None:
    migrate(bare, "0008")
    photo = "INSERT INTO photo (path, member, state) VALUES "
    scan = "INSERT INTO scan (root, kind, started_at, seconds, counts, problems) VALUES "
    looks = [
        ("/a", "folder", "2026-01-02"),
        ("/a", "folder", "2026-03-04"),
        ("/a/b", "folder", "2026-02-02"),
        ("/ab.tar", "tar", "2026-02-02"),
        ("/one/1.jpg", "file", "2026-02-03"),
        ("/tree", "hotels50k", "2026-02-02"),
        ("/tree/images/test/low_occlusions", "hotels50k-test", "2026-02-02"),
    ]
    execute(
        bare,
        *(f"{scan} ('{root}', '{kind}', '{day} 00:00:00.000000', 1, '{{}}', '[]')" for root, kind, day in looks),
        f"{photo} ('/one/1.jpg', '', 'embedded'), ('/two/2.jpg', '', 'failed'), ('/a/b/3.jpg', '', 'embedded')",
        f"{photo} ('/ab.tar', 'x.jpg', 'embedded'), ('/library/restyled/x.png', '', 'restyled')",
    )
    migrate(bare)
    kept = "SELECT place, kind, substr(CAST(scanned_at AS TEXT), 1, 10) FROM photo_source ORDER BY place"
    assert rows_of(bare, kept) == [
        ("/a", "folder", "2026-03-04"),
        ("/ab.tar", "tar", "2026-02-02"),
        ("/one/1.jpg", "file", "2026-02-03"),
        ("/tree", "hotels50k", "2026-02-02"),
        ("/tree/images/test/low_occlusions", "hotels50k-test", "2026-02-02"),
        ("/two/2.jpg", "file", "2026-02-03"),
    ]
    with new_session(bare) as session:
        assert {(str(source.options), str(source.mounts)) for source in remembered_sources(session)} == {("{}", "{}")}


@pytest.mark.parametrize("revision", [f"{number:04d}" for number in range(1, int(REVISION))])
def test_tables_are_those_of_the_models_whichever_revision_they_were_of(bare: Engine, revision: str) -> None:
    migrate(bare, revision)
    assert current_revision(bare) == revision
    execute(bare, "INSERT INTO setting VALUES ('name', 'value')")
    migrate(bare)
    assert differences(bare) == []
    assert rows_of(bare, "SELECT value FROM setting WHERE name = 'name'") == [("value",)]


@pytest.mark.parametrize(
    "statement", ["DROP TABLE embedding", "UPDATE vector_segment", "ALTER TABLE restyling ADD COLUMN"]
)
def test_a_migration_that_breaks_off_in_its_midst_leaves_the_tables_as_they_were(bare: Engine, statement: str) -> None:
    class Killed(Exception):
        pass

    def kill(connection: object, cursor: object, executed: str, *others: object) -> None:
        if " ".join(executed.split()).startswith(statement):
            raise Killed

    migrate(bare, "0004")
    execute(bare, "INSERT INTO model VALUES (1, 'key', 'name', 2, 5)")
    before = tables_of(bare)
    event.listen(bare, "before_cursor_execute", kill)
    with pytest.raises(Killed):
        migrate(bare)
    event.remove(bare, "before_cursor_execute", kill)
    assert tables_of(bare) == before
    assert rows_of(bare, "SELECT generation FROM model") == [(5,)]
    migrate(bare)
    assert differences(bare) == []


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    execute(engine, "INSERT INTO setting VALUES ('name', 'value')")
    migrate(engine)
    assert rows_of(engine, "SELECT value FROM setting WHERE name = 'name'") == [("value",)]


def test_database_of_a_newer_revision_is_refused(library: LibraryFactory) -> None:
    engine, _ = open_database(library.folder)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(
        LibraryError, match=rf"newer CV-Aliens, .* revision 9999\), and this .* up to {REVISION}: update"
    ):
        open_database(library.folder)


@pytest.mark.sqlite
def test_database_without_tables_is_migrated_when_opened(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path)
    folder.database_file.touch()
    engine, _ = open_database(folder)
    assert current_revision(engine) == REVISION
    assert differences(engine) == []
    engine.dispose()


def test_current_revision_of_an_empty_database_is_none(bare: Engine) -> None:
    assert current_revision(bare) is None


def test_labels_of_revision_5_go_over_to_the_bytes_of_their_photos(bare: Engine) -> None:
    migrate(bare, "0005")
    one, two = "11" * 32, "22" * 32
    execute(
        bare,
        "INSERT INTO photo (id, path, member, state, content_sha256) VALUES"
        f" (1, '/a', '', 'embedded', {bytes_of(bare, one)}), (2, '/copy', '', 'embedded', {bytes_of(bare, one)}),"
        f" (3, '/b', '', 'embedded', {bytes_of(bare, two)}), (4, '/unread', '', 'pending', NULL)",
        "INSERT INTO tag_label VALUES (1, 'pool', TRUE, '2026-01-01'), (2, 'pool', FALSE, '2026-01-02'),"
        " (2, 'tv', TRUE, '2026-01-01'), (3, 'tv', FALSE, '2026-01-01'), (4, 'tv', TRUE, '2026-01-01')",
        "INSERT INTO restyling"
        " (id, source_photo_id, wish, path, engine, fingerprint, palette, rung, lineage, seconds, made_at)"
        f""" VALUES (1, 3, 'w', 'p', 'e', 'f', 'p', 'r', '{{"source_sha256": "{two}"}}', 1, '2026-01-01')""",
    )
    migrate(bare)
    assert differences(bare) == []
    labels = "SELECT content_sha256, tag, present FROM tag_label ORDER BY 1, 2"
    first, second = bytes.fromhex(one), bytes.fromhex(two)
    said = [(first, "pool", 0), (first, "tv", 1), (second, "tv", 0)]  # the newest of two words on the same bytes
    assert rows_of(bare, labels) == said
    assert rows_of(bare, "SELECT id, source_sha256 FROM restyling") == [(1, second)]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "lineage", ['{"source_sha256": "11', "{}", "[]", '{"source_sha256": "1x"}', '{"source_sha256": 1}']
)
def test_a_lineage_of_revision_5_that_makes_no_sense_is_named_and_changes_nothing(bare: Engine, lineage: str) -> None:
    migrate(bare, "0005")
    execute(
        bare,
        "INSERT INTO photo (id, path, member, state) VALUES (3, '/b', '', 'embedded')",
        "INSERT INTO restyling"
        " (id, source_photo_id, wish, path, engine, fingerprint, palette, rung, lineage, seconds, made_at)"
        f" VALUES (1, 3, 'w', 'p', 'e', 'f', 'p', 'r', '{lineage}', 1, '2026-01-01')",
    )
    with pytest.raises(
        DamagedDatabaseError, match=r"lineage of row 1 of restyling: .*from a backup, or set the values"
    ):
        migrate(bare)
    assert current_revision(bare) == "0005"


def test_photos_of_revision_6_keep_what_they_have_and_are_not_written(bare: Engine) -> None:
    migrate(bare, "0006")
    execute(
        bare,
        "INSERT INTO hotel (id, name, latitude, longitude) VALUES (7, 'Inn', 1, 2)",
        "INSERT INTO photo (id, path, member, state, hotel_id, uploaded_at) VALUES"
        " (1, '/a', '', 'embedded', 7, '2015-01-31 10:00:00.000000')",
    )
    written: list[list[str]] = []
    event.listen(bare, "before_cursor_execute", lambda *told: written.append(told[2].split(None, 2)[:2]))
    migrate(bare)
    assert ["UPDATE", "photo"] not in written
    assert ["CREATE", "TABLE"] in written
    assert differences(bare) == []
    kept = "SELECT id, hotel_id, substr(CAST(uploaded_at AS TEXT), 1, 19) FROM photo"
    assert rows_of(bare, kept) == [(1, 7, "2015-01-31 10:00:00")]
    news = "SELECT hotel_from, dated_at, date_from, latitude, longitude, place_from, exif_read FROM photo"
    assert rows_of(bare, news) == [(None,) * 7]


def test_photos_of_revision_7_get_empty_columns_and_are_not_written(bare: Engine) -> None:
    migrate(bare, "0007")
    execute(bare, "INSERT INTO photo (id, path, member, state, grey) VALUES (1, '/a', '', 'embedded', TRUE)")
    written: list[str] = []
    event.listen(bare, "before_cursor_execute", lambda *told: written.append(told[2]))
    migrate(bare)
    assert [" ".join(statement.split()[:6]) for statement in written if "TABLE photo " in statement] == [
        "ALTER TABLE photo ADD COLUMN brightness",
        "ALTER TABLE photo ADD COLUMN details",
        "ALTER TABLE photo ADD COLUMN etag",
    ]
    assert not [statement for statement in written if "UPDATE photo" in statement]
    assert differences(bare) == []
    assert rows_of(bare, "SELECT id, grey, brightness, details FROM photo") == [(1, 1, None, None)]
