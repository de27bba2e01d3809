"""Drafts, tags' pages and labelling in a library of 1,124,215 photos: what a page waits for.

python benchmarks/web_drafts.py [--photos 1124215]

Vectors and metadata are made up (benchmarks/million.py), texts are random directions; those that mean nothing are
shorter, so that tags stand out against them and are decided. Encoding a text, some 10 ms on the same 2 cores with
ViT-B/32 (benchmarks/text_query.py), is not in the figures. All is read from the system's page cache.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from growing import RandomEncoder
from measuring import memory_mb
from million import PHOTOS, million_library
from records import figure, recorded

import aliens
from aliens.library import Library
from search.nonsense import NONSENSE
from search.tags.vocabulary_edits import TagDraft

WORK = Path(__file__).parent / "work"
REPEATS = 5
GOAL_S = 1.0  # for what a draft shows


class Directions(RandomEncoder):
    """Stands in for a text encoder: a random direction for each text, shorter for what means nothing."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32."""
        lengths = [[0.3 if text in NONSENSE else 1.0] for text in texts]
        return super().encode_texts(texts) * np.array(lengths, np.float32)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the first time and the median of the following, in seconds."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken[0], statistics.median(taken[1:])


def shown(what: str, work: Callable[[], object], note: str = "") -> None:
    """Print how long something takes."""
    first, others = seconds(work)
    print(f"{what}: {others:.2f} s, the first time {first:.2f} s{note}")
    figure(what, others, "s")


def drafts(library: Library, vocabulary: str) -> None:
    """Print how long looks at drafts take that differ each time, as while somebody types."""
    words = map(str, itertools.count())

    def typed(*unlike: str) -> Callable[[], object]:
        return lambda: library.look_at_draft(TagDraft(name=f"tag {next(words)}", unlike=unlike), vocabulary=vocabulary)

    tags = len(library.vocabulary(vocabulary).tags)
    shown(f"a draft in {vocabulary} ({tags} tags)", typed(), f" (goal: at most {GOAL_S:g} s)")
    shown(f"a draft in {vocabulary} that is told apart from 2 other tags", typed("a bathtub", "a pool"))


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    photos = parser.parse_args().photos
    root = million_library(WORK / f"million-{photos}", photos).root
    with aliens.open(root, encoder=Directions()) as library:
        for vocabulary in ("case-study", "hotel"):
            start = time.perf_counter()
            library.tag(vocabulary)
            print(f"tagging {photos} photos with {vocabulary}: {time.perf_counter() - start:.1f} s")
    with aliens.open(root, encoder=Directions()) as library:
        before_mb = memory_mb("RssAnon")
        for vocabulary in ("case-study", "hotel"):
            drafts(library, vocabulary)
        for vocabulary in ("case-study", "hotel"):
            start = time.perf_counter()
            library.look_at_tags(vocabulary)
            taken_s = time.perf_counter() - start
            print(f"the page of all tags of {vocabulary}, seen first: {taken_s:.2f} s")
            figure(f"the page of all tags of {vocabulary}, seen first", taken_s, "s")
            library.label(1, "a bathtub")
            shown(f"{vocabulary}, seen again after a label", partial(library.look_at_tags, vocabulary))
            shown(
                f"{vocabulary}, the next photos to label",
                partial(library.ask_labels, "a bathtub", vocabulary=vocabulary),
            )
            library.label(1, "a bathtub", None)
        print(f"memory of its own: {before_mb:.0f} MB before, {memory_mb('RssAnon'):.0f} MB after")


if __name__ == "__main__":
    main()
