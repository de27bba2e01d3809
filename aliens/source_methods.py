"""The places that a library's photos come from: listed, moved and forgotten."""

from typing import TYPE_CHECKING

from aliens.owner import Owner
from aliens.photo_methods import Where, named
from base.listing import Listing
from base.progress import Progress

if TYPE_CHECKING:
    from indexer.remembered import RememberedSource
    from indexer.rerooting import MoveReport


class SourceMethods(Owner):
    """Sources: see also `add`, which remembers them, and looks at all of them where none is named."""

    def sources(self) -> "Listing[RememberedSource]":
        """Return the places that photos were added from, each with what was said of it and whether it is there."""
        from indexer.remembered import list_sources

        with self.catalog.session() as session:
            return Listing(list_sources(session, self.folder))

    def move_source(
        self,
        old: Where,
        new: Where,
        *,
        merge: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> "MoveReport":
        """Tell where a source, a part of one, or a photo lies now; nothing is read or embedded anew. All or nothing.

        Args:
            old: the folder, tar or photo as the library knows it, be it there or not.
            new: where it is now. Sizes and times of some photos are compared, and bytes where times differ.
            merge: photos that are known at both places, with the same bytes, become one.
            force: even where fewer than half of the photos are there.
            progress: told of photos looked at, and of rows.

        Raises:
            QueryError: the library knows nothing at `old`; nothing is at `new`, or too little of what was at `old`;
                photos are known there already.
            LibraryError: another process or thread changes the library, or the disk is full.
        """
        from indexer.rerooting import move_place

        with self.showing(progress) as tell:
            return move_place(self.catalog, named(old), named(new), merge=merge, force=force, progress=tell)

    def forget_source(self, place: Where) -> int:
        """Look at a place no more where `add` is called without one; return how many of its photos stay.

        Raises:
            QueryError: no such place is remembered.
            LibraryError: another process or thread changes the library, or the disk is full.
        """
        from indexer.remembered import look_no_more

        with self.catalog.writing() as session:
            photos = look_no_more(session, named(place))
            session.commit()
            return photos
