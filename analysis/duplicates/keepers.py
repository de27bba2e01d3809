"""Which of several copies is the one to keep, and why: decided by what is known of the files. Removes none."""

import math
from collections.abc import Sequence
from datetime import datetime

from db.duplicate_rows import CopyFacts

# As cameras write them, best first; what is not listed is what others convert photos to.
FORMATS = ("RAW", "DNG", "TIFF", "HEIF", "HEIC", "JPEG", "MPO", "JXL", "JPEG2000", "PNG")
LATEST = datetime.max
Order = tuple[int, bool, int, int, int, datetime, int, bool, int, str, int]
CLEARLY_LARGER = 1.3  # times the pixels; a border makes a photo larger by some 15 %


def pixel_count(facts: CopyFacts) -> int:
    """Return how many pixels a photo has, 0 where that is not known."""
    return (facts.width_px or 0) * (facts.height_px or 0)


def leading_order(facts: CopyFacts, links: int) -> tuple[int, int, Order]:
    """Return what photos are sorted by, the one first that others are compared with and which is kept of them.

    Those of about four times the pixels; among such, the one with the most links, which is what all copies were made
    of: one with a border is a little larger, and fewer are found to be its copies.
    """
    return -round(math.log2(max(pixel_count(facts), 1)) / 2), -links, keeping_order(facts)


def may_go(kept: CopyFacts, other: CopyFacts) -> bool:
    """Tell whether a photo may go where another one is kept: not where it is clearly larger."""
    return pixel_count(other) <= CLEARLY_LARGER * pixel_count(kept) or not pixel_count(kept)


def format_rank(facts: CopyFacts) -> int:
    """Return a photo's place among formats, the less the nearer to a camera's own."""
    return FORMATS.index(facts.format) if facts.format in FORMATS else len(FORMATS)


def doublings(facts: CopyFacts) -> int:
    """Return a photo's bytes, rounded to a power of 2, as that power: an editor may write some more than a camera."""
    return round(math.log2(max(facts.size_bytes or 1, 1)))


def keeping_order(facts: CopyFacts) -> Order:
    """Return what copies are sorted by, the one to keep first.

    The larger picture; the one that a camera dated, which editors and web sites drop; a camera's format; about twice
    the bytes, that is less compressed; more labels; the earlier date, since copies come later; more bytes; a file
    before a member of a tar; the shorter path.
    """
    return (
        -pixel_count(facts),
        facts.date_from != "camera",
        format_rank(facts),
        -doublings(facts),
        -facts.labels,
        facts.date or LATEST,
        -(facts.size_bytes or 0),
        bool(facts.member),
        len(facts.path) + len(facts.member),
        facts.path,
        facts.photo_id,
    )


def why_kept(kept: CopyFacts, others: Sequence[CopyFacts]) -> str:
    """Return in words why a photo is kept and not one of the others."""
    if all(kept.content_sha256 is not None and kept.content_sha256 == other.content_sha256 for other in others):
        return why_of_equals(kept, others)
    best = min(others, key=keeping_order)
    if pixel_count(kept) < pixel_count(best):
        return "most of the others are like it"
    if pixel_count(kept) > pixel_count(best):
        return f"largest: {kept.width_px} x {kept.height_px} px"
    if kept.date_from == "camera" != best.date_from:
        return "has its camera's date"
    if format_rank(kept) < format_rank(best):
        return f"{kept.format}, nearest to a camera's own"
    if doublings(kept) > doublings(best):
        return "as large, and least compressed"
    return why_of_equals(kept, others)


def why_of_equals(kept: CopyFacts, others: Sequence[CopyFacts]) -> str:
    """Return in words why a photo is kept among those that are as good."""
    best = min(others, key=keeping_order)
    if kept.labels > best.labels:
        return "has more labels"
    if (kept.date or LATEST) < (best.date or LATEST):
        return "oldest file" if kept.date_from == "file" else f"earliest date: {kept.date:%Y-%m-%d}"
    if (kept.size_bytes or 0) > (best.size_bytes or 0):
        return "as large, and least compressed"
    if best.member and not kept.member:
        return "a file of its own, not in a tar"
    if len(kept.path) + len(kept.member) < len(best.path) + len(best.member):
        return "shortest path"
    return "first by name"
