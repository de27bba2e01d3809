"""What a library can do with vectors that other programs have made, or are to have."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aliens.owner import Where
from aliens.search_methods import SearchMethods
from base.progress import Progress

if TYPE_CHECKING:
    from embedding.vector_layouts import Layout, VectorManifest
    from indexer.vector_import import VectorReport


class VectorMethods(SearchMethods):
    """Vectors in, vectors out."""

    def import_vectors(
        self,
        path: Where,
        *,
        ids: Where | None = None,
        photos: Where | None = None,
        path_column: str | None = None,
        column: str | None = None,
        normalize: bool = False,
        made_by: str | None = None,
        progress: Progress | None = None,
    ) -> "VectorReport":
        """Take vectors that were made elsewhere, with the photos that they are of; nothing is embedded.

        All or nothing, but that a kill may leave whole segments of a million, from where the same call goes on. Photos
        that have vectors, or whose files were read, keep what they have. Columns besides the paths are kept as details.

        Args:
            path: a folder of clip-retrieval's layout, a Parquet file or a folder of them, or a .npy file.
            ids: of a .npy file: the list of its rows' paths; by default the file of the same name beside it.
            photos: the folder that relative paths are below; by default the one that the vectors lie in.
            path_column: the column of paths; by default image_path, path, or the like.
            column: the column of vectors in Parquet files; by default embedding, or the like.
            normalize: make vectors of length 1 that are not, instead of refusing them.
            made_by: the model that made them, where neither a manifest nor photos at their paths tell.
            progress: told of paths, vectors and rows.

        Raises:
            SourceError: there are no vectors, or something in them is wrong: the message names file and row.
            ModelMismatchError: another model made them, or nothing says which one.
            LibraryError: another process or thread changes the library, or the disk is full.
        """
        from indexer.vector_files import vectors_at
        from indexer.vector_import import ImportOptions, import_vectors
        from search.query_vectors import keep_nonsense

        place = Path(os.path.abspath(path))
        listed = None if ids is None else Path(ids)
        files = vectors_at(place, listed, path_column=path_column, column=column)
        folder = Path(photos) if photos is not None else place if place.is_dir() else place.parent
        options = ImportOptions(photos=folder, made_by=made_by, normalize=normalize)
        with self.showing(progress) as tell:
            report = import_vectors(self.catalog, self.store, self.encoder, files, options, tell)
        if report.check.photos:  # so the model is at hand
            keep_nonsense(self.catalog, self.encoder)
        return report

    def export_vectors(
        self,
        path: Where,
        *,
        layout: "Layout | None" = None,
        query: str | None = None,
        k: int | None = None,
        tags: str | Sequence[str] = (),
        columns: str | Sequence[str] = (),
        progress: Progress | None = None,
    ) -> "VectorManifest":
        """Write the photos' vectors with their paths for other programs, and a manifest that names the model.

        In the order of the photos' numbers. Files appear under their names only when all are complete.

        Args:
            path: the folder or file to write.
            layout: clip-retrieval (a folder), parquet or npy; by default by the path's ending.
            query: only the k best photos for this text, each copy as a photo of its own; of filters alone: all photos
                that they leave.
            k: with a query that has words: how many photos, by default 100.
            tags: only photos with all these tags.
            columns: what is said of each besides its path and number: hotel_name, chain_name, date, caption, ...
            progress: told of the photos written.

        Raises:
            QueryError: what is asked for makes no sense, or no photo is left.
            OutputError: the output cannot be written.
        """
        from db.photo_rows import columns_stamp
        from db.vector_rows import EmbeddedRows
        from embedding.photo_table import PhotoTable
        from search.export.vector_export import export_vectors, layout_of, photos_meant

        chosen = layout_of(Path(path), layout)
        names = [tags] if isinstance(tags, str) else tags
        with self.catalog.session() as session, self.showing(progress) as tell:
            ids = photos_meant(self.searcher, session, query, k, names)
            vectors = self.store.current(EmbeddedRows(session, self.model))
            further = [columns] if isinstance(columns, str) else columns
            table = PhotoTable.open(self.folder.photo_table(self.model.key), columns_stamp(session))
            return export_vectors(
                session, self.model, vectors, Path(path), chosen, table=table, ids=ids, columns=further, progress=tell
            )
