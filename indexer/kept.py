"""Photos that stay known though a look does not find them, since the disk that they lie on is not there."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools
from base.urls import url_of
from db.models import Photo
from db.photo_rows import count_rows_under, photo_ids_under, present_ids_under
from indexer.mounts import UNREACHABLE, is_mounted, lies_at, lies_at_any
from indexer.passed_over import Problem
from indexer.sources import MISSING, FoundPhoto, Source

if TYPE_CHECKING:
    from indexer.scan import ScanReport

EXAMPLES = 3  # places that a report names


def absent_mounts(mounts: Iterable[str]) -> list[str]:
    """Return the mount points that were met at sources, and at which nothing is mounted now."""
    return [mount for mount in sorted(mounts) if not is_mounted(mount)]


def keep_of_disks(session: Session, source: Source, mounts: dict[str, bool], report: "ScanReport", seen: Bools) -> None:
    """Take photos for seen that lie on a disk which is not there, or in whose place another one is.

    Nothing is mounted where that was seen before; or something is, and nothing of what is known there was found: then
    disks change there, and what is not found may be on one of the others.

    Args:
        session: of the library's database.
        source: what was looked through.
        mounts: those that were met before: see db.models.PhotoSource.
        report: counts what is kept.
        seen: of each photo, by its number, whether it was found.
    """
    root = source.root
    for mount, several in (source.mounts | mounts).items():
        if not lies_at(mount, root) and not lies_at(root, mount):
            continue
        region = mount if lies_at(mount, root) else root
        known = np.fromiter(present_ids_under(session, region), np.int64)
        known = known[known < len(seen)]
        unseen = known[~seen[known]]
        is_absent = mount in source.absent_mounts
        is_another = not is_absent and region == mount and 0 < len(unseen) == len(known)
        if len(unseen) and (is_absent or several or is_another):
            seen[unseen] = True
            report.kept += len(unseen)
            report.kept_at = [*report.kept_at, region][:EXAMPLES]
            source.mounts[mount] = several or is_another  # looked for again


def may_be_there(source: Source, found: FoundPhoto) -> bool:
    """Tell whether a photo cannot be looked at only since its disk is not there, or does not answer."""
    if found.failure_kind == MISSING and source.absent_mounts:
        return any(lies_at_any(place, source.absent_mounts) for place in (found.path, os.path.realpath(found.path)))
    return found.failure_kind == UNREACHABLE and url_of(found.path) is None  # addresses are told of photo by photo


def stays_as_it_is(source: Source, found: FoundPhoto, photo: Photo | None, report: "ScanReport") -> None:
    """Count a photo whose disk is not there: what is known of it stays; it is told of where its disk is at fault."""
    if found.failure_kind == UNREACHABLE:
        source.leftovers.problems.append(Problem(found.path, found.failure_reason or UNREACHABLE))
    elif photo is not None and photo.failure_kind != MISSING:
        report.kept += 1
        places = (found.path, os.path.realpath(found.path))
        mount = next(mount for mount in source.absent_mounts if any(lies_at(place, mount) for place in places))
        source.mounts[mount] = False  # looked for again
        report.kept_at += [mount] * (mount not in report.kept_at and len(report.kept_at) < EXAMPLES)


def unseen_under(session: Session, root: str, known: int, seen: Bools) -> list[int]:
    """Return the ids of photos below a root that were not seen; those beyond the end of `seen`, by id, are new.

    known: how many of the photos that were found there were known: most often all that are.
    """
    if count_rows_under(session, root) == known:
        return []
    here = np.fromiter(photo_ids_under(session, root), np.int64)
    here = here[here < len(seen)]
    return list(here[~seen[here]].tolist())
