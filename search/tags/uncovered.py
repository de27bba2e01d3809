"""Words of a library's own photos that no tag covers: groups of photos without a tag, named by everyday words."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, InitVar, asdict, dataclass, field

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids, unit_or_zero
from base.console import counted
from base.listing import Listing
from base.progress import Progress, Step, silent
from db.tag_rows import all_labels
from embedding.encoder import Encoder
from embedding.segments import Vectors
from search.nonsense import NONSENSE
from search.tags.calibration import MUTED
from search.tags.suggesting import SampledPhotos, TextBoard
from search.tags.tagging import Tagging
from search.tags.vocabulary import Vocabulary, bare
from search.tags.word_list import everyday_words

MOST_GROUPED = 20_000  # photos without a tag that are grouped; more are sampled
COMPARED = 20_000  # photos of the whole library that words are centred and measured by
GROUPS, MOST_GROUPS = 20, 100
IN_A_GROUP = 15  # photos, about, from which there are more groups
FEW_GROUPED = 5_000
LEAST = 10  # photos without a tag that can be grouped
DRAWS = 100  # groups of photos at random that a name must be nearer than
# A name's cosine over that of the best of 62 words that mean nothing. Of 26 groups of real photos looked at, the one
# below it was a mixture, and the others had 1.6 and more. And over the best of DRAWS groups at random: names nearer to
# that than this (a shelf, a sturgeon, a swinging door) were wrong, all three.
OVER_NONSENSE, OVER_CHANCE = 1.3, 1.15
PLAIN = 0.95  # of words so near the best one the plainest names the group
SAID = 0.9  # a tag that is so near, as a share of the best word, says it already
CLOSE = 0.8  # cosine of a word and a tag, both centred, from which they say the same, as a couch and a sofa do
ALSO, EXAMPLES = 3, 10
JUDGED, FITTED, ROUGHLY = 22, 10, 6  # named groups of sample hotels and real photos, looked at


@dataclass(frozen=True, slots=True)
class Naming:
    """What a group of photos may be called.

    name: the word that is nearest to all of them; None where none is nearer than to photos at random, or than nonsense
    is. tag: the tag of the vocabulary that says it already, but was decided of none of them; then there is no name.
    also: other words that are near. nearness: mean cosine of the photos and the word, both centred (-1 to 1); chance:
    the most that a word has with photos at random; nonsense: the most that a word without meaning has here.
    """

    name: str | None
    tag: str | None
    also: list[str]
    nearness: float
    chance: float
    nonsense: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoGroup(Naming):
    """Photos without a tag that are alike, and what they may be called.

    photos: how many they are, of those grouped; about: in the whole library, an estimate where `estimated`. examples:
    ids.
    """

    photos: int
    about: int
    estimated: bool
    examples: list[int] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class UncoveredWords(Listing[PhotoGroup]):
    """Groups of photos without a tag, named ones first, then those that a tag says, then those without a name.

    untagged, photos: how many photos have no tag, of how many. grouped: how many of them were grouped.
    """

    columns = ("name", "tag", "about", "nearness", "also", "examples")

    found: InitVar[Iterable[PhotoGroup]] = ()
    _: KW_ONLY
    untagged: int
    photos: int
    grouped: int = 0
    notes: list[str]

    def __post_init__(self, found: Iterable[PhotoGroup]) -> None:
        super().__init__(found)

    @property
    def trust(self) -> str:
        """How far to trust the names; nothing where there are none."""
        named = any(group.name is not None for group in self)
        return (
            f"of {JUDGED} groups that we looked at, {FITTED} were named rightly, {ROUGHLY} roughly and "
            f"{JUDGED - FITTED - ROUGHLY} wrongly: look at the photos before you add a word"
            if named
            else ""
        )

    def words(self) -> list[str]:
        """Return every word that names a group, or is near one."""
        return list(
            dict.fromkeys(word for group in self if group.name is not None for word in (group.name, *group.also))
        )


def uncovered_words(
    session: Session,
    vectors: Vectors,
    encoder: Encoder,
    tagging: Tagging,
    *,
    groups: int = GROUPS,
    progress: Progress = silent,
) -> UncoveredWords:
    """Return groups of the photos that have no tag of a vocabulary, each with a word for it. Nothing is changed.

    `groups`: at most so many. The same each time, on the same photos. Raises: LibraryError: vectors are damaged.
    """
    untagged, scored = untagged_ids(session, vectors, tagging, progress)
    if len(untagged) < LEAST:
        few = counted(len(untagged), "photo")
        have = "has" if len(untagged) == 1 else "have"
        note = (
            f"{few} of {scored} {have} no tag: from {LEAST} on they can be grouped"
            if len(untagged)
            else f"every one of {scored} photos has a tag: no words are missing"
        )
        return UncoveredWords(untagged=len(untagged), photos=scored, notes=[note])
    board, whole = TextBoard(encoder, progress), SampledPhotos.of(vectors, COMPARED)
    sample = SampledPhotos.of(vectors, MOST_GROUPED, untagged)
    middle = whole.vectors.mean(axis=0)
    photos = unit_or_zero(sample.vectors - middle)
    words = WordsHere(board, tagging.vocabulary, whole, middle)
    found = []
    progress(Step("grouping photos", 0, len(photos)))
    for rows in clusters_of(photos, groups):
        group = words.named(photos[rows])
        about = round(len(rows) * len(untagged) / len(photos))
        estimated = len(photos) < len(untagged)
        centre = photos[rows].mean(axis=0)
        nearest = rows[np.argsort(-(photos[rows] @ centre), kind="stable")]
        found.append((group, len(rows), about, estimated, sample.ids[nearest].tolist()))
    progress(Step("grouping photos", len(photos), len(photos)))
    return UncoveredWords(
        put_in_one(found), untagged=len(untagged), photos=scored, grouped=len(photos), notes=tagging.notes
    )


def untagged_ids(session: Session, vectors: Vectors, tagging: Tagging, progress: Progress) -> tuple[Ids, int]:
    """Return the photos that have no tag, by the model or by what people say, and how many photos have scores."""
    ids = vectors.ids
    free = np.zeros(len(ids), np.bool_)
    scored = 0
    for part, decided, there in tagging.decisions(ids):
        free[part] = there & ~decided.any(axis=1)
        scored += int(there.sum())
        progress(Step("looking for photos without a tag", part.start + len(there), len(ids)))
    places = tagging.vocabulary.places()
    said = np.array(sorted({label.photo_id for label in all_labels(session) if bare(label.tag) in places}), np.int64)
    said = said[np.isin(said, ids)]
    if len(said):
        for photos in tagging.photos(ids=said.tolist()):
            known = ~np.isnan(photos.scores[:, 0])
            free[np.searchsorted(ids, photos.photo_ids)] = known & ~photos.decided.any(axis=1)
    return ids[free], scored


def clusters_of(photos: Floats, most: int) -> list[Ids]:
    """Return the rows of each group of photos (n, d), the largest group first: k-means of scikit-learn, seed 0."""
    from sklearn.cluster import KMeans

    count = max(1, min(most, len(photos) // IN_A_GROUP, len(np.unique(photos, axis=0))))
    starts = 10 if len(photos) <= FEW_GROUPED else 3  # a minute less, of as many photos as are grouped
    labels = KMeans(count, n_init=starts, max_iter=100, random_state=0).fit_predict(photos)
    found = [np.flatnonzero(labels == label) for label in range(count)]
    return sorted(filter(len, found), key=lambda rows: (-len(rows), rows[0]))


class WordsHere:
    """Everyday words as they stand in one library: centred by all words, as its photos are by all photos.

    Without centring one word that is near all texts, such as a room, would be the nearest to every group.
    """

    def __init__(self, board: TextBoard, vocabulary: Vocabulary, whole: SampledPhotos, middle: Floats) -> None:
        self._whole = unit_or_zero(whole.vectors - middle)
        self._vocabulary = vocabulary
        self._words = list(everyday_words())
        board.learn([*self._words, *NONSENSE, *(text for tag in vocabulary.tags for text in vocabulary.texts(tag))])
        vectors = np.stack([board.mean([word]) for word in self._words])
        nonsense = np.stack([board.mean([word]) for word in NONSENSE])
        tags = unit_or_zero(np.stack([board.mean(vocabulary.texts(tag)) for tag in vocabulary.tags]))
        centre = vectors.mean(axis=0)
        self._vectors, self._nonsense, self._tags = (unit_or_zero(each - centre) for each in (vectors, nonsense, tags))
        told = separated(whole.vectors, vectors, nonsense)
        places = vocabulary.places()
        self._is_tag = np.array([bare(word) in places for word in self._words])
        self._usable = told & ~self._is_tag
        self._random = np.random.default_rng(0)

    def named(self, photos: Floats) -> Naming:
        """Return what a group of centred unit vectors (n, d) may be called."""
        centre = photos.mean(axis=0)
        nearness = np.where(self._usable, self._vectors @ centre, -1)
        best = float(nearness.max())
        by_tag, nonsense = self._tags @ centre, float((self._nonsense @ centre).max())
        chance = max(float((self._vectors @ each).max()) for each in self._drawn(len(photos)))
        order = np.argsort(-nearness, kind="stable")
        near = [int(at) for at in order[: 4 * (ALSO + 1)] if nearness[at] >= PLAIN * best > 0]
        name = min(near, default=int(order[0]))  # the plainest: the list begins with them
        also = [self._words[at] for at in order[: ALSO + 1] if at != name][:ALSO]
        tag = int(by_tag.argmax())
        known = max(best, float(by_tag[tag]))
        if known <= OVER_CHANCE * chance or known < OVER_NONSENSE * nonsense:
            return Naming(None, None, [], best, chance, nonsense)
        saying = [tag] if by_tag[tag] >= SAID * best else self._saying(name)
        if saying:
            tag = max(saying, key=lambda place: float(by_tag[place]))
            also = [self._words[name], *also][:ALSO]
            return Naming(None, self._vocabulary.names[tag], also, float(by_tag[tag]), chance, nonsense)
        return Naming(self._words[name], None, also, float(nearness[name]), chance, nonsense)

    def _saying(self, word: int) -> list[int]:
        """Return the tags that say a word already: those that have it among their own, or are close to it as texts."""
        own = singular(self._words[word])
        close = self._tags @ self._vectors[word] >= CLOSE
        return [place for place, tag in enumerate(self._vocabulary.names) if own <= singular(tag) or close[place]]

    def _drawn(self, count: int) -> Floats:
        """Return the mean vectors of DRAWS groups of photos of the library at random, (DRAWS, d)."""
        count = min(count, len(self._whole))
        means = [self._whole[self._random.choice(len(self._whole), count, False)].mean(axis=0) for _ in range(DRAWS)]
        return np.stack(means)


def singular(name: str) -> set[str]:
    """Return the words of a tag without article, and without the plural's s: of two beds two and bed."""
    return {word.removesuffix("s") for word in bare(name).split()}


def separated(photos: Floats, words: Floats, nonsense: Floats) -> Bools:
    """Return which words the model can tell in the library, (w,): their cosines spread more than nonsense's do."""
    noise = float(np.median((photos @ nonsense.T).std(axis=0)))
    spread = np.concatenate([(photos @ part.T).std(axis=0) for part in np.array_split(words, 16)])
    told: Bools = 1 - np.square(noise / np.maximum(spread, 1e-9)) >= MUTED
    return told


def put_in_one(found: Iterable[tuple[Naming, int, int, bool, list[int]]]) -> list[PhotoGroup]:
    """Return groups of the same name, or of the same tag, as one, in the order of UncoveredWords."""
    together: dict[object, list[tuple[Naming, int, int, bool, list[int]]]] = {}
    for number, each in enumerate(found):
        naming = each[0]
        together.setdefault(naming.name or (naming.tag, None) if naming.name or naming.tag else number, []).append(each)
    groups = []
    for parts in together.values():
        naming = parts[0][0]
        turns = [ids[at] for at in range(EXAMPLES) for *_, ids in parts if at < len(ids)]
        groups.append(
            PhotoGroup(
                **asdict(naming),
                photos=sum(part[1] for part in parts),
                about=sum(part[2] for part in parts),
                estimated=parts[0][3],
                examples=turns[:EXAMPLES],
            )
        )
    return sorted(groups, key=lambda group: (group.name is None, group.tag is None, -group.photos))
