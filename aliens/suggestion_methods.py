"""What a library can suggest for its vocabularies: better prompts, and words for photos that no tag covers."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aliens.tag_methods import truth_in
from aliens.vocabulary_methods import VocabularyMethods
from base.errors import QueryError
from base.progress import Progress

if TYPE_CHECKING:
    from search.tags.suggesting import PromptSuggestions
    from search.tags.uncovered import UncoveredWords

Where = str | os.PathLike[str]


class SuggestionMethods(VocabularyMethods):
    """Vocabulary help."""

    def suggest_prompts(
        self,
        tags: str | Sequence[str] = (),
        *,
        vocabulary: str | None = None,
        tried: str | Sequence[str] = (),
        tried_file: Where | None = None,
        truth: Where | None = None,
        progress: Progress | None = None,
    ) -> "PromptSuggestions":
        """Return prompts that would tell the tags of a vocabulary better than today's. Nothing is changed.

        By people's labels, of tags that have at least five of each kind, each of two hotels or more; of the others
        `PromptSuggestions.notes` says what they lack.

        Args:
            tags: only these; by default all of the vocabulary.
            vocabulary: one that the library was tagged with, by default the latest.
            tried: texts of yours, such as "a free-standing bathtub", or "a bathtub: a claw-foot tub".
            tried_file: a file of them, one a line.
            truth: a file with true tags, as of `evaluate`; people's labels are put over it.
            progress: told of texts and tags.

        Raises:
            QueryError: the library was not tagged, or there is no such tag, or a text or file cannot be used.
            LibraryError: a part of the vectors is absent or damaged.
        """
        from collections import Counter

        from db.vector_rows import EmbeddedRows
        from search.tags.suggesting import suggest_prompts
        from search.tags.truth import with_labels
        from search.tags.word_list import tried_texts

        with self._tagging(vocabulary) as (session, tagging), self.showing(progress) as tell:
            words = tagging.vocabulary
            texts = tried_texts(
                words, [tried] if isinstance(tried, str) else tried, None if tried_file is None else Path(tried_file)
            )
            said = with_labels(session, words, {}, [], Counter())
            known = said if truth is None else truth_in(session, words, truth)
            return suggest_prompts(
                session,
                self.store.current(EmbeddedRows(session, self.model)),
                self.encoder,
                words,
                tagging.calibration,
                known,
                tags=[tags] if isinstance(tags, str) else tags,
                tried=texts,
                progress=tell,
            )

    def uncovered_words(
        self, vocabulary: str | None = None, *, groups: int | None = None, progress: Progress | None = None
    ) -> "UncoveredWords":
        """Return groups of the photos that have no tag of a vocabulary, each with an everyday word for it.

        Args:
            vocabulary: one that the library was tagged with, by default the latest.
            groups: at most so many, by default 20.
            progress: told of the photos.

        Raises:
            QueryError: the library was not tagged, or groups is not from 1 to 100.
            LibraryError: a part of the vectors is absent or damaged.
        """
        from db.vector_rows import EmbeddedRows
        from search.tags.uncovered import GROUPS, MOST_GROUPS, uncovered_words

        if groups is not None and not 1 <= groups <= MOST_GROUPS:
            raise QueryError(f"{groups} groups cannot be made: ask for 1 to {MOST_GROUPS}")
        with self._tagging(vocabulary) as (session, tagging), self.showing(progress) as tell:
            vectors = self.store.current(EmbeddedRows(session, self.model))
            return uncovered_words(session, vectors, self.encoder, tagging, groups=groups or GROUPS, progress=tell)

    def suggestion_sheet(
        self,
        path: Where,
        prompts: "PromptSuggestions | None" = None,
        words: "UncoveredWords | None" = None,
    ) -> None:
        """Write a contact sheet of suggestions: what would come in and drop out by prompts, and groups with no tag.

        Raises:
            QueryError: there is nothing to show, or the path's ending names no picture.
            OutputError: the file cannot be written.
        """
        from search.tags.suggestion_outputs import write_suggestion_sheet

        with self.catalog.session() as session:
            write_suggestion_sheet(session, Path(path), prompts, words)

    def write_suggested(
        self,
        path: Where,
        prompts: "PromptSuggestions | None" = None,
        words: "UncoveredWords | None" = None,
        *,
        add: str | Sequence[str] = (),
        vocabulary: str | None = None,
    ) -> int:
        """Write a vocabulary with suggested prompts in place of its own, and with words added, to a new .toml file.

        The vocabulary itself stays as it is. Return how many tags are other than before.

        Args:
            path: of the file, which must not be there yet.
            prompts: whose suggestions are taken.
            words: of which some are added.
            add: these, each one that names a group of `words`, or is near one.
            vocabulary: whose tags they are: the one that was asked about.

        Raises:
            QueryError: the file is there, nothing would be other than before, or a word was not suggested.
            OutputError: the file cannot be written.
        """
        from search.tags.suggestion_outputs import changed_vocabulary, check_new_file, write_changed

        check_new_file(Path(path))
        with self._tagging(vocabulary) as (_, tagging):
            before = tagging.vocabulary
        changed = changed_vocabulary(before, prompts, words, [add] if isinstance(add, str) else add)
        return write_changed(Path(path), replace(changed, name=self.own_name(before)), before)
