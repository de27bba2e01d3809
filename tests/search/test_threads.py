"""Threads that share one opened library: the answers of one thread, also while photos are added."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aliens.library import Library
from tests.conftest import LibraryFactory, fill_folder

THREADS = 8
Answer = tuple[list[tuple[int, float, float | None]], float | None, str | None]

ASKED: list[dict[str, Any]] = [
    {"text": "a bathtub", "k": 30},
    {"text": "a bedroom -window", "k": 12, "exact": True},
    {"text": "a pool orientation:landscape", "k": 20},
    {"text": "a balcony", "k": 15, "per_hotel": 1},
    {"text": "an amazing view", "k": 10, "diverse": 0.5},
    {"text": "a chair", "k": 10, "more_like": [3, 7], "less_like": [11]},
    {"text": "a room", "k": 10, "sort": "hotel"},
    {"like": 7, "k": 25},
]


def answer(library: Library, asked: dict[str, Any]) -> Answer:
    results = library.search(**asked)
    return [(hit.photo_id, hit.score, hit.percentile) for hit in results], results.stop_line, results.cursor


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Return what so many threads give that begin at one moment."""
    gate = threading.Barrier(count)

    def begun(number: int) -> Any:
        gate.wait(timeout=60)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begun, range(count)))


def test_threads_give_the_answers_of_one_from_the_first_search_on(sample_library: Library) -> None:
    expected = [answer(sample_library, asked) for asked in ASKED]
    with Library(type(sample_library.catalog).open(sample_library.folder)) as fresh:  # opens index and model by itself

        def ask_all(number: int) -> list[Answer]:
            turned = [(number + place) % len(ASKED) for place in range(len(ASKED))]
            answers = {place: answer(fresh, ASKED[place]) for place in turned}
            return [answers[place] for place in range(len(ASKED))]

        for answers in at_once(THREADS, ask_all):
            for (hits, line, _), (hits_of_one, line_of_one, _) in zip(answers, expected, strict=True):
                assert [photo_id for photo_id, _, _ in hits] == [photo_id for photo_id, _, _ in hits_of_one]
                assert [score for _, score, _ in hits] == pytest.approx([s for _, s, _ in hits_of_one], abs=1e-5)
                assert line == pytest.approx(line_of_one, abs=1e-5)


def test_streams_of_several_threads_do_not_mix(sample_library: Library) -> None:
    words = ["a pool", "a bed", "a sofa", "a view"]
    expected = [[hit.photo_id for hit in sample_library.stream(text, min_score=-1)] for text in words]

    def read(number: int) -> list[int]:
        return [hit.photo_id for hit in sample_library.stream(words[number % 4], min_score=-1)]

    assert at_once(THREADS, read) == expected * 2


@pytest.mark.parametrize("fan_out", [10, 2], ids=["beside each other", "merged each time"])
def test_photos_that_are_added_meanwhile_come_into_every_threads_answers(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, fan_out: int
) -> None:
    """Their vectors lie in segments that are merged when there are so many."""
    monkeypatch.setattr("indexer.merging.FAN_OUT", fan_out)
    library.add(photos)
    opened, added = library.open(), threading.Event()

    def search_until_added(number: int) -> list[list[int]]:
        seen = []
        while not added.is_set() or len(seen) < 3:
            seen.append([hit.photo_id for hit in opened.search(f"pool {number % 3}", k=100)])
            assert len(opened.search(like=number, k=100)) + 1 >= len(seen[-1])
        return seen

    def add(number: int) -> list[list[int]]:
        try:
            for start in range(10, 40, 10):
                fill_folder(photos, range(start, start + 10))
                opened.add(photos)
        finally:
            added.set()
        return []

    works = [add, *[search_until_added] * (THREADS - 1)]
    answers = at_once(THREADS, lambda number: works[number](number))[1:]
    for seen in answers:
        counts = [len(ids) for ids in seen]
        assert counts == sorted(counts)  # no answer forgets photos that an earlier one had
        assert all(len(set(ids)) == len(ids) for ids in seen)
    for text in ("pool 0", "pool 1", "pool 2"):
        with library.open() as afresh:
            whole = [hit.photo_id for hit in afresh.search(text, k=100)]
        assert [hit.photo_id for hit in opened.search(text, k=100)] == whole
        assert len(whole) == 40
