"""Adding photos, start to end: scan a source, embed what is pending, merge small segments."""

from dataclasses import dataclass

from base.console import counted
from base.progress import Progress, silent
from db.catalog import Catalog
from db.photo_rows import count_pending
from db.vector_rows import segments_of
from embedding.decode import MAX_PIXELS
from embedding.encoder import Encoder
from embedding.segments import SegmentStore
from indexer.merging import merge_due
from indexer.metadata import HotelFrom, MetadataReport, MetadataTable, OwnWords
from indexer.pipeline import Run, RunReport
from indexer.scan import ScanReport, scanning
from indexer.sources import Source
from indexer.upkeep import IndexReport, index_report


@dataclass(frozen=True, slots=True)
class AddReport:
    """What adding photos did; `interrupted`: somebody stopped it, and the same call goes on from there."""

    scan: ScanReport
    run: RunReport
    index: IndexReport
    metadata: MetadataReport

    @property
    def interrupted(self) -> bool:
        """Whether photos are left to be embedded, since somebody stopped it."""
        return self.run.interrupted

    def __str__(self) -> str:
        scan, run = self.scan, self.run
        lines = [
            f"found {counted(scan.found, 'photo')}: {scan.new} new, {scan.changed} changed, "
            f"{scan.unchanged} unchanged, {scan.missing + scan.vanished} missing; "
            f"{counted(scan.other_files, 'other file')} passed over"
        ]
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

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        run, said = self.run, []
        if run.strays:
            said.append(f"removed {counted(run.strays, 'file')} that a killed run had left half done")
        if run.interrupted:
            said.append(f"stopped: {counted(run.total - run.done, 'photo')} to go; the same command goes on from here")
        said += self.metadata.notes + self.index.notes
        if run.failed or self.scan.missing or self.scan.vanished or self.scan.problems:
            said.append("`aliens failures` lists what could not be used, with reasons")
        return said


def add_photos(
    catalog: Catalog,
    store: SegmentStore,
    encoder: Encoder,
    source: Source,
    *,
    hotel_from: HotelFrom | None = None,
    table: MetadataTable | None = None,
    retry_failed: bool = False,
    allow_empty: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
) -> AddReport:
    """Scan a source, and embed every pending photo of the library; it can be found from then on.

    An approximate index is left as it is: what came is compared beside it. The model is loaded only when there is a
    photo to embed. Whatever stops this, the same call goes on where it stopped.

    Args:
        catalog: of the library.
        store: its vectors.
        encoder: its model.
        source: where to look.
        hotel_from: how folders name hotels there, from now on; None: as was said before.
        table: of what is known of photos, folders and hotels.
        retry_failed: make photos that failed before pending again.
        allow_empty: take a source without photos at its word.
        max_pixels: of a photo; larger ones fail.
        progress: told of scanning and embedding.

    Raises:
        SourceError: there are no photos, or no row of the table is of any.
        LibraryError: another process or thread changes this library, or the disk is full.
    """
    with catalog.writing() as session:
        words = OwnWords(session, hotel_from, table)
        with scanning(
            session, source, words, retry_failed=retry_failed, allow_empty=allow_empty, progress=progress
        ) as scanned:
            words.end(scanned.rehoused)
            session.commit()
            if count_pending(session):
                run = Run(catalog, store, encoder, max_pixels).embed(progress)
            else:
                run = RunReport(strays=store.remove_strays([file.name for file in segments_of(session, catalog.model)]))
        merge_due(catalog, session, store)
        report = index_report(catalog, session, store)
    return AddReport(scanned, run, report, words.report)
