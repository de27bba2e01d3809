"""Playing the quiz with a library's results: matching by embedding and outlines, and keeping what people answered."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from base.errors import QueryError
from base.progress import Progress, silent
from db.catalog import Catalog
from db.restyling_rows import games, keep_game
from embedding.encoder import Encoder
from restyle.quiz.answer_sheets import QuizOutcome, Sheet, as_stored, outcome
from restyle.quiz.game import Matching, Pair, Quiz, cosines, make_quiz, match, newest, read_pairs
from restyle.restyled import RestyledPhotos, Result


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
        raise QueryError("the library has no restyled photos yet: make some with `aliens restyle PHOTO ...`")
    return newest(chosen)


def play(
    session: Session,
    results: Sequence[Result],
    encoder: Encoder,
    *,
    seed: int = 0,
    choices: int | None = None,
    progress: Progress = silent,
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


@dataclass(frozen=True, slots=True)
class CountedAnswers:
    """A person's answers, counted; new: whether they had not been counted before."""

    sheet: Sheet
    outcome: QuizOutcome
    new: bool

    def __str__(self) -> str:
        counted = self.outcome
        return (
            f"{self.sheet.player}: {counted.right} of {counted.n} recognised, {100 * counted.accuracy:.0f} % "
            f"(with so few, {100 * counted.low:.0f} to {100 * counted.high:.0f} %; guessing gives "
            f"{100 * counted.chance:.0f} %)"
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"quiz": self.sheet.quiz_id, "player": self.sheet.player, "new": self.new} | asdict(self.outcome)


def count_answers(catalog: Catalog, sheet: Sheet) -> CountedAnswers:
    """Count and keep what a person answered: the same answers are kept once.

    Raises:
        QueryError: they are no answers to a quiz on this library's results.
        LibraryError: the library cannot be written.
    """
    with catalog.saving() as session:
        results = RestyledPhotos(catalog, session).of_ids([answer.result_id for answer in sheet.answers])
        counted = outcome(sheet, {result.id: result for result in results})
        answers = as_stored(sheet)
        new = all((game.player, game.answers) != (sheet.player, answers) for game in games(session))
        if new:
            keep_game(session, player=sheet.player, method="person", right=counted.right, n=counted.n, answers=answers)
            session.commit()
    return CountedAnswers(sheet, counted, new)


@dataclass(frozen=True, kw_only=True, slots=True)
class Game:
    """A game that somebody played; quiz: which one. played_at: UTC."""

    game: int
    played_at: datetime
    player: str
    method: str
    right: int
    n: int
    accuracy: float
    quiz: str


def played_games(catalog: Catalog) -> list[Game]:
    """Return the games that people have played, in their order."""
    with catalog.session() as session:
        return [
            Game(
                game=row.id,
                played_at=row.played_at,
                player=row.player,
                method=row.method,
                right=row.right,
                n=row.n,
                accuracy=row.right / row.n,
                quiz=", ".join(sorted({str(answer.get("quiz", "")) for answer in row.answers})),
            )
            for row in games(session)
        ]


def record_of(played: Played) -> dict[str, Any]:
    """Return accuracy and n of the embedding first, then everything of every method."""
    first = played.matchings[0]
    methods = {m.method: {"accuracy": m.accuracy, "right": m.right, "n": m.n, "top1": m.top1} for m in played.matchings}
    return {
        "accuracy": first.accuracy,
        "n": first.n,
        "chance": 1 / first.n,
        "methods": methods,
        "confusions": {m.method: [asdict(mixup) for mixup in m.confusions] for m in played.matchings},
        "quiz": None if played.quiz is None else played.quiz.id,
        "left_out": played.left_out,
    }
