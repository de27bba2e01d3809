import pytest
from sqlalchemy.orm import Session

from db.settings_rows import read_setting, write_setting

pytestmark = pytest.mark.every_database


def test_setting_that_was_never_set_is_none(session: Session) -> None:
    assert read_setting(session, "model_key") is None


def test_setting_is_read_as_it_was_last_written(session: Session) -> None:
    for value in ("one", "two"):
        write_setting(session, "model_key", value)
        session.commit()
        assert read_setting(session, "model_key") == value
