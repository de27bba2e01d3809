"""What a library can do for those who make its vocabularies: look at tags, try drafts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from aliens.tag_methods import TagMethods
from base.errors import QueryError

if TYPE_CHECKING:
    from search.export.exporter import ExportManifest, Format
    from search.tags.drafts import DraftBoard, DraftLook
    from search.tags.overview import Overviews, VocabularyLook
    from search.tags.vocabulary import Vocabulary
    from search.tags.vocabulary_edits import TagDraft

SHIPPED = ("case-study", "hotel")


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownVocabulary:
    """A vocabulary that a library may be tagged with.

    origin: tagged (the library was tagged with it), saved (a file in the library's folder, not tagged with yet) or
    shipped. path: its file in the library's folder, where there is one. current: the one it was last tagged with.
    """

    key: str
    name: str
    tags: int
    origin: Literal["tagged", "saved", "shipped"]
    path: str | None = None
    current: bool = False


class VocabularyMethods(TagMethods):
    """Vocabularies that people make and look at."""

    def known_vocabularies(self) -> "list[KnownVocabulary]":
        """Return the vocabularies that the library was tagged with, newest first, then saved, then shipped ones."""
        from db.tag_rows import current_vocabulary
        from search.tags.tagging import known_vocabularies
        from search.tags.vocabulary import read_vocabulary
        from search.tags.vocabulary_edits import kept_vocabularies

        with self.catalog.session() as session:
            current, tagged = current_vocabulary(session), known_vocabularies(session, self.model)
        files = {vocabulary.key: (vocabulary, path) for vocabulary, path in kept_vocabularies(self.folder)}
        keys = {vocabulary.key for vocabulary in tagged.all}
        found = [
            KnownVocabulary(
                key=vocabulary.key,
                name=vocabulary.name,
                tags=len(vocabulary.tags),
                origin="tagged",
                path=str(files[vocabulary.key][1]) if vocabulary.key in files else None,
                current=vocabulary.key == current,
            )
            for vocabulary in tagged.newest
        ]
        found += [
            KnownVocabulary(key=key, name=kept.name, tags=len(kept.tags), origin="saved", path=str(path))
            for key, (kept, path) in files.items()
            if key not in keys
        ]
        shipped = [read_vocabulary(name) for name in SHIPPED]
        return found + [
            KnownVocabulary(key=each.key, name=each.name, tags=len(each.tags), origin="shipped")
            for each in shipped
            if each.key not in keys
        ]

    def vocabulary(self, name: str | None = None) -> "Vocabulary":
        """Return a vocabulary by its key or name: tagged with, saved or shipped; by default the latest, or case-study.

        Never one of a file elsewhere. Raises: QueryError: there is none of this name.
        """
        from base.names import comparable
        from search.tags.tagging import known_vocabularies
        from search.tags.vocabulary import FILES, read_vocabulary
        from search.tags.vocabulary_edits import kept_vocabularies

        with self.catalog.session() as session:
            tagged = known_vocabularies(session, self.model)
        if name is None:
            return tagged.all[0] if tagged.all else read_vocabulary(SHIPPED[0])
        kept = [vocabulary for vocabulary, _ in kept_vocabularies(self.folder)]
        known = [*kept, *tagged.all, *(read_vocabulary(shipped) for shipped in SHIPPED)]
        wanted = comparable(name)
        for found in known:
            if wanted == comparable(found.key):
                return found
        for found in (*tagged.newest, *kept, *known):
            if wanted == comparable(found.name):
                return found
        names = ", ".join(dict.fromkeys(each.name for each in known))
        hint = "; a file is not read here" if Path(name).suffix.lower() in FILES else ""
        raise QueryError(f"no vocabulary {name[:100]!r}: choose of {names}{hint}")

    def tag_with(self, vocabulary: str) -> str:
        """Return what `tag` takes for a vocabulary of a key or name: its file where it is saved alone, or its name.

        Raises: QueryError: there is none.
        """
        key = self.vocabulary(vocabulary).key
        known = next((each for each in self.known_vocabularies() if each.key == key), None)
        if known is None or known.origin == "tagged":
            return key
        return known.path if known.path is not None else known.name

    def look_at_tags(self, vocabulary: str | None = None) -> "VocabularyLook":
        """Return counts, histograms and examples of every tag of a vocabulary; held until something changes.

        Raises: QueryError: the library was not tagged with it.
        """
        with self._tagging(vocabulary) as (session, tagging):
            return self._overviews.of(session, tagging)

    def look_at_draft(
        self,
        draft: "TagDraft",
        *,
        vocabulary: str | None = None,
        instead_of: str | None = None,
        threshold: float | None = None,
    ) -> "DraftLook":
        """Return what `tag` would decide of a tag if it were in a vocabulary, without saving anything.

        Args:
            draft: the tag.
            vocabulary: where it would be, by key or name.
            instead_of: the tag of the vocabulary whose place it would take.
            threshold: as in `tag`.

        Raises: QueryError: no tag can be so, or there is no photo yet.
        """
        from db.vector_rows import any_vector
        from search.tags.vocabulary_edits import with_draft

        base = self.vocabulary(vocabulary)
        changed = with_draft(base, draft, instead_of=instead_of)
        with self.catalog.session() as session:
            if not any_vector(session, self.model):
                raise self.catalog.nothing_embedded(session)
            return self._drafts.look(session, self.encoder, changed, draft.name, base=base, threshold=threshold)

    def save_draft(
        self,
        draft: "TagDraft",
        *,
        vocabulary: str | None = None,
        instead_of: str | None = None,
        name: str | None = None,
    ) -> "tuple[Vocabulary, Path]":
        """Add a tag to a vocabulary, or put it in place of another one; save that in the library's folder.

        `name`: what the vocabulary is called then. Nothing is tagged: call `tag` with the path that is returned.

        Raises: QueryError: no tag or vocabulary can be so. LibraryError: nothing can be written.
        """
        from search.tags.vocabulary_edits import with_draft

        return self._keep(with_draft(self.vocabulary(vocabulary), draft, instead_of=instead_of), name)

    def save_without(self, tag: str, *, vocabulary: str, name: str | None = None) -> "tuple[Vocabulary, Path]":
        """Save a vocabulary without one of its tags. Raises: as `save_draft`."""
        from search.tags.vocabulary_edits import without_tag

        return self._keep(without_tag(self.vocabulary(vocabulary), tag), name)

    def draft_of(self, tag: str, vocabulary: str | None = None) -> "TagDraft":
        """Return a tag of a vocabulary as it can be edited. Raises: QueryError: there is no such tag."""
        from search.tags.vocabulary_edits import draft_of

        return draft_of(self.vocabulary(vocabulary), tag)

    @staticmethod
    def own_name(vocabulary: "Vocabulary") -> str:
        """Return what a vocabulary is called when it was changed: one that comes along stays as it is."""
        return f"my-{vocabulary.name}" if vocabulary.name in SHIPPED else vocabulary.name

    def _keep(self, changed: "Vocabulary", name: str | None) -> "tuple[Vocabulary, Path]":
        from search.tags.vocabulary_edits import in_order_of_headings, keep_vocabulary, under_name

        changed = in_order_of_headings(under_name(changed, name or self.own_name(changed)))
        self.catalog.refuse_unwritable()
        return changed, keep_vocabulary(self.folder, changed)

    def export_to(
        self,
        file: BinaryIO,
        name: str,
        *,
        format: "Format",
        query: str | None = None,
        k: int | None = None,
        tags: str | Sequence[str] = (),
        columns: Sequence[str] = (),
        vocabulary: str | None = None,
    ) -> "ExportManifest":
        """Write what `export` would write to a file of this name to a file that is open; return its manifest.

        file: whatever takes bytes in turn. The others are those of `export`, but for imagefolders, which are no file.

        Raises: QueryError: as `export`. OSError: what the file raises.
        """
        from search.export.exporter import format_of, prepared, refuse_name, write_table

        chosen = format_of(Path(name), format)
        if chosen == "imagefolder":
            raise QueryError("an imagefolder is a folder, not a file: export it with `aliens export tags`, or as a job")
        refuse_name(Path(name))
        with self._tagging(vocabulary) as (session, tagging):
            selection = self._selection(session, tagging, query, k, tags, named=vocabulary is not None)
            describe = prepared(session, tagging, chosen, columns, selection, query)
            return write_table(file, Path(name), chosen, describe)

    def count_found(self) -> int:
        """Return how many photos can be found."""
        from db.vector_rows import EmbeddedRows

        with self.catalog.session() as session:
            return sum(segment.alive for segment in EmbeddedRows(session, self.model).segments())

    def photos_to_tag(self, vocabulary: str) -> int:
        """Return how many photos came after the last tagging with a vocabulary, given by its key."""
        with self._tagging(vocabulary) as (_, tagging):
            return tagging.unscored

    @staticmethod
    def has_words(query: str) -> bool:
        """Tell whether a query ranks photos, so that an export has the best of them; else it has all that are left.

        Raises: QueryError: it cannot be read, or looks for a picture that is no photo of the library.
        """
        from search.query import parse

        terms = parse(query).terms if query.strip() else ()
        if any(term.kind == "image" for term in terms):
            raise QueryError(
                "an export cannot look for a picture of yours (image:): add the picture to the library and search by "
                "its number (like:NUMBER), or leave it out"
            )
        return bool(terms)

    @staticmethod
    def export_columns() -> tuple[list[str], list[str]]:
        """Return the columns that `export` writes by default, and the others that it can."""
        from embedding.photo_table import KINDS
        from search.export.tables import DEFAULT_COLUMNS, DERIVED, MANY

        others = [name for name in (*KINDS, *DERIVED, *MANY) if name not in DEFAULT_COLUMNS and name != "score"]
        return list(DEFAULT_COLUMNS), others

    @cached_property
    def _overviews(self) -> "Overviews":
        from search.tags.overview import Overviews

        return Overviews()

    @cached_property
    def _drafts(self) -> "DraftBoard":
        from search.tags.drafts import DraftBoard

        return DraftBoard(self.catalog, self.store)
