"""What a library can do with its photos and the places they come from: take in, move, index, count and verify them."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aliens.owner import Owner, Where
from base.errors import QueryError
from base.listing import Listing
from base.progress import Progress

if TYPE_CHECKING:
    from indexer.add import AddReport
    from indexer.forget import ForgetReport
    from indexer.inventory import Inventory, ListedFailure
    from indexer.own_words import HotelFrom
    from indexer.remembered import RememberedSource, Told
    from indexer.rerooting import MoveReport
    from indexer.stages import EngineName, StagesMaker
    from indexer.upkeep import IndexReport
    from indexer.verify import Disagreement


def named(path: Where) -> Path:
    """Return a path that somebody named. Raises: QueryError: it is none, or empty, which is the working folder."""
    if not isinstance(path, str | os.PathLike):
        raise QueryError(f"{path!r} is no path: name several one by one, as in add('photos', 'more')")
    if not os.fspath(path):
        raise QueryError("the path is empty: name a folder of photos, a photo or a .tar file; . is the working folder")
    return Path(path)


def place_named(path: Where) -> str | Path:
    """Return a path or an address that somebody named. Raises: QueryError, SourceError: it is none, or not read."""
    from base.urls import checked_place

    named(path)
    return checked_place(path)


class PhotoMethods(Owner):
    """Adding photos, and looking after them."""

    def add(
        self,
        *paths: Where,
        hotels50k: Where | None = None,
        photo_list: Where | None = None,
        path_column: str | None = None,
        split: str = "train",
        hotel_from: "HotelFrom | None" = None,
        metadata: Where | None = None,
        exclude: str | Sequence[str] = (),
        retry_failed: bool = False,
        allow_empty: bool = False,
        max_megapixels: float = 100,
        engine: "EngineName" = "local",
        address: str | None = None,
        progress: Progress | None = None,
    ) -> "AddReport":
        """Find photos, and embed those that are new or changed; they can be found from then on.

        May be stopped at any time; the same call goes on where it stopped. Ctrl-C, or a progress that raises, keeps
        all that was embedded. Places are remembered with what is said of them (hotel_from, metadata, exclude),
        which holds until something else is said, or "none". Without any place all of them are looked at again:
        one that is not there, or of which something is wrong, is reported, and the others are looked at all the same.

        Args:
            paths: folders of photos, photos, tar files; or patterns of them, such as photos/*/rooms or
                shards-{000..099}.tar, where nothing has that name; or such of https://, s3:// or gs://. Each photo
                counts once, also where they overlap.
            hotels50k: in their place, a Hotels-50K tree: dataset/*.csv and images/train.
            photo_list: in their place, a list that names a photo a row, by path (relative to the list) or address: CSV,
                TSV, Excel, Parquet or JSON Lines. Its columns come along: those of `metadata` mean the same.
            path_column: of the list, the column that names the photos; by default path, photo, file, url or the like.
            split: of that tree: train, or photos of the test: unoccluded, or with low, medium or high occlusions.
                Searches then find photos of the test among the others; an evaluation keeps them apart by itself.
            hotel_from: how folders name hotels: "folder", the first folder below the path does; "path", the path itself
                is a hotel; "none". It is remembered for the path.
            metadata: a table of what is known of photos, folders or hotels: CSV, TSV, Excel or Parquet with a column
                path, folder or hotel, and any of hotel, chain, latitude, longitude and date.
            exclude: patterns, as in .gitignore files, of what is left out; files called .aliensignore in folders leave
                out what they say as well. What is known and left out stays as it is.
            retry_failed: try photos again that failed before.
            allow_empty: believe a folder that holds no photos any more.
            max_megapixels: larger photos fail as "too large".
            engine: what reads and embeds photos: "local", this process; "ray", the nodes of a Ray cluster. Each of them
                must have CV-Aliens and the model, and see the photos at the same paths. Vectors are the same.
            address: of the cluster: "auto", "HOST:PORT" or "ray://HOST:PORT". By default that of RAY_ADDRESS or of this
                machine; where there is none, one is started on this machine for the time that it takes.
            progress: told of scanning and embedding.

        Raises:
            SourceError: there are no photos, nothing is at a path, or the only source or the table cannot be used; no
                place is remembered, or none that is can be looked at.
            QueryError: there are several of paths, a tree and a list; something is said of no place; a pattern is none,
                or beside a tree; a split is none, or beside paths.
            LibraryError: another process or thread changes the library, or the disk is full.
            ClusterError: Ray is not installed, there is no cluster, or a node cannot do the work; what was embedded is
                kept.
        """
        from indexer.looks import look_again, look_at_named, options_said, places_told
        from indexer.stages import stages_of

        options = options_said(hotel_from=hotel_from, metadata=metadata, exclude=exclude)
        told = places_told(
            [place_named(path) for path in paths],
            options,
            tree=None if hotels50k is None else named(hotels50k),
            split=split,
            photo_list=None if photo_list is None else named(photo_list),
            path_column=path_column,
        )
        with stages_of(engine, address, self.encoder, self.tell) as stages, self.showing(progress) as tell:
            look = partial(
                self._look,
                stages=stages,
                retry_failed=retry_failed,
                allow_empty=allow_empty,
                max_megapixels=max_megapixels,
                progress=tell,
            )
            if told:
                return look_at_named(self.catalog, told, options, look, may_be_gone=allow_empty)
            return look_again(self.catalog, options, look, may_be_gone=allow_empty)

    def _look(
        self,
        *paths: Where,
        hotels50k: Where | None = None,
        photo_list: Where | None = None,
        path_column: str | None = None,
        split: str = "train",
        hotel_from: "HotelFrom | None" = None,
        metadata: Where | None = None,
        exclude: str | Sequence[str] = (),
        retry_failed: bool = False,
        allow_empty: bool = False,
        max_megapixels: float = 100,
        told: "Sequence[Told]" = (),
        stages: "StagesMaker | None" = None,
        progress: Progress | None = None,
    ) -> "AddReport":
        """Look at places of which the same is said, and remember them: see `add`."""
        from indexer.add import add_photos
        from indexer.hotels50k import Hotels50kSource
        from indexer.metadata import table_for
        from indexer.photo_lists import ListSource
        from indexer.sources import Source, sources_at
        from search.query_vectors import keep_nonsense

        patterns = [exclude] if isinstance(exclude, str) else list(exclude)
        sources: Sequence[Source]
        if photo_list is not None:
            sources = [ListSource(named(photo_list), self.path, path_column=path_column, exclude=patterns)]
        elif hotels50k is None:
            where = [place_named(path) for path in paths]
            sources = sources_at(where, self.path, exclude=patterns, may_be_gone=allow_empty)
        elif patterns:
            raise QueryError(
                f"--exclude {patterns[0]!r} does not go with a Hotels-50K tree, whose photos are those that its "
                "train_set.csv or test_set.csv lists: take them out there"
            )
        else:
            sources = [Hotels50kSource(Path(hotels50k), split)]
        table = None if metadata is None else table_for(Path(metadata), sources)
        with self.showing(progress) as tell:
            report = add_photos(
                self.catalog,
                self.store,
                self.encoder,
                sources,
                hotel_from=hotel_from,
                table=table,
                retry_failed=retry_failed,
                allow_empty=allow_empty,
                max_pixels=int(max_megapixels * 1e6),
                told=told,
                stages=stages,
                progress=tell,
            )
        if report.run.encoded:  # so the model is at hand
            keep_nonsense(self.catalog, self.encoder)
        return report

    def update_index(
        self,
        kind: str | None = None,
        *,
        factory: str | None = None,
        least_recall: float | None = None,
        remote_only: bool = False,
        rebuild: bool = False,
        progress: Progress | None = None,
    ) -> "IndexReport":
        """Choose the search index, bring it up to date, and measure what it finds; what is left out stays as it is.

        Args:
            kind: auto (exact up to 250,000 photos, then ivf), exact, ivf, hnsw, or milvus:URI.
            factory: FAISS's factory string, such as IVF4096,SQ8.
            least_recall: recall@10 to reach with text queries, above 0 and up to 1.
            remote_only: with milvus:URI, keep no vectors here once all were read back from there and compared: answers
                are Milvus's own then. Another kind brings them back.
            rebuild: build it anew even where it need not be.
            progress: told of training, filling and measuring.

        Raises: LibraryError: a value makes no sense, FAISS cannot build it, Milvus gives no answer, another process
            works on the library, or the disk is full.
        """
        from indexer.upkeep import changed_choice, reindex
        from search.photo_fields import FieldsOfPhotos

        with self.showing(progress) as tell:
            return reindex(
                self.catalog,
                self.store,
                self.encoder,
                lambda choice: changed_choice(choice, kind, factory, least_recall, remote_only),
                fields=lambda session: FieldsOfPhotos(self.catalog, session, self.store),
                rebuild=rebuild,
                progress=tell,
            )

    def info(self) -> "Inventory":
        """Return what the library holds: photos by state, model, sizes."""
        from indexer.inventory import take_inventory

        return take_inventory(self.catalog)

    def failures(self, kind: str | None = None) -> "Listing[ListedFailure]":
        """Return the photos that could not be embedded, and the rows and folders that could not be read.

        `kind`: only these, such as truncated or missing.
        """
        from indexer.inventory import list_failures

        return Listing(list_failures(self.catalog, kind))

    def forget(
        self, *paths: Where, hotels: str | Sequence[str | int] = (), gone: bool = False, dry_run: bool = False
    ) -> "ForgetReport":
        """Let photos leave the library, with all that is known of them; their files stay where they are.

        All or nothing. Restyled photos are named by their files, which go as well: they are the library's own.

        Args:
            paths: photos, folders, tar files or restyled photos, whether or not they are still there.
            hotels: full names or numbers, one or several; all of their photos.
            gone: photos that `add` found missing, and that are missing still.
            dry_run: change nothing, and return what would be forgotten.

        Raises:
            QueryError: nothing was named, the library knows nothing there, or no such hotel.
            LibraryError: another process or thread changes the library, or the disk is full.
        """
        from indexer.forget import forget

        where = [place_named(path) for path in paths]
        names = [hotels] if isinstance(hotels, str) else [str(hotel) for hotel in hotels]
        return forget(self.catalog, self.store, where, hotels=names, gone=gone, dry_run=dry_run)

    def verify(self, *, quick: bool = False, progress: Progress | None = None) -> "Listing[Disagreement]":
        """Return where files and database disagree; an empty list means that the library is sound.

        Args:
            quick: compare names, sizes and counts alone; by default every byte that the library has written is read.
            progress: told of photos.
        """
        from indexer.verify import verify

        with self.showing(progress) as tell:
            return Listing(verify(self.catalog, self.store, tell, quick=quick))

    def repair(self) -> int:
        """Mend what can be mended, and return how many photos `add` will embed anew because of it.

        Raises: LibraryError: another process or thread changes the library, or the disk is full.
        """
        from indexer.verify import repair

        return repair(self.catalog, self.store)

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
