"""Queries of the library's own settings."""

from sqlalchemy.orm import Session

from db.models import Setting


def read_setting(session: Session, name: str) -> str | None:
    """Return a setting's value, or None where it was never set."""
    setting = session.get(Setting, name)
    return setting.value if setting else None


def write_setting(session: Session, name: str, value: str) -> None:
    """Set a setting; the caller commits."""
    session.merge(Setting(name=name, value=value))
