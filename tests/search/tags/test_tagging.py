import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from sqlalchemy.orm import Session

from base.errors import LibraryError, QueryError
from base.progress import Step
from base.settings import LibraryFolder
from db.tag_rows import Label, set_labels
from embedding import scores
from search.tags.calibration import Method, TagOptions
from search.tags.tag_runs import TagReport
from search.tags.tagging import Tagging, text_vectors
from search.tags.truth import Truth, label_truth
from search.tags.vocabulary import Tag, Vocabulary, read_vocabulary
from tests.by_folder import disagreements, found_vectors, label_photo, merge_due, photo_segments, tag_library
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes, stopping_at
from tests.search.tags.conftest import OWN, column, decided, never, opened, tag


def tag_without_encoder(library: LibraryFactory, vocabulary: Vocabulary, **options: object) -> TagReport:
    chosen = TagOptions(**options)  # type: ignore[arg-type]
    return tag_library(library.folder, vocabulary, never, options=chosen)


def probabilities_of(folder: LibraryFolder, key: str | None = None) -> np.ndarray:
    with opened(folder, key) as (_, tagging):
        return np.concatenate([photos.probabilities for photos in tagging.photos()])


def some_truth(session: Session, vocabulary: Vocabulary) -> Truth:
    """Enough made-up labels for the first tag, which do not contradict its scores."""
    values = np.full((10, len(vocabulary.tags)), np.nan, np.float32)
    values[:, 0] = 1 - np.arange(10) % 2
    return Truth(range(1, 11), values)


# Scoring


def test_tagging_scores_every_photo_and_again_none_without_loading_the_encoder(stocked: LibraryFactory) -> None:
    told: list[Step] = []
    vocabulary = read_vocabulary("case-study")
    report = tag(stocked, vocabulary, progress=told.append)
    assert (report.vocabulary, report.photos, report.scored, report.fitted) == (vocabulary.key, 10, 10, 0)
    assert told[-1] == Step("scoring", 10, 10)
    before = decided(stocked.folder)
    again = tag_without_encoder(stocked, vocabulary)
    assert (again.photos, again.scored) == (10, 0)
    assert decided(stocked.folder) == before


def test_scores_are_the_cosines_with_the_mean_of_a_tags_prompts(stocked: LibraryFactory) -> None:
    tag(stocked, OWN)
    texts, background = text_vectors(stocked.encoder, OWN)
    with opened(stocked.folder) as (_, tagging):
        ((columns, scores),) = tagging.scores()
        ids = columns["photo_id"].to_pylist()
        vectors = np.stack([tagging.vector(photo_id) for photo_id in ids])
    assert scores[:, :-1] == pytest.approx(vectors @ texts.T, abs=1e-3)
    soft = np.log(np.exp(25 * vectors @ background.T).mean(axis=1)) / 25
    assert scores[:, -1] == pytest.approx(soft, abs=1e-3)


def test_a_tags_vector_is_the_unit_mean_over_its_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tags.tagging.TEXT_BATCH", 3)
    tags = (Tag("a pool", ("pool", "water")), Tag("a tv", ("tv",)), Tag("a bar", ("bar", "counter", "drinks")))
    vocabulary = replace(OWN, tags=tags, templates=("{}", "a {}"), background=("nothing", "a wall"))
    texts, background = text_vectors(FakeEncoder(), vocabulary)
    assert texts.dtype == np.float32
    for vector, words in zip(texts, [one.prompts for one in tags], strict=True):
        mean = FakeEncoder().encode_texts([form for word in words for form in (word, f"a {word}")]).mean(axis=0)
        assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert (background == FakeEncoder().encode_texts(["nothing", "a wall"])).all()


def test_of_photos_added_later_only_these_are_scored_and_all_are_tagged_as_if_they_had_been_there_from_the_start(
    tagged: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    (photos / "new.jpg").write_bytes(photo_bytes(77))
    tagged.add(photos)
    assert np.isnan(probabilities_of(tagged.folder)).all(axis=1).tolist() == [False] * 10 + [True]
    with opened(tagged.folder) as (_, tagging):
        assert tagging.unscored == 1
        (late,) = tagging.photos(ids=[11])
        assert not late.decided.any()
    report = tag(tagged)
    assert (report.photos, report.scored) == (11, 1)
    assert not np.isnan(probabilities_of(tagged.folder)).any()
    other = LibraryFactory(tmp_path / "other")
    other.add(photos)
    tag(other)
    assert decided(tagged.folder) == decided(other.folder)


@pytest.fixture
def many_pieces(library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> LibraryFactory:
    """A library of ten photos in five segments, each scored by itself, and one after the other."""
    for number in range(0, 10, 2):
        part = photos / str(number)
        part.mkdir()
        for name in (f"{number:02d}.jpg", f"{number + 1:02d}.jpg"):
            (photos / name).rename(part / name)
        library.add(part)
    monkeypatch.setattr(scores, "PIECE_ROWS", 2)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    return library


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("the callback's own")])
def test_a_callback_that_raises_loses_nothing_and_the_next_call_goes_on(
    many_pieces: LibraryFactory, error: BaseException
) -> None:
    told: list[Step] = []

    def raising(step: Step) -> None:
        told.append(step)
        if len(told) == 2:
            raise error

    with many_pieces.open() as library:
        with pytest.raises(type(error)):
            library.tag("case-study", progress=raising)
        with pytest.raises(QueryError, match="is not tagged yet"):
            library.tags()
        report = library.tag("case-study")
        assert [step.done for step in told] == [2, 4]
        assert report.scored == 8  # the segment in hand was lost
        assert (report.photos, library.tags().unscored) == (10, 0)
    assert not np.isnan(probabilities_of(many_pieces.folder)).any()


def test_decisions_stay_as_they_were_when_a_later_tagging_is_stopped(many_pieces: LibraryFactory) -> None:
    tag(many_pieces)
    before = decided(many_pieces.folder)
    with many_pieces.open() as library:
        with pytest.raises(KeyboardInterrupt):
            library.tag("hotel", threshold=0.9, progress=stopping_at("scoring", 4))
        assert library.tags().vocabulary == read_vocabulary("case-study").key
        assert decided(many_pieces.folder) == before
        assert library.tag("hotel").scored == 8


def test_ctrl_c_while_scores_are_written_loses_nothing_and_the_next_call_goes_on(
    many_pieces: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = scores.ScoreStore.write, []

    def write_and_interrupt(store: scores.ScoreStore, *arguments: Any) -> None:
        write(store, *arguments)
        written.append(arguments)
        if len(written) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(scores.ScoreStore, "write", write_and_interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with many_pieces.open() as library:
            with pytest.raises(KeyboardInterrupt):
                library.tag("case-study")
            assert len(written) < 5
            monkeypatch.undo()
            assert library.tag("case-study").scored == 10 - 2 * len(written)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not np.isnan(probabilities_of(many_pieces.folder)).any()


def flipped(file: Path) -> None:
    """Change one of the scores in a file, which is as long as before and named as before."""
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def without_rows(file: Path) -> None:
    np.save(file, np.load(file)[:0])


def of_another(file: Path) -> None:
    """Put the scores of another vocabulary in its place."""
    np.save(file, -np.load(file))


@pytest.mark.parametrize("spoil", [flipped, cut_off, without_rows, of_another, Path.unlink])
def test_damaged_scores_of_one_segment_count_as_not_tagged_yet_and_tagging_again_mends_them(
    scattered: LibraryFactory, spoil: Callable[[Path], object]
) -> None:
    tag(scattered)
    before, calibrated = probabilities_of(scattered.folder), decided(scattered.folder)
    segment = photo_segments(scattered.folder)[1]
    (file,) = scattered.folder.root.glob(f"tags/*/*/{segment.name}-*.npy")
    spoil(file)
    with opened(scattered.folder) as (_, tagging):
        assert tagging.unscored == 4
        (photos,) = tagging.photos()
    without = photos.photo_ids[np.isnan(photos.probabilities).all(axis=1)].tolist()
    assert without == [5, 6, 7, 8]
    assert not photos.decided[np.isin(photos.photo_ids, without)].any()
    assert photos.photo_ids.tolist() == sorted(found_vectors(scattered.folder))
    assert tag(scattered).scored == segment.rows == 4
    assert (probabilities_of(scattered.folder) == before).all()
    assert decided(scattered.folder) == calibrated
    assert disagreements(scattered.folder) == []
    assert tag(scattered).scored == 0


def test_damaged_scores_of_dead_rows_alone_are_nobodys_and_are_mended_all_the_same(
    scattered: LibraryFactory, photos: Path
) -> None:
    tag(scattered)
    for name in ("02.jpg", "03.jpg"):  # all that is alive in the first segment
        (photos / name).unlink()
    scattered.add(photos)
    first = photo_segments(scattered.folder)[0]
    assert first.alive == 0
    (file,) = scattered.folder.root.glob(f"tags/*/*/{first.name}-*.npy")
    file.unlink()
    with opened(scattered.folder) as (_, tagging):
        assert tagging.unscored == 0
    report = tag(scattered)
    assert (report.photos, report.scored) == (8, 0)
    assert not np.isnan(probabilities_of(scattered.folder)).any()


def test_tags_that_are_opened_while_their_segments_are_merged_away_are_those_of_the_new_ones(
    scattered: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag(scattered)
    before, listed = probabilities_of(scattered.folder), scores.score_files

    def list_after_a_merge(folder: Path) -> dict[str, Path]:
        monkeypatch.setattr(scores, "score_files", listed)
        monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
        assert merge_due(scattered.folder) > 0
        return listed(folder)

    monkeypatch.setattr(scores, "score_files", list_after_a_merge)
    with opened(scattered.folder) as (_, tagging):
        assert tagging.unscored == 0
        found = np.concatenate([photos.probabilities for photos in tagging.photos()])
    assert (found == before).all()


def test_what_killed_runs_left_and_scores_of_segments_that_are_gone_are_removed(scattered: LibraryFactory) -> None:
    tag(scattered)
    (where,) = scattered.folder.root.glob("tags/*/*/")
    mine = sorted(where.iterdir())
    assert len(mine) == 4
    scores.ScoreStore(where, 3).write("0123456789abcdef", 2, [np.zeros((2, 3), np.float16)])
    (where / f".{mine[0].name}.0123456789abcdef.tmp").write_bytes(b"half")
    assert [found.part for found in disagreements(scattered.folder)] == ["stray file"] * 2
    assert tag(scattered).scored == 0
    assert sorted(where.iterdir()) == mine
    assert disagreements(scattered.folder) == []


def test_a_photo_that_is_gone_or_changed_has_no_old_tags(tagged: LibraryFactory, photos: Path) -> None:
    before = decided(tagged.folder)
    (photos / "00.jpg").unlink()
    (photos / "01.jpg").write_bytes(photo_bytes(99, size=(90, 60)))
    tagged.add(photos)
    with opened(tagged.folder) as (_, tagging):
        found = {
            Path(path).name: row
            for photos in tagging.photos(["path"])
            for path, row in zip(column(photos, "path"), photos.probabilities, strict=True)
        }
    assert sorted(found) == [f"{number:02d}.jpg" for number in range(1, 10)]
    assert [name for name, row in found.items() if np.isnan(row).any()] == ["01.jpg"]
    assert np.isnan(found["01.jpg"]).all()
    assert before["00.jpg"] is not None
    assert tag(tagged).photos == 9
    assert not np.isnan(probabilities_of(tagged.folder)).any()


# Vocabularies


def test_another_vocabulary_lives_beside_the_first(tagged: LibraryFactory) -> None:
    first = decided(tagged.folder)
    assert tag(tagged, OWN).scored == 10
    second = decided(tagged.folder)
    assert set().union(*second.values()) <= set(OWN.names)
    assert decided(tagged.folder, "case-study") == first
    assert decided(tagged.folder, read_vocabulary("case-study").key) == first
    assert decided(tagged.folder, "own") == decided(tagged.folder, OWN.key) == second
    tag_without_encoder(tagged, read_vocabulary("case-study"))
    assert decided(tagged.folder) == first


def test_of_two_vocabularies_of_one_name_the_newer_is_meant(tagged: LibraryFactory) -> None:
    changed = replace(OWN, tags=(*OWN.tags, Tag("a bar", ("a bar",))))
    tag(tagged, OWN)
    tag(tagged, changed)
    tag(tagged, read_vocabulary("case-study"))
    with opened(tagged.folder, "own") as (_, tagging):
        assert tagging.vocabulary == changed
    with opened(tagged.folder, OWN.key) as (_, tagging):
        assert tagging.vocabulary == OWN


def test_a_library_that_was_not_tagged_says_so(stocked: LibraryFactory) -> None:
    with pytest.raises(QueryError, match=rf"{stocked.folder.root} is not tagged yet: run `aliens tag"):
        decided(stocked.folder)
    tag(stocked, OWN)
    with pytest.raises(QueryError, match=rf"is not tagged with 'hotel' \(known: {OWN.key}\) yet"):
        decided(stocked.folder, "hotel")


def test_an_empty_library_has_nothing_to_tag(library: LibraryFactory) -> None:
    with pytest.raises(QueryError, match=r"no photo in .* is embedded yet: add some"):
        tag(library)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"threshold": 0.0}, "threshold is 0.0"), ({"threshold": 1.0}, "threshold is 1.0"), ({"top_k": 0}, "top k is 0")],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        TagOptions(**options)  # type: ignore[arg-type]


# Photos


def test_photos_are_read_in_small_batches_as_in_one(tagged: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    label_photo(tagged.folder, 4, "a pool", True, None)
    with opened(tagged.folder) as (_, tagging):
        (whole,) = tagging.photos(["path"])
        monkeypatch.setattr("search.tags.tagging.MOST_SCORES", 3 * 15)
        parts = list(tagging.photos(["path"]))
    assert [len(part.photo_ids) for part in parts] == [3, 3, 3, 1]
    assert np.concatenate([part.decided for part in parts]).tolist() == whole.decided.tolist()
    assert np.concatenate([part.photo_ids for part in parts]).tolist() == whole.photo_ids.tolist()
    assert [path for part in parts for path in column(part, "path")] == column(whole, "path")
    assert [part.labels for part in parts] == [{}, {4: {"a pool": True}}, {}, {}]


def test_photos_come_in_the_order_that_was_asked(tagged: LibraryFactory) -> None:
    with opened(tagged.folder) as (_, tagging):
        (whole,) = tagging.photos()
        (some,) = tagging.photos(ids=[7, 99, 2, 5])
        assert some.photo_ids.tolist() == [7, 2, 5]
        assert (some.probabilities == whole.probabilities[[6, 1, 4]]).all()
        assert (tagging.photo(7).scores == whole.scores[6]).all()
        assert np.isnan(tagging.scores_of([99, 3])).all(axis=1).tolist() == [True, False]
        with pytest.raises(QueryError, match="no photo 99 with a vector"):
            tagging.photo(99)


def test_labels_override_what_is_decided_and_nothing_else(tagged: LibraryFactory) -> None:
    before = decided(tagged.folder)
    plain = probabilities_of(tagged.folder)
    has = next(name for name, tags in before.items() if tags)
    some_tag = next(iter(before[has]))
    with opened(tagged.folder) as (_, tagging):
        (whole,) = tagging.photos(["path"])
    ids = {Path(path).name: n for path, n in zip(column(whole, "path"), column(whole, "photo_id"), strict=True)}
    lacks = next(name for name, tags in before.items() if "a table" not in tags)
    label_photo(tagged.folder, ids[has], some_tag, False, None)
    label_photo(tagged.folder, ids[lacks], "table", True, None)
    after = decided(tagged.folder)
    assert some_tag not in after[has]
    assert "a table" in after[lacks]
    expected = {name: set(tags) for name, tags in before.items()}
    expected[has].discard(some_tag)
    expected[lacks].add("a table")
    assert after == expected
    assert (probabilities_of(tagged.folder) == plain).all()
    label_photo(tagged.folder, ids[has], some_tag, None, None)
    label_photo(tagged.folder, ids[lacks], "table", None, None)
    assert decided(tagged.folder) == before


def test_labels_of_photos_in_between_are_not_among_a_batchs(tagged: LibraryFactory) -> None:
    with opened(tagged.folder) as (session, tagging):
        set_labels(session, [Label(photo_id, "a pool", True) for photo_id in range(1, 11)])
        (some,) = tagging.photos(ids=[2, 9, 5])
    assert set(some.labels) == {2, 5, 9}


# Calibration


def test_threshold_and_method_change_the_decisions_without_scoring(tagged: LibraryFactory) -> None:
    vocabulary = read_vocabulary("case-study")
    before = decided(tagged.folder)
    tag_without_encoder(tagged, vocabulary, threshold=0.9)
    stricter = decided(tagged.folder)
    assert all(stricter[name] <= before[name] for name in before)
    assert stricter != before
    tag_without_encoder(tagged, vocabulary, method="softmax", top_k=2)
    assert {len(tags) for tags in decided(tagged.folder).values()} == {2}
    tag_without_encoder(tagged, vocabulary)
    assert {len(tags) for tags in decided(tagged.folder).values()} == {2}
    tag_without_encoder(tagged, vocabulary, method="calibrated")
    assert decided(tagged.folder) == before


def test_what_labels_taught_stays_until_it_is_forgotten(tagged: LibraryFactory) -> None:
    vocabulary = read_vocabulary("case-study")
    plain = probabilities_of(tagged.folder)
    assert tag(tagged, vocabulary, read_truth=some_truth).fitted == 1
    fitted = probabilities_of(tagged.folder)
    assert (fitted[:, 1:] == plain[:, 1:]).all()
    assert (fitted[:, 0] != plain[:, 0]).all()
    assert tag_without_encoder(tagged, vocabulary, threshold=0.5).fitted == 1
    assert (probabilities_of(tagged.folder) == fitted).all()
    assert tag_without_encoder(tagged, vocabulary, forget_labels=True).fitted == 0
    assert (probabilities_of(tagged.folder) == plain).all()


def test_labels_teach_nothing_to_other_methods(tagged: LibraryFactory) -> None:
    with pytest.raises(QueryError, match="--method softmax has nothing to learn from labels"):
        tag(tagged, options=TagOptions(method="softmax"), read_truth=some_truth)
    tag(tagged, options=TagOptions(method="softmax"))
    report = tag(tagged, options=TagOptions(), read_truth=some_truth)
    assert (report.method, report.threshold) == ("signal", 0.5)


def test_what_was_learnt_stays_with_its_method(tagged: LibraryFactory) -> None:
    vocabulary = read_vocabulary("case-study")
    tag(tagged, vocabulary, read_truth=some_truth)
    learnt = probabilities_of(tagged.folder)
    tag(tagged, options=TagOptions(method="signal"))
    with opened(tagged.folder) as (_, tagging):
        assert tagging.calibration.active_links == {}
        assert tagging.calibration.threshold == 0.5
    tag_without_encoder(tagged, vocabulary, method="calibrated")
    assert (probabilities_of(tagged.folder) == learnt).all()


def test_a_threshold_is_of_the_method_it_was_set_with(tagged: LibraryFactory) -> None:
    vocabulary = read_vocabulary("case-study")
    assert tag_without_encoder(tagged, vocabulary, threshold=0.7).threshold == 0.7
    assert tag_without_encoder(tagged, vocabulary).threshold == 0.7
    assert tag_without_encoder(tagged, vocabulary, method="signal").threshold == 0.5
    assert tag_without_encoder(tagged, vocabulary, method="uncalibrated").threshold == 0.3


@pytest.mark.parametrize(
    ("before", "options", "message"),
    [
        ("signal", {"top_k": 2}, "top k is 2, which goes with --method softmax: signal takes a --threshold"),
        ("calibrated", {"method": "uncalibrated", "top_k": 2}, "softmax: uncalibrated takes a --threshold"),
        ("softmax", {"threshold": 0.4}, "the threshold is 0.4, and softmax has none: it decides the --top-k likeliest"),
        ("signal", {"method": "softmax", "threshold": 0.4}, "the threshold is 0.4, and softmax has none"),
    ],
)
def test_what_a_method_has_no_use_for_is_refused_also_where_it_is_the_last_times(
    tagged: LibraryFactory, before: Method, options: dict[str, Any], message: str
) -> None:
    vocabulary = read_vocabulary("case-study")
    tag_without_encoder(tagged, vocabulary, method=before)
    kept = decided(tagged.folder)
    with pytest.raises(QueryError, match=message):
        tag_without_encoder(tagged, vocabulary, **options)
    assert decided(tagged.folder) == kept


def test_what_nonsense_scores_is_measured_anew_with_the_photos(
    tagged: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    def noise(library: LibraryFactory) -> float:
        with opened(library.folder) as (_, tagging):
            return tagging.calibration.noise

    signal = TagOptions(method="signal")
    tag(tagged, options=signal)
    before = noise(tagged)
    (photos / "00.jpg").unlink()
    (photos / "01.jpg").unlink()
    tagged.add(photos)
    tag(tagged, options=signal)
    other = LibraryFactory(tmp_path / "other")
    other.add(photos)
    tag(other, options=signal)
    assert noise(tagged) == pytest.approx(noise(other), rel=1e-3)
    assert noise(tagged) != before
    assert decided(tagged.folder) == decided(other.folder)


def test_what_people_say_is_sure_and_a_long_vocabulary_gives_few_tags(tagged: LibraryFactory) -> None:
    label_photo(tagged.folder, 4, "a pool", True, None)
    with opened(tagged.folder) as (_, tagging):
        (photos,) = tagging.photos()
    assert photos.sure[3, 0]
    assert (photos.sure <= photos.decided).all()
    words = Vocabulary(
        name="long",
        tags=tuple(Tag(f"word {number}", (f"word {number}",)) for number in range(30)),
        templates=("{}",),
        background=("nothing",),
        groups=(),
    )
    for vocabulary, method, most in (
        (words, "signal", 5),
        (words, "calibrated", 0),  # as ever
        (replace(words, most=2), "signal", 2),
        (replace(words, most=2), "calibrated", 2),
        (replace(words, tags=words.tags[:29]), "signal", 0),
    ):
        tag(tagged, vocabulary, TagOptions(method=method))  # type: ignore[arg-type]
        with opened(tagged.folder) as (_, tagging):
            assert tagging.calibration.most == most


def test_labels_that_cannot_be_used_leave_the_tagging_as_it_was(tagged: LibraryFactory) -> None:
    before = decided(tagged.folder)
    with pytest.raises(QueryError, match="nobody has set a label yet"):
        tag(tagged, OWN, read_truth=label_truth)
    assert decided(tagged.folder) == before


def test_a_held_lock_does_not_keep_tags_from_being_read(tagged: LibraryFactory) -> None:
    before = decided(tagged.folder)
    with FileLock(tagged.folder.lock_file, timeout=0):
        assert decided(tagged.folder) == before
        with pytest.raises(
            LibraryError, match=f"another process or thread is changing {tagged.folder.root}: wait for it"
        ):
            tag(tagged)
    tag(tagged)


# Meaning


def test_the_sample_hotels_get_the_tags_that_they_have(
    tagged_samples: LibraryFolder, sample_tags: dict[int, set[str]]
) -> None:
    with opened(tagged_samples) as (_, tagging):
        (photos,) = tagging.photos(["image_id"])
    place = tagging.vocabulary.position("a bathtub")
    has = np.array(["a bathtub" in sample_tags[image_id] for image_id in column(photos, "image_id")])
    assert photos.probabilities[has, place].mean() > 2 * photos.probabilities[~has, place].mean()
    assert photos.decided[has, place].mean() > 0.6
    assert photos.decided[~has, place].mean() < 0.2


def test_a_tagging_without_calibration_says_so(tagged: LibraryFactory) -> None:
    with opened(tagged.folder) as (_, tagging), tagged.open() as library, library.catalog.session() as session:
        bare = Tagging(library.catalog, session, library.store, tagging.vocabulary)
        with pytest.raises(QueryError, match="has no calibration yet: run `aliens tag`"):
            list(bare.photos())
