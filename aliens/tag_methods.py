"""What a library can do with words for its photos: tags, labels, captions, and files of them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from aliens.owner import Where
from aliens.search_methods import SearchMethods
from base.errors import QueryError
from base.listing import Listing
from base.progress import Progress
from db.photo_names import Named
from search.results import CaptionHits

if TYPE_CHECKING:
    from db.caption_rows import SetCount
    from embedding.captioner import Captioner
    from search.captions import CaptionManifest, CaptionReport
    from search.export.exporter import ExportManifest, Format
    from search.export.tables import Selection
    from search.tags.calibration import Method
    from search.tags.evaluation import Evaluations
    from search.tags.labels import ImportReport
    from search.tags.links import Fit
    from search.tags.summary import ChainCounts, PhotoTags, TagSummary
    from search.tags.tag_runs import TagReport
    from search.tags.tagging import Tagging
    from search.tags.truth import Truth
    from search.tags.vocabulary import Vocabulary

LABELS, NONE = "labels", "none"


class TagMethods(SearchMethods):
    """Tags, labels, captions, exports."""

    def tag(
        self,
        vocabulary: str | None = None,
        *,
        method: "Method | None" = None,
        threshold: float | None = None,
        top_k: int | None = None,
        calibrate: Where | None = None,
        fit: "Fit | None" = None,
        progress: Progress | None = None,
    ) -> "TagReport":
        """Tag all photos with a vocabulary, from their stored vectors: no photo is opened.

        Call it again after adding photos: only what is new is scored, and everything is decided as before.

        Args:
            vocabulary: a .toml file, a .txt file with a tag a line, case-study or hotel, or one that the library was
                tagged with, by its name or key; by default the last one, or case-study.
            method: signal, calibrated, uncalibrated, or softmax; by default as the last time, or signal.
            threshold: decide tags of at least this probability; by default as the last time with the same method, or
                0.5, with calibrated and uncalibrated 0.3.
            top_k: for softmax: how many tags each photo gets.
            calibrate: a file with true tags to learn from (people's labels count as well), "labels" for people's
                labels alone, or "none" to forget what was learnt. Without it the library's own scores calibrate.
            fit: with labels: probe (the default: prompts and photos together), platt or isotonic (the prompts' score
                alone).
            progress: told of scoring.

        Raises:
            QueryError: the vocabulary or the labels cannot be used, or there is no photo to tag.
            LibraryError: another process changes the library, or the disk is full.
        """
        from search.saved import keep_meanings
        from search.tags.calibration import TagOptions
        from search.tags.links import DEFAULT_FIT
        from search.tags.tag_runs import tag_library
        from search.tags.tagging import known_vocabularies
        from search.tags.vocabulary import read_vocabulary

        learns = calibrate is not None and calibrate != NONE
        if fit is not None and not learns:
            raise QueryError(f"fit is {fit!r}: --fit goes with --calibrate FILE or labels")
        options = TagOptions(
            method=method, threshold=threshold, top_k=top_k, fit=fit or DEFAULT_FIT, forget_labels=calibrate == NONE
        )
        words = None
        if vocabulary is not None:
            with self.catalog.saving() as session:
                words = read_vocabulary(vocabulary, known_vocabularies(session, self.model))
            keep_meanings(self.catalog)
        with self.showing(progress) as tell:
            return tag_library(
                self.catalog,
                self.store,
                self.encoder,
                words,
                options=options,
                read_truth=(lambda session, words: truth_in(session, words, calibrate)) if learns else None,
                progress=tell,
            )

    @staticmethod
    def new_vocabulary(path: Where | None = None, *, plain: bool = False) -> str:
        """Return a vocabulary to begin with, explained, and write it to a new .toml or .txt file where one is named.

        `plain`: as a text with a tag a line, in place of TOML.

        Raises:
            QueryError: the file is there already, or its name ends otherwise.
            OutputError: it cannot be written.
        """
        from search.tags.vocabulary import new_vocabulary

        return new_vocabulary(None if path is None else Path(path), plain=plain)

    def tags(self, vocabulary: str | None = None) -> "TagSummary":
        """Count the photos of every tag. `vocabulary`: one that the library was tagged with, by default the latest."""
        from search.tags.summary import summarise

        with self._tagging(vocabulary) as (_, tagging):
            return summarise(tagging)

    def tags_by_chain(self, vocabulary: str | None = None) -> "ChainCounts":
        """Count the photos of every tag by chain of hotels, largest chain first."""
        from search.tags.summary import count_by_chain

        with self._tagging(vocabulary) as (session, tagging):
            return count_by_chain(session, tagging)

    def tags_of(self, photo: Named, vocabulary: str | None = None) -> "PhotoTags":
        """Return the tags of one photo, given by its id or path, with what people said of it.

        Raises: QueryError: the photo is unknown.
        """
        from db.detail_rows import details_of
        from search.tags.summary import photo_tags

        (photo_id,) = self.photo_ids(photo)
        with self._tagging(vocabulary) as (session, tagging):
            return photo_tags(tagging, photo_id, details_of(session, [photo_id]).get(photo_id))

    def label(
        self,
        photos: Named | Iterable[Named],
        tag: str,
        present: bool | None = True,
        *,
        vocabulary: str | None = None,
    ) -> str:
        """Say that photos have a tag, or (False) have it not, whatever the model thinks; None takes back what was said.

        All or nothing. The tag may be of any vocabulary; a label counts in all that have it. Return its full name.

        Args:
            photos: one photo or several, by id or path.
            tag: as in a query, such as bathtub or hotel/bathtub.
            present: what is said.
            vocabulary: the one whose tag is meant, where several have it.

        Raises: QueryError: no photo is given, the library lacks one of them, or its vocabularies the tag.
        """
        from search.tags.labels import label_photos

        return label_photos(self.catalog, self.photo_ids(photos), tag, present, vocabulary)

    def tag_sheet(self, tag: str, path: Where, *, vocabulary: str | None = None) -> list[str]:
        """Write a contact sheet of a tag: its surest photos, the borderline ones and the least likely. Return notes.

        `tag`: as in a query, of any vocabulary that the library was tagged with: bathtub, or hotel/bathtub.

        Raises:
            QueryError: no vocabulary has such a tag, or several have, or the path's ending names no picture.
            OutputError: the file cannot be written.
        """
        from embedding.sheet import check_ending, write_sheet
        from search.tags.summary import sheet_sections, trusted
        from search.tags.tagging import Tagging, vocabularies_of

        check_ending(Path(path), "sheet")
        with self.catalog.session() as session:
            words = vocabularies_of(self.catalog, session, vocabulary)
            ((tagging, place),) = Tagging.of_tags(self.catalog, session, self.store, words, [tag])
            name = tagging.vocabulary.names[place]
            sections = sheet_sections(session, tagging, name)
            write_sheet(sections, f"{name}, by probability ({tagging.vocabulary.key})", Path(path))
            return trusted(tagging)

    def tag_report(self, path: Where, *, truth: Where | None = None, vocabulary: str | None = None) -> list[str]:
        """Plot each tag's probabilities and threshold; where labels exist, its precision and recall. Return notes.

        `truth`: a file with true tags, in place of people's labels. Raises: QueryError, OutputError: as `tag_sheet`.
        """
        from db.tag_rows import count_labels
        from search.tags.summary import trusted, write_report

        with self._tagging(vocabulary) as (session, tagging):
            known = None
            if truth is not None or count_labels(session):
                known = truth_in(session, tagging.vocabulary, LABELS if truth is None else truth)
            write_report(tagging, known, Path(path))
            return [*trusted(tagging), *(known.notes if known and truth is not None else [])]

    def evaluate(
        self,
        truth: Where,
        *,
        vocabulary: str | None = None,
        compare: bool = False,
        plot: Where | None = None,
    ) -> "Evaluations":
        """Measure tags against the truth: average precision, precision, recall, F1, calibration error, confusion.

        People's labels are part of the truth, not of the decisions.

        Args:
            truth: a CSV, Excel, JSON Lines or Parquet file: photo_id, image_id or path, and tags with semicolons
                between them.
            vocabulary: one that the library was tagged with, by default the latest.
            compare: every method side by side.
            plot: also write a plot.

        Raises: QueryError, OutputError: the file cannot be read, or the plot not be written.
        """
        from search.tags.evaluation import Evaluations, compare_methods, evaluate
        from search.tags.summary import write_evaluation

        with self._tagging(vocabulary) as (session, tagging):
            known = truth_in(session, tagging.vocabulary, truth)
            found = list(compare_methods(tagging, known)) if compare else [evaluate(tagging, known)]
            title = f"{tagging.vocabulary.key}, {tagging.model.key}, {len(known.photo_ids)} photos"
            if plot is not None:
                write_evaluation(found, title, Path(plot))
            fitted = len(tagging.calibration.active_links)
            return Evaluations(
                found, title=title, photos=len(known.photo_ids), fitted=fitted, notes=[*tagging.notes, *known.notes]
            )

    def export(
        self,
        path: Where,
        *,
        format: "Format | None" = None,
        query: str | None = None,
        k: int | None = None,
        tags: str | Sequence[str] = (),
        columns: str | Sequence[str] = (),
        link: bool = False,
        vocabulary: str | None = None,
        progress: Progress | None = None,
    ) -> "ExportManifest":
        """Export tags with their probabilities, and a manifest: model, vocabulary, thresholds, counts, checksum.

        Streamed; a file appears under its name only when it is complete.

        Args:
            path: the file or folder to write.
            format: csv, tsv, xlsx, jsonl, parquet, coco or imagefolder; by default by the path's ending.
            query: only the k best photos for this text, best first, each copy as a photo of its own; of filters alone:
                all photos that they leave.
            k: with a query that has words: how many photos, by default 100.
            tags: only photos with all these tags, named as in a query, of any vocabulary; where several have a tag, the
                one of `vocabulary` is meant.
            columns: such as photo_id, path, tags, probabilities, cosines, caption.
            link: imagefolder: link to the photos instead of copying.
            vocabulary: one that the library was tagged with, by default the latest.
            progress: told of the photos written.

        Raises:
            QueryError: what is asked for makes no sense, or no photo is left.
            OutputError: the output cannot be written.
        """
        from search.export.exporter import export_tags, format_of

        chosen = format_of(Path(path), format, link=link)
        with self._tagging(vocabulary) as (session, tagging), self.showing(progress) as tell:
            return export_tags(
                session,
                tagging,
                Path(path),
                chosen,
                columns=[columns] if isinstance(columns, str) else columns,
                selection=self._selection(session, tagging, query, k, tags, named=vocabulary is not None),
                query=query,
                link=link,
                progress=tell,
            )

    def _selection(
        self,
        session: Session,
        tagging: "Tagging",
        query: str | None,
        k: int | None,
        tags: str | Sequence[str],
        *,
        named: bool,
    ) -> "Selection":
        """Return which photos are exported; `named`: the vocabulary was asked for. Raises: QueryError: as `export`."""
        from search.export.tables import left_by_filters, selected
        from search.query import parse

        names = [tags] if isinstance(tags, str) else tags
        if query is None or (query.strip() and not parse(query).terms):
            if k is not None:
                raise QueryError("-n (or -k) is for queries with words: add --query TEXT, or leave it out")
            chosen = selected(self.catalog, session, self.store, tagging, names, named=named)
            if query is None:
                return chosen
            return left_by_filters(self.catalog, session, self.store, parse(query).filters, chosen)
        results = self.search(query, k=100 if k is None else k, copies=True)
        hits = {hit.photo_id: hit.score for hit in results}
        chosen = selected(self.catalog, session, self.store, tagging, names, named=named)
        return replace(chosen, hits=hits, note=results.note)

    def import_tags(
        self,
        path: Where,
        *,
        labels_only: bool = False,
        vocabulary: str | None = None,
        progress: Progress | None = None,
    ) -> "ImportReport":
        """Read tags back: what was edited in an export becomes a label, as by `label`.

        `labels_only`: read only the columns set_by_hand and unset_by_hand. All or nothing: an error in the file leaves
        the library as it was.

        Raises:
            QueryError: the file cannot be read, or is of another model or vocabulary.
            SourceError: nothing in the file is known here: no photo, or no tag.
            LibraryError: another process changes the library, or the disk is full.
        """
        from search.tags.labels import import_tags

        with self.showing(progress) as tell:
            return import_tags(
                self.catalog, self.store, Path(path), vocabulary=vocabulary, labels_only=labels_only, progress=tell
            )

    def caption(
        self,
        source: Where | Sequence[str] | None = None,
        *,
        k: int | None = None,
        generate: bool = False,
        model: str | None = None,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> "CaptionReport":
        """Give every photo that has none its captions: the best of some lines, or written by a model.

        May be stopped at any time; the same call goes on where it stopped.

        Args:
            source: a file, one caption a line, or a list of captions: the library's own model chooses.
            k: how many lines a photo gets, by default 1.
            generate: have a model write them, in place of a source.
            model: what writes: a CoCa of open_clip (the default), local-dir:FOLDER, hf-hub:ORG/NAME, or a BLIP.
            limit: let it write for at most so many photos.
            progress: told of the photos captioned.

        Raises:
            QueryError: what is asked for makes no sense, or no photo is embedded yet.
            EncoderError: the model that writes cannot be had.
            LibraryError: another process changes the library, or the disk is full.
        """
        from search.captions import captions_in, choose_captions, generate_captions, read_captions

        if (source is None) != generate:
            raise QueryError("give either captions to choose from (--from FILE), or generate=True (--generate)")
        if generate and k is not None:
            raise QueryError(f"k is {k}, which goes with captions to choose from: a model writes one caption a photo")
        if not generate and (model is not None or limit is not None):
            raise QueryError("model and limit go with generate=True (--generate): leave them out")
        with self.showing(progress) as tell:
            if source is None:
                return generate_captions(self.catalog, lambda: self._captioner(model), limit=limit, progress=tell)
            if isinstance(source, str | os.PathLike):
                texts, origin = read_captions(Path(source)), str(Path(source).absolute())
            else:
                texts, origin = captions_in((f"caption {n}", text) for n, text in enumerate(source, start=1)), "list"
            k = 1 if k is None else k
            return choose_captions(self.catalog, self.store, self.encoder, texts, source=origin, k=k, progress=tell)

    def captions(self, words: str | Sequence[str], *, k: int = 20) -> CaptionHits:
        """Return up to k photos whose captions have all these words, best first, each with its best caption."""
        from search.captions import find_captions

        return CaptionHits(find_captions(self.catalog, [words] if isinstance(words, str) else words, k))

    def caption_sets(self) -> "Listing[SetCount]":
        """Return the library's sets of captions with their counts, in the order in which they were made."""
        from search.captions import list_sets

        return Listing(list_sets(self.catalog))

    def forget_captions(self, key: str) -> None:
        """Remove a set of captions. Raises: QueryError: there is none of this key."""
        from search.captions import forget_set

        forget_set(self.catalog, key)

    def export_captions(self, path: Where, *, progress: Progress | None = None) -> "CaptionManifest":
        """Export all captions, one a row, to .csv, .tsv, .xlsx, .jsonl or .parquet, and a manifest.

        Raises:
            QueryError: the ending names no format, or there are no captions.
            OutputError: the file cannot be written.
        """
        from search.captions import export_captions

        with self.catalog.session() as session, self.showing(progress) as tell:
            return export_captions(session, Path(path), progress=tell)

    def _captioner(self, model: str | None) -> "Captioner":
        """Load what writes captions, and say what it runs on."""
        from embedding.captioner import DEFAULT_CAPTIONER, Captioner

        self.tell(f"loading {model or DEFAULT_CAPTIONER} ...")
        captioner = Captioner.load(model or DEFAULT_CAPTIONER, device=self.device)
        self.tell(str(captioner))
        return captioner

    @contextmanager
    def _tagging(self, vocabulary: str | None) -> Iterator[tuple[Session, "Tagging"]]:
        """Yield a session and the tagging of a vocabulary. Raises: QueryError: the library was not tagged with it."""
        from search.tags.tagging import Tagging

        with self.catalog.session() as session:
            yield session, Tagging.open(self.catalog, session, self.store, vocabulary)


def truth_in(session: Session, vocabulary: "Vocabulary", source: Where | None) -> "Truth":
    """Return what a file says of photos' tags, people's labels put over it; or, of "labels", these alone."""
    from search.tags.truth import label_truth, read_truth

    return label_truth(session, vocabulary) if source == LABELS else read_truth(session, vocabulary, Path(source or ""))
