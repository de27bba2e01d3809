from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from base.errors import LibraryError
from base.settings import LibraryFolder
from db.catalog import MIGRATIONS, REVISION, connect, current_revision, migrate, open_database
from db.models import Base
from tests.conftest import LibraryFactory


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
    """SQLite's full-text index is no table of the models."""
    return not (kind == "table" and str(name).startswith("caption_words"))


def downgrade(engine: Engine, revision: str = "base") -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


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


def test_downgrade_to_base_leaves_no_table_and_upgrade_brings_all_back(engine: Engine) -> None:
    downgrade(engine)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate(engine)
    assert differences(engine) == []


def test_a_library_of_revision_3_keeps_what_it_has_and_gets_room_for_results(library: LibraryFactory) -> None:
    old = open_database(library.folder)
    downgrade(old, "0003")
    with old.begin() as connection:
        for statement in (
            "INSERT INTO photo (id, path, member, state) VALUES (7, '/a.jpg', '', 'embedded')",
            "INSERT INTO vector_shard (id, model_id, number, count) VALUES (3, 1, 1, 1)",
            "INSERT INTO embedding VALUES (1, 7, 3, 0)",
        ):
            connection.execute(text(statement))
    assert "restyling" not in inspect(old).get_table_names()
    old.dispose()
    engine = open_database(library.folder)
    assert differences(engine) == []
    assert rows_of(engine, "SELECT id, path, state FROM photo") == [(7, "/a.jpg", "embedded")]
    assert rows_of(engine, "SELECT id, model_id, number, count, restyled FROM vector_shard") == [(3, 1, 1, 1, 0)]
    assert rows_of(engine, "SELECT * FROM embedding") == [(1, 7, 3, 0)]
    assert rows_of(engine, "SELECT * FROM restyling") == rows_of(engine, "SELECT * FROM quiz_game") == []
    engine.dispose()


def test_downgrade_to_revision_3_takes_results_away_and_no_photo(engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO model VALUES (1, 'key', 'name', 2, 0)",
            "INSERT INTO photo (id, path, member, state) VALUES (7, '/a.jpg', '', 'embedded')",
            "INSERT INTO photo (id, path, member, state) VALUES (8, '/library/b.png', '', 'restyled')",
            "INSERT INTO vector_shard (id, model_id, number, count) VALUES (3, 1, 1, 1), (4, 1, 2, 1)",
            "UPDATE vector_shard SET restyled = 1 WHERE id = 4",
            "INSERT INTO embedding VALUES (1, 7, 3, 0), (1, 8, 4, 0)",
        ):
            connection.execute(text(statement))
    downgrade(engine, "0003")
    assert rows_of(engine, "SELECT id FROM photo") == rows_of(engine, "SELECT photo_id FROM embedding") == [(7,)]
    assert rows_of(engine, "SELECT id FROM vector_shard") == [(3,), (4,)]


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO setting VALUES ('name', 'value')"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT value FROM setting")).scalar() == "value"


def test_database_of_a_newer_revision_is_refused(library: LibraryFactory) -> None:
    engine = open_database(library.folder)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(LibraryError, match=rf"newer CV-Aliens .* revision 9999, known here is {REVISION}.*: update"):
        open_database(library.folder)


def test_database_without_tables_is_migrated_when_opened(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path)
    folder.database_file.touch()
    engine = open_database(folder)
    assert current_revision(engine) == REVISION
    assert differences(engine) == []
    engine.dispose()


def test_current_revision_of_an_empty_database_is_none(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'empty.db'}")
    assert current_revision(engine) is None
    engine.dispose()
