"""Models to choose from: what each would cost a library on this device, estimated, beside what is published of it.

An estimate is arithmetic: the device's speed, measured in a second, over the operations that a photo takes; and the
time that photos of the library take to be read and decoded. Embeds nothing, downloads nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from base.arrays import spread_places
from base.files import PhotoFile
from db.catalog import Catalog
from db.model_rows import library_models
from db.photo_rows import photos_by_id
from db.vector_rows import count_embedded, current_model, embedded_ids
from embedding.known_models import KnownModel, chosen_models

if TYPE_CHECKING:
    from embedding.device_speed import DeviceSpeed

SAMPLE_PHOTOS = 24  # of the library, that are read and decoded
FLOAT16_BYTES, ID_BYTES = 2, 8  # of a vector's number, of a photo's id beside it
LIGHT = ("starter", "MobileCLIP")  # what models of light convolutions are called


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A model to choose from.

    standing: "in use" or "here", of the library's own; else empty. photos_per_s: estimated, with reading and decoding;
    None where nobody says what a photo takes. hours: all photos of the library at that rate. vectors_gb: what their
    vectors take, 10^9 bytes; both None without photos.
    """

    known: KnownModel
    standing: str
    photos_per_s: float | None
    hours: float | None
    vectors_gb: float | None

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        estimates = {
            "standing": self.standing,
            "photos_per_s": self.photos_per_s,
            "hours": self.hours,
            "vectors_gb": self.vectors_gb,
        }
        return asdict(self.known) | estimates


@dataclass(frozen=True, slots=True)
class Costs:
    """What estimates are made of.

    photos: of the library; None without one. decoded_per_s: photos read and decoded a second, all threads together;
    None where none could be.
    """

    speed: "DeviceSpeed"
    photos: int | None
    decoded_per_s: float | None

    def photos_per_s(self, model: KnownModel) -> float | None:
        """Return about how many photos a second a model embeds; None where nobody says what a photo takes.

        On a CPU decoding and encoding take turns, elsewhere the slower one bounds both: see indexer.pipeline.
        """
        if model.image_gflops is None:
            return None
        speed = self.speed.convolution if model.name.startswith(LIGHT) else self.speed.transformer
        encoded = speed / (model.image_gflops * 1e9)
        if self.decoded_per_s is None:
            return encoded
        if self.speed.device == "cpu":
            return 1 / (1 / encoded + 1 / self.decoded_per_s)
        return min(encoded, self.decoded_per_s)


def listed_models(
    catalog: Catalog | None, words: Sequence[str] = (), *, every: bool = False, device: str, precision: str
) -> list[ListedModel]:
    """Return models to choose from, the quickest first; those of which nobody says what a photo takes last.

    Args:
        catalog: of the library, or None without one.
        words: that their names have, all of them.
        every: all models; by default, without words, a choice of them.
        device: what would compute: auto, cpu, cuda or mps.
        precision: in what: auto, float32 or bfloat16.

    Raises:
        QueryError: no model has these words in its name.
        EncoderError: the device is absent.
    """
    chosen = chosen_models(words, every=every)
    from embedding.device_speed import device_speed  # imports torch, which takes seconds

    costs = costs_of(catalog, device_speed(device, precision))
    here = standings_by_name(catalog)
    found = [with_costs(model, costs, here.get(model.name, "")) for model in chosen]
    return sorted(found, key=lambda each: (each.photos_per_s is None, -(each.photos_per_s or 0), each.known.name))


def with_costs(model: KnownModel, costs: Costs, standing: str) -> ListedModel:
    """Return a model with what it would cost."""
    rate, photos = costs.photos_per_s(model), costs.photos
    return ListedModel(
        known=model,
        standing=standing,
        photos_per_s=rate,
        hours=None if rate is None or not photos else photos / rate / 3600,
        vectors_gb=None if not photos else photos * (FLOAT16_BYTES * model.dim + ID_BYTES) / 1e9,
    )


def standings_by_name(catalog: Catalog | None) -> dict[str, str]:
    """Return {name: "in use" or "here"} of a library's models."""
    if catalog is None:
        return {}
    with catalog.session() as session:
        used = current_model(session)
        return {each.name: "in use" if each.key == used.key else "here" for each in reversed(library_models(session))}


def costs_of(catalog: Catalog | None, speed: "DeviceSpeed") -> Costs:
    """Return what estimates for a library are made of; some of its photos are read for it."""
    if catalog is None:
        return Costs(speed, None, None)
    with catalog.session() as session:
        model = current_model(session)
        photos, ids = count_embedded(session, model), embedded_ids(session, model)
        some = ids[spread_places(len(ids), SAMPLE_PHOTOS)].tolist()
        files = [PhotoFile(photo.path, photo.member) for photo in photos_by_id(session, some)]
    return Costs(speed, photos, decoded_per_s(files))


def decoded_per_s(files: Sequence[PhotoFile]) -> float | None:
    """Return how many photos are read and decoded a second; None where none can be."""
    from embedding.decode import Preprocessing, read_squares

    usual = Preprocessing(size_px=224, mean=(0.5,) * 3, std=(0.5,) * 3)
    read_squares(files[:1], usual)
    start = time.perf_counter()
    squares = read_squares(files, usual)
    taken = time.perf_counter() - start
    read = sum(isinstance(square, np.ndarray) for square in squares)
    return read / taken if read else None
