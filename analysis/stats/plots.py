"""Plots as SVG that stands in a page: its colours are the page's, light or dark, and so are its letters.

Drawn by matplotlib. Says nothing in words: the page does.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from analysis.stats.coastline import land
from base.arrays import Doubles, Longs
from base.forks import fork_lock

# Colours that nothing else has stand for the page's, by their names there.
PAGE_COLOURS = {"#010203": "ink", "#020304": "faint", "#030405": "line", "#040506": "accent", "#050607": "second"}
INK, FAINT, LINE, ACCENT, SECOND = PAGE_COLOURS
NARROW, WIDE = (4.6, 2.7), (9.2, 3.75)  # inches, of 72 units each: read without being enlarged on a phone
FONT_SIZE = 10.5
MOST_TICKS = 5
MAP_NORTH, MAP_SOUTH = 84, -58  # degrees: no hotel lies farther
DOTS, MOST_DOT = 40, 16.0  # sizes of dots, and the width of the largest in units
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters, of the page's font
    "font.size": FONT_SIZE,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.unicode_minus": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,
}

_settings_lock = fork_lock()  # matplotlib's settings are the process's


@contextmanager
def drawing(size: tuple[float, float], settings: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield a figure of this size in inches, and its axes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with _settings_lock, mpl.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        yield figure, axes


def svg_of(draw: Callable[[Any], None], label: str, size: tuple[float, float] = NARROW) -> str:
    """Return what `draw` draws on axes as an SVG element, which says `label` to those who cannot see it."""
    from html import escape

    data = io.StringIO()
    # The label tells names of shapes apart in a page, and the same plot is the same file.
    with drawing(size, SETTINGS | {"svg.hashsalt": label}) as (figure, axes):
        draw(axes)
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    svg = data.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r"#([\w.-]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    for colour, name in PAGE_COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(
        r'^<svg [^>]*?viewBox="([^"]+)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{escape(label)}">', svg
    )
    return svg.strip()


def bars(borders: Doubles | Longs, counts: Sequence[int] | Longs, label: str, x: str, y: str = "photos") -> str:
    """Return bars between n + 1 borders, n counts high."""

    def draw(axes: Any) -> None:
        axes.stairs(counts, borders, fill=True, color=ACCENT)
        dress(axes, x, y)

    return svg_of(draw, label)


def outlines(borders: Doubles, series: Sequence[tuple[str, Longs]], label: str, x: str) -> str:
    """Return up to two distributions over the same borders, on a logarithmic axis of x."""

    def draw(axes: Any) -> None:
        for (name, counts), colour, style in zip(series, (ACCENT, SECOND), ("-", "--"), strict=False):
            axes.stairs(counts, borders, color=colour, linewidth=2, linestyle=style, label=name)
        axes.set_xscale("log")
        ticks = [tick for tick in (50, 100, 200, 500, 1000, 2000, 5000, 10_000) if borders[0] <= tick <= borders[-1]]
        ticks = ticks[:: -(-len(ticks) // MOST_TICKS)] if ticks else [round(borders[0]), round(borders[-1])]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=FONT_SIZE)
        dress(axes, x, "photos", whole_x=False)

    return svg_of(draw, label)


def lorenz(series: Sequence[tuple[str, Doubles, Doubles]], label: str) -> str:
    """Return Lorenz curves, each of a name, shares of groups and their shares of photos, beside the even one."""

    def draw(axes: Any) -> None:
        axes.plot([0, 100], [0, 100], color=FAINT, linewidth=1)
        for (name, groups, photos), colour, style in zip(series, (ACCENT, SECOND), ("-", "--"), strict=False):
            keep = np.unique(np.linspace(0, len(groups) - 1, 200).astype(int))  # more makes no finer line
            axes.plot(100 * groups[keep], 100 * photos[keep], color=colour, linewidth=2, linestyle=style, label=name)
        axes.legend(frameon=False, fontsize=FONT_SIZE, loc="upper left")
        axes.set(xlim=(0, 100), ylim=(0, 100))
        dress(axes, "% of them, those with fewest photos first", "% of the photos", whole_x=False)
        axes.set_xticks(range(0, 101, 20))

    return svg_of(draw, label)


def earth(latitudes: Doubles, longitudes: Doubles, photos: Longs, label: str) -> str:
    """Return a map of the land with a dot for each place, its area by its photos."""
    from matplotlib.path import Path as Outline

    def draw(axes: Any) -> None:
        from matplotlib.patches import PathPatch

        outline = Outline.make_compound_path(*(Outline(ring, closed=True) for ring in land()))
        axes.add_patch(PathPatch(outline, facecolor=LINE, edgecolor="none"))
        levels = np.ceil(DOTS * photos / max(int(photos.max(initial=1)), 1)).astype(np.int64)
        for level in np.unique(levels).tolist():  # dots of one size are one shape, drawn again and again
            width, of_level = MOST_DOT * (level / DOTS) ** 0.5, levels == level
            style = {"marker": "o", "markersize": width, "color": ACCENT, "alpha": 0.55, "markeredgewidth": 0}
            axes.plot(longitudes[of_level], latitudes[of_level], linestyle="", **style)
        axes.set(xlim=(-180, 180), ylim=(MAP_SOUTH, MAP_NORTH), aspect="equal")
        axes.axis("off")

    return svg_of(draw, label, WIDE)


def dress(axes: Any, x: str, y: str, *, whole_x: bool = True) -> None:
    """Name the axes, and number them in whole numbers with commas."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    in_words = FuncFormatter(lambda value, place: f"{value:,.0f}")
    axes.set(xlabel=x, ylabel=y)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(in_words)
    if whole_x:
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, min_n_ticks=1))
