"""Playing the quiz with a library's results: which of them are asked about, and keeping what people answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from aliens.errors import QueryError
from aliens.settings import LibraryFolder
from db.quiz import games, keep_game
from db.writing import disk_errors
from restyle.judge import PhotoEncoder
from restyle.quiz.answers import Outcome, Sheet, as_stored, outcome, read_answers
from restyle.quiz.game import Quiz, make_quiz
from restyle.quiz.matching import Matching, cosines, match
from restyle.quiz.pairs import Pair, newest, read_pairs
from restyle.results import Result, Results


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What matching gave. quiz: for people; None where there are too few photos to choose from."""

    pairs: tuple[Pair, ...]
    matchings: tuple[Matching, ...]  # by the encoder's vectors first, then by HOG
    quiz: Quiz | None
    left_out: tuple[str, ...]


def choose_results(results: Results, ids: Sequence[int] = (), engine: str | None = None) -> list[Result]:
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


def count_answers(folder: LibraryFolder, session: Session, path: Path) -> tuple[Sheet, Outcome, bool]:
    """Count and keep what a person answered; tell whether it is new: the same answers are kept once.

    Raises:
        QueryError: the file is no sheet of answers of a quiz on this library's results.
        LibraryError: the library cannot be written.
    """
    sheet = read_answers(path)
    results = Results(folder, session).of_ids([answer.result_id for answer in sheet.answers])
    counted = outcome(sheet, {result.id: result for result in results})
    answers = as_stored(sheet)
    new = all((game.player, game.answers) != (sheet.player, answers) for game in games(session))
    if new:
        with disk_errors(folder):
            keep_game(session, player=sheet.player, method="person", right=counted.right, n=counted.n, answers=answers)
            session.commit()
    return sheet, counted, new


def as_json(matching: Matching) -> dict[str, Any]:
    """Return what a method did as plain values, without the confusions."""
    return {"accuracy": matching.accuracy, "right": matching.right, "n": matching.n, "top1": matching.top1}
