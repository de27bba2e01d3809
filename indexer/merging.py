"""Merging small segments of vectors into larger ones, by tiers of size, so that a library has few files.

A merge is a new segment and one transaction: a kill leaves the old segments or the new one, and readers keep the files
that they have open. What is known of the old ones, scores and approximate indexes, is carried over.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Halves, Ids
from base.files import SegmentFile, is_unchanged
from base.records import read_record, write_record
from base.settings import LibraryFolder
from db.catalog import Catalog
from db.models import Model
from db.vector_rows import merge_segments, recorded_ids, segments_of
from embedding.index.approximate import APPROXIMATE_MANIFEST, Approximation
from embedding.index.milvus import MILVUS_MANIFEST, Collection
from embedding.opened_segment import BLOCK_ROWS, Segment
from embedding.photo_table import TABLE_MANIFEST, TableManifest
from embedding.scores import merge_scores, remove_scores, score_files, scores_are_sound
from embedding.segments import SegmentStore

FAN_OUT = 10  # segments of a tier become one of the next
SMALLEST_ROWS = 1_000  # of the second tier
MOST_ROWS = 1_000_000  # segments of so many are left as they are
WASTE = 0.5  # a segment with more rows that are nobody's is written anew


def merge_due(catalog: Catalog, session: Session, store: SegmentStore, *, thorough: bool = True) -> int:
    """Merge while there is something to merge; return how many segments were written. Needs the library's lock.

    Damaged segments are left alone: `aliens verify` names them. `thorough`: write large segments anew as well that are
    mostly waste, which takes asking for all their photos.

    Raises: OSError, DiskFullError: the disk is full; nothing is lost.
    """
    model, merged = catalog.model, 0
    while True:
        due = next(groups_due(catalog, session, store, thorough=thorough), None)
        if due is None:
            return merged
        parts = {file.name: recorded_ids(session, model, file.name) for file in due}
        if broken := {file.name for file in due if not can_be_merged(store, file, parts[file.name])}:
            store.damaged |= broken
            continue
        merge(catalog, session, store, [(store.open(file), parts[file.name]) for file in due])
        merged += 1


def can_be_merged(store: SegmentStore, file: SegmentFile, ids: Ids) -> bool:
    """Tell whether a segment is what was written, to the last byte, and holds the vectors that it should."""
    return store.problem(file) is None and bool(store.open(file).rows_of(ids)[1].all())


def groups_due(
    catalog: Catalog, session: Session, store: SegmentStore, *, thorough: bool
) -> Iterator[list[SegmentFile]]:
    """Yield segments that are to become one; those that the same derivatives cover, of the same kind and tier."""
    model = catalog.model
    for restyled in (False, True):
        files = [
            file
            for file in segments_of(session, model, restyled=restyled)
            if file.name not in store.damaged and not store.is_remote(file.name)
        ]
        many = len(files) >= FAN_OUT or sum(file.rows for file in files) >= MOST_ROWS
        covered = coverage(catalog.folder, model) if many and len(files) > 1 else {}
        tiers: dict[tuple[int, frozenset[str]], list[SegmentFile]] = defaultdict(list)
        for file in files:
            if file.rows < MOST_ROWS:
                tiers[tier(file.rows), covered.get(file.name, frozenset())].append(file)
            elif thorough and file.alive < file.rows * (1 - WASTE) and is_wasteful(session, model, file):
                yield [file]
        for _, group in sorted(tiers.items(), key=lambda item: item[0][0]):
            due = enough(group)
            if len(due) >= FAN_OUT or (len(due) > 1 and sum(file.rows for file in due) >= MOST_ROWS):
                yield due


def enough(group: Sequence[SegmentFile]) -> list[SegmentFile]:
    """Return the first segments of a group, up to so many as make one that is left as it is."""
    rows = np.cumsum([file.rows for file in group])
    return list(group[: int(np.searchsorted(rows, MOST_ROWS)) + 1])


def is_wasteful(session: Session, model: Model, file: SegmentFile) -> bool:
    """Tell whether most rows of a segment are nobody's vector, not even of a photo that cannot be found now."""
    return len(recorded_ids(session, model, file.name)) < file.rows * (1 - WASTE)


def tier(rows: int) -> int:
    """Return the tier of a segment: each takes ten times as many rows as the one before."""
    number, most = 0, SMALLEST_ROWS
    while rows >= most:
        number, most = number + 1, most * FAN_OUT
    return number


def coverage(folder: LibraryFolder, model: Model) -> dict[str, frozenset[str]]:
    """Return {segment: names of the derivatives that cover it}."""
    covered = defaultdict[str, set[str]](set)
    for path, about in manifests(folder, model):
        for name in about.covers:
            covered[name].add(path.name)
    for vocabulary in vocabularies(folder, model):
        for name, path in score_files(folder.scores(model.key, vocabulary)).items():
            if is_unchanged(path, scores_are_sound):  # damaged ones are none, and would leave the others' out
                covered[name].add(vocabulary)
    return {name: frozenset(by) for name, by in covered.items()}


def manifests(folder: LibraryFolder, model: Model) -> Iterator[tuple[Path, Approximation | Collection | TableManifest]]:
    """Yield the files that name segments, and what they say: of the approximate index, of Milvus, of the table."""
    index, tags = folder.index(model.key), folder.photo_table(model.key)
    kinds: tuple[tuple[Path, type[Approximation | Collection | TableManifest]], ...] = (
        (index / APPROXIMATE_MANIFEST, Approximation),
        (index / MILVUS_MANIFEST, Collection),
        (tags / TABLE_MANIFEST, TableManifest),
    )
    for path, kind in kinds:
        if path.exists() and (about := read_record(path, kind)) is not None:
            yield path, about


def vocabularies(folder: LibraryFolder, model: Model) -> list[str]:
    """Return the keys of the vocabularies that have scores on disk."""
    where = folder.photo_table(model.key)
    return sorted(path.name for path in where.iterdir() if path.is_dir()) if where.is_dir() else []


def merge(catalog: Catalog, session: Session, store: SegmentStore, parts: Sequence[tuple[Segment, Ids]]) -> None:
    """Write one segment in the place of others, and remove these. parts: each with the photos whose vectors it has."""
    model, folder, olds = catalog.model, catalog.folder, [old.name for old, _ in parts]
    new = store.write_parts(merged_parts(parts)) if any(len(ids) for _, ids in parts) else None
    if new is not None:
        known = {file.name for file in segments_of(session, model)} | {new.name}
        carry_over(folder, model, parts, store.open(new), known)
    merge_segments(session, model, olds, new, np.concatenate([ids for _, ids in parts]))
    session.commit()
    for old in olds:
        store.let_go(old)
        store.path(old).unlink(missing_ok=True)
        store.stub(old).unlink(missing_ok=True)
    known = {file.name for file in segments_of(session, model)}
    for vocabulary in vocabularies(folder, model):
        remove_scores(folder.scores(model.key, vocabulary), known)


def merged_parts(parts: Sequence[tuple[Segment, Ids]]) -> Iterator[tuple[Ids, Halves]]:
    """Yield ids, ascending, and vectors: of each segment those of the photos that are named beside it."""
    ids = np.concatenate([ids for _, ids in parts])
    which = np.repeat(np.arange(len(parts)), [len(ids) for _, ids in parts])
    rows = np.concatenate([segment.rows_of(ids)[0] for segment, ids in parts])
    order = np.argsort(ids, kind="stable")
    for start in range(0, len(order), BLOCK_ROWS):
        block = order[start : start + BLOCK_ROWS]
        vectors = np.empty((len(block), parts[0][0].vectors.shape[1]), np.float16)
        for place in np.unique(which[block]):
            mine = which[block] == place
            vectors[mine] = parts[place][0].vectors[rows[block][mine]]
        yield ids[block], vectors


def carry_over(
    folder: LibraryFolder, model: Model, parts: Sequence[tuple[Segment, Ids]], new: Segment, known: set[str]
) -> None:
    """Have what covers all of the old segments cover the new one; names that are not known any more are left out.

    To be done before the database knows the new one: until then that is only a name more.
    """
    olds = {old.name for old, _ in parts}
    for path, about in manifests(folder, model):
        if olds <= set(about.covers):
            covers = (*(name for name in about.covers if name in known), new.name)
            after = replace(about, covers=covers)
            if isinstance(about, Collection):
                after = about.merged(olds, new.name, known)
            write_record(path, after, private=path.name == MILVUS_MANIFEST)
    for vocabulary in vocabularies(folder, model):
        merge_scores(folder.scores(model.key, vocabulary), parts, new)
