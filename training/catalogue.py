"""The furniture that rooms are filled with: 3D models of the Debian package sweethome3d-furniture, by what they are.

Only models under CC0 or Creative Commons Attribution are taken, and none of those that stand in the sample hotels, so
that the samples show nothing that was trained on.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from base.errors import SourceError
from base.settings import asset

LIBRARIES = ("BlendSwap-CC-0", "BlendSwap-CC-BY", "KatorLegaz", "Scopia")  # all CC0 or CC BY
LARGEST_BYTES = 2_600_000  # of a model's file: larger ones take long to load
PROPERTY = re.compile(r"\s*([A-Za-z]+)#(\d+)\s*=\s*(.*)")
PACKAGE = "apt-get download sweethome3d-furniture, then python -m training unpack FILE.deb"


@dataclass(frozen=True)
class Model:
    """A 3D model: `key` is LIBRARY/NAME; sizes in metres, standing with its front towards -y; rotation 3 x 3 or ()."""

    key: str
    name: str
    category: str
    file: Path
    width: float
    depth: float
    height: float
    rotation: tuple[float, ...]


def read_catalogue(folder: Path) -> dict[str, Model]:
    """Return the models that rooms may be filled with, by key.

    Args:
        folder: one folder for each of the package's libraries, as `python -m training unpack` leaves them.

    Raises: SourceError: there is none.
    """
    used = in_the_samples()
    models = {}
    for library in LIBRARIES:
        properties = folder / library / "PluginFurnitureCatalog.properties"
        if not properties.is_file():
            raise SourceError(f"there is no {properties}: {PACKAGE}")
        for entry in entries(properties):
            file = folder / library / entry.get("model", "").lstrip("/")
            key = f"{library}/{file.stem}"
            if key in used or not file.is_file() or file.stat().st_size > LARGEST_BYTES:
                continue
            width, depth, height = (float(entry[name]) / 100 for name in ("width", "depth", "height"))
            rotation = tuple(float(number) for number in entry.get("modelRotation", "").split())
            models[key] = Model(key, entry["name"], entry["category"], file, width, depth, height, rotation)
    return models


def entries(properties: Path) -> list[dict[str, str]]:
    """Return what a library says of each of its models."""
    found: dict[str, dict[str, str]] = {}
    for line in properties.read_text(encoding="latin-1").splitlines():
        if match := PROPERTY.match(line):
            found.setdefault(match[2], {})[match[1]] = match[3].strip()
    return list(found.values())


def in_the_samples() -> frozenset[str]:
    """Return the keys of the models that the sample hotels were rendered with, as their attribution tells."""
    text = asset("aliens/samples/ATTRIBUTION.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("|")]
    return frozenset(f"{row[5]}/{row[1]}" for row in rows if len(row) > 6)
