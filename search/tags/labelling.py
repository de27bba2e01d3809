"""What people say of photos: single labels, and files of tags read back as corrections."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from aliens.errors import QueryError
from aliens.settings import LibraryFolder
from db.session import disposing, new_session, open_library
from db.tags import Label, forget_labels, known_photos, set_labels
from db.writing import disk_errors, writing
from search.tags.files import TagRow, read_tag_file
from search.tags.tagging import Tagging
from search.tags.truth import resolved
from search.tags.vocabulary import bare

BATCH = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport:
    """What reading a file of tags back did."""

    rows: int
    unknown_photos: int
    unknown_tags: int
    set: int  # labels that say yes
    unset: int  # labels that say no


def label_photo(folder: LibraryFolder, photo_id: int, tag: str, present: bool | None, vocabulary: str | None) -> str:
    """Keep what a person says of a photo and a tag, and return the tag's full name; None forgets it.

    Raises: QueryError: the library has no such photo, or its vocabulary no such tag.
    """
    with disk_errors(folder), disposing(open_library(folder)) as engine, new_session(engine) as session:
        words = Tagging.open(session, folder, vocabulary).vocabulary
        name = words.names[words.position(tag)]
        if not known_photos(session, [photo_id]):
            raise QueryError(f"no photo {photo_id} in {folder.root}: take an id that a search shows")
        label = Label(photo_id, name, bool(present))
        if present is None:
            forget_labels(session, [label])
        else:
            set_labels(session, [label])
        session.commit()
    return name


def import_tags(
    folder: LibraryFolder,
    path: Path,
    *,
    vocabulary: str | None = None,
    labels_only: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> ImportReport:
    """Read a file of tags back: where it differs from what the library decides, it becomes a label.

    An export read back unchanged therefore adds nothing but the labels that it carried. With `labels_only` only
    those are read. All or nothing: an error in the file leaves the library as it was.

    Raises:
        QueryError: the file cannot be read, or the library is not tagged.
        LibraryError: the library cannot be opened or written, or another process is changing it.
    """
    counts = dict.fromkeys(("rows", "unknown_photos", "unknown_tags", "set", "unset"), 0)
    with (
        disk_errors(folder),
        disposing(open_library(folder)) as engine,
        writing(folder),
        new_session(engine) as session,
    ):
        tagging = Tagging.open(session, folder, vocabulary)
        stream = resolved(session, read_tag_file(path))
        while batch := list(islice(stream, BATCH)):
            labels = list(differences(session, tagging, batch, labels_only, counts))
            set_labels(session, labels)
            counts["set"] += sum(label.present for label in labels)
            counts["unset"] += sum(not label.present for label in labels)
            progress(counts["rows"])
        session.commit()
    return ImportReport(**counts)


def differences(
    session: Session,
    tagging: Tagging,
    rows: Iterable[tuple[TagRow, int | None]],
    labels_only: bool,
    counts: dict[str, int],
) -> Iterator[Label]:
    """Yield the labels that rows mean, and count what could not be used."""
    names, places = tagging.vocabulary.names, tagging.vocabulary.places()

    def known(tags: Iterable[str]) -> set[str]:
        found = [places.get(bare(tag)) for tag in tags]
        counts["unknown_tags"] += found.count(None)
        return {names[place] for place in found if place is not None}

    by_photo: dict[int, TagRow] = {}
    for row, photo_id in rows:
        counts["rows"] += 1
        if photo_id is None:
            counts["unknown_photos"] += 1
        else:
            by_photo[photo_id] = row
    for photos in tagging.photos(ids=list(by_photo)):
        for position, photo_id in enumerate(photos.photo_ids.tolist()):
            row = by_photo[photo_id]
            says_yes, says_no = known(row.set_by_hand), known(row.unset_by_hand)
            if not labels_only:
                has = {name for place, name in enumerate(names) if photos.decided[position, place]}
                listed, unknown = known(row.tags), known(row.unknown)
                says_yes = says_yes & listed | listed - has  # whoever edits an export edits its tags
                says_no = says_no - listed - unknown | has - listed - unknown
            if both := sorted(says_yes & says_no):
                raise QueryError(f"{row.where}: {both[0]!r} is both set and unset by hand")
            yield from (Label(photo_id, tag, True) for tag in sorted(says_yes))
            yield from (Label(photo_id, tag, False) for tag in sorted(says_no))
