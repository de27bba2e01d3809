"""Looks at places: those that were named, or all that are remembered, each with what is said of it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from base.errors import QueryError, SourceError
from base.files import storable
from db.catalog import Catalog
from indexer.add import AddReport
from indexer.remembered import ADDRESS, LIST, Call, Told, calls_for, calls_for_all, told_of, told_of_list, told_of_tree
from indexer.sources import sources_at

FEW = 3  # places that an error tells of


class Look(Protocol):
    """What looks at places of which the same is said."""

    def __call__(self, *paths: str, told: Sequence[Told], **arguments: Any) -> AddReport:
        """Return what was found. Raises: SourceError, QueryError: something is wrong with these places."""


NONE = "none"  # takes back what was said before


def options_said(
    *, hotel_from: str | None, metadata: str | os.PathLike[str] | None, exclude: str | Sequence[str]
) -> dict[str, Any]:
    """Return what was said of places, as it is remembered: nothing where nothing was, None for what is taken back."""
    patterns = [exclude] if isinstance(exclude, str) else list(exclude)
    said: dict[str, Any] = {} if hotel_from is None else {"hotel_from": hotel_from}
    if metadata is not None:
        said["metadata"] = None if metadata == NONE else storable(os.path.abspath(metadata))
    if patterns:
        said["exclude"] = None if patterns == [NONE] else patterns
    return said


def places_told(
    places: Sequence[str | Path],
    options: Mapping[str, Any],
    *,
    tree: Path | None,
    split: str,
    photo_list: Path | None,
    path_column: str | None,
) -> list[tuple[str, Told]]:
    """Return pairs of a place as it was typed, "" for trees and lists, and what was said of it.

    Args:
        places: paths, addresses and patterns of them; or none.
        options: what is said of them now.
        tree: in their place, the root of a Hotels-50K tree.
        split: of that.
        photo_list: in their place, a list of photos.
        path_column: of that, which column names them.

    Raises: QueryError: there are several of places, a tree and a list; something is said of what was not named.
    """
    if [bool(places), tree is not None, photo_list is not None].count(True) > 1:
        raise QueryError(
            "say which photos: either paths, or a list, or the root of a Hotels-50K tree, one after the other"
        )
    if tree is None and split != "train":
        raise QueryError(f"--split {split} is of a Hotels-50K tree: name its root with --hotels50k ROOT")
    if photo_list is None and path_column is not None:
        raise QueryError(f"--path-column {path_column} is of a list: name it with --list FILE")
    if tree is not None:
        return [("", told_of_tree(tree, split, options))]
    if photo_list is not None:
        return [("", told_of_list(photo_list, path_column, options))]
    return [(str(place), told_of(place, options)) for place in places]


def look_at_named(
    catalog: Catalog,
    told: Sequence[tuple[str, Told]],
    options: Mapping[str, Any],
    look: Look,
    *,
    may_be_gone: bool,
) -> AddReport:
    """Look at places that were named.

    Args:
        catalog: of the library.
        told: the places: see `places_told`.
        options: what is said of them now.
        look: looks at those of which the same is said.
        may_be_gone: nothing need be at a path.

    Raises:
        SourceError, QueryError: as `look`, for any of them.
    """
    with catalog.saving() as session:
        calls = calls_for(session, told, catalog.folder.root)
    if len(calls) > 1:
        local = [Path(typed) for typed, each in told if each.kind not in (ADDRESS, LIST)]
        sources_at(local, catalog.folder.root, may_be_gone=may_be_gone)  # which refuses any before all are looked at
    also = {"hotel_from": options["hotel_from"]} if "hotel_from" in options else {}
    parts = [looked(call, look, **also) for call in calls]
    return parts[0] if len(parts) == 1 else AddReport.together(parts, {}, {})


def look_again(catalog: Catalog, options: Mapping[str, Any], look: Look, *, may_be_gone: bool) -> AddReport:
    """Look at all places that are remembered; what is wrong with one is reported, and the others are looked at.

    Raises:
        SourceError: no place is remembered, or none that is can be looked at.
        QueryError: something is said that can only be said of a place that is named.
    """
    said = [f"--{name.replace('_', '-')}" for name in options] + ["--allow-empty"] * may_be_gone
    if said:
        table = os.path.basename(options.get("metadata") or "")
        about = f"the table {table} is about" if "metadata" in options else f"{said[0]} is said of"
        raise QueryError(f"name the photos or folders that {about} as well, by their paths")
    with catalog.saving() as session:
        calls, absent = calls_for_all(session, catalog.folder.root)
    if not calls and not absent:
        raise SourceError("no folder was added yet: name folders of photos, photos or .tar files")
    parts: list[AddReport] = []
    failed: dict[str, str] = {}
    for call in calls:
        try:
            parts.append(looked(call, look))
        except (SourceError, QueryError) as error:
            failed |= {told.place: str(error) for told in call.told}
            continue
        if parts[-1].interrupted:
            break
    if not parts:
        wrong = [f"{place} {why}" for place, why in absent.items()] + list(dict.fromkeys(failed.values()))
        more = f"; and {len(wrong) - FEW} more" * (len(wrong) > FEW)
        raise SourceError(
            f"none of the places that photos were added from can be looked at: {'; '.join(wrong[:FEW])}{more}. "
            "`aliens sources` lists them, and `aliens sources move OLD NEW` says where one is now"
        )
    return AddReport.together(parts, absent, failed)


def looked(call: Call, look: Look, **also: Any) -> AddReport:
    """Make one call. Raises: SourceError, QueryError: as it does."""
    report = look(*call.paths, told=call.told, **call.arguments | also)
    report.metadata.remarks.extend(call.remarks)
    return report
