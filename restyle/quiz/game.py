"""The quiz: results and their originals as pairs, and the page in which people match them."""

import base64
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats, Pixels, unit_or_zero
from base.errors import PhotoError, QueryError
from base.files import PhotoFile
from base.progress import Progress, Step, silent
from embedding.colour import encoder_square, read_pixels
from embedding.encoder import Encoder
from embedding.html_pages import data_uri, jpeg, render
from restyle.pages import TEMPLATES
from restyle.restyled import Result, original_of, why_lost
from restyle.structure import hog_of

BATCH_PAIRS = 8  # embedded together
LONGEST_PX = 640  # of a picture in the quiz


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixup:
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
    confusions: tuple[Mixup, ...]


def cosines(results: Floats, originals: Floats) -> Floats:
    """Return cosine similarities (n, m) of vectors (n, d) and (m, d); a vector of zeros resembles nothing: 0."""
    similarities: Floats = unit_or_zero(results) @ unit_or_zero(originals).T
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
        Mixup(
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
class Picture:
    """One picture as it is read. square: (s, s, 3), what the encoder takes. hog: see restyle.structure.hog_of."""

    name: str
    jpeg: bytes
    square: Pixels
    hog: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Exhibit:
    """One picture. vector: (d,) float32 of the encoder, norm 1. hog: see restyle.structure.hog_of."""

    name: str
    jpeg: bytes
    vector: Floats
    hog: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A result and its original. wish: the digest of what the result was asked to be."""

    result_id: int
    source_id: int
    wish: str
    result: Exhibit
    original: Exhibit


@dataclass(slots=True)
class Reading:
    """What was read: pairs, and in words which results were left out."""

    pairs: list[Pair] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def newest(results: Iterable[Result]) -> list[Result]:
    """Return the newest result of each original, in the order of their ids; copies of a photo count as one.

    Originals are told apart by their bytes: a photo's number may have stood for others before.
    """
    oldest_first = sorted(results, key=lambda result: (result.made_at, result.id))
    kept = {result.lineage.source_sha256: result for result in oldest_first}
    return sorted(kept.values(), key=lambda result: result.id)


def read_pairs(
    session: Session,
    results: Sequence[Result],
    encoder: Encoder,
    progress: Progress = silent,
) -> Reading:
    """Read results and their originals; both are embedded in the same way, from the same size."""
    reading = Reading()
    for start in range(0, len(results), BATCH_PAIRS):
        read: list[tuple[Result, Picture, Picture]] = []
        for result in results[start : start + BATCH_PAIRS]:
            try:
                original = picture_of(original_of(session, result), encoder)
                read.append((result, picture_of(PhotoFile(str(result.path)), encoder), original))
            except (OSError, PhotoError) as error:
                reading.left_out.append(f"result {result.id}: {why_lost(error)}")
        reading.pairs += embedded(read, encoder)
        progress(Step("comparing", min(start + BATCH_PAIRS, len(results)), len(results)))
    return reading


def embedded(read: Sequence[tuple[Result, Picture, Picture]], encoder: Encoder) -> Iterator[Pair]:
    """Yield pairs of what was read, all embedded together."""
    if not read:
        return
    pictures = [picture for _, *both in read for picture in both]
    vectors = iter(encoder.encode_images(np.stack([picture.square for picture in pictures])))
    for result, made, original in read:
        yield Pair(
            result_id=result.id,
            source_id=result.lineage.source_photo_id,
            wish=result.lineage.wish,
            result=exhibit(made, next(vectors)),
            original=exhibit(original, next(vectors)),
        )


def exhibit(picture: Picture, vector: Floats) -> Exhibit:
    """Return a picture with its vector (d,)."""
    return Exhibit(name=picture.name, jpeg=picture.jpeg, vector=vector, hog=picture.hog)


def picture_of(file: PhotoFile, encoder: Encoder) -> Picture:
    """Return a picture as it is read.

    Raises: OSError, PhotoError: it cannot be read.
    """
    pixels = read_pixels(file, LONGEST_PX)
    square = encoder_square(pixels, encoder.preprocessing)
    return Picture(name=file.member or file.path, jpeg=jpeg(pixels), square=square, hog=hog_of(pixels))


ALL_UP_TO = 8  # originals: so many are all shown with every question
CHOICES = 6  # else
MOST_CHOICES = 9  # a key each


@dataclass(frozen=True, kw_only=True, slots=True)
class QuizQuestion:
    """Which of these photos is the result made of? wish: the digest of what the result was asked to be."""

    result_id: int
    wish: str
    choice_ids: tuple[int, ...]  # photo ids, in the order shown


@dataclass(frozen=True, slots=True)
class Quiz:
    """Questions in the order in which they are asked."""

    seed: int
    questions: tuple[QuizQuestion, ...]

    @property
    def id(self) -> str:
        """What tells this quiz from any other: 16 hex digits of a digest of its results, choices and order."""
        asked = [[question.result_id, question.wish, *question.choice_ids] for question in self.questions]
        return hashlib.sha256(json.dumps([self.seed, asked]).encode()).hexdigest()[:16]


def make_quiz(pairs: Sequence[Pair], seed: int = 0, choices: int | None = None) -> Quiz:
    """Return a quiz on these pairs; the wrong choices are the originals most similar to the right one.

    Args:
        pairs: of different originals.
        seed: of the order of the questions and of the choices.
        choices: with each question, 2 to 9; by default all originals up to 8, else 6.

    Raises: QueryError: fewer than two pairs, or choices that cannot be.
    """
    asked = [Asked(pair.result_id, pair.source_id, pair.wish) for pair in pairs]
    return ask(
        asked,
        np.stack([pair.original.vector for pair in pairs]) if pairs else np.empty((0, 1), np.float32),
        seed,
        choices,
    )


class Asked(NamedTuple):
    """A result that is asked about, the photo that it was made of, and the digest of what it was asked to be."""

    result_id: int
    source_id: int
    wish: str


def ask(asked: Sequence[Asked], originals: Floats, seed: int = 0, choices: int | None = None) -> Quiz:
    """Return a quiz on results of different photos; `originals`: (n, d), the photos' vectors. See `make_quiz`."""
    n = len(asked)
    if choices is not None and not 2 <= choices <= MOST_CHOICES:
        raise QueryError(f"{choices} choices cannot be shown with a question: give --choices 2 to {MOST_CHOICES}")
    if n < 2:
        raise QueryError(f"a quiz needs at least 2 restyled photos, not {n}: make more with `aliens restyle PHOTO`")
    shown = min(n, choices or (n if n <= ALL_UP_TO else CHOICES))
    likeness = cosines(originals, originals)
    np.fill_diagonal(likeness, np.inf)  # the right one is always among the choices
    order = random.Random(seed)
    questions = []
    for row, (result_id, _, wish) in enumerate(asked):
        near = np.argsort(-likeness[row], kind="stable")[:shown]
        choice_ids = [asked[column].source_id for column in near]
        order.shuffle(choice_ids)
        questions.append(QuizQuestion(result_id=result_id, wish=wish, choice_ids=tuple(choice_ids)))
    order.shuffle(questions)
    return Quiz(seed, tuple(questions))


def quiz_page(quiz: Quiz, pairs: Sequence[Pair], title: str = "Which photo was it?") -> str:
    """Return the page that asks a quiz. It stands alone, and hands out the answers as JSON (answer_sheets.py)."""
    by_result = {pair.result_id: pair for pair in pairs}
    right = [question.choice_ids.index(by_result[question.result_id].source_id) for question in quiz.questions]
    return render(
        TEMPLATES / "quiz.html",
        title=title,
        questions=len(quiz.questions),
        data={
            "quiz": quiz.id,
            "seed": quiz.seed,
            "key": base64.b64encode(json.dumps(right).encode()).decode("ascii"),
            "questions": [
                {
                    "result": question.result_id,
                    "choices": question.choice_ids,
                    "picture": data_uri(by_result[question.result_id].result.jpeg),
                }
                for question in quiz.questions
            ],
            "originals": {pair.source_id: data_uri(pair.original.jpeg) for pair in pairs},
        },
    )
