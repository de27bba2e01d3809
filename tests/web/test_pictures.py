"""Pictures by id: upright, small, and never of other bytes than the library knows."""

import io
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from sqlalchemy import delete, update
from starlette.testclient import TestClient

from aliens.library import Library
from db.models import Photo, Scan
from db.picture_rows import PictureFile
from tests.conftest import LibraryFactory, photo_bytes
from tests.embedding.conftest import encoded, png
from tests.indexer.conftest import write_tar
from tests.web.conftest import client_of
from web.thumbnail_store import ThumbnailStore
from web.thumbnails import TALLEST, WIDTHS_PX, NoPicture, fitting, is_small_jpeg, looked_up, placeholder_of, webp


def halves(size: tuple[int, int]) -> Image.Image:
    """A picture that is red on its left half and blue on its right one."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    return image


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "JPEG", exif=exif, quality=95)


ODD = {
    "turned.jpg": turned(halves((600, 400)), 6),
    "cmyk.jpg": encoded(halves((600, 400)).convert("CMYK"), "JPEG"),
    "deep.png": encoded(Image.fromarray(np.full((400, 600), 40_000, np.uint16)), "PNG"),
    "clear.png": encoded(Image.new("RGBA", (600, 400), (0, 0, 255, 0)), "PNG"),
    "tall.png": encoded(Image.new("RGB", (60, 9_000), "green"), "PNG"),
    "wide.png": encoded(halves((3_000, 20)), "PNG"),
    "small.jpg": photo_bytes(1),
    "grey.jpg": photo_bytes(2, mode="L"),
    "profile.png": encoded(
        halves((600, 400)), "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ),
}


Odd = tuple[Library, TestClient, dict[str, int], Path]


@pytest.fixture
def odd(library: LibraryFactory, tmp_path: Path) -> Iterator[Odd]:
    """A library of odd photos, some in a tar; its server, and {name: id}."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, data in ODD.items():
        (folder / name).write_bytes(data)
    write_tar(folder / "more.tar", {f"rooms/{seed}.png": photo_bytes(seed, (700, 500), "PNG") for seed in (11, 12)})
    library.add(folder)
    opened = library.open()
    ids = {Path(hit.member or hit.path).name: hit.photo_id for hit in opened.search("a", k=100, copies=True)}
    with client_of(opened) as client:
        yield opened, client, ids, folder


def picture(client: TestClient, photo_id: object, query: str = "w=480") -> Image.Image:
    answer = client.get(f"/api/v1/photos/{photo_id}/image?{query}")
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    assert f"image/{(image.format or '').lower()}" == answer.headers["content-type"]
    return image.convert("RGB")


def test_pictures_are_upright_small_and_in_srgb(odd: Odd) -> None:
    library, client, ids, _ = odd
    assert len(ids) == len(ODD) + 2
    upright = picture(client, ids["turned.jpg"])
    assert upright.size == (400, 600)
    assert upright.getpixel((200, 30))[0] > 200 and upright.getpixel((200, 570))[2] > 200
    assert picture(client, ids["turned.jpg"], "w=1600").size == (400, 600)  # never enlarged
    assert picture(client, ids["cmyk.jpg"]).getpixel((20, 20))[0] > 150
    assert abs(picture(client, ids["deep.png"]).getpixel((20, 20))[0] - 40_000 // 256) < 4
    assert picture(client, ids["clear.png"]).getpixel((20, 20)) == (0, 0, 255)  # nothing of it is solid
    tall, wide = picture(client, ids["tall.png"]), picture(client, ids["wide.png"], "w=1")
    assert tall.size[1] <= TALLEST * WIDTHS_PX[0] + 1 and wide.size == (480, 3)
    assert picture(client, ids["11.png"]).size == (480, 343)
    assert picture(client, ids["profile.png"]).getpixel((20, 20))[0] > 240
    for name in ("small.jpg", "grey.jpg"):
        assert client.get(f"/api/v1/photos/{ids[name]}/image").content == ODD[name]
    sha256 = library.picture_facts([ids["small.jpg"]])[ids["small.jpg"]].sha256
    placeholder = client.app.state.opened.thumbnails.placeholder(sha256)  # type: ignore[attr-defined]
    assert 20 < len(placeholder) <= 36


def test_pictures_are_kept_by_client_and_server(odd: Odd) -> None:
    library, client, ids, _ = odd
    address = f"/api/v1/photos/{ids['11.png']}/image"
    first = client.get(address)
    assert first.headers["cache-control"] == "private, no-cache"
    assert client.get(address, headers={"if-none-match": first.headers["etag"]}).status_code == 304
    assert client.get(address, params={"w": 960}, headers={"if-none-match": first.headers["etag"]}).status_code == 200
    version = library.picture_facts([ids["11.png"]])[ids["11.png"]].version
    assert "immutable" in client.get(address, params={"v": version}).headers["cache-control"]
    assert "immutable" not in client.get(address, params={"v": "0123456789abcdef"}).headers["cache-control"]
    assert client.get(address).content == first.content
    with closing(sqlite3.connect(library.path / "thumbnails.db")) as kept:
        assert [*kept.execute("SELECT data FROM thumbnail WHERE width = 480")] == [(first.content,)]


def test_the_visitors_eyes(odd: Odd) -> None:
    from restyle.protanopia import seen

    _, client, ids, _ = odd
    plain, protan = (picture(client, ids["profile.png"], f"view={view}") for view in ("plain", "protan"))
    wanted = seen(np.asarray(plain)).astype(int)
    assert np.abs(wanted - np.asarray(protan).astype(int)).mean() < 3  # WebP loses that
    assert client.get(f"/api/v1/photos/{ids['small.jpg']}/image?view=tritan").status_code == 422


def test_a_photo_that_is_gone_or_another_one(odd: Odd) -> None:
    library, client, ids, folder = odd
    kept = f"/api/v1/photos/{ids['turned.jpg']}/image"
    assert client.get(kept).status_code == 200  # and kept
    (folder / "turned.jpg").write_bytes(turned(Image.new("RGB", (600, 400), "black"), 1))
    (folder / "small.jpg").write_bytes(ODD["grey.jpg"])
    (folder / "grey.jpg").unlink()
    os.utime(folder / "cmyk.jpg", (1, 1))
    for name in ("turned.jpg", "small.jpg"):
        answer = client.get(f"/api/v1/photos/{ids[name]}/image")
        assert answer.status_code == 404 and "another one than the library knows" in answer.json()["detail"]
    gone = client.get(f"/api/v1/photos/{ids['grey.jpg']}/image")
    assert gone.status_code == 404 and "not there any more" in gone.json()["detail"]
    in_page = client.get(f"/api/v1/photos/{ids['grey.jpg']}/image", headers={"sec-fetch-dest": "image"})
    assert (in_page.status_code, in_page.headers["content-type"]) == (404, "image/svg+xml")
    assert in_page.headers["cache-control"] == "no-store"
    assert client.get(f"/api/v1/photos/{ids['cmyk.jpg']}/image").status_code == 200  # the same bytes, touched
    write_tar(folder / "more.tar", {})
    assert client.get(f"/api/v1/photos/{ids['12.png']}/image").status_code == 404
    library.add(folder)
    assert picture(client, ids["turned.jpg"]).getpixel((9, 9)) == (0, 0, 0)


def test_numbers_of_no_photo(client: TestClient) -> None:
    for number in (0, -1, 999_999, 2**63, 2**80):
        for address in (f"photos/{number}/image", f"photos/{number}", f"photos/{number}/labels"):
            assert client.get(f"/api/v1/{address}").status_code == (404 if number == 999_999 else 422)
        assert client.get(f"/photo/{number}").status_code == 404
    for text in ("x", "1.5", "%2e%2e%2fetc", ""):
        assert client.get(f"/api/v1/photos/{text}/image").status_code in (404, 422)


def test_only_below_what_was_added(odd: Odd, tmp_path: Path) -> None:
    library, client, ids, folder = odd
    (tmp_path / "elsewhere.jpg").write_bytes(ODD["small.jpg"])
    address = f"/api/v1/photos/{ids['small.jpg']}/image"
    with library.catalog.session() as session:
        place = str(folder / ".." / "elsewhere.jpg")
        session.execute(update(Photo).where(Photo.id == ids["small.jpg"]).values(path=place))
        session.commit()
    assert client.get(address).status_code == 404
    with library.catalog.session() as session:
        session.execute(delete(Scan))
        session.commit()
    assert client.get(f"/api/v1/photos/{ids['grey.jpg']}/image").status_code == 404


def test_thumbnails_without_a_place_to_be_kept(library: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    (photos / "large.png").write_bytes(photo_bytes(77, (900, 600), "PNG"))
    library.add(photos)
    opened = library.open()
    (opened.path / "thumbnails.db").mkdir()  # as a folder that may not be written
    with client_of(opened) as client:
        large = opened.photo_ids(str(photos / "large.png"))[0]
        assert picture(client, large).size == (480, 320)
        assert picture(client, large).size == (480, 320)


def test_the_oldest_thumbnails_go(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path / "t.db", 1_000)
    for number in range(20):
        store.put(bytes([number]) * 32, 480, bytes(90), b"p")
    assert store.get(bytes([0]) * 32, 480) is None and store.get(bytes([19]) * 32, 480) == bytes(90)
    assert sum(store.get(bytes([number]) * 32, 480) is not None for number in range(20)) <= 1_000 // 90
    assert store.placeholder(bytes([0]) * 32) == b"p"
    beside = ThumbnailStore(tmp_path / "t.db", 1_000)  # the same library served twice
    assert beside.get(bytes([19]) * 32, 480) == bytes(90)
    store.close(), beside.close()
    (tmp_path / "t.db").write_bytes(b"no database" * 1_000)
    assert not ThumbnailStore(tmp_path / "t.db", 1_000).keeps  # and it is removed:
    renewed = ThumbnailStore(tmp_path / "t.db", 1_000)
    renewed.put(bytes(32), 480, b"x", None)
    assert renewed.keeps and renewed.get(bytes(32), 480) == b"x"
    renewed.close()


def test_bombs_and_impostors_are_no_pictures(library: LibraryFactory, photos: Path) -> None:
    """Bytes that change under their names are compared first; what was never decoded is refused by its header."""
    (photos / "00.jpg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    (photos / "01.jpg").write_bytes(b"<html><script>alert(1)</script></html>")
    (photos / "02.png").write_bytes(png(60_000, 60_000, bytes(9)))
    assert library.add(photos).run.failed == 3
    opened = library.open()
    with client_of(opened) as client:
        answers = [client.get(f"/api/v1/photos/{photo_id}/image") for photo_id in range(1, 12)]
    kinds = {(answer.status_code, answer.headers["content-type"]) for answer in answers}
    assert kinds == {(200, "image/jpeg"), (404, "application/problem+json")}
    assert sum(answer.status_code == 200 for answer in answers) == 8
    with pytest.raises(NoPicture, match="no such photo"):
        looked_up(None)
    with pytest.raises(NoPicture, match="not there any more"):
        looked_up(PictureFile(path=str(photos / "none.jpg")))


def test_what_goes_as_it_is() -> None:
    assert is_small_jpeg(ODD["small.jpg"]) and is_small_jpeg(ODD["grey.jpg"])
    assert not is_small_jpeg(ODD["small.jpg"][:-200])  # truncated
    assert not is_small_jpeg(turned(halves((90, 60)), 6)) and not is_small_jpeg(ODD["cmyk.jpg"])
    assert not is_small_jpeg(ODD["deep.png"])
    small = fitting(ODD["profile.png"], 480)
    assert small.size == (480, 320) and b"EXIF" not in webp(small) and b"ICCP" not in webp(small)
    assert 10 < len(placeholder_of(small)) <= 25
