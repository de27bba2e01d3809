"""Judging a result: is the photo recognisable still, and how alien has it become. Chooses no settings.

Recognisable: structure above the floors, the photo itself the result's nearest neighbour in the library, its tags found
still. What cannot be asked, for want of a library, a model or tags, is left out, and the scores say so by None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from sqlalchemy.orm import Session

from base.arrays import Floats, Longs, Pixels
from base.progress import Progress, silent
from db.catalog import Catalog
from embedding.colour import encoder_square
from embedding.encoder import Encoder
from restyle.faces import Faces, faces_of
from restyle.floors import Floors, library_floors
from restyle.palettes import Palette
from restyle.protanopia import Colours, Visibility, colours_of, palette_distance, visibility
from restyle.structure import Likeness, Structure, compare, structure_of

# Of 1,259 photos copies have cosines of 0.9992 and more with the starter model, different photos of 0.9926 and less.
SAME_PICTURE = 0.996  # cosine from which on another photo of the library is a copy of this one, and no rival
NEIGHBOURS = 20  # of a photo, and of a result, that are looked at
LEAD = 0.01  # of cosine over any other photo: saved as JPEG or seen in another precision, it stays the nearest
CLEAR_DE, CLEAR_DISTANCE, CLEAR_MARGIN = 10.0, 10.0, 0.05  # what counts as one unit of style: see Scores.style


class Neighbours(Protocol):
    """What judging needs of the library's index."""

    def search(self, queries: Floats, k: int) -> tuple[Floats, Longs]:
        """Return cosines (n, k), best first, and photo ids (n, k)."""
        ...


class Tags(Protocol):
    """What judging needs of the library's tags."""

    def confident(self, photo_id: int) -> Sequence[str]:
        """Return the tags that a photo has without doubt."""
        ...

    def lost(self, vector: Floats, tags: Sequence[str]) -> Sequence[str]:
        """Return which of these tags a picture with this vector (d,) has not."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A photo that results are judged against.

    vector: of the library's model, (d,); None without a model. tags: those that must be found still; None: not known.
    neighbours: {photo: cosine} of those of the library that are most like it, itself among them. faces: and what keeps
    its own colours for them.
    """

    photo_id: int | None
    pixels: Pixels
    structure: Structure
    colours: Colours
    faces: Faces
    vector: Floats | None = None
    tags: tuple[str, ...] | None = None
    neighbours: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """What is measured of a result; None where it could not be asked.

    hog: correlation of oriented gradients, at most 1. edge_f1: of edges, 0..1. shift: share of the longer side.
    nearest: whether the photo itself is clearly the result's nearest neighbour in the library. cosine: with the photo.
    tags_lost: confident tags of the photo that the result has not. visibility: of the change, to a protanope.
    palette_distance: see restyle.style. prompt_margin: how much nearer the result is to the prompt than the photo is,
    a difference of cosines.
    """

    hog: float
    edge_f1: float
    shift: float
    visibility: Visibility
    palette_distance: float
    nearest: bool | None = None
    cosine: float | None = None
    tags_lost: tuple[str, ...] | None = None
    prompt_margin: float | None = None

    @property
    def style(self) -> float:
        """How alien the result is, higher is more: of recognisable attempts the one with the most is taken.

        The sum of three, each measured in what counts as clear: the change that a protanope sees (10 dE2000), the
        distance to the palette (10 units of L*b*, subtracted), the prompt margin (a cosine of 0.05).
        """
        margin = (self.prompt_margin or 0) / CLEAR_MARGIN
        return self.visibility.median_de / CLEAR_DE - self.palette_distance / CLEAR_DISTANCE + margin

    def failures(self, floors: Floors) -> list[str]:
        """Return in words why the photo is not recognisable; empty where it is."""
        said = [
            *floors.failures(Likeness(hog=self.hog, edge_f1=self.edge_f1, shift=self.shift)),
            "another photo of the library looks as much like it" if self.nearest is False else "",
            f"no longer seen in it: {', '.join(self.tags_lost)}" if self.tags_lost else "",
        ]
        return [reason for reason in said if reason]

    def as_json(self) -> dict[str, Any]:
        """Return the scores by their names, numbers rounded to four digits."""
        flat = asdict(self)
        flat |= {f"protan_{name}": value for name, value in flat.pop("visibility").items()} | {"style": self.style}
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in flat.items()}


class Judge:
    """Judges results by one palette and one set of floors, with whatever of a library there is."""

    def __init__(
        self,
        floors: Floors,
        palette: Palette,
        *,
        encoder: Encoder | None = None,
        neighbours: Neighbours | None = None,
        tags: Tags | None = None,
    ) -> None:
        self.floors = floors
        self.palette = palette
        self._encoder = encoder
        self._neighbours = neighbours
        self._tags = tags
        self._prompts: dict[str, Floats] = {}  # unit vectors (d,): every attempt at a photo is told the same

    def study(self, pixels: Pixels, photo_id: int | None = None) -> Subject:
        """Return what results of a photo are judged against.

        Args:
            pixels: the photo, (h, w, 3), at the size that results will have.
            photo_id: its number in the library, where it is in one.
        """
        vector = None if self._encoder is None else self._vector(pixels)
        tags = self._tags_of(photo_id, vector)
        near = {} if vector is None or photo_id is None else self._near(vector)
        faces = faces_of(pixels)
        return Subject(photo_id, pixels, structure_of(pixels), colours_of(pixels), faces, vector, tags, near)

    def _near(self, vector: Floats) -> dict[int, float]:
        """Return {photo: cosine} of the library's photos that are most like a vector (d,), the nearest first."""
        if self._neighbours is None:
            return {}
        scores, ids = self._neighbours.search(vector[None], NEIGHBOURS)
        return dict(zip(ids[0].tolist(), scores[0].tolist(), strict=True))

    def _tags_of(self, photo_id: int | None, vector: Floats | None) -> tuple[str, ...] | None:
        """Return a photo's tags that are seen in it now: small, or changed since it was added, it may lack some."""
        if self._tags is None or photo_id is None or vector is None:
            return None
        tags = self._tags.confident(photo_id)
        lost = self._tags.lost(vector, tags) if tags else ()
        return tuple(tag for tag in tags if tag not in lost)

    def score(self, subject: Subject, result: Pixels, prompt: str = "") -> Scores:
        """Return the scores of a result, (h, w, 3) of the photo's size."""
        likeness = compare(subject.structure, structure_of(result))
        colours = colours_of(result)
        vector = None if self._encoder is None else self._vector(result)
        return Scores(
            hog=likeness.hog,
            edge_f1=likeness.edge_f1,
            shift=likeness.shift,
            visibility=visibility(subject.colours, colours),
            palette_distance=palette_distance(colours, self.palette.leaf, self.palette.sky),
            nearest=self._is_nearest(subject, vector),
            cosine=None if vector is None or subject.vector is None else float(vector @ subject.vector),
            tags_lost=None if vector is None else self._lost(subject, vector),
            prompt_margin=self._margin(subject, vector, prompt),
        )

    def slack(self, subject: Subject, result: Pixels) -> float:
        """Return by how much a result's outlines and shapes lie above the floors; below 0, it is not recognised.

        Asks no model. The result, (h, w, 3), may be smaller than the photo.
        """
        likeness = compare(subject.structure, structure_of(result))
        return min(likeness.hog - self.floors.hog, likeness.edge_f1 - self.floors.edge_f1)

    def _vector(self, pixels: Pixels) -> Floats:
        assert self._encoder is not None
        square = encoder_square(pixels, self._encoder.preprocessing)
        vector: Floats = self._encoder.encode_images(square[None])[0]
        return vector

    def _is_nearest(self, subject: Subject, vector: Floats | None) -> bool | None:
        """Tell whether a result is clearly nearer to its photo than to any other of the library.

        Nearer to the photo as the library knows it, and as it is worked on, which may be smaller.
        Copies of the photo are no rivals. From one that is nearly a copy it need keep only half of the photo's own
        distance, or nothing could be made of a room that was photographed twice.
        """
        if vector is None or subject.vector is None or self._neighbours is None or subject.photo_id is None:
            return None
        found, own = self._near(vector), float(vector @ subject.vector)
        if subject.photo_id in subject.neighbours:  # or the photo was changed since, and its place is another's
            own = min(own, found.get(subject.photo_id, -1.0))
        for photo_id, score in found.items():
            likeness = subject.neighbours.get(photo_id, 0.0)
            if photo_id == subject.photo_id or likeness >= SAME_PICTURE:
                continue
            if own < score + min(LEAD, (1 - likeness) / 2):
                return False
        return True

    def _lost(self, subject: Subject, vector: Floats) -> tuple[str, ...] | None:
        if self._tags is None or subject.tags is None:
            return None
        return tuple(self._tags.lost(vector, subject.tags)) if subject.tags else ()

    def _margin(self, subject: Subject, vector: Floats | None, prompt: str) -> float | None:
        if self._encoder is None or vector is None or subject.vector is None or not prompt:
            return None
        if prompt not in self._prompts:
            self._prompts[prompt] = self._encoder.encode_texts([prompt])[0]
        return float(self._prompts[prompt] @ (vector - subject.vector))


def library_judge(
    catalog: Catalog,
    session: Session,
    index: Neighbours,
    encoder: Encoder,
    palette: Palette,
    *,
    floor: float | None = None,
    tags: Tags | None = None,
    progress: Progress = silent,
) -> Judge:
    """Return the judge of a library's results, by the floor that was asked for, or by the library's own floors."""
    floors = library_floors(catalog, session, progress) if floor is None else Floors.at(floor)
    return Judge(floors, palette, encoder=encoder, neighbours=index, tags=tags)
