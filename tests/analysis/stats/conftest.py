"""A small library with everything odd that statistics meet; no photo of it exists."""

from datetime import datetime
from typing import Any

import pytest

from aliens.library import Library
from db.models import Chain, Hotel, PhotoState
from db.photo_rows import insert_photos
from tests.conftest import LibraryFactory

CHAINS = {7: "<script>", 8: "日本 $x^2$"}
# Number, name, chain, latitude, longitude.
HOTELS = [
    (1, "One", 7, 48.85, 2.35),
    (2, None, 7, -0.5, -0.5),
    (3, "Nowhere", 8, 0.0, 0.0),
    (4, "Alone", None, 999.0, 0.0),
    (5, "Date line", None, 90.0, 180.0),
    (6, "Without a photo", None, 1.0, 1.0),
]
COMMON = {"width_px": 350, "height_px": 233, "format": "JPEG", "grey": False, "size_bytes": 1000}
# Of each hotel: how many photos, and their columns.
PHOTOS: list[tuple[int, int | None, dict[str, Any]]] = [
    (4, 1, {"uploaded_at": datetime(2015, 3, 1), "image_source": "traffickcam", "brightness": 20.25}),
    (2, 2, {"uploaded_at": datetime(1970, 1, 1), "brightness": 100.0}),
    (1, 3, {"uploaded_at": datetime(2100, 1, 1), "grey": True, "brightness": 0.0}),
    (1, 4, {"dated_at": datetime(2015, 1, 1), "date_from": "camera", "uploaded_at": datetime(2016, 1, 1)}),
    (1, 5, {"latitude": 48.1, "longitude": 2.9, "place_from": "camera", "width_px": 60_000, "height_px": 20}),
    (1, None, {"grey": None, "format": None}),
]


@pytest.fixture
def odd(library: LibraryFactory) -> Library:
    """The library, opened."""
    opened = library.open()
    with opened.catalog.writing() as session:
        session.add_all(Chain(id=number, name=name) for number, name in CHAINS.items())
        session.flush()
        session.add_all(
            Hotel(id=number, name=name, chain_id=chain, latitude=latitude, longitude=longitude)
            for number, name, chain, latitude, longitude in HOTELS
        )
        session.flush()
        rows = [
            COMMON | {"hotel_id": hotel, "state": PhotoState.EMBEDDED} | columns
            for count, hotel, columns in PHOTOS
            for _ in range(count)
        ]
        rows += [{"state": PhotoState.PENDING}, {"state": PhotoState.RESTYLED, "hotel_id": 1}]
        rows += [{"state": PhotoState.FAILED, "failure_kind": "trun<b>cated", "hotel_id": 1}] * 2
        insert_photos(session, [{"path": f"/{at}.jpg", "member": ""} | row for at, row in enumerate(rows)])
        session.commit()
    return opened
