from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aliens.library import Library
from base.errors import LibraryError, ModelMismatchError, QueryError
from base.settings import LibraryFolder
from embedding.index.approximate import APPROXIMATE_FILE
from embedding.index.building import IndexChoice
from tests.by_folder import add_photos, create_library, open_library, photo_segments, reindex, repair, source_at
from tests.conftest import FakeEncoder, LibraryFactory, fill_folder, photo_bytes


def stored_vectors(library: Library, ids: list[int]) -> np.ndarray:
    with library.catalog.session() as session:
        return np.stack([library.searcher.vector(session, photo_id) for photo_id in ids])


def test_a_text_query_is_exact(opened: Library) -> None:
    hits = opened.search("bathtub with a view", k=10)
    vectors = stored_vectors(opened, [hit.photo_id for hit in hits])
    expected = vectors @ opened.encoder.encode_prompts("bathtub with a view", ("{}",))
    assert [hit.score for hit in hits] == pytest.approx(expected.tolist(), abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.photo_id for hit in hits}) == 10


def test_a_photo_finds_itself_by_its_file(opened: Library, photos: Path) -> None:
    hit = opened.search(image=photos / "03.jpg", k=1)[0]
    assert Path(hit.path).name == "03.jpg"
    assert hit.score == pytest.approx(1, abs=1e-3)


def test_a_photo_by_its_id_is_not_its_own_hit(opened: Library, photos: Path) -> None:
    photo_id = opened.search(image=photos / "03.jpg", k=1)[0].photo_id
    hits = opened.search(like=photo_id, k=10)
    assert len(hits) == 9
    assert photo_id not in {hit.photo_id for hit in hits}


def test_parts_are_summed_as_unit_vectors(opened: Library, photos: Path) -> None:
    text = opened.encoder.encode_prompts("pool", ("{}",))
    hits = opened.search("pool", like=1, k=9)
    total = text + stored_vectors(opened, [1])[0]
    expected = stored_vectors(opened, [hits[0].photo_id])[0] @ (total / np.linalg.norm(total))
    assert hits[0].score == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"text": "pool", "k": 0}, "k is 0: ask for at least 1"),
        ({"text": "pool chain:none", "k": -1}, "k is -1"),
        ({"text": ""}, "empty"),
        ({"text": "  \n "}, "empty"),
        ({}, "nothing to look for"),
        ({"like": 999}, "no photo 999"),
        ({"image": "gone.jpg"}, r"gone\.jpg cannot be read"),
        ({"image": "text.jpg"}, r"text\.jpg cannot be decoded"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    opened: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.jpg").write_text("no photo")
    with pytest.raises(QueryError, match=words):
        opened.search(**asked)


def test_a_query_photo_larger_than_any_photo_is_named(
    opened: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("base.files.MAX_PHOTO_BYTES", 49_999)
    (tmp_path / "film.jpg").write_bytes(bytes(50_000))
    for ask in ({"image": tmp_path / "film.jpg"}, {"text": f"image:{tmp_path / 'film.jpg'}"}):
        with pytest.raises(QueryError, match=r"film\.jpg cannot be decoded: .* over the cap"):
            opened.search(**ask)


def test_an_empty_library_says_what_to_do(library: LibraryFactory) -> None:
    with pytest.raises(QueryError, match="aliens add"):
        library.open().search("pool")


def test_no_library_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="aliens init"):
        open_library(tmp_path / "nothing")


def test_the_library_is_found_by_the_environment(stocked: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIENS_LIBRARY", str(stocked.folder.root))
    with open_library(load_encoder=lambda model: stocked.encoder) as opened:
        assert len(opened.search("pool")) == 10


def test_photos_added_while_it_is_open_are_found(library: LibraryFactory, opened: Library, tmp_path: Path) -> None:
    opened.search("pool")
    more = fill_folder(tmp_path / "more", [77])
    library.add(more)
    assert Path(opened.search(image=more / "77.jpg", k=1)[0].path).name == "77.jpg"


@pytest.mark.parametrize("spoil", [lambda file: file.write_bytes(file.read_bytes()[:100]), Path.unlink])
def test_a_segment_that_is_damaged_or_absent_is_named_with_the_remedy(
    stocked: LibraryFactory, photos: Path, spoil: Callable[[Path], object]
) -> None:
    before = [hit.photo_id for hit in stocked.open().search("pool")]
    (file,) = stocked.folder.vectors(stocked.encoder.key).iterdir()
    spoil(file)
    with pytest.raises(LibraryError, match=rf"segment {file} is (damaged|absent).*`aliens verify --repair`"):
        stocked.open().search("pool")
    assert repair(stocked.folder) == 10
    stocked.add(photos)
    assert [hit.photo_id for hit in stocked.open().search("pool")] == before


def graph(library: LibraryFactory, photos: Path) -> Path:
    """Add forty photos, build a graph as their approximate index, and return its folder."""
    fill_folder(photos, range(10, 40))
    library.add(photos)
    choice = IndexChoice(kind="hnsw", least_recall=0.1)
    assert reindex(library.folder, lambda model: library.encoder, lambda now: choice).written
    return library.folder.index(library.encoder.key)


def test_without_a_sound_approximate_index_the_answer_is_the_same_and_a_note_says_so(
    library: LibraryFactory, photos: Path
) -> None:
    index = graph(library, photos) / APPROXIMATE_FILE
    expected = library.open().search("pool")
    assert (expected.explanation.engine, expected.explanation.note) == ("hnsw", "")
    index.write_bytes(index.read_bytes()[:100])
    for _ in range(2):
        found = library.open().search("pool")
        assert [hit.photo_id for hit in found] == [hit.photo_id for hit in expected]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-6)
        assert found.explanation.engine == "exact"
        assert (
            "the hnsw index is damaged, so every photo is compared: `aliens index` mends it" in found.explanation.note
        )
        index.unlink(missing_ok=True)


def test_what_an_index_of_an_older_library_does_not_cover_is_compared_beside_it(
    library: LibraryFactory, photos: Path
) -> None:
    index = graph(library, photos)
    old = {path.name: path.read_bytes() for path in index.iterdir()}
    (photos / "00.jpg").unlink()
    (photos / "new.jpg").write_bytes(photo_bytes(78))
    library.add(photos)
    reindex(library.folder, lambda model: library.encoder, rebuild=True)
    for name, data in old.items():
        (index / name).write_bytes(data)
    found = library.open().search("pool", k=50)
    assert found.explanation.engine == "hnsw"
    assert {Path(hit.path).name for hit in found} == {*(f"{number:02d}.jpg" for number in range(1, 40)), "new.jpg"}
    assert [hit.photo_id for hit in found] == [hit.photo_id for hit in library.open().search("pool", k=50, exact=True)]


def test_a_library_that_is_open_finds_everything_while_its_segments_are_merged_away(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    library.add(photos)
    assert len(photo_segments(library.folder)) == 3
    used, unused = library.open(), library.open()
    before = [hit.photo_id for hit in used.search("pool")]
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
    library.add(photos)
    (only,) = photo_segments(library.folder)
    assert [path.stem for path in library.folder.vectors(library.encoder.key).iterdir()] == [only.name]
    for opened in (used, unused):
        assert [hit.photo_id for hit in opened.search("pool")] == before
        assert len(opened.search(like=before[0], k=10)) == 9


def test_another_model_is_refused_with_both_names(photos: Path) -> None:
    from embedding.open_clip_encoder import OpenClipEncoder

    stale = FakeEncoder("starter-00000000")
    stale.name = "starter"
    folder = LibraryFolder(photos.parent / "other")
    create_library(folder, stale)
    add_photos(folder, source_at(photos, folder.root), lambda model: stale)
    with (
        open_library(
            folder.root, load_encoder=lambda model: OpenClipEncoder.load(model.name, device="cpu", key=model.key)
        ) as opened,
        pytest.raises(ModelMismatchError, match=r"starter-00000000.*starter-[0-9a-f]{8}"),
    ):
        opened.search("pool")


def test_hits_carry_hotel_and_chain(sample_library: Library) -> None:
    hits = sample_library.search("a bathtub", k=240)
    by_image = {hit.image_id: hit for hit in hits}
    first = by_image[500001]
    assert (first.hotel_id, first.hotel_name) == (1001, "Azura Bay Porto Lume")
    assert (first.chain_id, first.chain_name) == (11, "Azura Bay Resorts")
    no_chain = by_image[509310]
    assert (no_chain.hotel_id, no_chain.chain_id, no_chain.chain_name) == (1540, None, None)
    assert first.path.endswith("images/train/11/1001/traffickcam/500001.jpg")
