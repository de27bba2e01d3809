"""From which cosine photos of a library are looked at as possible copies: measured by copies made of its own photos.

What is near for one model, or among photos of one kind, is far for another. Confirms no copy: that is for pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from base.arrays import Floats
from base.errors import PhotoError
from base.files import PhotoFile
from base.progress import Progress, Step
from base.records import read_record
from db.duplicate_rows import CopyFacts
from embedding.colour import read_pixels
from embedding.decode import decode, decode_to_fit
from embedding.encoder import Encoder
from embedding.picture_marks import Hash, made_copies, mark_of, same_picture, small_picture, window_hashes
from search.copies import SAME

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLE_PHOTOS = 64  # of which copies are made
SAMPLE_VECTORS = 4_096  # whose pairs tell how many pairs of all photos are as near
FOUND_SHARE = 0.98  # of made copies that are to reach the cosine
LEAST_COSINE = 0.8  # whatever the copies reach: below that pairs are too many to be of use
MOST_PAIRS = 8_000_000  # that are looked at: 160 MB, and an hour of opening photos at most
UNCALIBRATED = 0.97  # where no photo can be opened
GROWN = 2  # times as many photos as were there make a calibration old
LONGEST_PX = 2_048  # of a photo that copies are made of: models look at far less


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyCalibration:
    """From which cosine pairs are looked at, and how that was measured.

    photos: of the library then. sampled: of which copies were made, each `copies` together; 0: none could be opened.
    reached: {kind of copy: share that reaches the cosine}. confirmed: {kind: share that the pixels confirm besides}.
    nearest: the cosine that a copy in a hundred does not reach. crowded: whether there were too many pairs from a lower
    cosine on. pairs: of photos that are as near, as a sample has it.
    """

    cosine: float
    photos: int
    sampled: int
    copies: int
    reached: dict[str, float]
    confirmed: dict[str, float]
    asked: float
    crowded: bool
    pairs: int

    @property
    def note(self) -> str:
        """How far copies are found, in words."""
        if not self.sampled:
            return (
                f"no photo could be opened to make copies of, so pairs are looked at from a cosine of {self.cosine:g} "
                "on, as is usual"
            )
        share = sum(self.confirmed.values()) / len(self.confirmed)
        least = min(self.confirmed, key=self.confirmed.__getitem__)
        said = (
            f"of {self.copies} copies made of {self.sampled} photos of this library {share:.0%} are found "
            f"({least}: {self.confirmed[least]:.0%})"
        )
        if self.crowded:
            said += f"; photos here are so alike to this model that pairs count from a cosine of {self.cosine:.3f} on"
        return said


def known_calibration(path: Path, photos: int) -> CopyCalibration | None:
    """Return what was measured before, or None where nothing was, or the library has grown much since."""
    known = read_record(path, CopyCalibration)
    return known if known is not None and known.sampled and photos <= GROWN * known.photos else None


def calibrate_copies(
    encoder: Callable[[], Encoder],
    facts: Sequence[CopyFacts],
    vectors: Floats,
    sample: Floats,
    photos: int,
    progress: Progress,
) -> CopyCalibration:
    """Make copies of photos, embed them, and choose the cosine that nearly all of them reach.

    Args:
        encoder: gives the library's model, where a photo can be opened.
        facts: of photos to make copies of; those that cannot be opened are left out.
        vectors: theirs, (len(facts), d).
        sample: vectors spread over the library, (s, d), different photos'.
        photos: how many the library has.
        progress: told of the photos that copies were made of.
    """
    cosines: dict[str, list[float]] = {}
    agreed: dict[str, list[bool]] = {}
    sampled = 0
    for at, fact in enumerate(facts):
        copied = list(embedded_copies(encoder, fact, vectors[at]))
        sampled += bool(copied)
        for kind, cosine, same in copied:
            cosines.setdefault(kind, []).append(cosine)
            agreed.setdefault(kind, []).append(same)
        progress(Step("calibrating", at + 1, len(facts)))
    every = np.array([cosine for found in cosines.values() for cosine in found])
    asked = max(float(np.quantile(every, 1 - FOUND_SHARE)), LEAST_COSINE) if len(every) else UNCALIBRATED
    cosine, pairs = affordable(asked, sample, photos)
    return CopyCalibration(
        cosine=cosine,
        photos=photos,
        sampled=sampled,
        copies=len(every),
        reached={kind: float(np.mean(np.array(found) >= cosine)) for kind, found in cosines.items()},
        confirmed={
            kind: float(np.mean((np.array(found) >= cosine) & np.array(agreed[kind])))
            for kind, found in cosines.items()
        },
        asked=asked,
        crowded=cosine > asked,
        pairs=pairs,
    )


def embedded_copies(
    encoder: Callable[[], Encoder], fact: CopyFacts, vector: Floats
) -> Iterator[tuple[str, float, bool]]:
    """Yield of copies made of a photo what was done, their cosine with it, and whether pixels say it is the same."""
    try:
        file = PhotoFile(fact.path, fact.member)
        before = small_picture(file, fact.content_sha256)
        copies = made_copies(read_pixels(file, LONGEST_PX))
        model = encoder()
        pixels = np.stack([decode(data, model.preprocessing).pixels for _, data in copies])
    except (OSError, PhotoError):
        return
    embedded, mark = model.encode_images(pixels), mark_of(before)
    for (kind, data), found in zip(copies, embedded, strict=True):
        after, cosine = decode_to_fit(data, before.size), float(found @ vector)
        windows = partial(both_windows, before, after)
        same = same_picture(mark, mark_of(after), windows, same_vector=cosine >= SAME)
        yield kind, cosine, same is not None


def both_windows(one: "Image", other: "Image") -> tuple[Hash, Hash]:
    """Return the hashes of what crops leave of two pictures."""
    return window_hashes(one), window_hashes(other)


def affordable(cosine: float, sample: Floats, photos: int) -> tuple[float, int]:
    """Return the cosine, raised where too many pairs of all photos would reach it, and how many reach that.

    sample: vectors (s, d) of different photos, whose pairs stand for all.
    """
    if len(sample) < 2:
        return cosine, 0
    near = np.triu(sample @ sample.T, 1)
    pairs, of_sample = photos * (photos - 1) / 2, len(sample) * (len(sample) - 1) / 2
    most = int(MOST_PAIRS / pairs * of_sample) if pairs > MOST_PAIRS else int(of_sample)
    reaching = np.sort(near[near >= cosine])[::-1]
    if len(reaching) > most:
        cosine = min(float(np.nextafter(reaching[most], np.float32(2))), 1.0)
        reaching = reaching[:most]
    return cosine, round(len(reaching) / of_sample * pairs)
