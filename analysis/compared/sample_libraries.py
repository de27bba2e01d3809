"""Samples embedded by other models, each in a library of its own inside the library's folder. Measures no searches.

They stay: the same sample, or one that overlaps, is not embedded again.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from analysis.compared.photo_sample import PhotoSample, SampleSource
from analysis.nested_libraries import nested_catalog
from base.errors import QueryError
from base.progress import Progress, Step
from base.records import read_record, write_record
from db.catalog import Catalog, disk_errors
from db.model_rows import count_without_vector, find_model
from db.models import Model
from db.vector_rows import EmbeddedRows
from embedding.encoder import LazyEncoder, keep_text_tower
from embedding.index.photo_index import PhotoIndex
from embedding.segments import SegmentStore
from indexer.add import add_photos
from search.answers import Searcher

if TYPE_CHECKING:
    from embedding.open_clip_encoder import OpenClipEncoder

SPEED_FILE = "speed.json"
ENCODED_TEXTS = 20  # that a query's time is the median of
WARMING_UP = "a photo"


@dataclass(frozen=True, slots=True)
class EmbeddingSpeed:
    """What embedding took so far: photos, seconds with decoding them, on which device in which precision.

    parameters: numbers that the model learnt, of both towers. size_px: of the squares that photos are made to.
    """

    photos: int
    seconds: float
    where: str
    parameters: int
    size_px: int

    @property
    def photos_per_s(self) -> float:
        """Photos a second."""
        return self.photos / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledModel:
    """A model that has embedded a sample.

    name: as tables say it. searcher: what answers queries by it. speed: None where nothing was embedded.
    """

    name: str
    searcher: Searcher
    speed: EmbeddingSpeed | None


@contextmanager
def sampled_models(
    catalog: Catalog,
    models: Sequence[str],
    sample: PhotoSample,
    *,
    device: str,
    precision: str,
    backend: str = "auto",
    progress: Progress,
) -> Iterator[list[SampledModel]]:
    """Yield models that have embedded a sample of a library's photos, one after the other, so that one is in memory.

    One that the library itself has vectors of, for all photos, is taken from there.

    Raises:
        EncoderError: a model is unknown or its weights cannot be had.
        QueryError: one is the library's own, or another one again.
        LibraryError: another process embeds by the same model, the disk is full or cannot be written.
        KeyboardInterrupt: somebody stopped it; what was embedded is kept.
    """
    from embedding.open_clip_encoder import OpenClipEncoder  # imports torch, which takes seconds

    with catalog.session() as session:
        source = SampleSource.of_library(session, sample)
    with ExitStack() as opened:
        found: list[SampledModel] = []
        refused = {catalog.model.key: "is the library's own model, which the others are compared with: leave it out"}
        labels = {catalog.model.name}
        for name in models:
            if (ready := whole_model(catalog, name)) is not None and ready.key not in refused:
                refused[ready.key] = "is a model that was named already: name each once"
                labels.add(ready.name)
                found.append(
                    SampledModel(
                        name=ready.name, searcher=searcher_of(catalog.of(ready), device, precision), speed=None
                    )
                )
                continue
            progress(Step("loading", 0, None, "models", note=name))
            encoder = OpenClipEncoder.load(name, device=device, precision=precision, backend=backend)
            if encoder.key in refused:
                raise QueryError(f"{name!r} {refused[encoder.key]}")
            refused[encoder.key] = "is a model that was named already: name each once"
            own = opened.enter_context(sample_catalog(catalog, encoder))
            speed = embed_sample(own, encoder, source, progress)
            label = encoder.key if encoder.name in labels else encoder.name  # weights that changed in the same folder
            labels.add(label)
            found.append(SampledModel(name=label, searcher=searcher_of(own, device, precision), speed=speed))
            del encoder
        yield found


def whole_model(catalog: Catalog, name: str) -> Model | None:
    """Return a model of the library itself of which no photo lacks a vector, or None where this is none."""
    with catalog.session() as session:
        model = find_model(session, name)
        return None if model is None or count_without_vector(session, model) else model


@contextmanager
def sample_catalog(catalog: Catalog, encoder: "OpenClipEncoder") -> Iterator[Catalog]:
    """Open the library of samples by a model, made when it is first needed."""
    folder = catalog.folder.compared(encoder.key)
    tower = folder.text_tower(encoder.key)
    with nested_catalog(folder, key=encoder.key, name=encoder.name, dim=encoder.dim) as own:
        if not tower.exists():
            keep_text_tower(encoder, tower)
        yield own


def embed_sample(
    own: Catalog, encoder: "OpenClipEncoder", source: SampleSource, progress: Progress
) -> EmbeddingSpeed | None:
    """Embed photos into a library of samples, but for those that it has; return what it took, with earlier times."""
    folder, where = own.folder, f"{encoder.device}, {encoder.backend}, {encoder.precision}"

    def tell(step: Step) -> None:
        progress(replace(step, note=f"{encoder.name} {step.note}".strip()))

    run = add_photos(own, SegmentStore(folder.vectors(encoder.key), encoder.dim), encoder, [source], progress=tell).run
    speed = read_record(folder.root / SPEED_FILE, EmbeddingSpeed)
    if speed is None or speed.where != where:
        speed = EmbeddingSpeed(0, 0.0, where, encoder.parameters, encoder.preprocessing.size_px)
    speed = replace(speed, photos=speed.photos + run.encoded, seconds=speed.seconds + run.seconds * (run.encoded > 0))
    if run.encoded:
        with disk_errors(folder):
            write_record(folder.root / SPEED_FILE, speed)
    if run.interrupted:
        raise KeyboardInterrupt
    return speed if speed.photos else None


def searcher_of(catalog: Catalog, device: str, precision: str) -> Searcher:
    """Return what answers queries by a sample, comparing every photo: the whole model is not kept in memory."""
    model = catalog.model
    store = SegmentStore(catalog.folder.vectors(model.key), model.dim)
    tower = catalog.folder.text_tower(model.key)
    encoder = LazyEncoder(
        tower,
        name=model.name,
        key=model.key,
        dim=model.dim,
        device=device,
        precision=precision,
        towers=catalog.folder.image_towers,
    )

    def index(session: Session) -> PhotoIndex:
        return PhotoIndex(store.current(EmbeddedRows(session, model)))

    return Searcher(catalog, store, index, lambda: encoder)


def text_ms(searcher: Searcher, texts: Sequence[str]) -> float:
    """Return how long a text takes to become a vector, in ms: the median over the first of some texts, each once."""
    encoder, taken = searcher.encoder, []
    encoder.encode_texts([WARMING_UP])
    for number, text in enumerate(texts[:ENCODED_TEXTS]):
        start = time.perf_counter()
        encoder.encode_texts([f"{text} {number}"])  # a text of its own: those of before are remembered
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000
