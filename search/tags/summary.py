"""Looking at tags: how many photos have each, which are sure or borderline, and plots of them. Decides nothing."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Longs
from base.errors import OutputError, QueryError
from base.files import atomic_write
from base.listing import Listing
from db.photo_rows import hotels_and_chains, photo_records
from embedding.lettering import outlined
from embedding.sheet import Section
from search.results import Hit, as_hit, hit_cells
from search.tags.calibration import SURE
from search.tags.evaluation import Evaluation, reliability
from search.tags.tagging import Tagging
from search.tags.truth import Truth

NO_CHAIN = "no chain"
EACH = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class TagCount:
    """How many photos have a tag; `by_hand` of them because a person said so.

    sure: how many of them surely have it; the others likely. muted: whether the model cannot tell it in this library.
    labels: how many labels taught how it is decided.
    """

    tag: str
    heading: str
    photos: int
    share: float  # of all tagged photos
    by_hand: int
    sure: int
    muted: bool
    labels: int = 0


@dataclass(eq=False, repr=False)
class TagSummary(Listing[TagCount]):
    """The tags of a whole library.

    untagged: photos with none of the tags. unscored: photos added since the last tagging.
    """

    tags: InitVar[Iterable[TagCount]]
    _: KW_ONLY
    vocabulary: str
    method: str
    threshold: float
    photos: int
    untagged: int
    unscored: int
    notes: list[str]

    def __post_init__(self, tags: Iterable[TagCount]) -> None:
        super().__init__(tags)


@dataclass(frozen=True, kw_only=True, slots=True)
class TagOfPhoto:
    """What is known of a photo and a tag; by_hand: what a person said, None where nobody did.

    labels: how many labels, of this photo or others, taught how the tag is decided.
    """

    tag: str
    probability: float
    cosine: float
    has: bool
    sure: bool  # that it has it; else likely
    by_hand: bool | None
    labels: int = 0


@dataclass(eq=False, repr=False)
class PhotoTags(Listing[TagOfPhoto]):
    """A photo's tags: those that it has first, each kind likeliest first.

    details: what a list that was added says of the photo besides.
    """

    tags: InitVar[Iterable[TagOfPhoto]]
    _: KW_ONLY
    photo_id: int
    path: str
    member: str
    notes: list[str]
    details: Mapping[str, Any]

    def __post_init__(self, tags: Iterable[TagOfPhoto]) -> None:
        super().__init__(tags)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainCount:
    """How many photos of a chain's hotels have each tag; `sure`: how many surely."""

    chain_id: int | None
    chain: str
    photos: int
    tags: dict[str, int]
    sure: dict[str, int]


def summarise(tagging: Tagging) -> TagSummary:
    """Count the photos of every tag, over the whole library."""
    names = tagging.vocabulary.names
    counts, sure = np.zeros((2, len(names)), np.int64)
    by_hand, photos, untagged = Counter[str](), 0, 0
    for batch in tagging.photos():
        counts += batch.decided.sum(axis=0)
        sure += batch.sure.sum(axis=0)
        photos += len(batch.decided)
        untagged += int((~batch.decided.any(axis=1)).sum())
        for labels in batch.labels.values():
            by_hand.update(tag for tag, present in labels.items() if present)
    return TagSummary(
        vocabulary=tagging.vocabulary.key,
        method=tagging.calibration.method,
        threshold=tagging.calibration.threshold,
        photos=photos,
        untagged=untagged,
        unscored=tagging.unscored,
        notes=[*tagging.notes, *tagging.cautions],
        tags=[
            TagCount(
                tag=tag.name,
                heading=tag.heading,
                photos=int(count),
                share=float(count / photos) if photos else 0.0,
                by_hand=by_hand[tag.name],
                sure=int(surely),
                muted=bool(mute),
                labels=labels,
            )
            for tag, count, surely, mute, labels in zip(
                tagging.vocabulary.tags,
                counts,
                sure,
                tagging.calibration.muted,
                tagging.calibration.labels,
                strict=True,
            )
        ],
    )


def photo_tags(tagging: Tagging, photo_id: int, details: Mapping[str, Any] | None = None) -> PhotoTags:
    """Return one photo's tags. Raises: QueryError: the photo is unknown or not embedded."""
    photo = tagging.photo(photo_id, ["path", "member"])
    said = photo.labels.get(photo_id, {})
    tags = [
        TagOfPhoto(
            tag=tag,
            probability=round(float(photo.probabilities[0, place]), 4),
            cosine=round(float(photo.scores[0, place]), 4),
            has=bool(photo.decided[0, place]),
            sure=bool(photo.sure[0, place]),
            by_hand=said.get(tag),
            labels=tagging.calibration.labels[place],
        )
        for place, tag in enumerate(tagging.vocabulary.names)
    ]
    tags.sort(key=lambda tag: (-tag.has, -tag.probability))
    path, member = (photo.columns[name][0].as_py() for name in ("path", "member"))
    return PhotoTags(tags, photo_id=photo_id, path=path, member=member, notes=trusted(tagging), details=details or {})


def trusted(tagging: Tagging) -> list[str]:
    """Return what people should know where they see some of the tags."""
    return [*tagging.notes, *filter(None, [tagging.trust])]


class ChainCounts(Listing[ChainCount]):
    """The chains, the largest first."""

    def __init__(self, chains: Iterable[ChainCount], *, notes: Sequence[str] = ()) -> None:
        super().__init__(chains)
        self.notes = list(notes)


def count_by_chain(session: Session, tagging: Tagging) -> ChainCounts:
    """Count the photos of every tag by chain, largest chain first."""
    hotels, chains = hotels_and_chains(session)
    places = {None: 0} | {chain_id: place for place, chain_id in enumerate(chains, start=1)}
    names = tagging.vocabulary.names
    counts, sure = np.zeros((2, len(places), len(names)), np.int64)
    photos = np.zeros(len(places), np.int64)
    place_of_hotel = {hotel_id: places.get(chain_id, 0) for hotel_id, (_, chain_id) in hotels.items()}
    for batch in tagging.photos(["hotel_id"]):
        rows = np.array([place_of_hotel.get(hotel_id, 0) for hotel_id in batch.columns["hotel_id"].to_pylist()])
        np.add.at(counts, rows, batch.decided)
        np.add.at(sure, rows, batch.sure)
        photos += np.bincount(rows, minlength=len(places))
    found = [
        ChainCount(
            chain_id=chain_id,
            chain=NO_CHAIN if chain_id is None else chains[chain_id],
            photos=int(photos[place]),
            tags=dict(zip(names, counts[place].tolist(), strict=True)),
            sure=dict(zip(names, sure[place].tolist(), strict=True)),
        )
        for chain_id, place in places.items()
        if photos[place]
    ]
    return ChainCounts(sorted(found, key=lambda chain: -chain.photos), notes=trusted(tagging))


def sheet_sections(session: Session, tagging: Tagging, tag: str) -> list[Section]:
    """Return the surest and the least sure photos that have a tag, the likeliest and least likely that do not.

    A hit's score is the tag's probability; what people say decides, as everywhere.

    Raises: QueryError: the vocabulary has no such tag.
    """
    place = tagging.vocabulary.position(tag)
    parts = [
        (photos.photo_ids, photos.probabilities[:, place], photos.decided[:, place], photos.sure[:, place])
        for photos in tagging.photos()
    ]
    if not parts:
        return []
    ids, probabilities, decided, sure = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(-probabilities, kind="stable")
    order = order[~np.isnan(probabilities[order])]
    has, others = order[decided[order]], order[~decided[order]]
    sections = (
        (f"surest of the {len(has)} photos that have it, {int(sure.sum())} of them surely", has[:EACH]),
        ("least sure of them", has[EACH:][::-1][:EACH]),
        (f"likeliest of the {len(others)} others", others[:EACH]),
        ("least likely", others[EACH:][::-1][:EACH]),
    )
    return [
        Section(heading, hit_cells(hits_of(session, ids[rows], probabilities[rows])))
        for heading, rows in sections
        if len(rows)
    ]


def hits_of(session: Session, ids: Longs, scores: Floats) -> Iterator[Hit]:
    """Yield photos as hits with these scores."""
    records = photo_records(session, ids.tolist())
    for photo_id, score in zip(ids.tolist(), scores.tolist(), strict=True):
        if photo_id in records:
            yield as_hit(records[photo_id], score)


COLUMNS = 5
CELL_INCHES = (2.6, 2.1)
BARS, CURVE, LINE, FAINT = "#6d9a86", "#8a3f6b", "#22262b", "#b9b4a8"
MOST_PLOTS = 300  # more would be a picture of tens of thousands of pixels
FORMATS = (".png", ".svg", ".pdf")


def write_report(tagging: Tagging, truth: Truth | None, path: Path) -> None:
    """Write a plot for every tag: how many photos have which probability, the threshold, and precision and recall.

    Without truth only the histograms. Raises: QueryError: the file cannot be written.
    """
    refuse_ending(path)
    if len(tagging.vocabulary.tags) > MOST_PLOTS:
        raise QueryError(f"{len(tagging.vocabulary.tags)} tags are too many to plot: up to {MOST_PLOTS} are possible")
    bins = np.linspace(0, 1, 41)
    counts = np.zeros((len(tagging.vocabulary.tags), len(bins) - 1), np.int64)
    photos = 0
    for batch in tagging.photos():
        photos += len(batch.probabilities)
        for place, values in enumerate(batch.probabilities.T):
            counts[place] += np.histogram(values[~np.isnan(values)], bins)[0]
    probabilities = tagging.calibration.probabilities(tagging.scores_of(truth.photo_ids)) if truth else None
    muted = set(tagging.muted)
    figure, axes = grid(len(counts))
    for place, (axis, name) in enumerate(zip(axes, tagging.vocabulary.names, strict=False)):
        axis.stairs(counts[place] / max(counts[place].max(), 1), bins, fill=True, color=BARS)
        if tagging.calibration.method != "softmax":
            axis.axvline(tagging.calibration.threshold, color=LINE, linewidth=1, linestyle="--")
            axis.axvline(SURE, color=LINE, linewidth=1, linestyle=":")
        title = f"{name} (cannot be told here)" if name in muted else name
        if truth is not None and probabilities is not None:
            known = ~np.isnan(truth.values[:, place]) & ~np.isnan(probabilities[:, place])
            has = truth.values[known, place] == 1
            if has.any():
                draw_precision_recall(axis, has, probabilities[known, place])
                title = f"{name} ({int(has.sum())} true)"
        axis.set_title(title, fontsize=9, parse_math=False)  # a tag may hold dollar signs
        axis.set(xlim=(0, 1), ylim=(0, 1.05))
    note = f"{tagging.vocabulary.key}, {tagging.calibration.method}, {photos} photos. Green: photos by probability "
    note += "(tallest bar 1); dashed: threshold; dotted: sure" + ("; purple: precision over recall" if truth else "")
    save_figure(figure, note, path)


def write_evaluation(evaluations: Sequence[Evaluation], title: str, path: Path) -> None:
    """Write average precision, F1 and reliability of one or several methods as one plot.

    Raises: QueryError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    refuse_ending(path)
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    axes = figure.subplot_mosaic([["precision", "precision", "reliability"], ["f1", "f1", "reliability"]])
    upper, lower, right = axes["precision"], axes["f1"], axes["reliability"]
    names = [tag.tag for tag in evaluations[0].measures.tags if tag.true]
    colours = ["#b9b4a8", "#d19a4a", "#6d9a86", "#8a3f6b", "#3f5f8a", "#22262b"]
    width = 0.8 / len(evaluations)
    for number, evaluation in enumerate(evaluations):
        tags = [tag for tag in evaluation.measures.tags if tag.true]
        at = np.arange(len(tags)) + (number - (len(evaluations) - 1) / 2) * width
        colour = colours[number % len(colours)]
        for axis, values in ((upper, [t.average_precision for t in tags]), (lower, [t.f1 for t in tags])):
            axis.bar(at, np.nan_to_num(values), width, color=colour, label=evaluation.method)
        known = ~np.isnan(evaluation.truth)
        mean, share, _ = reliability(evaluation.truth[known], evaluation.probabilities[known])
        error = evaluation.measures.calibration_error
        right.plot(mean, share, "o-", color=colour, label=f"{evaluation.method}: error {error:.3f}")
    for axis, what in ((upper, "average precision"), (lower, "F1 of the decisions")):
        axis.set_xticks(
            np.arange(len(names)),
            [outlined(name)[0] for name in names],
            rotation=40,
            ha="right",
            fontsize=8,
            parse_math=False,
        )
        axis.set(ylim=(0, 1), ylabel=what)
        axis.spines[["top", "right"]].set_visible(False)
    upper.legend(fontsize=8, ncols=len(evaluations), loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    right.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    right.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share that has the tag", title="reliability")
    right.legend(fontsize=8)
    save_figure(figure, title, path)


def draw_precision_recall(axis: Any, has: Bools, probabilities: NDArray[Any]) -> None:
    """Draw precision over recall."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(has, probabilities)
    axis.plot(recall, precision, color=CURVE, linewidth=1.3)


def grid(count: int) -> tuple[Any, list[Any]]:
    """Return a figure with a place for each of `count` plots, five in a row."""
    from matplotlib.figure import Figure

    rows = -(-count // COLUMNS)
    figure = Figure(figsize=(COLUMNS * CELL_INCHES[0], rows * CELL_INCHES[1] + 0.5), layout="constrained")
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axis in axes:
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def refuse_ending(path: Path) -> None:
    """Refuse a name that no picture can be written under, before the work is done.

    Raises: QueryError: it is such a name.
    """
    if path.suffix.lower() not in FORMATS:
        raise QueryError(f"a plot cannot be written as {path.name!r}: end its name in {', '.join(FORMATS)}")


def save_figure(figure: Any, title: str, path: Path) -> None:
    """Write a figure under a title, as a picture by the path's ending; its letters are of fonts that have them."""
    from matplotlib.font_manager import FontProperties, fontManager
    from matplotlib.text import Text

    figure.suptitle(title, fontsize=10, parse_math=False)
    texts = figure.findobj(Text)
    families = [*FontProperties().get_family()]
    for path_of_font in dict.fromkeys(font for text in texts for font in outlined(text.get_text())[1]):
        fontManager.addfont(path_of_font)
        families.append(FontProperties(fname=path_of_font).get_name())
    for text in texts:
        text.set_fontfamily(families)
        text.set_text(outlined(text.get_text())[0])
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lower()[1:], dpi=110)
    try:
        with atomic_write(path) as file:
            file.write(picture.getvalue())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
