"""Photos that a list names, at paths and addresses: on their pages, and who is asked for them."""

import csv
import html
from pathlib import Path

import pytest

from base import remote
from db.photo_rows import all_photos
from tests.conftest import LibraryFactory
from tests.file_server import serving_files
from tests.indexer.conftest import put_named
from tests.web.conftest import client_of
from web.jobs.allowed_places import AllowedPlaces
from web.web_settings import WebSettings


def test_pages_show_listed_photos_and_what_the_list_says(
    library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PAUSES_S", ())
    monkeypatch.setattr("web.pages.photo_page.has_desktop", lambda: True)
    monkeypatch.setenv("ALIENS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "lists").mkdir()
    put_named(tmp_path, "web/far.jpg", "near.jpg")
    hostile = "<script>alert(1)</script>"
    with serving_files(tmp_path / "web") as server:
        with (tmp_path / "lists" / "list.csv").open("w", newline="") as file:
            rows = [("path", "guest's <b>word</b>"), ("../near.jpg", hostile), (f"{server.address}/far.jpg", "fine")]
            csv.writer(file).writerows(rows)
        opened = library.open()
        assert opened.add(photo_list=tmp_path / "lists" / "list.csv").run.encoded == 2
        with opened.catalog.session() as session:
            near, far = (photo.id for photo in all_photos(session))
        client = client_of(opened)
        for photo_id, said in ((near, hostile), (far, "fine")):
            page = client.get(f"/photo/{photo_id}").text
            assert html.escape(said) in page and hostile not in page
            assert client.get(f"/api/v1/photos/{photo_id}").json()["columns"] == {"guest's <b>word</b>": said}
            assert client.get(f"/api/v1/photos/{photo_id}/image?w=480").status_code == 200
        server.asked.clear()
        assert client.get(f"/api/v1/photos/{far}/image?w=480").status_code == 200
        assert server.asked == []  # a picture of it was kept
        assert "open-folder" in client.get(f"/photo/{near}").text
        assert "open-folder" not in client.get(f"/photo/{far}").text
        there = client.post(f"/photo/{far}/folder", headers={"origin": "http://127.0.0.1:8765"})
        assert there.status_code == 403 and "lies in no folder of this machine" in there.text
        inside = client.get("/api/v1/search", params={"q": f"image:{server.address}/far.jpg"})
        assert inside.status_code in (400, 422) and server.asked == []
        server.answers = {"/far.jpg": (503, {}, b"")}
        remote.FACTS = remote.RecentFacts()
        answer = client.get(f"/api/v1/photos/{far}/image?w=960&view=protan")
        assert (answer.status_code, "cannot be read now" in answer.text) == (404, True)
    assert AllowedPlaces(opened, WebSettings()).roots() == []
    (tmp_path / "near.jpg").rename(tmp_path / "elsewhere.jpg")
    (tmp_path / "near.jpg").symlink_to(tmp_path / "lists" / "list.csv")
    assert client.get(f"/api/v1/photos/{near}/image?w=960&view=protan").status_code == 404
