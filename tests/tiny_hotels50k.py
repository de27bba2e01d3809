"""A tiny Hotels-50K tree: five hotels, two chains, four test photos, each covered at two levels."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from tests.conftest import photo_bytes

HOTELS = {1: 10, 2: 10, 3: 20, 4: -1}  # hotel 5 is in no list of hotels
TRAIN = {101: 1, 102: 1, 103: 2, 104: 3, 105: 4, 106: 4}
TEST = {201: 1, 202: 3, 203: 4, 204: 5}
LOOKS_LIKE = {201: 102, 202: 104, 203: 103, 204: 105}  # the training photo that a test photo is nearest to
RESULTS = {
    201: [105, 103, 102, 104, 101],  # hotels 4 2 1 3 1, chains - 10 10 20 10
    202: [106, 105, 101, 102, 104],  # hotels 4 4 1 1 3, chains - - 10 10 20
    203: [101, 105, 106, 103, 104],  # hotels 1 4 4 2 3, and its own chain is unknown
    204: [101, 102, 103, 104, 105],  # none is of hotel 5
}
PHOTO_HEAD = "image_id,hotel_id,image_url,image_source,upload_timestamp"


def write_lists(root: Path, train: Mapping[int, int] = TRAIN, test: Mapping[int, int] = TEST) -> None:
    """Write the four CSV files."""
    folder = root / "dataset"
    folder.mkdir(parents=True, exist_ok=True)
    photos = {"train_set.csv": (train, "travel_website"), "test_set.csv": (test, "traffickcam")}
    for name, (hotels, source) in photos.items():
        rows = [f"{image_id},{hotel_id},,{source},2018-06-16 17:39:46" for image_id, hotel_id in hotels.items()]
        (folder / name).write_text("\n".join([PHOTO_HEAD, *rows, ""]), encoding="utf-8")
    hotels = [f"{hotel_id},Hotel {hotel_id},{chain_id},," for hotel_id, chain_id in HOTELS.items()]
    head = "hotel_id,hotel_name,chain_id,latitude,longitude"
    (folder / "hotel_info.csv").write_text("\n".join([head, *hotels, ""]), encoding="utf-8")
    (folder / "chain_info.csv").write_text("chain_id,chain_name\n-1,unknown\n10,Azura\n20,Pine\n", encoding="utf-8")


def write_photo(root: Path, part: str, hotel_id: int, source: str, image_id: int, data: bytes) -> Path:
    """Write a photo where the data set has it."""
    path = root / "images" / part / str(HOTELS.get(hotel_id, -1)) / str(hotel_id) / source / f"{image_id}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def once_more(data: bytes, quality: int) -> bytes:
    """Return a picture compressed again: nearly the same pixels, and other bytes."""
    again = io.BytesIO()
    Image.open(io.BytesIO(data)).save(again, "JPEG", quality=quality)
    return again.getvalue()


def results_text(results: Mapping[int, Sequence[int]] = RESULTS, separator: str = ",") -> str:
    """Return the rows of a file of results."""
    return "".join(separator.join(map(str, (test_id, *found))) + "\n" for test_id, found in results.items())


def write_photos(root: Path) -> None:
    """Write all training photos, and the test photos uncovered and at one level, each like a training photo."""
    for image_id, hotel_id in TRAIN.items():
        write_photo(root, "train", hotel_id, "travel_website", image_id, photo_bytes(image_id))
    for image_id, hotel_id in TEST.items():
        data = photo_bytes(LOOKS_LIKE[image_id])
        for part, quality in (("test/unoccluded", 90), ("test/low_occlusions", 60)):
            write_photo(root, part, hotel_id, "traffickcam", image_id, once_more(data, quality))
