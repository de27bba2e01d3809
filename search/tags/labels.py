"""What people say of photos: single labels, and files of tags read back as corrections."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from base.console import counted
from base.errors import QueryError
from base.progress import Progress, Step, silent
from base.records import read_json
from db.catalog import Catalog
from db.photo_rows import hashes_of
from db.tag_rows import Label, forget_labels, known_photos, set_labels
from embedding.segments import SegmentStore
from search.results import HIGHEST
from search.tags.calibration import read_calibration
from search.tags.tag_files import MANIFEST_FILE, MANIFEST_SUFFIX, TagRow, read_tag_file
from search.tags.tagging import Tagging
from search.tags.truth import with_photo_ids
from search.tags.vocabulary import bare

BATCH = 1000


@dataclass(kw_only=True, slots=True)
class ImportReport:
    """What reading a file of tags back did."""

    rows: int = 0
    unknown_photos: int = 0  # rows whose photo the library does not know
    without_vector: int = 0  # rows whose photo cannot be found now
    unknown_tags: int = 0  # that the vocabulary does not have
    set: int = 0  # labels that say yes
    unset: int = 0  # labels that say no
    compared: bool = False  # a manifest says what the file's tags were, so that missing ones could be unset
    labels_only: bool = False

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.set} tags set, {self.unset} unset"

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        alone = "no manifest of an export lies beside it: tags that it does not list were not unset"
        gone = f"left out {counted(self.without_vector, 'row')} whose photo cannot be found now"
        strange = f"left out {counted(self.unknown_photos, 'row')} whose photo the library does not know"
        tags = f"left out {counted(self.unknown_tags, 'tag')} that the vocabulary does not have"
        said = (
            (alone, not self.compared and not self.labels_only),
            (gone, self.without_vector),
            (strange, self.unknown_photos),
            (tags, self.unknown_tags),
        )
        return [note for note, holds in said if holds]


def label_photo(
    catalog: Catalog, store: SegmentStore, photo_id: int, tag: str, present: bool | None, vocabulary: str | None
) -> str:
    """Keep what a person says of a photo and a tag, and return the tag's full name; None forgets it.

    Raises: QueryError: the library has no such photo, or its vocabulary no such tag.
    """
    with catalog.saving() as session:
        words = Tagging.open(catalog, session, store, vocabulary).vocabulary
        name = words.names[words.position(tag)]
        if not 0 < photo_id <= HIGHEST or not known_photos(session, [photo_id]):
            raise QueryError(f"no photo {photo_id} in {catalog.folder.root}: take an id that a search shows")
        if photo_id not in hashes_of(session, [photo_id]):
            raise QueryError(
                f"photo {photo_id} has not been read yet, and a label belongs to its bytes: run `aliens add` first; "
                "`aliens failures` says what is wrong with photos that cannot be read"
            )
        label = Label(photo_id, bare(name), bool(present))
        if present is None:
            forget_labels(session, [label])
        else:
            set_labels(session, [label])
        session.commit()
    return name


def import_tags(
    catalog: Catalog,
    store: SegmentStore,
    path: Path,
    *,
    vocabulary: str | None = None,
    labels_only: bool = False,
    progress: Progress = silent,
) -> ImportReport:
    """Read a file of tags back: where it differs from what the library decides, it becomes a label.

    An export read back unchanged therefore adds nothing but the labels that it carried. That a tag is missing means no
    only where a manifest beside the file says how the exported tags were decided: a file of another origin says yes
    to what it lists, and no to nothing. With `labels_only` only the labels that the file carries are
    read. All or nothing: an error in the file leaves the library as it was.

    Raises:
        QueryError: the file cannot be read, was exported with another model or a vocabulary that the library has
            not, or the library is not tagged.
        LibraryError: the library cannot be opened or written, or another process is changing it.
    """
    origin = None if labels_only else origin_of(path)
    with catalog.writing() as session:
        tagging = Tagging.open(catalog, session, store, vocabulary or (origin.vocabulary if origin else None))
        if origin is not None:
            tagging = as_exported(tagging, path, origin)
        report = ImportReport(compared=origin is not None, labels_only=labels_only)
        stream = with_photo_ids(session, read_tag_file(path))
        while batch := list(islice(stream, BATCH)):
            labels = list(differences(tagging, batch, labels_only, report))
            set_labels(session, labels)
            report.set += sum(label.present for label in labels)
            report.unset += sum(not label.present for label in labels)
            progress(Step("reading", report.rows, unit="rows"))
        session.commit()
    return report


@dataclass(frozen=True, slots=True)
class Origin:
    """What a manifest says of how a file's tags were decided."""

    model: str
    vocabulary: str
    calibration: dict[str, Any]


def origin_of(path: Path) -> Origin | None:
    """Return what the manifest of an export says, or None where there is none that can be read."""
    return read_json(path / MANIFEST_FILE if path.is_dir() else path.with_name(path.name + MANIFEST_SUFFIX), Origin)


def as_exported(tagging: Tagging, path: Path, origin: Origin) -> Tagging:
    """Return the library's scores, decided as they were when a file was exported.

    Raises: QueryError: the file is of another model or vocabulary, or its manifest is damaged.
    """
    remedy = (
        "read only labels set by hand with --labels-only, or remove the manifest beside it to say yes to all the tags "
        "it lists"
    )
    for name, theirs, ours in (
        ("model", origin.model, tagging.model.key),
        ("vocabulary", origin.vocabulary, tagging.vocabulary.key),
    ):
        if theirs != ours:
            raise QueryError(
                f"{path} was exported with the {name} {theirs}, not with {ours}, so that nobody can tell what was "
                f"edited: {remedy}"
            )
    try:
        return tagging.decided_by(read_calibration(origin.calibration, len(tagging.vocabulary.tags)))
    except ValueError as error:
        raise QueryError(f"the manifest beside {path} is damaged ({error}): {remedy}") from error


def differences(
    tagging: Tagging, rows: Iterable[tuple[TagRow, int | None]], labels_only: bool, report: ImportReport
) -> Iterator[Label]:
    """Yield the labels that rows mean, and count what could not be used."""
    names, places = tagging.vocabulary.names, tagging.vocabulary.places()

    def known(tags: Iterable[str]) -> set[str]:
        found = {bare(tag) for tag in tags}
        report.unknown_tags += len(found - places.keys())
        return found & places.keys()

    by_photo: dict[int, TagRow] = {}
    for row, photo_id in rows:
        report.rows += 1
        if photo_id is None:
            report.unknown_photos += 1
        else:
            by_photo[photo_id] = row
    report.without_vector += len(by_photo)
    for photos in tagging.photos(ids=list(by_photo)):
        report.without_vector -= len(photos.decided)
        for position, photo_id in enumerate(photos.photo_ids.tolist()):
            row = by_photo[photo_id]
            says_yes, says_no = known(row.set_by_hand), known(row.unset_by_hand)
            if not labels_only:
                has = {bare(name) for place, name in enumerate(names) if photos.decided[position, place]}
                listed, unknown = known(row.tags), known(row.unknown)
                clear = report.compared and len(listed) == len({bare(tag) for tag in row.tags})  # no tag is misspelt
                newer = {bare(tag) for tag in photos.labels.get(photo_id, {})} - says_yes - says_no  # than the file
                says_yes = says_yes & listed | listed - has - newer  # whoever edits an export edits its tags
                says_no = says_no - listed - unknown | (has - listed - unknown - newer if clear else set())
            if both := sorted(says_yes & says_no):
                raise QueryError(f"{row.where}: {both[0]!r} is both set and unset by hand")
            yield from (Label(photo_id, tag, True) for tag in sorted(says_yes))
            yield from (Label(photo_id, tag, False) for tag in sorted(says_no))
