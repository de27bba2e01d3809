import pytest
from sqlalchemy.orm import Session

from base.errors import DamagedDatabaseError
from db.detail_rows import NAMES, columns_known
from db.photo_rows import LAST_ID, next_photo_id
from db.settings_rows import read_setting, read_setting_as, write_setting

pytestmark = pytest.mark.every_database


def test_setting_that_was_never_set_is_none(session: Session) -> None:
    assert read_setting(session, "model_key") is None


def test_setting_is_read_as_it_was_last_written(session: Session) -> None:
    for value in ("one", "two"):
        write_setting(session, "model_key", value)
        session.commit()
        assert read_setting(session, "model_key") == value


@pytest.mark.parametrize("kind, written, value", [(int, "7", 7), (list[str], '["a", "b"]', ["a", "b"])])
def test_a_setting_of_json_is_read_as_what_it_is(session: Session, kind: type, written: str, value: object) -> None:
    assert read_setting_as(session, "some", kind) is None
    write_setting(session, "some", written)
    assert read_setting_as(session, "some", kind) == value


@pytest.mark.parametrize("written", ["[" * 5_000, '["price"', '{"price": 1}', "[7]", "1x", ""])
def test_a_setting_that_makes_no_sense_is_told_with_what_can_be_done(session: Session, written: str) -> None:
    for name, read in ((NAMES, columns_known), (LAST_ID, next_photo_id)):
        write_setting(session, name, written)
        with pytest.raises(
            DamagedDatabaseError, match=rf"is damaged \(its setting {name} makes no sense: .*from a backup"
        ):
            read(session)
