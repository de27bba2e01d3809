"""What a library can do for those who label it photo by photo: ask, keep what they say, take it back, learn from it."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.orm import Session

from aliens.desk_methods import DeskMethods
from aliens.tag_methods import TagMethods
from base.files import PhotoFile
from base.progress import Progress
from db.photo_names import Named

if TYPE_CHECKING:
    from search.tags.gains import LabelGain
    from search.tags.labelling import AskedPhoto, AskedWhole, LabellingDesk, LabelState, WholeState
    from search.tags.tagging import Tagging

LENT, LENT_FILE = "labelling", "lent.json"  # where it is kept which photos processes ask about
Asked = TypeVar("Asked", "AskedPhoto", "AskedWhole")
State = TypeVar("State", "LabelState", "WholeState")


class LabellingMethods(DeskMethods, TagMethods):
    """Labelling, of one tag or of whole photos."""

    def ask_labels(
        self, tag: str, *, vocabulary: str | None = None, tab: str = "", count: int = 4, skipped: Sequence[int] = ()
    ) -> "tuple[list[AskedPhoto], LabelState]":
        """Return the photos whose label would teach most of a tag, and what the labels say so far.

        Label them with `label`. `tab`: who asks; no photo is given to two at once. `skipped`: ids to be passed over.

        Args:
            tag: as in a query, such as bathtub or hotel/bathtub; where several have it the latest counts.
            vocabulary: the one that is meant.
            tab: who asks.
            count: how many photos.
            skipped: photos that are not asked about again.

        Raises: QueryError: the library was not tagged, or no vocabulary has such a tag.
        """
        from search.tags.vocabulary import bare

        with self._tagging_of(tag, vocabulary) as (session, tagging, name):
            return self._lending(
                bare(name),
                tab,
                lambda elsewhere: self._desk.ask(
                    session, tagging, name, tab=tab, count=count, skipped=skipped, elsewhere=elsewhere
                ),
            )

    def ask_photos(
        self, *, vocabulary: str | None = None, tab: str = "", count: int = 4, skipped: Sequence[int] = ()
    ) -> "tuple[list[AskedWhole], WholeState]":
        """Return the photos to label as a whole next, with the tags to ask about, and what the labels say so far.

        Label them with `label_photo`; the rest is as in `ask_labels`. Of more than 20 tags the likeliest are asked for.

        Raises: QueryError: the library was not tagged with the vocabulary.
        """
        with self._tagging(vocabulary) as (session, tagging):
            return self._lending(
                "",
                tab,
                lambda elsewhere: self._desk.ask_whole(
                    session, tagging, tab=tab, count=count, skipped=skipped, elsewhere=elsewhere
                ),
            )

    def label_photo(
        self, photo: Named, said: Mapping[str, bool | None], *, vocabulary: str | None = None
    ) -> dict[str, bool | None]:
        """Say of one photo which tags it has and which not, all or nothing; None takes back what was said.

        Return what was said of these tags before: said again it undoes this.

        Raises: QueryError: the library lacks the photo, or its vocabularies one of the tags.
        """
        from search.tags.labels import label_tags

        (photo_id,) = self.photo_ids(photo)
        return label_tags(self.catalog, photo_id, said, vocabulary)

    def take_back_label(self, photo_id: int, tag: str, *, vocabulary: str | None = None, tab: str = "") -> str:
        """Take back what was said of a photo and a tag, or that it was passed over; return the tag's full name.

        The photo is asked about again, of the same tab. Raises: QueryError: as `label`.
        """
        name = self.label(photo_id, tag, None, vocabulary=vocabulary)
        self._desk.take_back(name, photo_id, tab)
        return name

    def take_back_photo(
        self,
        photo_id: int,
        before: Mapping[str, bool | None],
        *,
        tag: str | None = None,
        vocabulary: str | None = None,
        tab: str = "",
    ) -> None:
        """Have what was said of a photo be again as `label_photo` returned it; the photo is asked about again.

        `tag`: where it was asked about one alone. Raises: QueryError: as `label_photo`.
        """
        if before:
            self.label_photo(photo_id, before, vocabulary=vocabulary)
        self._desk.take_back(tag, photo_id, tab)

    def labels_of(self, photo: Named, vocabulary: str | None = None) -> dict[str, bool]:
        """Return what people said of a photo, by the names of a vocabulary's tags; what nobody spoke of is absent.

        Raises: QueryError: the library lacks the photo, or was not tagged with the vocabulary.
        """
        from db.tag_rows import labels_of
        from search.tags.tagging import vocabularies_of
        from search.tags.vocabulary import bare

        (photo_id,) = self.photo_ids(photo)
        with self.catalog.session() as session:
            words = vocabularies_of(self.catalog, session, vocabulary).all[0]
            said = {bare(label.tag): label.present for label in labels_of(session, [photo_id])}
            return {words.names[place]: said[tag] for tag, place in words.places().items() if tag in said}

    def label_sheet(self, photos: Named | Iterable[Named], path: str | PathLike[str], *, title: str = "") -> None:
        """Write a contact sheet of photos with their numbers on it, in the order given, to label them by.

        Raises:
            QueryError: the library lacks one of them, or the path's ending names no picture.
            OutputError: the file cannot be written.
        """
        from db.photo_rows import photo_records
        from embedding.sheet import Cell, write_sheet

        photo_ids = self.photo_ids(photos)
        with self.catalog.session() as session:
            records = photo_records(session, photo_ids)
        cells = []
        for number, record in enumerate((records[each] for each in photo_ids if each in records), start=1):
            file = PhotoFile(record.path, record.member)
            name = Path(record.member or record.path).name
            cells.append(Cell(file, (f"{number}.  {record.hotel_name or ''}", f"photo {record.photo_id}  {name}")))
        write_sheet(cells, title, Path(path))

    def labels_brought(self, tag: str | None = None, *, vocabulary: str | None = None) -> "LabelGain":
        """Return what the labels of a tag, or of all tags, brought: each labelled photo by the labels of other hotels.

        Raises: QueryError: the library was not tagged, or there is no such tag.
        """
        if tag is None:
            with self._tagging(vocabulary) as (session, tagging):
                return self._desk.gain(session, tagging)
        with self._tagging_of(tag, vocabulary) as (session, tagging, name):
            return self._desk.gain(session, tagging, name)

    def learn_labels(self, vocabulary: str | None = None, *, progress: Progress | None = None) -> int:
        """Have tags decided by people's labels as they are now; return how many tags are.

        As `tag(calibrate="labels")`, but for a vocabulary that the library was tagged with, and the latest stays that.

        Raises:
            QueryError: the library was not tagged with it, or by a method that labels do not teach.
            LibraryError: another process changes the library, or the disk is full.
        """
        from search.tags.tag_runs import learn_labels

        with self._tagging(vocabulary) as (_, tagging):
            key = tagging.vocabulary.key
        with self.showing(progress) as tell:
            return len(learn_labels(self.catalog, self.store, self.encoder, key, tell).active_links)

    def leave_labelling(self, tab: str) -> None:
        """Let other processes ask about the photos that a tab was asked about, and did not label."""
        from search.tags.labelling import Leases

        if self.is_writable():
            with self.at_desk(LENT) as folder:
                kept = self.read_desk(folder / LENT_FILE, Leases)
                if kept is not None:
                    self.write_desk(folder / LENT_FILE, kept.without(tab))

    def _lending(
        self, name: str, tab: str, ask: "Callable[[Collection[int]], tuple[list[Asked], State]]"
    ) -> "tuple[list[Asked], State]":
        """Have photos be asked about that no other process asks about, as long as there are others."""
        from search.tags.labelling import Leases

        if not self.is_writable():
            return ask(())
        with self.at_desk(LENT) as folder:
            kept = self.read_desk(folder / LENT_FILE, Leases) or Leases()
            elsewhere = kept.of_others(name, tab, time.time())
            asked, state = ask(elsewhere)
            if elsewhere and not asked:  # perhaps nobody sits there any more
                asked, state = ask(())
            ids = [each.photo_id for each in asked]
            self.write_desk(folder / LENT_FILE, kept.with_mine(name, tab, ids, time.time()))
        return asked, state

    @contextmanager
    def _tagging_of(self, tag: str, vocabulary: str | None) -> "Iterator[tuple[Session, Tagging, str]]":
        """Yield a session, the tagging of the vocabulary that has a tag, and the tag's full name.

        Raises: QueryError: no vocabulary has it, or several that are not the latest.
        """
        from db.tag_rows import current_vocabulary
        from search.tags.tagging import Tagging, vocabularies_of

        with self.catalog.session() as session:
            words = vocabularies_of(self.catalog, session, vocabulary)
            found, place = words.find(tag, words.called(current_vocabulary(session) or ""))
            yield session, Tagging.open(self.catalog, session, self.store, found.key), found.names[place]

    @cached_property
    def _desk(self) -> "LabellingDesk":
        from search.tags.labelling import LabellingDesk

        return LabellingDesk()
