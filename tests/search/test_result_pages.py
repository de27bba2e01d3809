"""The photos of a search as one HTML file to pass on."""

import re
from pathlib import Path

import pytest

from aliens.library import Library
from base.errors import OutputError
from search import result_pages
from tests.conftest import LibraryFactory


def page_of(library: Library, out: Path, text: str = "a pool", **options: object) -> str:
    library.search(text, **options).write_page(out)  # type: ignore[arg-type]
    return out.read_text(encoding="utf-8")


def test_a_page_holds_the_query_the_scores_the_line_and_the_pictures(sample_library: Library, tmp_path: Path) -> None:
    results = sample_library.search("a bathroom", k=70)
    results.write_page(tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<h1>a bathroom</h1>" in page
    assert page.count("data:image/jpeg;base64,") == 70
    shown = re.findall(r'<span class="name">(\d+)\. .*?<span class="score">(-?\d\.\d{3})', page)
    assert shown == [(str(rank), f"{hit.score:.3f}") for rank, hit in enumerate(results, start=1)]
    before, line, after = page.partition('<li class="line">')
    above = sum(bool(hit.above_line) for hit in results)
    assert 0 < above < 70
    assert (before.count("<figure>"), bool(line), after.count("<figure>")) == (above, True, 70 - above)
    assert results.about_the_line in page


def test_nothing_is_fetched_and_no_folder_of_this_machine_is_told(sample_library: Library, tmp_path: Path) -> None:
    page = page_of(sample_library, tmp_path / "new" / "newer" / "out.html")
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', page) == []
    assert "<script" not in page
    assert str(sample_library.search("a pool")[0].path.rpartition("/")[0]) not in page


def test_pictures_beyond_a_size_are_links(
    sample_library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_pages, "MOST_BYTES", 60_000)
    page = page_of(sample_library, tmp_path / "out.html", k=20)
    inside, links = page.count("data:image/jpeg"), page.count('href="file:///')
    assert inside >= 2
    assert links == 20 - inside
    assert f"{links} photos more are links" in page


def test_hostile_names_are_text_and_lost_photos_are_told(library: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    (photos / "00.jpg").rename(photos / "<script>alert(1)<b>\u202e.jpg")
    library.add(photos)
    (photos / "01.jpg").unlink()
    (photos / "02.jpg").write_bytes(b"no photo")
    page = page_of(library.open(), tmp_path / "out.html", '"<b>pool</b>"', k=10)
    assert "<b>" not in page and "<script" not in page
    assert "\u202e" not in page
    assert page.count("not shown: ") == 2
    assert page.count("data:image/jpeg") == 8


def test_a_page_without_photos_says_so(stocked: LibraryFactory, tmp_path: Path) -> None:
    assert "No photo was found" in page_of(stocked.open(), tmp_path / "out.html", min_score=0.999)


def test_a_page_that_cannot_be_written_is_refused_before_pictures_are_read(
    sample_library: Library, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "out.html", tmp_path / "file" / "absent" / "out.html"):
        with pytest.raises(OutputError, match="cannot be written: name a file in a folder"):
            sample_library.search("a pool").write_page(place)
