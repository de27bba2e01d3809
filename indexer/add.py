"""Adding photos, start to end: scan sources, embed what is pending, merge small segments."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from base.console import counted, one_line, shell_word
from base.progress import Progress, silent
from db.catalog import Catalog
from db.hotel_rows import drop_empty_hotels
from db.model_rows import counted_without_vector, other_models
from db.photo_rows import count_pending
from db.place_rows import bring_results_home
from db.restyling_rows import results_follow
from db.vector_rows import segments_of
from embedding.decode import MAX_PIXELS
from embedding.encoder import Encoder
from embedding.segments import SegmentStore
from indexer.ignoring import is_system_folder
from indexer.metadata import MetadataTable
from indexer.other_models import merge_all
from indexer.own_words import HotelFrom, MetadataReport, OwnWords
from indexer.pipeline import Run, RunReport
from indexer.remembered import Told, begin, end
from indexer.scan import ScanReport, scanning
from indexer.sources import Source
from indexer.stages import LocalStages, StagesMaker
from indexer.upkeep import IndexReport, index_report

MOST_LINES = 10  # of sources, in a report


@dataclass(frozen=True, slots=True)
class AddReport:
    """What adding photos did; `interrupted`: somebody stopped it, and the same call goes on from there.

    scan: of all sources together. sources: {root: its part} in the order in which they were named. absent: {place: why}
    of remembered sources that could not be looked at; failed: {place: why} of those at which something went wrong.
    behind: {model that is not in use: photos that have no vector of it}, where there are any.
    """

    scan: ScanReport
    run: RunReport
    index: IndexReport
    metadata: MetadataReport
    sources: dict[str, ScanReport]
    absent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    behind: dict[str, int] = field(default_factory=dict)

    @classmethod
    def together(cls, parts: Sequence["AddReport"], absent: dict[str, str], failed: dict[str, str]) -> "AddReport":
        """Return the report of several looks, one after the other, at sources with options of their own."""
        whole = ScanReport()
        for part in parts:
            whole.update(part.scan)
        roots = {root: report for part in parts for root, report in part.sources.items()}
        run, metadata = RunReport(), MetadataReport(hotels={})
        for part in parts:
            run.update(part.run)
            metadata.update(part.metadata)
        return cls(whole, run, parts[-1].index, metadata, roots, absent, failed, parts[-1].behind)

    @property
    def interrupted(self) -> bool:
        """Whether photos are left to be embedded, since somebody stopped it."""
        return self.run.interrupted

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return {
            "scan": self.scan.as_json(),
            "run": asdict(self.run),
            "index": self.index.as_json(),
            "metadata": asdict(self.metadata) | {"roots": list(self.metadata.roots)},
            "behind": self.behind,
            "sources": [{"root": root} | report.as_json() for root, report in self.sources.items()],
            "absent": self.absent,
            "failed": self.failed,
        }

    def __str__(self) -> str:
        scan, run = self.scan, self.run
        of = f" of {len(self.sources)} sources" if len(self.sources) > 1 else ""
        lines = [
            f"found {counted(scan.found, 'photo')}{of}: {scan.new} new, {scan.changed} changed, "
            f"{scan.unchanged} unchanged, {scan.missing + scan.vanished} missing"
        ]
        lines += self._lines_of_sources()
        lines += [f"passed over: {said}" for said in scan.passed_over.lines()]
        if run.total:
            rate = f" ({run.encoded / run.seconds:.1f} photos/s)" if run.encoded else ""
            lines.append(
                f"embedded {counted(run.encoded, 'photo')} in {run.seconds:.1f} s{rate}, "
                f"{run.reused} more had known bytes, {run.failed} failed"
            )
        if self.scan.rehoused:
            lines.append(f"{counted(self.scan.rehoused, 'photo')} known before have another hotel now, or none")
        lines += str(self.metadata).splitlines()
        if run.moved:
            lines.append(
                f"of these, {counted(run.moved, 'photo')} had moved: labels, captions and restyled photos came along"
            )
        return "\n".join(lines)

    def _lines_of_sources(self) -> list[str]:
        """Return a line for each of several sources, as many as are read at a glance."""
        if len(self.sources) == 1:
            return []
        lines = [
            one_line(f"  {root}: {counted(report.found, 'photo')}, {report.new} new")
            for root, report in islice(self.sources.items(), MOST_LINES)
        ]
        return lines + [f"  and {len(self.sources) - MOST_LINES} more sources"] * (len(self.sources) > MOST_LINES)

    def _notes_of_places(self) -> Iterator[str]:
        """Yield what was not looked at, and why, as many places as are read at a glance."""
        for place, why in islice(self.absent.items(), MOST_LINES):
            yield (
                f"{place} {why}: what is known of it stays. Connect its disk, or, if it was moved, say where: "
                f"`aliens sources move {shell_word(place)} NEW`"
            )
        for place, why in islice(self.failed.items(), MOST_LINES):
            yield f"{place} was not looked at: {why}"
        for places in (self.absent, self.failed):
            if len(places) > MOST_LINES:
                yield f"and {len(places) - MOST_LINES} more places: `aliens sources` lists them"

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        run, scan = self.run, self.scan
        said = [*self._notes_of_places(), *self._notes_of_scan()]
        said += [
            f"{counted(photos, 'photo')} {'has no vector' if photos == 1 else 'have no vectors'} of the model {name}: "
            f"`aliens embed --model {shell_word(name)}` makes them"
            for name, photos in self.behind.items()
        ]
        said += self.metadata.notes + self.index.notes
        if run.failed or scan.missing or scan.vanished or scan.problems or scan.unreached:
            said.append("`aliens failures` lists what could not be used, with reasons")
        return said

    def _notes_of_scan(self) -> Iterator[str]:
        run, scan = self.run, self.scan
        if run.strays:
            yield f"removed {counted(run.strays, 'file')} that a killed run had left half done"
        if run.interrupted:
            yield f"stopped: {counted(run.total - run.done, 'photo')} to go; the same command goes on from here"
        if scan.kept:
            roots = [root for root, report in self.sources.items() if report.kept][:MOST_LINES]
            yield (
                f"no photos under {', '.join(scan.kept_at)}: {counted(scan.kept, 'photo')} known there stay, since a "
                "disk may not be there; if they are gone for good, "
                f"`aliens add {' '.join(map(shell_word, roots))} --allow-empty` believes it"
            )
        if scan.unread:
            few = ", ".join(one_line(place) for place in scan.unread_at)
            more = f" and {scan.unread - len(scan.unread_at)} more" * (scan.unread > len(scan.unread_at))
            yield f"{counted(scan.unread, 'source')} of {len(self.sources)} cannot be read: {few}{more}"
        if scan.unreached:
            yield (
                f"{counted(scan.unreached, 'photo')} could not be reached now: known ones stay as they are, the others "
                "are tried again at the next `aliens add`"
            )
        if scan.left_out:
            places = " ".join(shell_word(place) for place in scan.left_out_at)
            lies, stays, it = ("lies", "stays", "it") if scan.left_out == 1 else ("lie", "stay", "them")
            yield (
                f"{counted(scan.left_out, 'photo')} known to the library {lies} where photos are left out now, and "
                f"{stays}: `aliens forget {places}` lets {it} go"
            )
        yield from (
            f"{root} is a folder that a system makes for itself, and was added since it was named: "
            f"`aliens forget {shell_word(root)}` lets its photos go"
            for root, report in islice(self.sources.items(), MOST_LINES)
            if report.new and is_system_folder(*os.path.split(root))
        )


def add_photos(
    catalog: Catalog,
    store: SegmentStore,
    encoder: Encoder,
    sources: Sequence[Source],
    *,
    hotel_from: HotelFrom | None = None,
    table: MetadataTable | None = None,
    retry_failed: bool = False,
    allow_empty: bool = False,
    max_pixels: int = MAX_PIXELS,
    told: Sequence[Told] = (),
    stages: StagesMaker | None = None,
    progress: Progress = silent,
) -> AddReport:
    """Scan sources, and embed every pending photo of the library; it can be found from then on.

    An approximate index is left as it is: what came is compared beside it. The model is loaded only when there is a
    photo to embed. Whatever stops this, the same call goes on where it stopped.

    Args:
        catalog: of the library.
        store: its vectors.
        encoder: its model.
        sources: where to look.
        hotel_from: how folders name hotels there, from now on; None: as was said before.
        table: of what is known of photos, folders and hotels.
        retry_failed: make photos that failed before pending again.
        allow_empty: take sources without photos at their word.
        max_pixels: of a photo; larger ones fail.
        told: the places that are looked at, to be remembered.
        stages: makes what reads and embeds photos, by default this process; asked where there is one to embed.
        progress: told of scanning and embedding.

    Raises:
        SourceError: there are no photos, or no row of the table is of any.
        LibraryError: another process or thread changes this library, or the disk is full.
        ClusterError: stages of a cluster cannot go on; what was embedded is kept.
    """
    with catalog.writing() as session:
        catalog.refuse_other_model(session)
        words = OwnWords(session, hotel_from, table)
        with scanning(
            session,
            sources,
            words,
            retry_failed=retry_failed,
            allow_empty=allow_empty,
            begun=partial(begin, session, told),
            progress=progress,
        ) as scans:
            words.end()
            end(session, told, sources)
            session.commit()
            if count_pending(session):
                made = LocalStages(encoder) if stages is None else stages()
                made.max_pixels = max_pixels
                run = Run(catalog, store, made).embed(progress)
            else:
                run = RunReport(strays=store.remove_strays([file.name for file in segments_of(session, catalog.model)]))
            have_all_follow(catalog, session)
            words.count()
            session.commit()
        merge_all(catalog, session, store)
        report = index_report(catalog, session, store)
        behind = {model.name: counted_without_vector(session, model) for model in other_models(session, catalog.model)}
    whole = ScanReport()
    for scan in scans:
        whole.update(scan.report)
    by_source = {scan.source.root: scan.report for scan in scans}
    lacking = {name: n for name, n in behind.items() if n}
    return AddReport(whole, run, report, words.report, by_source, behind=lacking)


def have_all_follow(catalog: Catalog, session: Session) -> None:
    """Have results and hotels follow the photos, once it is known which of them moved; the caller commits."""
    root, restyled = (os.path.realpath(place) for place in (catalog.folder.root, catalog.folder.restyled))
    bring_results_home(session, root, restyled)
    results_follow(session)
    drop_empty_hotels(session)
