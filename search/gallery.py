"""A gallery for a hotel: the photos that show it best, one of each kind of room before a second, and why each.

Rooms are told by the stored vectors; photos are opened only to see how well they were taken. Copies nothing but files.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, InitVar, dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats, Longs, unit
from base.console import counted
from base.copy_folder import CopyReport, copy_ranked
from base.errors import QueryError
from base.files import PhotoFile
from base.listing import Listing
from base.progress import Progress, Step, shown, silent
from db.hotel_rows import ids_of_hotels
from db.photo_rows import PhotoRecord, photo_records
from embedding.colour import lab_of
from embedding.encoder import Encoder
from embedding.quality import (
    UNWANTED_FROM,
    Guesser,
    OpenedPhoto,
    Quality,
    Unfit,
    opened_photo,
    quality_of,
    same_shot,
    slope_of,
    spoilt,
    tilt_degrees,
)
from embedding.sheet import Cell, gallery_html, write_sheet
from search.answers import Searcher

# In the order in which a gallery shows them: booking sites lead with the house itself, then the room that is sold.
ROOMS: dict[str, tuple[str, ...]] = {
    "facade": ("the outside of a hotel building", "a hotel facade", "a building seen from the street"),
    "bedroom": ("a bedroom", "a hotel bedroom with a bed"),
    "bathroom": ("a bathroom", "a hotel bathroom"),
    "pool": ("a swimming pool", "an outdoor swimming pool"),
    "view": ("a balcony", "a terrace with a view of the sea", "a view of a landscape from a hotel"),
    "lobby": ("a hotel lobby", "a reception hall"),
    "living room": ("a living room", "a sitting room with a sofa"),
    "restaurant": ("a restaurant", "a restaurant dining room", "a breakfast buffet"),
    "kitchen": ("a kitchen", "a kitchenette"),
}
EXPECTED = ("facade", "bedroom", "bathroom")  # what guests look for first, and booking sites ask for
MOST_PHOTOS = 200  # in a gallery
MOST_OPENED = 60  # photos of a hotel that are looked at, or so many
OPENED_EACH = 3  # for each place in the gallery
DOUBTED = 0.4  # how surely a photo shows its room, below which it comes last, and no room counts as shown
SHARP, BRIGHT, LARGE_PX = 3.0, (40.0, 80.0), 1024  # what is as good as better: 1/px, mean L*, longer side
WORST_TILT = 8.0  # degrees
LEAST_FACTOR = 0.4  # what the worst of one measure leaves of a photo's worth


class Rooms:
    """Which kind of room each photo shows, as a library's model sees it."""

    def __init__(self, encoder: Encoder, sample: Floats) -> None:
        """`sample`: unit vectors of the library's photos, (s, d), by which it is told what is usual here."""
        means = np.stack([encoder.encode_texts(texts).mean(axis=0) for texts in ROOMS.values()])
        self._texts = unit(means)
        self._usual = (sample @ self._texts.T).mean(axis=0)
        self._scale = float(encoder.logit_scale)

    def shown(self, vectors: Floats) -> Longs:
        """Return the place of the room that each photo surely shows, (n,); -1 where none is sure."""
        shares = self.shares(vectors)
        return np.where(shares.max(axis=1) >= DOUBTED, shares.argmax(axis=1), -1)

    def shares(self, vectors: Floats) -> Floats:
        """Return how surely each photo shows each room, (n, r), each row 1 together.

        A room's cosine counts by how far it lies above its mean over the library: as they are, some texts are near to
        all photos. Of the sample hotels 58 of 60 bedrooms are found so, and 5 without.
        """
        logits = self._scale * (vectors @ self._texts.T - self._usual)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = powers / powers.sum(axis=1, keepdims=True)
        return shares


def unseen(rooms: Collection[str]) -> list[str]:
    """Return what guests look for and is not among the rooms that photos show."""
    return [room for room in EXPECTED if room not in rooms]


class Contender(NamedTuple):
    """A photo that was looked at, with what decides whether it is shown."""

    record: PhotoRecord
    room: str
    certain: float  # how surely it shows the room, 0 to 1
    vector: Floats
    opened: OpenedPhoto
    quality: Quality
    tilt: float  # degrees

    @property
    def worth(self) -> float:
        """How well it shows the room, 0 to 1: a product, so that one bad fault is not made up for."""
        longer = max(self.opened.width_px, self.opened.height_px)
        low, high = BRIGHT
        light = min(1.0, self.quality.lightness / low, (100 - self.quality.lightness) / (100 - high))
        factors = (self.quality.sharpness / SHARP, light, longer / LARGE_PX, 1 - abs(self.tilt) / WORST_TILT)
        return self.certain * float(np.prod([max(LEAST_FACTOR, min(1.0, factor)) for factor in factors]))


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryPhoto:
    """A photo of a gallery: its place, what room it shows, and why it was chosen."""

    rank: int
    photo_id: int
    room: str
    why: str
    path: str
    member: str
    width_px: int
    height_px: int
    tilt_degrees: float

    @property
    def file(self) -> PhotoFile:
        """Where its bytes lie."""
        return PhotoFile(self.path, self.member)


@dataclass(eq=False, repr=False)
class Gallery(Listing[GalleryPhoto]):
    """The photos that show a hotel best, in the order in which they are to be shown.

    photos: of the hotel. opened: of them. lacking: rooms that guests look for, which no photo shows. notes: what was
    passed over, and why there are no more.
    """

    columns = ("rank", "photo_id", "room", "why", "path")

    chosen: InitVar[Iterable[GalleryPhoto]]
    _: KW_ONLY
    hotel_id: int
    hotel_name: str
    photos: int
    opened: int
    notes: list[str] = field(default_factory=list)

    def __post_init__(self, chosen: Iterable[GalleryPhoto]) -> None:
        super().__init__(chosen)

    @property
    def lacking(self) -> list[str]:
        """The rooms that guests look for and none of the photos shows."""
        return unseen({photo.room for photo in self})

    @property
    def cells(self) -> list[Cell]:
        """The photos for a contact sheet."""
        return [Cell(p.file, (f"{p.rank}.  {p.room}", p.why, f"photo {p.photo_id}")) for p in self]

    def write_sheet(self, path: str | Path) -> None:
        """Write a contact sheet. Raises: QueryError, OutputError: as embedding.sheet.write_picture."""
        write_sheet(self.cells, f"{self.hotel_name}: suggested gallery", Path(path), note="; ".join(self.notes))

    def copy_to(
        self, folder: str | os.PathLike[str], *, link: bool = False, progress: Progress | None = None
    ) -> CopyReport:
        """Copy the photos into a new or empty folder, named by rank and room: 01_bedroom_42.jpg; or link to them.

        Raises: QueryError, OutputError: as base.copy_folder.copy_ranked.
        """
        names = {photo.file: f"{photo.room}_{photo.photo_id}" for photo in self}
        with shown(progress) as tell:
            return copy_ranked(names, folder, name_of=names.__getitem__, total=len(self), link=link, progress=tell)

    def _repr_html_(self) -> str:
        return gallery_html(self.cells, self.hotel_name, "; ".join(self.notes))


class GalleryMaker:
    """Suggests galleries of a library's hotels."""

    def __init__(
        self, searcher: Searcher, session: Session, encoder: Encoder, n: int, rooms: Rooms | None = None
    ) -> None:
        """`n`: photos in a gallery, fewer where there are fewer. `rooms`: as they are told elsewhere already.

        Raises: QueryError: n makes no sense.
        """
        if not 1 <= n <= MOST_PHOTOS:
            raise QueryError(f"n is {n}: ask for 1 to {MOST_PHOTOS} photos of a hotel")
        self._searcher, self._session, self.n = searcher, session, n
        self._rooms = rooms or Rooms(encoder, searcher.background(session))
        self._guesser = Guesser(encoder)

    def gallery(self, hotel_id: int, name: str, progress: Progress = silent) -> Gallery:
        """Return a hotel's gallery. Raises: QueryError: none of its photos can be found."""
        ids = sorted(ids_of_hotels(self._session, [hotel_id]))
        records, vectors = photo_records(self._session, ids), self._searcher.vectors(self._session, ids)
        there = [photo_id for photo_id in ids if photo_id in records and photo_id in vectors]
        if not there:
            raise QueryError(f"no photo of {name} can be found: `aliens failures` says what became of them")
        pool = self._pool([records[i] for i in there], np.stack([vectors[i] for i in there]))
        looked, unfit = [], Counter[str]()
        for seen in opened_in_turn(pool.photos, progress):
            if isinstance(seen, Unfit):
                unfit[seen.kind] += 1
            else:
                looked.append(seen)
        chosen, copies = chosen_of(looked, self.n)
        gallery = Gallery(
            list(with_reasons(chosen, looked)),
            hotel_id=hotel_id,
            hotel_name=name,
            photos=len(there),
            opened=len(pool.photos),
        )
        gallery.notes = list(remarks(gallery, pool, unfit, copies, self.n))
        return gallery

    def files(self, ids: Sequence[int]) -> dict[int, PhotoFile]:
        """Return {photo id: where its bytes lie} of those of the photos that can be found, in this order."""
        records = photo_records(self._session, ids)
        return {i: PhotoFile(records[i].path, records[i].member) for i in ids if i in records}

    def _pool(self, records: Sequence[PhotoRecord], vectors: Floats) -> "Pooled":
        """Return the photos worth opening: those that surely show a room, of every room in turn."""
        shares = self._rooms.shares(vectors)
        rooms, names = shares.argmax(axis=1), list(ROOMS)
        unwanted = {kind: sure >= UNWANTED_FROM for kind, sure in self._guesser.guesses(vectors).items()}
        wanted = ~np.any(list(unwanted.values()), axis=0)
        rank_in_room = np.empty(len(records), np.int64)
        for room in np.unique(rooms):
            mine = np.flatnonzero(rooms == room)
            rank_in_room[mine[np.argsort(-shares[mine, room], kind="stable")]] = np.arange(len(mine))
        order = np.lexsort((rooms, rank_in_room))
        order = order[wanted[order]][: max(MOST_OPENED, OPENED_EACH * self.n)]
        photos = [
            (records[at], names[rooms[at]], float(shares[at, rooms[at]]), vectors[at]) for at in sorted(order.tolist())
        ]
        return Pooled(photos, {kind: int(is_so.sum()) for kind, is_so in unwanted.items() if is_so.any()})


Candidate = tuple[PhotoRecord, str, float, Floats]  # its room, how surely it shows it, its unit vector (d,)


class Pooled(NamedTuple):
    """Photos to open, and how many were left out because the model takes them for text or for people."""

    photos: list[Candidate]
    unwanted: dict[str, int]


def opened_in_turn(photos: Sequence[Candidate], progress: Progress) -> Iterator[Contender | Unfit]:
    """Yield what is seen of each photo, in order; several are opened at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, seen in enumerate(pool.map(looked_at, photos), start=1):
                progress(Step("opening", done, len(photos)))
                yield seen
        finally:
            pool.shutdown(cancel_futures=True)


def looked_at(candidate: Candidate) -> Contender | Unfit:
    """Open a photo and measure it, or say why it is not shown."""
    record = candidate[0]
    opened = opened_photo(PhotoFile(record.path, record.member))
    if isinstance(opened, Unfit):
        return opened
    lightness = lab_of(opened.pixels)[..., 0]
    quality = quality_of(lightness, slope_of(lightness))
    return spoilt(quality) or Contender(*candidate, opened, quality, tilt_degrees(lightness))


def chosen_of(photos: Sequence[Contender], n: int) -> tuple[list[Contender], int]:
    """Return up to n photos in order, and how many were passed over as copies of those before.

    One of each room goes before a second. Of a room the next is the one of the greatest worth, times its distance to
    what is chosen; photos that hardly show their room come last. Deterministic.
    """
    chosen: list[Contender] = []
    copies = 0
    left = sorted(photos, key=lambda photo: photo.record.photo_id)
    for turn in count():
        doubted = turn > 0 and not any(photo.certain >= DOUBTED for photo in left)
        for room in ROOMS:
            while len(chosen) < n:
                fit = [p for p in left if p.room == room and (doubted or p.certain >= DOUBTED)]
                if not fit:
                    break
                best = max(fit, key=lambda photo: photo.worth * distance(photo, chosen))
                left.remove(best)
                if any(same_shot(best.opened, p.opened, float(best.vector @ p.vector), "") for p in chosen):
                    copies += 1
                    continue
                chosen.append(best)
                break
        if len(chosen) >= n or not left:
            return chosen, copies
    raise AssertionError("unreachable")


def distance(photo: Contender, chosen: Sequence[Contender]) -> float:
    """Return how far a photo lies from those that are chosen, 0 to 2: 1 less the highest cosine; 1 where none is."""
    return 1 - max((float(photo.vector @ other.vector) for other in chosen), default=0.0)


def with_reasons(chosen: Sequence[Contender], photos: Sequence[Contender]) -> Iterator[GalleryPhoto]:
    """Yield the chosen photos, each with the reason why it stands for its room."""
    taken = Counter[str]()
    for rank, photo in enumerate(chosen, start=1):
        taken[photo.room] += 1
        yield GalleryPhoto(
            rank=rank,
            photo_id=photo.record.photo_id,
            room=photo.room,
            why=why_chosen(photo, [other for other in photos if other.room == photo.room], taken[photo.room]),
            path=photo.record.path,
            member=photo.record.member,
            width_px=photo.opened.width_px,
            height_px=photo.opened.height_px,
            tilt_degrees=photo.tilt,
        )


MEASURED: tuple[tuple[str, Callable[[Contender], float]], ...] = (
    ("clearest", lambda photo: photo.certain),
    ("sharpest", lambda photo: photo.quality.sharpness),
    ("largest", lambda photo: photo.opened.width_px * photo.opened.height_px),
    ("brightest", lambda photo: photo.quality.lightness),
    ("straightest", lambda photo: -abs(photo.tilt)),
)
PLURAL = {"lobby": "lobbies"}


def why_chosen(photo: Contender, others: Sequence[Contender], turn: int) -> str:
    """Return in words why a photo was chosen, the `turn`th of its room among `others`, itself included."""
    if photo.certain < DOUBTED:
        return f"perhaps a {photo.room}: {100 * photo.certain:.0f} % sure"
    if len(others) == 1:
        return f"the only {photo.room}"
    best = [name for name, of in MEASURED if all(of(photo) > of(other) for other in others if other is not photo)]
    among = f"of {len(others)} {PLURAL.get(photo.room, photo.room + 's')}"
    if best:
        return f"the {' and '.join(best[:2])} {among}"
    return f"{'the best' if turn == 1 else 'another'} {among}, all in all"


def remarks(gallery: Gallery, pool: Pooled, unfit: Counter[str], copies: int, n: int) -> Iterator[str]:
    """Yield what is to be said of a gallery as a whole."""
    left_out = [f"{number} {kind}" for kind, number in [*pool.unwanted.items(), *unfit.most_common()]]
    left_out += [counted(copies, "near copy").replace("copys", "copies")] if copies else []
    if left_out:
        yield f"passed over: {', '.join(left_out)}"
    if len(gallery) < n:
        yield f"only {len(gallery)} of {n}: the hotel has no more photos that are fit"
    if gallery.opened < gallery.photos - sum(pool.unwanted.values()):
        yield f"looked at the {gallery.opened} of {gallery.photos} photos that show their rooms most clearly"
