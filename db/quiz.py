"""Queries of the games of the recognition quiz."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import QuizGame


def keep_game(
    session: Session, *, player: str, method: str, right: int, n: int, answers: Sequence[Mapping[str, Any]]
) -> QuizGame:
    """Keep a game that was just played: `right` of `n` were recognised; the caller commits."""
    now = datetime.now(UTC).replace(tzinfo=None)
    game = QuizGame(
        played_at=now, player=player, method=method, right=right, n=n, answers=[dict(answer) for answer in answers]
    )
    session.add(game)
    return game


def games(session: Session) -> list[QuizGame]:
    """Return all games, in the order in which they were played."""
    return list(session.scalars(select(QuizGame).order_by(QuizGame.played_at, QuizGame.id)))
