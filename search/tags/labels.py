"""What people say of photos: single labels, and files of tags read back as corrections."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from base.console import counted
from base.errors import QueryError, SourceError
from base.progress import Progress, Step, silent
from base.records import manifest_path, read_json
from db.catalog import Catalog
from db.photo_names import no_photo
from db.photo_rows import hashes_of, photos_by_id
from db.tag_rows import Label, forget_labels, known_photos, labels_of, set_labels
from embedding.segments import SegmentStore
from search.results import HIGHEST
from search.tags.calibration import read_calibration
from search.tags.tag_files import EXPORTED, TagRow, known_tag, read_tag_file
from search.tags.tagging import Tagging, vocabularies_of
from search.tags.truth import doubts, first_few, with_photo_ids
from search.tags.vocabulary import MOST_NAMED, bare, unknown_in_words

BATCH = 1000


@dataclass(kw_only=True, slots=True)
class ImportReport:
    """What reading a file of tags back did."""

    rows: int = 0
    unknown_photos: int = 0  # rows whose photo the library does not know
    photos_left_out: list[str] = field(default_factory=list)  # the first few of them
    without_vector: int = 0  # rows whose photo cannot be found now
    unread: int = 0  # labels of photos whose files were never read, since their vectors were imported
    unknown_tags: int = 0  # that the vocabulary does not have
    tags_left_out: dict[str, list[str]] = field(default_factory=dict)  # the first few, and what they may have meant
    set: int = 0  # labels that say yes, other than before
    unset: int = 0  # labels that say no, other than before
    compared: bool = True  # it is known of every row what was exported, so that missing tags could be unset
    labels_only: bool = False
    remarks: list[str] = field(default_factory=list)  # on how the file was read

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.set} tags set, {self.unset} unset"

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        alone = (
            f"neither a column {EXPORTED!r} in it nor a manifest beside it says what was exported: tags that it does "
            "not list were not unset"
        )
        gone = f"left out {counted(self.without_vector, 'row')} whose photo cannot be found now"
        unread = (
            f"left out {counted(self.unread, 'label')} of photos whose vectors were imported, and whose files were "
            "never read: a label belongs to a file's bytes, which `aliens add` on their folders reads"
        )
        strange = (
            f"left out {counted(self.unknown_photos, 'row')} whose photo the library does not know: "
            f"{first_few(self.photos_left_out)}"
        )
        tags = (
            f"left out {counted(self.unknown_tags, 'tag')} that the vocabulary does not have: "
            f"{unknown_in_words(self.tags_left_out)}"
        )
        said = (
            (alone, not self.compared and not self.labels_only),
            (gone, self.without_vector),
            (unread, self.unread),
            (strange, self.unknown_photos),
            (tags, self.unknown_tags),
        )
        return [*self.remarks, *(note for note, holds in said if holds)]


def label_photos(
    catalog: Catalog, photo_ids: Sequence[int], tag: str, present: bool | None, vocabulary: str | None
) -> str:
    """Keep what a person says of photos and a tag, and return the tag's full name; None forgets it. All or nothing.

    A tag may be of any vocabulary, or of the one named: a label counts in all that have the tag.

    Raises: QueryError: there is no photo, the library lacks one of them, or its vocabularies the tag.
    """
    if not photo_ids:
        raise QueryError(f"no photo is named that {tag!r} is said of: name some by number or path")
    with catalog.saving() as session:
        words = vocabularies_of(catalog, session, vocabulary)
        found, place = (words.with_tag(tag) or [words.find(tag)])[0]
        name = found.names[place]
        refuse_unlabelled(catalog, session, photo_ids)
        labels = [Label(photo_id, bare(name), bool(present)) for photo_id in photo_ids]
        if present is None:
            forget_labels(session, labels)
        else:
            set_labels(session, labels)
        session.commit()
    return name


def label_tags(
    catalog: Catalog, photo_id: int, said: Mapping[str, bool | None], vocabulary: str | None
) -> dict[str, bool | None]:
    """Keep what a person says of a photo and several tags, all or nothing; None forgets it.

    Return what was said of them before, by their full names: said again it undoes this.

    Raises: QueryError: the library lacks the photo, or its vocabularies one of the tags.
    """
    with catalog.saving() as session:
        words = vocabularies_of(catalog, session, vocabulary)
        found = {tag: (words.with_tag(tag) or [words.find(tag)])[0] for tag in said}
        names = {tag: of.names[place] for tag, (of, place) in found.items()}
        refuse_unlabelled(catalog, session, [photo_id])
        now = {bare(label.tag): label.present for label in labels_of(session, [photo_id])}
        set_labels(session, [Label(photo_id, bare(names[t]), there) for t, there in said.items() if there is not None])
        forget_labels(session, [Label(photo_id, bare(names[t]), False) for t, there in said.items() if there is None])
        session.commit()
    return {names[tag]: now.get(bare(names[tag])) for tag in said}


def refuse_unlabelled(catalog: Catalog, session: Session, photo_ids: Sequence[int]) -> None:
    """Make sure that photos can be labelled.

    Raises: QueryError: the library lacks one of them, or its bytes were never read.
    """
    known = known_photos(session, [photo_id for photo_id in photo_ids if 0 < photo_id <= HIGHEST])
    if strange := [photo_id for photo_id in photo_ids if photo_id not in known]:
        for result in photos_by_id(session, [photo_id for photo_id in strange if 0 < photo_id <= HIGHEST]):
            raise no_photo(result)
        raise QueryError(f"no photo {first_few(strange)} in {catalog.folder.root}: take an id that a search shows")
    read = hashes_of(session, photo_ids)
    if unread := [photo_id for photo_id in photo_ids if photo_id not in read]:
        have = "has" if len(unread) == 1 else "have"
        raise QueryError(
            f"photo {first_few(unread)} {have} not been read yet, and a label belongs to its bytes: run "
            "`aliens add` on its folder first; `aliens failures` says what is wrong with photos that cannot be "
            "read, and one whose vector was imported without its file has no bytes here"
        )


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
    only where the row's column `exported`, or else a manifest beside the file, says what was exported: a file of
    another origin says yes to what it lists, and no to nothing. With `labels_only` only the labels that the file
    carries are read. All or nothing: an error in the file leaves the library as it was.

    Raises:
        QueryError: the file cannot be read, was exported with another model or a vocabulary that the library has
            not, or the library is not tagged.
        SourceError: the file has no row of a photo that can be found here, or no tag of the vocabulary.
        LibraryError: the library cannot be opened or written, or another process is changing it.
    """
    report = ImportReport(labels_only=labels_only, compared=not labels_only)
    rows = read_tag_file(path, report.remarks)
    first = next(rows, None)
    if first is None:
        raise SourceError(f"{path} has no rows: nothing was changed")
    origin = None if labels_only else first.exported or origin_of(path)
    doubtful: list[str] = []
    with catalog.writing() as session:
        tagging = Tagging.open(catalog, session, store, vocabulary or (origin.vocabulary if origin else None))
        if isinstance(origin, Origin):
            tagging = as_exported(tagging, path, origin)
        edits = Edits(tagging, labels_only, isinstance(origin, Origin), report)
        stream = with_photo_ids(session, chain([first], rows), doubtful)
        while batch := list(islice(stream, BATCH)):
            labels = list(edits.differences(batch))
            read = hashes_of(session, [label.photo_id for label in labels])  # a label belongs to bytes
            report.unread += sum(label.photo_id not in read for label in labels)
            labels = [label for label in labels if label.photo_id in read]
            set_labels(session, labels)
            report.set += sum(label.present for label in labels)
            report.unset += sum(not label.present for label in labels)
            progress(Step("reading", report.rows, unit="rows"))
        edits.refuse_nothing(path)
        session.commit()
    report.remarks += doubts(doubtful)
    return report


@dataclass(frozen=True, slots=True)
class Origin:
    """What a manifest says of how a file's tags were decided."""

    model: str
    vocabulary: str
    calibration: dict[str, Any]


def origin_of(path: Path) -> Origin | None:
    """Return what the manifest of an export says, or None where there is none that can be read.

    For files that an earlier version exported, or without the column `exported`.
    """
    return read_json(manifest_path(path), Origin)


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


class Edits:
    """What the rows of one file mean, against the library's tags as they are or as they were exported."""

    def __init__(self, tagging: Tagging, labels_only: bool, as_exported: bool, report: ImportReport) -> None:
        """`as_exported`: the tagging decides as when the file was exported."""
        self._tagging = tagging
        self._names = tagging.vocabulary.places()
        self._labels_only = labels_only
        self._as_exported = as_exported
        self._report = report
        self._tags_known = 0

    def differences(self, rows: Iterable[tuple[TagRow, int | None]]) -> Iterator[Label]:
        """Yield the labels that rows mean and the library does not have, and count what could not be used."""
        by_photo: dict[int, list[TagRow]] = {}
        for row, photo_id in rows:
            self._report.rows += 1
            if photo_id is None:
                self._report.unknown_photos += 1
                if len(self._report.photos_left_out) < MOST_NAMED:
                    self._report.photos_left_out.append(str(row))
            else:
                by_photo.setdefault(photo_id, []).append(row)
        for photos in self._tagging.photos(ids=list(by_photo)):
            for decided, photo_id in zip(photos.decided.tolist(), photos.photo_ids.tolist(), strict=True):
                now = {bare(tag): present for tag, present in photos.labels.get(photo_id, {}).items()}
                for row in by_photo.pop(photo_id):
                    has = {name for name, is_decided in zip(self._names, decided, strict=True) if is_decided}
                    said = self._said(row, has, now)
                    yield from (Label(photo_id, tag, said[tag]) for tag in sorted(said) if now.get(tag) != said[tag])
        self._report.without_vector += sum(map(len, by_photo.values()))

    def _said(self, row: TagRow, has: set[str], now: dict[str, bool]) -> dict[str, bool]:
        """Return {tag: whether the photo has it} of what a row says.

        has: the tags that the library decides. now: the labels that it has.
        """
        says_yes, says_no = self._known(row.set_by_hand, now), self._known(row.unset_by_hand, now)
        if not self._labels_only:
            exported = self._tags_exported(row)
            has = has if exported is None else exported
            compared = exported is not None or self._as_exported
            self._report.compared &= compared
            listed, unknown = self._known(row.tags, {}), self._known(row.unknown, {})
            clear = compared and len(listed) == len({bare(tag) for tag in row.tags})  # no tag is misspelt
            newer = {tag for tag in now if tag not in (says_yes if now[tag] else says_no)}  # than the file
            says_yes = (says_yes - newer) & listed | listed - has - newer  # whoever edits an export edits its tags
            says_no = says_no - newer - listed - unknown | (has - listed - unknown - newer if clear else set())
        if both := sorted(says_yes & says_no):
            raise QueryError(f"{row.where}: {both[0]!r} is both set and unset by hand")
        return dict.fromkeys(says_yes, True) | dict.fromkeys(says_no, False)

    def _tags_exported(self, row: TagRow) -> set[str] | None:
        """Return the tags that a photo had when its row was exported, or None where the row does not say."""
        if row.exported is None:
            return None
        ours = self._tagging.vocabulary.key
        if row.exported.vocabulary != ours:
            raise QueryError(
                f"{row.where} was exported with the vocabulary {row.exported.vocabulary}, not with {ours}: read only "
                f"labels set by hand with --labels-only, or empty the column {EXPORTED!r} to say yes to all the tags "
                "that rows list"
            )
        return row.exported.tags(list(self._names))

    def _known(self, tags: Iterable[str], labels: Mapping[str, bool]) -> set[str]:
        """Return those of some tags that the vocabulary has, by their bare names; count the others.

        But not those in `labels`, which the library has with other vocabularies.
        """
        known: set[str] = set()
        for tag in tags:
            name = known_tag(tag, self._names)
            if name is not None:
                known.add(name)
                self._tags_known += 1
            elif bare(tag) not in labels:
                self._report.unknown_tags += 1
                if len(self._report.tags_left_out) < MOST_NAMED:
                    self._report.tags_left_out[tag] = self._tagging.vocabulary.near(tag)
        return known

    def refuse_nothing(self, path: Path) -> None:
        """Refuse a file that has nothing to do with the library. Raises: SourceError: it is such a file."""
        report, vocabulary = self._report, self._tagging.vocabulary
        if report.rows == report.unknown_photos + report.without_vector:
            named = "".join(f", as {names}" for names in [first_few(report.photos_left_out)] if names)
            raise SourceError(
                f"{path}: no photo of its {counted(report.rows, 'row')} can be found in the library{named}; a row "
                "names it by path (absolute, or relative to the file's folder), by image_id, or by photo_id alone"
            )
        if report.unknown_tags and not self._tags_known:
            words = unknown_in_words(report.tags_left_out)
            raise SourceError(f"{path}: none of its tags is in the vocabulary {vocabulary.key}: {words}")
