"""Adding photos, start to end: scan a source, embed what is pending, bring the index up to date."""

from dataclasses import dataclass

from base.console import counted
from base.progress import Progress, silent
from db.catalog import Catalog
from db.models import PhotoState
from db.photo_rows import count_photos
from embedding.decode import MAX_PIXELS
from embedding.encoder import Encoder
from embedding.store import VectorStore
from indexer.pipeline import Run, RunReport
from indexer.scan import ScanReport, scan
from indexer.sources import Source
from indexer.upkeep import IndexReport, probe_texts, update_index


@dataclass(frozen=True, slots=True)
class AddReport:
    """What adding photos did; `interrupted`: somebody stopped it, and the same call goes on from there."""

    scan: ScanReport
    run: RunReport
    index: IndexReport

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
        return "\n".join([*lines, *self.index.written])

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        run, said = self.run, []
        if run.strays:
            said.append(f"removed {counted(run.strays, 'file')} that a killed run had left half done")
        if run.interrupted:
            said.append(f"stopped: {counted(run.total - run.done, 'photo')} to go; the same command goes on from here")
        said += self.index.notes
        if run.failed or self.scan.missing or self.scan.problems:
            said.append("`aliens failures` lists what could not be used, with reasons")
        return said


def add_photos(
    catalog: Catalog,
    store: VectorStore,
    encoder: Encoder,
    source: Source,
    *,
    retry_failed: bool = False,
    allow_empty: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
) -> AddReport:
    """Scan a source, embed every pending photo of the library, and bring the index up to date.

    The model is loaded only when there is a photo to embed. Whatever stops this, the same call goes on where it
    stopped.

    Raises: LibraryError: another process or thread changes this library, or the disk is full.
    """
    with catalog.writing() as session:
        scanned = scan(session, source, retry_failed=retry_failed, allow_empty=allow_empty, progress=progress)
        run = RunReport()
        if count_photos(session)[PhotoState.PENDING]:
            run = Run(catalog, store, encoder, max_pixels).embed(progress)
        texts = None if run.interrupted else lambda: encoder.encode_texts(probe_texts())
        report = update_index(catalog, session, store, texts, progress=progress)
    return AddReport(scanned, run, report)
