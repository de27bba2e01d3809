from pathlib import Path

import pytest

from indexer.dead_links import DeadLinks


@pytest.fixture
def dead_links(tmp_path: Path) -> DeadLinks:
    return DeadLinks(str(tmp_path / "dead_links.tsv"))


def again(links: DeadLinks) -> dict[int, str]:
    return DeadLinks(links.path).reasons


def test_nothing_recorded_is_no_reason(dead_links: DeadLinks) -> None:
    assert dead_links.reasons == {}


def test_what_was_added_is_read_again_and_the_last_word_counts(dead_links: DeadLinks) -> None:
    dead_links.add([(1, "HTTP Error 404: Not Found", "http://a/1.jpg"), (2, "timed out", "http://a/2.jpg")])
    dead_links.add([(2, "HTTP Error 500: Oops", "http://a/2.jpg")])
    assert again(dead_links) == dead_links.reasons == {1: "HTTP Error 404: Not Found", 2: "HTTP Error 500: Oops"}
    lines = Path(dead_links.path).read_text().splitlines()
    assert lines[:2] == ["image_id\treason\timage_url", "1\tHTTP Error 404: Not Found\thttp://a/1.jpg"]


def test_line_that_was_cut_costs_its_own_photo_alone(dead_links: DeadLinks) -> None:
    dead_links.add([(1, "gone", "http://a/1.jpg")])
    with open(dead_links.path, "a") as file:
        file.write("2\tgo")
    dead_links = DeadLinks(dead_links.path)
    dead_links.add([(3, "gone", "http://a/3.jpg")])
    assert again(dead_links) == {1: "gone", 3: "gone"}


def test_reasons_of_any_letters_stay_on_their_line(dead_links: DeadLinks) -> None:
    dead_links.add([(1, 'a\tb\r\nc"\0\ud800', "http://ü/\n1.jpg"), (2, "\n", "")])
    assert again(dead_links) == {1: 'a b c"', 2: "unknown"}


@pytest.mark.parametrize(
    "content", [b"", b"\xef\xbb\xbf1\tgone\t\r\n", b"\xff\xfe\x00", b"image_id,reason\n1,gone\n", b"1\t\t\nx\tgone\t\n"]
)
def test_file_that_people_have_broken_is_no_error(dead_links: DeadLinks, content: bytes) -> None:
    Path(dead_links.path).write_bytes(content)
    assert set(dead_links.reasons) <= {1}


def test_photos_that_are_there_by_now_are_dropped(dead_links: DeadLinks) -> None:
    dead_links.add([(1, "gone", "a"), (2, "gone", "b"), (1, "still gone", "a")])
    dead_links.keep({1, 9})
    assert again(dead_links) == dead_links.reasons == {1: "still gone"}
    before = Path(dead_links.path).stat()
    dead_links.keep({1})
    assert Path(dead_links.path).stat().st_ino == before.st_ino
