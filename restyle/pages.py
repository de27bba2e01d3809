"""The page of restyled photos beside what they were made of."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from base.arrays import Pixels
from base.errors import PhotoError
from base.files import PhotoFile
from embedding.colour import read_pixels, resized, within
from embedding.html_pages import data_uri, jpeg, render
from restyle.protanopia import seen
from restyle.restyled import MADE, Result, original_of, why_lost

TEMPLATES = Path(__file__).with_name("templates")
LONGEST_PX = 720  # of a picture in the page


@dataclass(frozen=True, kw_only=True, slots=True)
class PageItem:
    """One restyled photo of the page.

    original, result: (h, w, 3) sRGB uint8. heading: its name. facts: names and values in everyday words, in the order
    in which they are shown. figures: the same with units, for those who ask for them. note: what must not be missed,
    such as that no diffusion model was used.
    """

    original: Pixels
    result: Pixels
    heading: str
    facts: tuple[tuple[str, str], ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
    note: str = ""
    prompt: str = ""
    negative_prompt: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """A photo's four pictures as data: URIs, all of one size."""

    original: str
    original_seen: str
    result: str
    result_seen: str
    width_px: int
    height_px: int


def restyle_page(items: Iterable[PageItem], title: str) -> str:
    """Return the page of restyled photos: original, result, what a protanope sees of both, a slider, and the scores.

    Items are taken one after the other, so that a generator need not hold all photos at once.
    """
    shown = list(map(described, items))
    notes = Counter(item["note"] for item in shown if item["note"])
    return render(TEMPLATES / "restyle.html", title=title, items=shown, notes=notes.most_common())


def items_of(
    session: Session, results: Sequence[Result], tell: Callable[[str], None] = lambda note: None
) -> Iterator[PageItem]:
    """Yield what the page shows of every result whose picture is there, and whose photo is what it was made of.

    `tell` hears of the others.
    """
    for result in results:
        try:
            original = read_pixels(original_of(session, result), LONGEST_PX)
            changed = read_pixels(PhotoFile(str(result.path)), LONGEST_PX)
        except (OSError, PhotoError) as error:
            tell(f"result {result.id} is not on the page: {why_lost(error)}")
            continue
        lineage = result.lineage
        yield PageItem(
            original=original,
            result=changed,
            heading=f"Photo {lineage.source_photo_id}: {Path(lineage.source_path).name}",
            facts=facts_of(result),
            figures=figures_of(result),
            note="" if lineage.diffusion else f"{MADE.get(lineage.rung, lineage.rung)}: no diffusion model was used",
            prompt=lineage.prompt,
            negative_prompt=lineage.negative_prompt,
        )


def facts_of(result: Result) -> tuple[tuple[str, str], ...]:
    """Return a result's facts in everyday words."""
    lineage, scores = result.lineage, result.lineage.scores
    lost = scores["tags_lost"]
    facts = [
        ("made", lineage.made),
        ("outlines kept", lineage.kept),
        ("visitors notice it", f"on {lineage.noticed} of the picture"),
        ("looks most like", {True: "its own photo", False: "another photo", None: ""}[scores["nearest"]]),
        ("no longer seen in it", ", ".join(lost) if lost else ""),
        ("size", result.size),
    ]
    return tuple((name, value) for name, value in facts if value)


def figures_of(result: Result) -> tuple[tuple[str, str], ...]:
    """Return how a result was made and what it scored, in figures with units."""
    lineage, scores, settings = result.lineage, result.lineage.scores, result.lineage.settings
    facts = [
        ("engine", f"{lineage.engine} ({lineage.fingerprint})"),
        ("palette", lineage.palette),
        ("rung", f"{lineage.rung}, strength {settings['strength']:.2f}"),
        ("seed", f"{settings['seed']}" if lineage.diffusion or lineage.rung == "grown" else ""),
        ("HOG correlation", f"{scores['hog']:.2f}"),
        ("edge F1", f"{scores['edge_f1']:.2f}"),
        ("shift", f"{scores['shift']:.1%} of the longer side"),
        ("nearest photo of the library", {True: "the photo itself", False: "another one", None: ""}[scores["nearest"]]),
        ("tags lost", "" if scores["tags_lost"] is None else ", ".join(scores["tags_lost"]) or "none"),
        (
            "seen by a protanope",
            f"median {scores['protan_median_de']:.1f} dE2000, over 5 dE2000 on {scores['protan_share']:.0%}",
        ),
        ("lost on a protanope", f"{scores['protan_wasted']:.0%} of the change"),
        ("distance to the palette", f"{scores['palette_distance']:.1f} in protan L*b*"),
        ("faces", lineage.faces_kept),
        ("attempts", f"{len(lineage.attempts)}, {lineage.seconds:.1f} s"),
    ]
    return tuple((name, value) for name, value in facts if value)


def described(item: PageItem) -> dict[str, Any]:
    """Return what the template shows of an item: everything but its pixels, which are not kept."""
    texts = ("heading", "facts", "figures", "note", "prompt", "negative_prompt")
    return {name: getattr(item, name) for name in texts} | {"views": views_of(item)}


def views_of(item: PageItem) -> Views:
    """Return the four pictures of an item; the result is brought to the original's size where they differ."""
    original = within(item.original, LONGEST_PX)
    height, width = original.shape[:2]
    result = resized(item.result, (width, height))
    return Views(
        original=data_uri(original),
        original_seen=data_uri(seen(original)),
        result=data_uri(result),
        result_seen=data_uri(seen(result)),
        width_px=width,
        height_px=height,
    )


def picture_of_result(
    session: Session, result: Result, side: str, *, seen_by_protanope: bool = False, longest_px: int = LONGEST_PX
) -> bytes:
    """Return a result, or its original, as a JPEG of the original's size, its longer side at most `longest_px`.

    Raises: OSError, PhotoError: as `original_of`; or the result's file is gone or damaged.
    """
    pixels = within(read_pixels(original_of(session, result), longest_px), longest_px)
    if side == "result":
        height, width = pixels.shape[:2]
        pixels = resized(read_pixels(PhotoFile(str(result.path)), longest_px), (width, height))
    return jpeg(seen(pixels) if seen_by_protanope else pixels)
