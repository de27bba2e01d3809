from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from db.duplicate_rows import copy_facts, ids_by_bytes
from db.models import PhotoState, TagLabel
from db.photo_rows import insert_photos

pytestmark = pytest.mark.every_database


def test_same_bytes_are_found_among_photos_that_can_be_found(session: Session) -> None:
    one, two, three = (bytes([number]) * 32 for number in (1, 2, 3))
    states = [(two, "embedded"), (one, "embedded"), (two, "embedded"), (two, "failed"), (three, "embedded")]
    states += [(three, "restyled"), (None, "embedded"), (None, "embedded"), (one, "embedded"), (one, "embedded")]
    rows = [
        {"path": f"/{at}.jpg", "member": "", "content_sha256": sha256, "state": PhotoState(state), "mtime_ns": 0}
        for at, (sha256, state) in enumerate(states)
    ]
    insert_photos(session, rows)
    session.add_all(
        TagLabel(content_sha256=one, tag=tag, present=True, made_at=datetime.now(UTC).replace(tzinfo=None))
        for tag in ("a pool", "a bed")
    )
    session.flush()
    assert list(ids_by_bytes(session)) == [[2, 9, 10], [1, 3]]
    facts = copy_facts(session, [1, 2, 4, 7, 99])
    assert {photo_id: fact.labels for photo_id, fact in facts.items()} == {1: 0, 2: 2, 7: 0}
    assert facts[2].path == "/1.jpg"
    assert (facts[2].date, facts[2].date_from) == (datetime(1970, 1, 1), "file")
