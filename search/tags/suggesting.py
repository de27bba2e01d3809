"""Prompts that separate better: other ways to say a tag, tried on labels.

Every text is judged by the average precision of its ranking, and the mean of the best few takes the place of today's
prompts. What that gains is measured by folds over hotels: in each, texts are chosen by the other folds. A tag without
labels is left alone: nothing told good texts from bad ones there, better than chance does (docs/measured.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids, Longs, unit_or_zero
from base.console import counted, shell_word
from base.listing import Listing
from base.progress import Progress, Step, silent
from db.photo_rows import hotels_of
from embedding.encoder import Encoder
from embedding.scores import background_scores
from embedding.segments import Vectors
from search.nonsense import NONSENSE
from search.tags.calibration import INTERCEPT_EVIDENCE, SLOPE_EVIDENCE, Calibration, leads_of
from search.tags.links import FEWEST
from search.tags.tagging import TEXT_BATCH
from search.tags.trial_measures import best_of, compared, folds
from search.tags.trust import SAMPLE_PHOTOS
from search.tags.truth import Truth
from search.tags.vocabulary import Tag, Vocabulary, bare
from search.tags.word_list import TriedText, phrasings, tags_named

MOST_LABELLED = 5_000  # photos whose labels judge; more are sampled
EXAMPLES = 10  # photos of each kind


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptSuggestion:
    """Prompts that would tell a tag better than today's.

    before, after: average precision over the labels (0 to 1; after by folds over hotels, the others chose). gain:
    after - before, with the 95 % interval low to high, by drawing hotels anew. labelled, true: photos with a label, and
    those of them that have the tag; hotels: of which they are, a photo of no hotel for itself. photos: looked at;
    texts: tried. comes_in, drops_out: how many photos of the library would get the tag or lose it by the default rule,
    an estimate where not all were looked at; came, dropped: ids of those that change most; surest: of those that the
    suggested prompts fit best.
    """

    tag: str
    today: list[str]
    suggested: list[str]
    before: float
    after: float
    gain: float
    low: float
    high: float
    labelled: int
    true: int
    hotels: int
    photos: int
    texts: int
    comes_in: int
    drops_out: int
    came: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    surest: list[int] = field(default_factory=list)

    @property
    def rests_on(self) -> str:
        """What the figures rest on, in words."""
        return f"{counted(self.labelled, 'label')} ({self.true} yes) of {counted(self.hotels, 'hotel')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TriedResult:
    """A user's text in place of a tag's prompts: fields as of PromptSuggestion. Nothing was chosen by the labels."""

    text: str
    tag: str
    before: float
    after: float
    low: float
    high: float
    used: bool = False  # it is among the suggested prompts


@dataclass(eq=False, repr=False)
class PromptSuggestions(Listing[PromptSuggestion]):
    """Tags whose prompts could be better, those that gain most first.

    vocabulary: its key. tags: how many were judged, by labels. tried: what became of the user's texts for these.
    estimated: only a sample of the photos was looked at.
    """

    columns = ("tag", "today", "suggested", "before", "after", "low", "high")

    found: InitVar[Iterable[PromptSuggestion]] = ()
    _: KW_ONLY
    vocabulary: str
    tags: int = 0
    photos: int = 0
    estimated: bool = False
    tried: list[TriedResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self, found: Iterable[PromptSuggestion]) -> None:
        super().__init__(found)


class TextBoard:
    """Unit vectors of texts, each encoded once."""

    def __init__(self, encoder: Encoder, progress: Progress = silent) -> None:
        self._encoder, self._progress = encoder, progress
        self._known: dict[str, Floats] = {}

    @property
    def scale(self) -> float:
        """The model's logit scale."""
        return self._encoder.logit_scale

    def learn(self, texts: Iterable[str]) -> None:
        """Encode texts that are not known yet."""
        absent = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(absent), TEXT_BATCH):
            batch = absent[start : start + TEXT_BATCH]
            self._known |= dict(zip(batch, self._encoder.encode_texts(batch), strict=True))
            if len(absent) > TEXT_BATCH:
                self._progress(Step("encoding texts", start + len(batch), len(absent), "texts"))

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Return the unit vectors of texts, (m, d)."""
        self.learn(texts)
        return np.stack([self._known[text] for text in texts])

    def mean(self, texts: Sequence[str]) -> Floats:
        """Return the mean vector of texts, (d,)."""
        mean: Floats = self.vectors(texts).mean(axis=0)
        return mean


@dataclass(frozen=True, slots=True)
class SampledPhotos:
    """Photos spread evenly over a library by their ids: ids (n,), unit vectors (n, d), of `total` photos."""

    ids: Ids
    vectors: Floats
    total: int

    @classmethod
    def of(cls, vectors: Vectors, count: int = SAMPLE_PHOTOS, among: Ids | None = None) -> "SampledPhotos":
        """Return at most `count` of the photos, or of those `among` them: the same each time."""
        ids = vectors.ids if among is None else among
        ranks = np.unique(np.linspace(0, max(len(ids) - 1, 0), min(count, len(ids))).astype(np.int64))
        return cls(ids[ranks], vectors.gather(ids[ranks]), len(ids))


@dataclass(frozen=True, slots=True)
class LabelledTrial:
    """What is known of photos with vectors: values (n, t), 1, 0 or NaN, vectors (n, d), groups (n,) such as hotels."""

    values: Floats
    vectors: Floats
    groups: Longs

    @classmethod
    def of(cls, session: Session, vectors: Vectors, truth: Truth) -> "LabelledTrial":
        """Return the truth of photos that can be found, at most MOST_LABELLED; a photo of no hotel is its own group."""
        ids = np.array(truth.photo_ids, np.int64)
        here = vectors.locate(ids)[0] >= 0 if len(ids) else np.zeros(0, np.bool_)
        at = np.flatnonzero(here)
        at = at[np.unique(np.linspace(0, max(len(at) - 1, 0), min(MOST_LABELLED, len(at))).astype(np.int64))]
        ids, values = ids[at], truth.values[at]
        hotels = hotels_of(session, ids.tolist())
        names = [str(hotels.get(i, (None, None))[0] or f"photo {i}") for i in ids.tolist()]
        groups = np.unique(names, return_inverse=True)[1] if names else np.empty(0, np.int64)
        return cls(values, vectors.gather(ids), groups.astype(np.int64))


class Trial:
    """Prompts compared on one library: by labels, and what would change in a sample of its photos."""

    def __init__(
        self, vocabulary: Vocabulary, sample: SampledPhotos, labelled: LabelledTrial, board: TextBoard, threshold: float
    ) -> None:
        self.vocabulary, self.sample, self.labelled, self.board = vocabulary, sample, labelled, board
        self._least = (np.log(threshold / (1 - threshold)) - INTERCEPT_EVIDENCE) / SLOPE_EVIDENCE

    @cached_property
    def noise(self) -> float:
        """The spread of words that mean nothing, as `search.tags.trust` has it."""
        texts = self.board.vectors(NONSENSE)
        return float(np.median((self.sample.vectors @ texts.T).std(axis=0)))

    @cached_property
    def background(self) -> Floats:
        """How well the sample's photos fit the vocabulary's background, (n,)."""
        texts = self.board.vectors(self.vocabulary.background)
        return background_scores(self.sample.vectors, texts, self.board.scale)

    def known(self, place: int) -> Bools:
        """Return of which labelled photos it is known whether they have a tag, (n,)."""
        known: Bools = ~np.isnan(self.labelled.values[:, place])
        return known

    def can_be_judged(self, place: int) -> bool:
        """Tell whether there are enough labels of a tag of both kinds, each of two hotels and more."""
        known = self.known(place)
        has, groups = self.labelled.values[known, place] == 1, self.labelled.groups[known]
        return all(kind.sum() >= FEWEST["platt"] and len(np.unique(groups[kind])) >= 2 for kind in (has, ~has))

    def means(self, prompts: Sequence[str]) -> Floats:
        """Return the mean vectors of prompts in the vocabulary's templates, (m, d)."""
        texts = [self.vocabulary.texts(Tag("", (prompt,))) for prompt in prompts]
        self.board.learn(text for each in texts for text in each)
        return np.stack([self.board.mean(each) for each in texts])

    def candidates(self, tag: Tag, own: Sequence[str]) -> list[str]:
        """Return prompts to try for a tag: today's, those of the list and the user's, these also in templates."""
        by_tag, templates = phrasings()
        said = [text for name in dict.fromkeys(map(bare, (tag.name, *tag.prompts))) for text in by_tag.get(name, ())]
        plain = list(dict.fromkeys([*tag.prompts, *said, *own]))
        if self.vocabulary.templates != ("{}",):
            return plain
        return list(dict.fromkeys([*tag.prompts, *(t.replace("{}", text) for text in plain for t in templates)]))

    def evidence(self, vector: Floats) -> Floats:
        """Return e of the sample's photos by a text's vector, (n,): see search.tags.calibration."""
        cosines = self.sample.vectors @ unit_or_zero(vector)
        leads = leads_of(cosines[:, np.newaxis], self.background)[:, 0]
        tiny = float(np.finfo(np.float32).tiny)
        signal = max(0.0, 1 - (self.noise / max(float(cosines.std()), tiny)) ** 2)
        evidence: Floats = (leads - leads.mean()) / max(float(leads.std()), tiny) * np.sqrt(signal)
        return evidence.astype(np.float32)

    def standardised(self, vectors: Floats, rows: Bools) -> Floats:
        """Return the labelled photos' cosines with texts (m, d), (r, m), in standard deviations over the sample."""
        units = unit_or_zero(vectors)
        over = self.sample.vectors @ units.T
        scores: Floats = (self.labelled.vectors[rows] @ units.T - over.mean(axis=0)) / np.maximum(
            over.std(axis=0), 1e-9
        )
        return scores

    def better(self, place: int, own: Sequence[str]) -> PromptSuggestion | None:
        """Return prompts that tell a tag better by its labels, or None where none do beyond noise."""
        tag, rows = self.vocabulary.tags[place], self.known(place)
        has, groups = self.labelled.values[rows, place] == 1, self.labelled.groups[rows]
        prompts = self.candidates(tag, own)
        means = self.means(prompts)
        today = self.board.mean(self.vocabulary.texts(tag))
        scores, before = self.standardised(means, rows), self.standardised(today[np.newaxis], rows)[:, 0]
        after = before.copy()
        for others, judged in folds(has, groups):
            chosen = best_of(has[others], scores[others])
            after[judged] = self.standardised(means[chosen].mean(axis=0)[np.newaxis], rows)[judged, 0]
        values, low, high = compared(has, before, after, groups)
        chosen = best_of(has, scores)
        if not low > 0 or {prompts[at] for at in chosen} == set(tag.prompts):
            return None
        return PromptSuggestion(
            tag=tag.name,
            today=list(tag.prompts),
            suggested=[prompts[at] for at in chosen],
            before=values[0],
            after=values[1],
            gain=values[1] - values[0],
            low=low,
            high=high,
            labelled=int(rows.sum()),
            true=int(has.sum()),
            hotels=len(np.unique(groups)),
            photos=len(self.sample.ids),
            texts=len(prompts),
            **self.changes(today, means[chosen].mean(axis=0)),
        )

    def changes(self, today: Floats, new: Floats) -> dict[str, Any]:
        """Return how many photos of the sample come in and drop out by new prompts, and which of them change most."""
        before, after = self.evidence(today), self.evidence(new)
        had, has = before >= self._least, after >= self._least
        change = after - before
        came, dropped = np.flatnonzero(has & ~had), np.flatnonzero(had & ~has)
        return {
            "comes_in": round(len(came) * self.sample.total / len(had)),
            "drops_out": round(len(dropped) * self.sample.total / len(had)),
            "came": self.sample.ids[came[np.argsort(-change[came], kind="stable")][:EXAMPLES]].tolist(),
            "dropped": self.sample.ids[dropped[np.argsort(change[dropped], kind="stable")][:EXAMPLES]].tolist(),
            "surest": self.sample.ids[np.argsort(-after, kind="stable")[:EXAMPLES]].tolist(),
        }

    def of_own(self, place: int, text: str, suggestion: PromptSuggestion | None) -> TriedResult:
        """Return how a user's text does alone in place of a tag's prompts."""
        tag = self.vocabulary.tags[place]
        today, new = self.board.mean(self.vocabulary.texts(tag)), self.means([text])[0]
        said = {template.replace("{}", text) for template in phrasings()[1]}
        used = suggestion is not None and not said.isdisjoint(suggestion.suggested)
        rows = self.known(place)
        scores = self.standardised(np.stack([today, new]), rows)
        has, groups = self.labelled.values[rows, place] == 1, self.labelled.groups[rows]
        (before, after), low, high = compared(has, scores[:, 0], scores[:, 1], groups)
        return TriedResult(text=text, tag=tag.name, before=before, after=after, low=low, high=high, used=used)


def suggest_prompts(
    session: Session,
    vectors: Vectors,
    encoder: Encoder,
    vocabulary: Vocabulary,
    calibration: Calibration,
    truth: Truth,
    *,
    tags: Sequence[str] = (),
    tried: Sequence[TriedText] = (),
    progress: Progress = silent,
) -> PromptSuggestions:
    """Return prompts that would tell a vocabulary's tags better than today's, by labels. Nothing is changed.

    Args:
        session: of the library.
        vectors: of all photos.
        encoder: of the library's model.
        vocabulary: whose tags are looked at.
        calibration: how they are decided today.
        truth: what is known of photos' tags; may be empty, and then a note says how many labels are enough.
        tags: only these; by default all that are not muted.
        tried: the user's texts.
        progress: told of texts and tags.

    Raises: QueryError: there is no such tag. LibraryError: a part of the vectors is absent or damaged.
    """
    board = TextBoard(encoder, progress)
    sample, labelled = SampledPhotos.of(vectors), LabelledTrial.of(session, vectors, truth)
    threshold = calibration.threshold if calibration.method == "signal" else 0.5
    trial = Trial(vocabulary, sample, labelled, board, threshold)
    asked = tags or [tag.name for tag in vocabulary.tags if tag.name not in vocabulary.muted]
    named = [each.tag for each in tried if each.tag is not None]
    places = list(dict.fromkeys(map(vocabulary.position, (*asked, *named))))
    own, placed = meant_for(vocabulary, places, tried, board)
    judged = [place for place in places if trial.can_be_judged(place)]
    board.learn(texts_ahead(trial, judged, own))
    found: list[PromptSuggestion] = []
    results = []
    for number, place in enumerate(judged, start=1):
        suggestion = trial.better(place, own.get(place, []))
        if suggestion is not None:
            found.append(suggestion)
        results += [trial.of_own(place, text, suggestion) for text in own.get(place, [])]
        progress(Step("trying prompts", number, len(judged), "tags"))
    typed = [each.text for each in tried]
    lacking = [vocabulary.names[place] for place in places if place not in judged]
    return PromptSuggestions(
        sorted(found, key=lambda each: -each.gain),
        vocabulary=vocabulary.key,
        tags=len(judged),
        photos=len(sample.ids),
        estimated=len(sample.ids) < sample.total,
        tried=sorted(results, key=lambda each: typed.index(each.text)),
        notes=[*placed, *about_labels(trial, lacking, truth), *truth.notes],
    )


def texts_ahead(trial: Trial, places: Sequence[int], own: dict[int, list[str]]) -> Iterator[str]:
    """Yield every text that will be needed, so that they are encoded in whole batches."""
    yield from (*NONSENSE, *trial.vocabulary.background)
    for place in places:
        tag = trial.vocabulary.tags[place]
        yield from trial.vocabulary.texts(tag)
        for prompt in trial.candidates(tag, own.get(place, [])):
            yield from trial.vocabulary.texts(Tag("", (prompt,)))


def meant_for(
    vocabulary: Vocabulary, places: Sequence[int], tried: Sequence[TriedText], board: TextBoard
) -> tuple[dict[int, list[str]], list[str]]:
    """Return {tag's place: texts to try}, and notes on texts that were given to the nearest of the tags at `places`."""
    own: dict[int, list[str]] = {}
    notes = []
    board.learn(each.text for each in tried)
    for each in tried:
        named = [each.tag] if each.tag is not None else tags_named(vocabulary, each.text)
        meant = [place for place in map(vocabulary.position, named) if place in places or each.tag is not None]
        if not meant and places:
            means = unit_or_zero(np.stack([board.mean(vocabulary.texts(vocabulary.tags[place])) for place in places]))
            meant = [places[int((means @ board.mean([each.text])).argmax())]]
            if len(places) > 1:
                nearest = vocabulary.names[meant[0]]
                notes.append(f"{each.text!r} names no tag, so it was tried for the nearest, {nearest!r}")
        for place in meant:
            own.setdefault(place, []).append(each.text)
    return own, notes


def about_labels(trial: Trial, lacking: Sequence[str], truth: Truth) -> list[str]:
    """Return what people should know of the labels, in words; `lacking`: tags that have too few."""
    notes = []
    if len(trial.labelled.groups) == MOST_LABELLED < len(truth.photo_ids):
        notes.append(f"labels of {MOST_LABELLED} photos, spread evenly, were used of {len(truth.photo_ids)}")
    if lacking:
        one, fewest = len(lacking) == 1, FEWEST["platt"]
        few, those = (repr(lacking[0]), "it") if one else (f"{len(lacking)} tags", "each")
        command = f"`aliens label {shell_word(lacking[0])}`" if one else "`aliens label`"
        notes.append(
            f"too few labels to judge prompts of {few}: {fewest} photos that have {those} and {fewest} that have not "
            f"are enough, each of two hotels or more; {command} asks for them"
        )
    return notes
