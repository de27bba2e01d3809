"""The values of filters: places, dates, sizes. Each function refuses what makes no sense by ValueError."""

import re
from dataclasses import dataclass
from datetime import datetime

LONGEST_VALUE = 1_000  # characters
METRES = {"km": 1000.0, "m": 1.0, "mi": 1609.344}
NEAR = re.compile(r"(-?[0-9.]+),(-?[0-9.]+),([0-9.]+)(km|mi|m)", re.IGNORECASE | re.ASCII)
SIZE = re.compile(r"(>=|<=)?([0-9]{1,6})x([0-9]{1,6})", re.IGNORECASE | re.ASCII)
DATE = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?", re.ASCII)
CHOICES = {
    "orientation": ("landscape", "portrait", "square"),
    "color": ("grey", "colour"),
    "kind": ("photo", "restyled", "any"),
}
SPELLINGS = {"gray": "grey", "color": "colour"}


@dataclass(frozen=True, slots=True)
class Near:
    """A circle on the earth: degrees, metres."""

    latitude: float
    longitude: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Size:
    """At least, or at most, so many pixels each way."""

    at_least: bool
    width_px: int
    height_px: int


def read_near(text: str) -> Near:
    """Return the circle that `48.85,2.35,10km` means."""
    match = NEAR.fullmatch(text)
    if match is None:
        raise ValueError("expected latitude,longitude,radius without spaces, such as 48.85,2.35,10km")
    try:
        latitude, longitude, radius = (float(number) for number in match.group(1, 2, 3))
    except ValueError:
        raise ValueError("expected numbers, such as 48.85,2.35,10km") from None
    if not -90 <= latitude <= 90:
        raise ValueError(f"the latitude {latitude:g} does not lie between -90 and 90 degrees")
    if not -180 <= longitude <= 180:
        raise ValueError(f"the longitude {longitude:g} does not lie between -180 and 180 degrees")
    if radius <= 0:
        raise ValueError("the radius has to be more than 0")
    return Near(latitude, longitude, radius * METRES[match.group(4).lower()])


def read_date(text: str) -> datetime:
    """Return the first moment of a year, a month or a day."""
    match = DATE.fullmatch(text)
    if match is None:
        raise ValueError("expected a year, a month or a day, such as 2015, 2015-01 or 2015-01-31")
    try:
        return datetime(*(int(part or 1) for part in match.groups()))  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{text} is no date: {error}") from None


def read_size(text: str) -> Size:
    """Return what `>=1024x728` means; without a sign at least is meant."""
    match = SIZE.fullmatch(text)
    if match is None:
        raise ValueError("expected width x height in pixels, such as >=1024x728 or <=350x233")
    return Size(match.group(1) != "<=", int(match.group(2)), int(match.group(3)))


def read_choice(name: str, text: str) -> str:
    """Return one of a filter's few values."""
    chosen = SPELLINGS.get(text.lower(), text.lower()) if name == "color" else text.lower()
    if chosen not in CHOICES[name]:
        remedy = "; for a colour of your choice say it in words, such as: a red room" if name == "color" else ""
        raise ValueError(f"expected {', '.join(CHOICES[name][:-1])} or {CHOICES[name][-1]}{remedy}")
    return chosen


def check(name: str, value: str, negated: bool = False) -> None:
    """Refuse a value that a filter cannot have. Raises: ValueError: says what was expected."""
    if not value.strip():
        raise ValueError(f"expected a value behind {name}:")
    if len(value) > LONGEST_VALUE:
        raise ValueError(f"the value behind {name}: has more than {LONGEST_VALUE:,} characters: shorten it")
    if name == "near":
        read_near(value)
    elif name in ("after", "before"):
        read_date(value)
    elif name == "size":
        read_size(value)
    elif name in CHOICES and read_choice(name, value) == "any" and negated:
        raise ValueError("nothing is of no kind: write kind:photo or kind:restyled")
