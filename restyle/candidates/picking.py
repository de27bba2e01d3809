"""The whole way from a pool of photos to candidates: open, measure, judge, pick. Asks no database, prints nothing."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Any, Literal

import numpy as np

from base.arrays import Floats
from base.console import counted
from base.errors import QueryError
from base.files import PhotoFile
from base.listing import Listing
from base.progress import Progress, Step, silent
from db.photo_rows import PhotoRecord
from embedding.encoder import Encoder
from embedding.quality import UNWANTED_FROM, Guesser, same_shot, spoilt
from embedding.sheet import Cell, Section, gallery_html, write_sheet
from restyle.candidates.gates import Looked, Rejection, look, rejected
from restyle.candidates.measures import Measures
from restyle.palettes import Palette
from restyle.picks import Pick, PickList, write_picks

Kind = Literal["detailed", "opposite-palette", "minimal"]
Strategy = Literal["mixed", "detailed", "opposite-palette", "minimal"]
KINDS: tuple[Kind, ...] = ("detailed", "opposite-palette", "minimal")

SHORTLIST_SHARE = 0.05  # of the photos that are left: picks are spread among the strongest twentieth,
SHORTLIST_LEAST = 4  # or among so many
MOST = 0.5  # of the photos: what a reason has to tell a photo from
LEAST_WARM = 0.1  # of a photo whose palette is opposed: a red cushion makes none


@dataclass(frozen=True, slots=True)
class Picked:
    """A photo to restyle: the kind that it was picked as, and the reasons in words, measured against so many photos."""

    looked: Looked
    kind: Kind
    reasons: tuple[str, ...]
    among: int

    @property
    def cell(self) -> Cell:
        """The photo for a contact sheet: its number and hotel, or else its folder; then the reasons."""
        record = self.looked.record
        hotel = record.hotel_name or (f"hotel {record.hotel_id}" if record.hotel_id else Path(record.path).parent.name)
        return Cell(PhotoFile(record.path, record.member), (f"photo {record.photo_id}  {hotel}", *self.reasons))

    def as_json(self) -> dict[str, Any]:
        """Return its values by their names."""
        looked, record = self.looked, self.looked.record
        return {
            "photo_id": record.photo_id,
            "hotel_id": record.hotel_id,
            "hotel_name": record.hotel_name,
            "kind": self.kind,
            "why": list(self.reasons),
            "measures": {name: round(value, 4) for name, value in asdict(looked.measures).items()},
            "width_px": looked.width_px,
            "height_px": looked.height_px,
            "sha256": looked.sha256,
            "path": record.path,
            "member": record.member,
        }

    @property
    def why(self) -> str:
        """The reasons as one text: "more outlines than 96 % of 240 photos"."""
        return f"{'; '.join(self.reasons)} of {counted(self.among, 'photo')}"

    @property
    def figures(self) -> str:
        """What was measured of what counts for its kind."""
        m = self.looked.measures
        return {
            "detailed": f"edge density {m.edge_density:.2f}, entropy of lightness {m.entropy_bits:.1f} bits",
            "opposite-palette": f"warm {m.warm:.2f}, distance to the palette {m.palette_distance:.1f} in protan L*b*",
            "minimal": f"flat {m.flat:.2f}, edge density {m.edge_density:.2f}, {m.colours:.0f} colours",
        }[self.kind]


class Picker:
    """Picks among photos that passed the gates; deterministic.

    The next photo of a kind is, among the strongest twentieth of the photos left, the one with the greatest product of
    strength and distance to what is picked: a weighted k-centre (farthest-first) traversal of the unit vectors.

    Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance", weighted by strength.
    """

    def __init__(self, photos: Sequence[Looked], vectors: Floats) -> None:
        """`photos`: m of them, with unit vectors (m, d)."""
        self._photos = photos
        self._vectors = vectors
        self._strengths = {kind: np.array([strength(kind, photo.measures) for photo in photos]) for kind in KINDS}
        self._left = np.ones(len(photos), bool)
        self._nearest = np.full(len(photos), -1.0, np.float32)  # cosine with the nearest photo that is picked
        self._places: list[int] = []
        self.picked: list[Picked] = []
        self.rejected: list[Rejection] = []

    def pick(self, kind: Kind) -> Picked | None:
        """Pick one more photo of a kind; None where none is left. Near-duplicates of picked ones are rejected."""
        while (place := self._best(kind)) is not None:
            self._left[place] = False
            photo = self._photos[place]
            if reason := self._repeats(place):
                self.rejected.append(rejected(photo.record, "near-duplicate", reason))
                continue
            self._nearest = np.maximum(self._nearest, self._vectors @ self._vectors[place])
            self._places.append(place)
            pick = Picked(photo, kind, self._reasons(kind, photo.measures), len(self._photos))
            self.picked.append(pick)
            return pick
        return None

    def _best(self, kind: Kind) -> int | None:
        """Return the place of the photo to pick next, or None; photos of hotels that have none go first."""
        strengths = self._strengths[kind]
        left = self._left & (strengths > 0)
        hotels = {photo.looked.record.hotel_id for photo in self.picked} - {None}
        fresh = np.array([photo.record.hotel_id not in hotels for photo in self._photos], bool)
        candidates = np.flatnonzero(left & fresh if (left & fresh).any() else left)
        if not len(candidates):
            return None
        strongest = sorted(candidates.tolist(), key=lambda i: (-strengths[i], self._photos[i].record.photo_id))
        shortlist = strongest[: max(SHORTLIST_LEAST, round(len(strongest) * SHORTLIST_SHARE))]
        if not self.picked:
            return int(shortlist[0])
        value = strengths[shortlist] * (1 - self._nearest[shortlist])
        return int(shortlist[int(np.argmax(value))])

    def _repeats(self, place: int) -> str | None:
        for other in self._places:
            cosine = float(self._vectors[place] @ self._vectors[other])
            other_id = self._photos[other].record.photo_id
            if reason := same_shot(self._photos[place], self._photos[other], cosine, f"photo {other_id}"):
                return reason
        return None

    def _reasons(self, kind: Kind, m: Measures) -> tuple[str, ...]:
        """Return in everyday words why a photo is of a kind: what tells it from most, or else the first thing."""
        said = {
            "detailed": [
                ("more outlines than", self._beaten("edge_density", m)),
                ("more shades of light than", self._beaten("entropy_bits", m)),
            ],
            "opposite-palette": [
                (f"{100 * m.warm:.0f} % of it peach, pink or red, more than", self._beaten("warm", m)),
                ("farther from the palette's colours than", self._beaten("palette_distance", m)),
            ],
            "minimal": [
                (f"{100 * m.flat:.0f} % of it bare, more than", self._beaten("flat", m)),
                ("fewer outlines than", self._beaten("edge_density", m, below=True)),
                (f"about {m.colours:.0f} colours, fewer than", self._beaten("colours", m, below=True)),
            ],
        }[kind]
        telling = [(words, share) for words, share in said if share > MOST] or said[:1]
        return tuple(f"{words} {math.floor(100 * share)} %" for words, share in telling)

    def _beaten(self, name: str, measures: Measures, below: bool = False) -> float:
        """Return the share of the photos with lower, or higher, values."""
        values = np.array([getattr(photo.measures, name) for photo in self._photos])
        value = getattr(measures, name)
        return float((values > value).mean() if below else (values < value).mean())


def strength(kind: Kind, measures: Measures) -> float:
    """Return how strongly a photo is of a kind, 0 where it is none; only photos of one kind compare."""
    if kind == "detailed":
        return measures.detail
    if kind == "opposite-palette":
        return measures.opposition if measures.warm >= LEAST_WARM else 0.0
    return measures.minimalism


def in_turn(strategy: Strategy) -> Iterator[tuple[Kind, ...]]:
    """Yield, for each pick, the kinds to try: one, or all three, of which each goes first in turn."""
    if strategy != "mixed":
        yield from repeat((strategy,))
    for first in cycle(range(len(KINDS))):
        yield KINDS[first:] + KINDS[:first]


GUESSED = {"text": "looks like text, a plan or a logo", "people": "looks like a photo of people"}


class Candidates(Listing[Picked]):
    """Photos that were picked, with reasons; what was rejected and why, and how many passed every gate.

    opened: photos looked at. asked: query and tags, strategy: the kinds that were wanted, palette: what colours are
    opposed to, library: its folder: where the list comes from. engine: what they are to be restyled by. notes: what
    people should know besides.
    """

    columns = ("photo_id", "hotel_name", "kind", "why", "path")

    def __init__(
        self,
        picks: Iterable[Picked],
        rejected: Sequence[Rejection],
        fit: int,
        *,
        opened: int,
        strategy: str,
        asked: str = "",
        palette: str = "",
        library: str = "",
        engine: str = "",
    ) -> None:
        super().__init__(picks)
        self.rejected = list(rejected)
        self.fit = fit
        self.opened = opened
        self.strategy = strategy
        self.asked = asked
        self.palette = palette
        self.library = library
        self.engine = engine
        self.notes: list[str] = []

    @property
    def rejections(self) -> dict[str, int]:
        """How many photos were rejected, by kind, most first."""
        return dict(Counter(rejection.kind for rejection in self.rejected).most_common())

    def remarks(self, n: int) -> list[str]:
        """Return what is to be said of the choice as a whole, where n were wanted."""
        counts = ", ".join(f"{count} {kind}" for kind, count in self.rejections.items())
        lines = [
            f"{counted(self.opened, 'photo')} looked at, {len(self.rejected)} rejected"
            + (f" ({counts}): --rejected lists them" if counts else "")
        ]
        if len(self) < n:
            lines.append(f"only {len(self)} of {n}: the others are not fit, or not of that kind; try a larger --pool")
        return lines

    def sections(self) -> list[Section]:
        """Return the picks for a contact sheet, kind by kind, the reasons below each photo."""
        kinds = dict.fromkeys(pick.kind for pick in self)
        return [Section(kind, [pick.cell for pick in self if pick.kind == kind]) for kind in kinds]

    def write_sheet(self, path: str | Path) -> None:
        """Write a contact sheet. Raises: QueryError, OutputError: as embedding.sheet.write_picture."""
        asked = f", {self.asked}" if self.asked else ""
        write_sheet(self.sections(), f"candidates: {self.strategy}{asked}", Path(path))

    def as_picks(self) -> PickList:
        """Return the picks as a list that `restyle` takes. Raises: QueryError: there are none."""
        if not len(self):
            raise QueryError("nothing was picked: there is nothing to restyle")
        picks = tuple(
            Pick(
                photo_id=pick.looked.record.photo_id,
                path=pick.looked.record.path,
                member=pick.looked.record.member,
                kind=pick.kind,
                why=pick.why,
            )
            for pick in self
        )
        return PickList(
            picks=picks,
            created=datetime.now(UTC).replace(microsecond=0),
            library=self.library,
            query=self.asked,
            strategy=self.strategy,
            palette=self.palette,
            engine=self.engine,
        )

    def write_picks(self, path: str | Path) -> None:
        """Write the picks as a file that `restyle` takes, and people may edit.

        Raises:
            QueryError: there are none.
            OutputError: the file cannot be written.
        """
        if not len(self):
            raise QueryError(f"{path} was not written: there is nothing to restyle")
        write_picks(self.as_picks(), Path(path))

    def _repr_html_(self) -> str:
        return gallery_html([pick.cell for pick in self], f"candidates: {self.strategy}", "; ".join(self.notes))


def choose(
    records: Sequence[PhotoRecord],
    vectors: Floats,
    palette: Palette,
    *,
    n: int,
    strategy: Strategy = "mixed",
    encoder: Encoder | None = None,
    progress: Progress = silent,
) -> Candidates:
    """Pick n of the photos to restyle; fewer where fewer are fit. The same pool gives the same picks.

    Args:
        records: the pool, m photos; each of them is opened.
        vectors: their unit vectors, (m, d).
        palette: what colours are opposed to.
        n: how many.
        strategy: which kinds.
        encoder: the model of the vectors, which guesses what is text and what shows people; None: nobody guesses.
        progress: called with the number of photos opened, and of all.
    """
    looked: list[Looked] = []
    places: list[int] = []
    refused: list[Rejection] = []
    for place, seen in enumerate(looks(records, palette, progress)):
        if isinstance(seen, Rejection):
            refused.append(seen)
        elif reason := spoilt(seen.measures):
            refused.append(rejected(seen.record, *reason))
        else:
            looked.append(seen)
            places.append(place)
    unwanted = guessed([photo.record for photo in looked], vectors[places], encoder)
    refused += unwanted.values()
    fit = [at for at, photo in enumerate(looked) if photo.record.photo_id not in unwanted]
    picker = Picker([looked[at] for at in fit], vectors[places][fit])
    for kinds in islice(in_turn(strategy), min(n, len(fit))):
        if not any(picker.pick(kind) for kind in kinds):
            break
    return Candidates(picker.picked, refused + picker.rejected, len(fit), opened=len(records), strategy=strategy)


def looks(records: Sequence[PhotoRecord], palette: Palette, progress: Progress) -> Iterator[Looked | Rejection]:
    """Yield what is seen of each photo, in order; several are opened at a time."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for done, seen in enumerate(pool.map(lambda record: look(record, palette), records), start=1):
            progress(Step("measuring", done, len(records)))
            yield seen
    finally:
        pool.shutdown(cancel_futures=True)


def guessed(records: Sequence[PhotoRecord], vectors: Floats, encoder: Encoder | None) -> dict[int, Rejection]:
    """Return, by photo id, the photos that the model takes for text or for people."""
    found: dict[int, Rejection] = {}
    if encoder is None or not records:
        return found
    for kind, sure in Guesser(encoder).guesses(vectors).items():
        for record, how_sure in zip(records, sure.tolist(), strict=True):
            if how_sure >= UNWANTED_FROM and record.photo_id not in found:
                reason = f"{GUESSED[kind]}: a guess of the library's model, {100 * how_sure:.0f} % sure"
                found[record.photo_id] = rejected(record, kind, reason)
    return found
