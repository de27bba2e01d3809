"""Playing the quiz with a library's results: matching by embedding and outlines, and keeping what people answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats
from base.errors import QueryError
from base.settings import LibraryFolder
from db.catalog import disk_errors
from db.restyling_rows import games, keep_game
from restyle.judge import PhotoEncoder
from restyle.quiz.answers import QuizOutcome, Sheet, as_stored, outcome, read_answers
from restyle.quiz.game import Pair, Quiz, make_quiz, newest, read_pairs
from restyle.restyled import RestyledPhotos, Result


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A result that was taken for another original than its own; similarities are cosines, -1..1."""

    result_id: int
    source_id: int
    taken_for_id: int
    similarity: float  # to what it was taken for
    own_similarity: float  # to its own original


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """How one method did: `right` of `n` results were assigned to their own originals.

    top1: the share of results whose own original is the most similar of all.
    """

    method: str
    right: int
    n: int
    accuracy: float
    top1: float
    confusions: tuple[Mistake, ...]


def cosines(results: Floats, originals: Floats) -> Floats:
    """Return cosine similarities (n, m) of vectors (n, d) and (m, d); a vector of zeros resembles nothing: 0."""

    def unit(vectors: Floats) -> Floats:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: Floats = np.divide(vectors, norms, where=norms > 0, out=np.zeros_like(vectors))
        return scaled

    similarities: Floats = (unit(results) @ unit(originals).T).astype(np.float32)
    return similarities


def match(
    method: str, similarities: Floats, result_ids: Sequence[int], source_ids: Sequence[int], seed: int = 0
) -> Matching:
    """Assign results to originals.

    Args:
        method: what the similarities were computed from.
        similarities: (n, n), results by originals; row i and column i belong together.
        result_ids: (n,).
        source_ids: (n,), ids of the originals.
        seed: of the order in which the originals are looked at: where several are equally similar, the first one is
            taken, and the right one must not be favoured by its place.

    Source: scipy.optimize.linear_sum_assignment (Jonker and Volgenant 1987, as modified by Crouse 2016).
    """
    from scipy.optimize import linear_sum_assignment

    n = len(similarities)
    order = np.random.default_rng(seed).permutation(n)  # order[place]: which original lies there
    laid_out = similarities[:, order]
    taken = order[linear_sum_assignment(laid_out, maximize=True)[1]]
    nearest = order[laid_out.argmax(axis=1)] if n else order
    own = np.arange(n)
    confusions = tuple(
        Mistake(
            result_id=result_ids[row],
            source_id=source_ids[row],
            taken_for_id=source_ids[int(taken[row])],
            similarity=float(similarities[row, taken[row]]),
            own_similarity=float(similarities[row, row]),
        )
        for row in np.flatnonzero(taken != own).tolist()
    )
    right = n - len(confusions)
    return Matching(
        method=method,
        right=right,
        n=n,
        accuracy=right / n if n else float("nan"),
        top1=float((nearest == own).mean()) if n else float("nan"),
        confusions=confusions,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What matching gave. quiz: for people; None where there are too few photos to choose from."""

    pairs: tuple[Pair, ...]
    matchings: tuple[Matching, ...]  # by the encoder's vectors first, then by HOG
    quiz: Quiz | None
    left_out: tuple[str, ...]


def choose_results(results: RestyledPhotos, ids: Sequence[int] = (), engine: str | None = None) -> list[Result]:
    """Return the newest result of each photo: of those with these ids, or of an engine, or of all.

    Raises: QueryError: an id is unknown, or there is none.
    """
    chosen = results.named(ids) if ids else results.all(engine=engine)
    if engine is not None:
        chosen = [result for result in chosen if result.lineage.engine == engine]
    if not chosen:
        made = sorted({result.lineage.engine for result in results.all()})
        if made:
            raise QueryError(f"no photo was restyled by {engine!r}: there are results of {', '.join(made)}")
        raise QueryError("the library has no restyled photos yet: make some with `aliens restyle PHOTO_ID...`")
    return newest(chosen)


def play(
    session: Session,
    results: Sequence[Result],
    encoder: PhotoEncoder,
    *,
    seed: int = 0,
    choices: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Played:
    """Match results with their originals, and make the quiz that people play with them.

    Raises: QueryError: no pair can be read, or choices that cannot be.
    """
    reading = read_pairs(session, results, encoder, progress)
    pairs = reading.pairs
    if not pairs:
        raise QueryError(f"none of {len(results)} results can be asked about: {'; '.join(reading.left_out[:3])}")
    result_ids, source_ids = [pair.result_id for pair in pairs], [pair.source_id for pair in pairs]
    described = {
        "embedding": cosines(
            np.stack([pair.result.vector for pair in pairs]), np.stack([pair.original.vector for pair in pairs])
        ),
        "hog": cosines(np.stack([pair.result.hog for pair in pairs]), np.stack([pair.original.hog for pair in pairs])),
    }
    return Played(
        pairs=tuple(pairs),
        matchings=tuple(match(name, likeness, result_ids, source_ids, seed) for name, likeness in described.items()),
        quiz=make_quiz(pairs, seed, choices) if len(pairs) > 1 else None,
        left_out=tuple(reading.left_out),
    )


def count_answers(folder: LibraryFolder, session: Session, path: Path) -> tuple[Sheet, QuizOutcome, bool]:
    """Count and keep what a person answered; tell whether it is new: the same answers are kept once.

    Raises:
        QueryError: the file is no sheet of answers of a quiz on this library's results.
        LibraryError: the library cannot be written.
    """
    sheet = read_answers(path)
    results = RestyledPhotos(folder, session).of_ids([answer.result_id for answer in sheet.answers])
    counted = outcome(sheet, {result.id: result for result in results})
    answers = as_stored(sheet)
    new = all((game.player, game.answers) != (sheet.player, answers) for game in games(session))
    if new:
        with disk_errors(folder):
            keep_game(session, player=sheet.player, method="person", right=counted.right, n=counted.n, answers=answers)
            session.commit()
    return sheet, counted, new


def matching_record(matching: Matching) -> dict[str, Any]:
    """Return what a method did as plain values, without the confusions."""
    return {"accuracy": matching.accuracy, "right": matching.right, "n": matching.n, "top1": matching.top1}
