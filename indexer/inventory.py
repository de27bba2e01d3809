"""What a library holds, in numbers, and what it could not use. Changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from base.console import counted, size_in_words
from base.files import PhotoFile
from base.settings import LibraryFolder
from db.caption_rows import caption_sets
from db.catalog import Catalog, shown_url
from db.hotel_rows import count_hotels
from db.model_rows import counted_without_vector, library_models
from db.models import Model, Scan
from db.photo_rows import count_photos, failed_photos, failure_counts, latest_scans
from db.postgres import server_bytes
from db.restyling_rows import count_restylings
from db.tag_rows import count_labels, vocabulary_keys
from db.vector_rows import segments_of
from embedding.image_files import Drift, is_int8, read_tower_record
from embedding.index.approximate import read_approximation
from embedding.index.milvus import read_collection


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelStanding:
    """A model of a library. photos: that have its vectors and can be found; lacking: embedded ones that have none.

    vectors_bytes: of its segments. vocabularies: that photos were tagged with by it. drift: of one that was calibrated
    to int8, how far its vectors lie from those of float32.
    """

    key: str
    name: str
    dim: int
    in_use: bool
    photos: int
    lacking: int
    vectors_bytes: int
    vocabularies: list[str]
    drift: Drift | None = None

    def __str__(self) -> str:
        lack = f", {counted(self.lacking, 'photo')} without" if self.lacking else ""
        used = ", in use" if self.in_use else ""
        size = f"{self.dim} dimensions, {size_in_words(self.vectors_bytes)}"
        drift = "" if self.drift is None else f"; int8: {self.drift}"
        return f"{self.key}{used}, {size}, {counted(self.photos, 'photo')}{lack}{drift}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """Counts and sizes of a library; sizes in bytes.

    model, and what is said of vectors, index and tags: of the model that it was opened with; models: all, the one in
    use first.
    """

    library: str
    database: str
    model: str
    dim: int
    models: list[ModelStanding]
    photos: dict[str, int]
    failures: dict[str, int]
    hotels: int
    chains: int
    segments: int
    index: str
    database_bytes: int
    vectors_bytes: int
    index_bytes: int
    vocabularies: list[str]
    labels: int
    captions: dict[str, int]
    tags_bytes: int
    restyled: int  # results, with their files
    restyled_added: int  # of them, found by searches that ask for their kind
    restyled_bytes: int

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(f"{name:12}{what}" for name, what in self.as_rows())

    def as_rows(self) -> list[tuple[str, str]]:
        """Return lines for people."""
        used = "" if self.models[0].key == self.model else ", not in use"
        rows = [
            ("library", self.library),
            ("database", self.database + (f", {self.database_bytes / 1e6:.1f} MB" if self.database_bytes else "")),
            ("model", f"{self.model}, {self.dim} dimensions{used}"),
            *(("int8", str(m.drift)) for m in self.models if m.key == self.model and m.drift is not None),
            *(("beside it", str(other)) for other in self.models if other.key != self.model),
            ("photos", f"{sum(self.photos.values())} photos"),
        ]
        rows += [(f"  {state}", f"{count} photos") for state, count in self.photos.items()]
        rows += [(f"    {kind}", f"{count} photos") for kind, count in self.failures.items()]
        return [
            *rows,
            ("hotels", f"{self.hotels} hotels, {self.chains} chains"),
            ("vectors", f"{counted(self.segments, 'segment')}, {self.vectors_bytes / 1e6:.1f} MB"),
            ("index", f"{self.index}, {self.index_bytes / 1e6:.1f} MB"),
            ("tags", f"{', '.join(self.vocabularies) or 'none'}, {self.tags_bytes / 1e6:.1f} MB"),
            ("labels", f"{self.labels} labels set by hand"),
            *(("captions", f"{key}, {photos} photos") for key, photos in self.captions.items()),
            (
                "restyled",
                f"{self.restyled} results, {self.restyled_added} of them added, {self.restyled_bytes / 1e6:.1f} MB",
            ),
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannedPlace:
    """A place that photos were looked for in, what was found, and when (UTC).

    kind: folder, tar, file, hotels50k, or hotels50k-test: the folder of a split of its test.
    """

    root: str
    kind: str
    found: int
    problems: int
    looked_at: datetime


@dataclass(frozen=True, slots=True)
class ListedFailure:
    """A photo, or a row or folder of a source, that could not be used."""

    kind: str
    where: str
    reason: str
    photo_id: int | None


def take_inventory(catalog: Catalog) -> Inventory:
    """Count what a library holds."""
    folder, model = catalog.folder, catalog.model
    with catalog.session() as session:
        hotels, chains = count_hotels(session)
        restyled, restyled_added = count_restylings(session, model)
        files, where = segments_of(session, model), folder.index(model.key)
        about, collection = read_approximation(where), read_collection(where)
        index = "exact: every photo is compared"
        if collection is not None:
            index = f"Milvus, {counted(collection.entries, 'photo')}"
        elif about is not None:
            index = f"{about.kind}, {counted(about.entries, 'photo')}" + ("" if about.sound else ", not used")
        return Inventory(
            library=str(folder.root),
            database=shown_url(catalog.engine.url),
            model=model.key,
            dim=model.dim,
            models=standings_in(folder, session),
            photos={state.value: count for state, count in count_photos(session).items()},
            failures=failure_counts(session),
            hotels=hotels,
            chains=chains,
            segments=len(files),
            index=index,
            database_bytes=server_bytes(session) + sum(map(file_bytes, folder.root.glob("library.db*"))),
            vectors_bytes=size_bytes(folder.vectors(model.key)),
            index_bytes=size_bytes(folder.index(model.key)),
            vocabularies=vocabulary_keys(session, model),
            labels=count_labels(session),
            captions={found.key: found.photos for found in caption_sets(session)},
            tags_bytes=sum(map(size_bytes, folder.all_scores(model.key, vocabulary_keys(session, model)))),
            restyled=restyled,
            restyled_added=restyled_added,
            restyled_bytes=size_bytes(folder.restyled),
        )


def standings(catalog: Catalog) -> list[ModelStanding]:
    """Return the models of a library, the one in use first."""
    with catalog.session() as session:
        return standings_in(catalog.folder, session)


def standings_in(folder: LibraryFolder, session: Session) -> list[ModelStanding]:
    """Return the models of a library, the one in use first."""
    return [model_standing(folder, session, model, in_use=not n) for n, model in enumerate(library_models(session))]


def model_standing(folder: LibraryFolder, session: Session, model: Model, *, in_use: bool) -> ModelStanding:
    """Return what there is of a model."""
    files = segments_of(session, model)
    record = read_tower_record(folder.image_towers / model.key, model.key) if is_int8(model.name) else None
    return ModelStanding(
        key=model.key,
        name=model.name,
        dim=model.dim,
        in_use=in_use,
        photos=sum(file.alive for file in segments_of(session, model, restyled=False)),
        lacking=counted_without_vector(session, model),
        vectors_bytes=sum(file.size_bytes for file in files),
        vocabularies=vocabulary_keys(session, model),
        drift=None if record is None else record.drift,
    )


def list_failures(catalog: Catalog, kind: str | None = None) -> Iterator[ListedFailure]:
    """Yield the photos that failed, then the problems of the latest scan of every root."""
    with catalog.session() as session:
        for photo in failed_photos(session, kind):
            where = str(PhotoFile(photo.path, photo.member))
            yield ListedFailure(photo.failure_kind or "unknown", where, photo.failure_reason or "unknown", photo.id)
        if kind in (None, "source"):
            for where, reason in current_problems(latest_scans(session)):
                yield ListedFailure("source", where, reason, None)


def list_places(catalog: Catalog) -> list[ScannedPlace]:
    """Return the places that photos were looked for in, the latest first."""
    with catalog.session() as session:
        return [
            ScannedPlace(
                root=scan.root,
                kind=scan.kind,
                found=int(scan.counts.get("found", 0)),
                problems=len(scan.problems),
                looked_at=scan.started_at,
            )
            for scan in latest_scans(session)
        ]


def current_problems(scans: Sequence[Scan]) -> Iterator[tuple[str, str]]:
    """Yield where and why something could not be used, of scans, the newest first, unless one looked there since."""
    looked_at: list[str] = []
    for scan in scans:
        for problem in scan.problems:
            if not any(is_below(problem["where"], root) for root in looked_at):
                yield problem["where"], problem["reason"]
        looked_at.append(scan.root)


def is_below(place: str, root: str) -> bool:
    """Tell whether a file, or a line of one, is in a folder or a file, or is that itself."""
    return place == root or place.startswith((root.rstrip("/") + "/", f"{root}:"))


def size_bytes(folder: Path) -> int:
    """Return what the files of a folder take."""
    return sum(map(file_bytes, folder.glob("*")))


def file_bytes(path: Path) -> int:
    """Return what a file takes, nothing where it has just gone: others write while this counts."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
