"""A result's lineage in words: what the page of restyled photos says of each. Measures nothing."""

from collections.abc import Callable
from typing import Any

from restyle.pages import PageItem
from restyle.pixels import Pixels
from restyle.results import Lineage

NOT_PAINTED = "regraded: no diffusion model was used"

# Scores by their names in restyle.judge.Scores.as_json, in the order in which they are shown.
SCORES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "hog": ("outlines kept (HOG correlation, at most 1)", "{:.2f}".format),
    "edge_f1": ("edges kept (F1, 0 to 1)", "{:.2f}".format),
    "shift": ("shifted by", lambda share: f"{share:.1%} of the longer side"),
    "nearest": ("nearest photo of the library", lambda own: "its own original" if own else "another photo"),
    "cosine": ("cosine with its original", "{:.3f}".format),
    "tags_lost": ("tags lost", lambda tags: ", ".join(tags) or "none"),
    "protan_median_de": ("change that a protanope sees (median)", "{:.1f} dE2000".format),
    "protan_share": ("area that clearly changes for a protanope", lambda share: f"{share:.0%} (above 5 dE2000)"),
    "protan_wasted": ("change that a protanope cannot see", "{:.0%}".format),
    "palette_distance": ("distance to the palette (L*b*)", "{:.1f}".format),
    "prompt_margin": ("nearer to the prompt by (cosine)", "{:+.3f}".format),
    "style": ("style (higher is more alien)", "{:.2f}".format),
}


def facts_of(lineage: Lineage) -> tuple[tuple[str, str], ...]:
    """Return names and values of how a result was made and of its scores; what was not measured is left out."""
    made = [
        ("engine", lineage.engine),
        ("palette", lineage.palette),
        ("rung", lineage.rung),
        ("attempts", str(len(lineage.attempts)) if lineage.attempts else ""),
        ("time", f"{lineage.seconds:.2f} s"),
    ]
    scores = [
        (said, show(lineage.scores[name]))
        for name, (said, show) in SCORES.items()
        if lineage.scores.get(name) is not None
    ]
    return tuple((name, value) for name, value in made + scores if value)


def page_item(lineage: Lineage, heading: str, original: Pixels, result: Pixels) -> PageItem:
    """Return a result, (h, w, 3) sRGB uint8 as its original, ready for the page; regrading is called so."""
    return PageItem(
        original=original,
        result=result,
        heading=heading,
        facts=facts_of(lineage),
        note="" if lineage.diffusion else NOT_PAINTED,
        prompt=lineage.prompt if lineage.diffusion else "",
        negative_prompt=lineage.negative_prompt if lineage.diffusion else "",
    )
