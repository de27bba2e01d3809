"""What a draft shows is what `aliens tag` decides once it is saved."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import aliens
from aliens.library import Library
from base.errors import QueryError
from embedding.index.exact import all_cosines
from search.tags.calibration import Calibration, Statistics, among_best
from search.tags.tagging import Tagging
from search.tags.vocabulary import as_vocabulary, read_vocabulary
from search.tags.vocabulary_edits import (
    TagDraft,
    draft_of,
    in_order_of_headings,
    keep_vocabulary,
    kept_vocabularies,
    under_name,
    vocabulary_toml,
    with_draft,
    without_tag,
)


@pytest.fixture(scope="module")
def drafted(sample_library: Library, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = Path(shutil.copytree(sample_library.path, tmp_path_factory.mktemp("drafts") / "library"))
    with aliens.open(folder, encoder=sample_library.encoder) as library:
        library.tag("hotel")
        yield library


def decided(library: Library, key: str, tag: str) -> set[int]:
    with library.catalog.session() as session:
        tagging = Tagging.open(library.catalog, session, library.store, key)
        place = tagging.vocabulary.position(tag)
        return {
            photo_id
            for photos in tagging.photos()
            for photo_id, has in zip(photos.photo_ids.tolist(), photos.decided[:, place].tolist(), strict=True)
            if has
        }


@pytest.mark.parametrize(
    ("base", "draft", "instead_of"),
    [
        ("hotel", TagDraft(name="a bath", prompts=("a white bathtub", "a bath")), None),  # most: 5 tags a photo
        ("hotel", TagDraft(name="a pool", prompts=("a blue swimming pool",), unlike=("the sea", "a spa")), "a pool"),
        ("case-study", TagDraft(name="a stove", unlike=("a kitchen", "a fireplace")), None),  # not tagged with yet
        ("case-study", TagDraft(name="a shower", prompts=("a glass shower",)), "a shower"),  # contrasted with a bathtub
        ("case-study", TagDraft(name="a sofa", muted=True), "a sofa"),
    ],
)
def test_a_draft_decides_what_tagging_decides(
    drafted: Library, base: str, draft: TagDraft, instead_of: str | None
) -> None:
    look = drafted.look_at_draft(draft, vocabulary=base, instead_of=instead_of)
    made, path = drafted.save_draft(draft, vocabulary=base, instead_of=instead_of, name="tried")
    report = drafted.tag(str(path))
    assert report.vocabulary == made.key == path.stem
    tags = {count.tag: count for count in drafted.tags(made.key)}
    count = tags[draft.name]
    assert (look.decided, look.sure, look.muted) == (count.photos, count.sure, count.muted)
    assert (look.decided > 0) == (not draft.muted)
    has = decided(drafted, made.key, draft.name)
    assert set(look.examples["surest"]) | set(look.examples["above"]) <= has
    assert not has & set(look.examples["below"])
    assert sum(look.histogram) + sum(look.others) == look.photos == report.photos
    assert look.silent == draft.muted
    assert sum(look.histogram[32:]) == look.decided
    added = set(draft.unlike) - {tag.name for tag in read_vocabulary(base).tags}
    assert all(tags[name].photos == 0 for name in added)  # rivals that are no tags are given to no photo
    assert decided(drafted, made.key, draft.name) == has


def test_another_threshold_decides_as_tagging_does(drafted: Library) -> None:
    draft = TagDraft(name="a bath", prompts=("a white bathtub",))
    look = drafted.look_at_draft(draft, vocabulary="case-study", threshold=0.3)
    _, path = drafted.save_draft(draft, vocabulary="case-study", name="lower")
    drafted.tag(str(path), threshold=0.3)
    assert look.decided == next(count.photos for count in drafted.tags("lower") if count.tag == "a bath")


def test_nothing_is_tagged_or_saved_by_looking(drafted: Library) -> None:
    before = drafted.known_vocabularies()
    drafted.look_at_draft(TagDraft(name="a fireplace"))
    assert drafted.known_vocabularies() == before


@pytest.mark.parametrize("name", ["", "a;b", "?odd", "x" * 201, "a\x00b", "a\u202eb"])
def test_what_no_tag_can_be_called_is_refused(drafted: Library, name: str) -> None:
    with pytest.raises(QueryError):
        drafted.look_at_draft(TagDraft.typed(name, [], []))


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", "x" * 65, "\u202e", "名" * 60, ".."])
def test_what_no_vocabulary_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(QueryError):
        under_name(read_vocabulary("case-study"), name)


def test_a_saved_vocabulary_reads_back_as_it_was(library: object, tmp_path: Path) -> None:
    odd = TagDraft(
        name='каминъ "у моря" [x] # = \\ </script>',
        prompts=('a \\ "fireplace"\'', "дом\u007f".replace("\u007f", "")),
        unlike=("a kitchen", "печь"),
        heading="тёплое.место",
    )
    base = read_vocabulary("hotel")
    changed = with_draft(under_name(base, "Мой отель"), odd)
    assert changed.name == "Мой-отель"
    path = tmp_path / "x.toml"
    path.write_text(vocabulary_toml(changed), encoding="utf-8")
    assert read_vocabulary(str(path)) == in_order_of_headings(changed)
    assert draft_of(changed, odd.name) == odd


def test_kept_vocabularies_are_the_newest_of_each_name(drafted: Library) -> None:
    one = under_name(read_vocabulary("case-study"), "double")
    two = with_draft(one, TagDraft(name="a lamp"))
    keep_vocabulary(drafted.folder, one)
    last = keep_vocabulary(drafted.folder, two)
    (drafted.folder.vocabularies / "broken.toml").write_text("tags = 7")
    kept = {vocabulary.name: path for vocabulary, path in kept_vocabularies(drafted.folder)}
    assert kept["double"] == last
    assert drafted.vocabulary("double").key == last.stem


def test_a_tag_is_renamed_in_its_groups_and_removed_from_them() -> None:
    base = read_vocabulary("case-study")
    changed = with_draft(base, TagDraft(name="a tub", unlike=("a shower",)), instead_of="a bathtub")
    assert [group.tags for group in changed.groups] == [("a tub", "a shower")]
    assert without_tag(changed, "tub").groups == ()
    with pytest.raises(QueryError, match="has a tag 'a pool' already"):
        with_draft(base, TagDraft(name="pool"))
    alone = as_vocabulary({"tags": {"a pool": []}}, "one")
    with pytest.raises(QueryError, match="only tag"):
        without_tag(alone, "a pool")
    with pytest.raises(QueryError, match="is a heading"):
        with_draft(as_vocabulary({"tags": {"room": {"a pool": []}}}, "one"), TagDraft(name="room"))


def test_all_cosines_are_the_products(drafted: Library) -> None:
    with drafted.catalog.session() as session:
        from db.vector_rows import EmbeddedRows

        vectors = drafted.store.current(EmbeddedRows(session, drafted.model))
    texts = drafted.encoder.encode_texts(["a pool", "a bed"])
    ids, cosines = all_cosines(vectors, texts)
    assert np.allclose(cosines, vectors.gather(ids) @ texts.T, atol=1e-3)
    assert set(ids.tolist()) == set(vectors.ids.tolist())


def test_statistics_come_back_from_a_calibration() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0.2, 0.03, (300, 5)).astype(np.float32)
    statistics = Statistics(4)
    statistics.add(scores)
    (mean, std), leads = statistics.mean_and_std(100.0), statistics.mean_and_std(100.0, leads=True)
    known = Calibration(
        method="signal",
        scale=100.0,
        mean=mean,
        std=std,
        spread=statistics.spread,
        lead_mean=leads[0],
        lead_std=leads[1],
        photos=statistics.count,
    )
    again = Statistics.of(known)
    assert np.allclose(again.mean_and_std(100.0), (mean, std), atol=1e-7)
    assert np.allclose(again.mean_and_std(100.0, leads=True), leads, atol=1e-7)
    other = Statistics(1)
    other.add(scores[:, [0, 4]])
    placed = again.placed([1, None, 3], other)
    assert np.allclose(placed.spread, statistics.spread[[1, 0, 3]], atol=1e-7)


def test_the_best_of_each_row_are_the_same_with_equal_ones() -> None:
    random = np.random.default_rng(1)
    values = random.integers(0, 4, (200, 9)).astype(np.float32)
    values[::7, 3] = np.nan
    for k in (1, 3, 9, 12):
        best = np.argsort(-values, axis=1, kind="stable")[:, :k]
        expected = np.zeros(values.shape, bool)
        np.put_along_axis(expected, best, True, axis=1)
        assert (among_best(values, k) == expected).all()
