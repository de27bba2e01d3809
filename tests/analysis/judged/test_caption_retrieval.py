"""Image-text retrieval both ways: by hand, from files and from the library's own sets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import aliens
from aliens.library import Library
from analysis.judged.caption_retrieval import CaptionPairs, best_matches, gathered
from base.errors import QueryError
from tests.conftest import FakeEncoder, LibraryFactory


class Seer(FakeEncoder):
    """Encodes `like N` as the vector of photo N of the ten, `like N and M` between both, nearer to N."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__()
        self.vectors = vectors

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        found = []
        for text in texts:
            first, *more = (int(word) for word in text.split() if word.isdigit())
            vector = self.vectors[first] + 0.5 * sum((self.vectors[n] for n in more), start=np.zeros(self.dim))
            found.append(vector / np.linalg.norm(vector))
        return np.stack(found).astype(np.float32)


@pytest.fixture
def seen(ten: Library, filled_template: Path) -> Library:
    with ten.catalog.session() as session:
        vectors = ten.searcher.vectors(session, range(1, 11))
    stacked = np.stack([vectors.get(n, np.zeros(FakeEncoder.dim)) for n in range(11)])
    return aliens.open(filled_template, encoder=Seer(stacked))


def means(found: Sequence[object]) -> dict[tuple[str, str], float]:
    return {(mean.task, mean.measure): mean.mean for mean in found}  # type: ignore[attr-defined]


def test_recall_both_ways_by_hand(seen: Library, tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text(  # photo 3's own caption is of photo 2, the last is of photos 1 and 3
        "caption,photo_id,tags\nlike 1,1,x\nlike 2,2,\nlike 2 and 3,3,\nlike 3 and 1,1,\nlike 3 and 1,3,\n,4,\n",
        encoding="utf-8",
    )
    with seen:
        found = seen.evaluate_captions(path, k=[1, 2])
        more = seen.evaluate_captions(path, k=[1, 2, 3, 4])
    # Text to photo, among photos 1 to 3: all but like 2 and 3, which finds photo 2 first, find theirs at once.
    # Photo to text, among 4 texts: 1 finds like 1, 2 finds like 2, 3 finds like 3 and 1.
    assert means(found) == {
        ("text to photo", "R@1"): 3 / 4, ("text to photo", "R@2"): 1,
        ("photo to text", "R@1"): 1, ("photo to text", "R@2"): 1,
    }  # fmt: skip
    assert [mean.queries for mean in found] == [4, 4, 3, 3]
    assert found.photos == 3
    assert found.notes[0] == "4 different captions of 3 photos"
    assert "R@3, R@4 among so few: what is looked for cannot but be there" in more.notes
    assert not any("R@" in note for note in found.notes)


def test_captions_of_strangers_are_left_out_and_what_makes_no_sense_refused(ten: Library, tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("caption,photo_id\na room,1\na pool,77\n", encoding="utf-8")
    found = ten.evaluate_captions(path)
    assert found.notes[0].startswith(
        "left out 1 caption of photos that the library does not know or find: captions.csv:3"
    )
    for content, message in (
        ("caption,photo_id\na room,\n", "captions.csv:2: the caption is of no photo"),
        ("caption,photo_id\na room,77\n", "left out 1 caption of photos .*; write a row for each caption"),
        ("caption,photo_id\n", "it has no row; write a row for each caption"),
        ("photo_id\n1\n", "there is no column 'caption'"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(QueryError, match=message):
            ten.evaluate_captions(path)
    with pytest.raises(QueryError, match="either a file's"):
        ten.evaluate_captions(path, captions="mine")
    with pytest.raises(QueryError, match="photos is 0: draw at least 1"):
        ten.evaluate_captions(path, photos=0)
    with pytest.raises(QueryError, match="k is 0"):
        ten.evaluate_captions(path, k=[0])


def test_sets_of_the_library_are_measured(library: LibraryFactory, opened: Library) -> None:
    with pytest.raises(QueryError, match=r"the library has no captions: name a file of them \(--from FILE\)"):
        opened.evaluate_captions()
    opened.caption(["a room", "a pool", "a bed"])
    (only,) = opened.caption_sets()
    found = opened.evaluate_captions(k=[1, 3])
    assert means(found)["photo to text", "R@1"] == 1  # since the model chose them
    assert f"captions of {only.key}" in found.notes
    assert any("chose these captions for its own photos" in note for note in found.notes)
    assert repr(opened.evaluate_captions(captions=only.key.upper(), k=[1, 3])) == repr(found)
    opened.caption(["a sofa", "a chair"])
    with pytest.raises(QueryError, match="several sets of captions: name one of"):
        opened.evaluate_captions()
    with pytest.raises(QueryError, match="no set of captions 'mine'"):
        opened.evaluate_captions(captions="mine")


def test_of_many_photos_some_are_drawn_the_same_each_time() -> None:
    pairs = CaptionPairs({n: [f"photo {n}"] for n in range(1, 101)}, ["a note"])
    some = pairs.drawn(10, 0)
    assert len(some.captions) == 10
    assert some.captions.keys() == pairs.drawn(10, 0).captions.keys() != pairs.drawn(10, 1).captions.keys()
    assert some.notes[1].startswith("10 of 100 photos with captions drawn by chance (seed 0)")
    assert pairs.drawn(100, 0) is pairs


def test_captions_of_a_photo_count_once_however_they_are_spaced() -> None:
    assert gathered([(2, "a  room"), (1, "b"), (2, "a room"), (2, "a pool")]) == {1: ["b"], 2: ["a room", "a pool"]}


def test_matches_are_found_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    queries, among = chance.normal(size=(7, 4)).astype(np.float32), chance.normal(size=(5, 4)).astype(np.float32)
    expected = np.argsort(-(queries @ among.T), axis=1)[:, :3].tolist()
    monkeypatch.setattr("analysis.judged.caption_retrieval.SCORES_AT_ONCE", 11)
    assert [row.tolist() for row in best_matches(queries, among, 3)] == expected
