"""What a rendered picture is true of: concepts with their phrasings, and for each picture yes, no or not known.

Counts, colours and neighbours that are easily mistaken (a bathtub and a shower, a pool and a hot tub, one bed and two)
are concepts of their own, so that each is a negative of the other.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

YES, FAINT = 0.015, 0.003  # share of the picture from which a thing is there; below the second it is not
TEMPLATES = ("{}", "a photo of {}", "a hotel room with {}", "a hotel photo of {}", "a picture of {}", "there is {}")
PLURAL = {"shelves", "curtains", "kitchen cabinets"}

PHRASES: Mapping[str, tuple[str, ...]] = {
    "one large bed": ("a king-size bed", "a double bed", "one large bed", "a king-size bed", "a queen bed"),
    "one bed": ("one bed",),
    "two beds": ("two beds", "twin beds", "two single beds", "two beds", "a room with two beds"),
    "three beds": ("three beds", "three single beds", "a family room with three beds"),
    "no bed": (),
    "bathtub": ("a bathtub", "a tub", "a bath", "a bathtub"),
    "free bathtub": ("a freestanding bathtub", "a bathtub standing in the room"),
    "built-in bathtub": ("a built-in bathtub", "a tiled bathtub"),
    "shower": ("a shower", "a walk-in shower", "a shower", "a shower head"),
    "glass shower": ("a glass shower cabin", "a glass shower"),
    "shower curtain": ("a shower curtain", "a shower with a curtain"),
    "pool": ("a pool", "a swimming pool", "a pool"),
    "indoor pool": ("an indoor pool", "a swimming pool inside"),
    "outdoor pool": ("an outdoor pool", "a swimming pool outside"),
    "hot tub": ("a hot tub", "a jacuzzi", "a whirlpool"),
    "view": ("an amazing view", "a view", "a beautiful view", "an amazing view", "a panoramic view"),
    "sea": ("a sea view", "a view of the sea", "an ocean view"),
    "mountains": ("a mountain view", "a view of the mountains"),
    "city": ("a city view", "a view of the city", "a view of the skyline"),
    "night city": ("a city at night", "a night view of the city"),
    "garden": ("a garden view", "a view of the garden", "trees"),
    "lake": ("a lake view", "a view of the lake"),
    "beach": ("a beach view", "a view of the beach"),
    "street": ("a view of the street", "a street"),
    "window": ("a window", "a large window"),
    "balcony": ("a balcony", "a terrace", "a balcony", "a balcony with a railing"),
    "restaurant": ("a restaurant", "a restaurant dining room", "a restaurant", "tables in a restaurant"),
    "kitchen": ("a kitchen", "a kitchenette", "a kitchen", "kitchen cabinets"),
    "bedroom": ("a bedroom", "a hotel bedroom", "a guest room"),
    "bathroom": ("a bathroom", "a hotel bathroom"),
    "living room": ("a living room", "a sitting room"),
    "dining room": ("a dining room", "a dining table with chairs"),
    "office": ("an office", "a desk with a chair"),
    "hallway": ("a hallway", "a corridor with doors"),
    "chair": ("a chair", "chairs", "a chair"),
    "many chairs": ("many chairs", "several chairs"),
    "table": ("a table", "tables", "a table"),
    "sofa": ("a sofa", "a couch", "a sofa", "a settee"),
    "tv": ("a tv", "a television", "a flat screen tv", "a tv"),
    "mirror": ("a mirror", "a mirror on the wall", "a mirror"),
    "minibar": ("a minibar", "a small fridge with drinks", "a minibar", "a mini fridge with bottles"),
    "bottle": ("a bottle", "bottles"),
    "sink": ("a sink", "a washbasin"),
    "two sinks": ("a double washbasin", "two sinks"),
    "indoors": ("the inside of a room", "an interior"),
    "outdoors": ("outdoors", "outside"),
    "building": ("a building", "a hotel facade"),
    "lounger": ("a sun lounger", "a deck chair", "loungers"),
    "parasol": ("a parasol", "a sun umbrella"),
}
KNOWN = {"bedroom", "bathroom", "living room", "dining room", "kitchen", "kitchen cabinets", "office", "hallway"}
ROOMS = ("bedroom", "bathroom", "living room", "dining room", "restaurant", "kitchen", "office", "hallway", "balcony")
VIEWS = ("sea", "mountains", "city", "night city", "garden", "lake", "beach", "street")
TABLES = {"table", "coffee table", "desk", "garden table", "bedside table"}
CHAIRS = {"chair", "armchair", "garden chair"}
COLOURED = {"bed", "sofa", "armchair", "chair", "table", "bathtub", "wardrobe", "curtains", "rug", "kitchen cabinets"}
COLOURS = ("white", "grey", "black", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "beige")


def truth_of(record: Mapping[str, Any]) -> dict[str, bool | None]:
    """Return what a picture is true of, by concept; None where it cannot be told. Concepts left out are false.

    Args:
        record: a picture's, as photographs.what_is_seen makes it.
    """
    share: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for thing in record["things"]:
        share[thing["noun"]] += thing["share"]
        count[thing["noun"]] += thing["share"] >= YES
    true = {noun: graded(amount) for noun, amount in share.items()}
    true |= beds(record, count, share) | baths(record) | place(record, share)
    true["table"] = graded(sum(share[noun] for noun in TABLES if noun != "bedside table"))
    true["chair"] = graded(sum(share[noun] for noun in CHAIRS))
    true["many chairs"] = sum(count[noun] for noun in CHAIRS) >= 4
    true["tv"], true["mirror"] = graded(share["tv"], 0.025), graded(share["mirror"], 0.025)
    for thing in record["things"]:
        if thing["noun"] in COLOURED and thing["colour"] and thing["share"] >= FAINT:
            name = f"{thing['colour']} {thing['noun']}"
            true[name] = true.get(name) or graded(thing["share"], 0.03)
    return true


def graded(share: float, least: float = YES) -> bool | None:
    """Return whether a thing of that share of the picture is there: yes, no, or not to be told."""
    return True if share >= least else None if share >= FAINT else False


def beds(record: Mapping[str, Any], count: Counter[str], share: Counter[str]) -> dict[str, bool | None]:
    """Return how many beds there are."""
    seen = [thing["share"] for thing in record["things"] if thing["noun"] == "bed"]
    sure = sum(amount >= 0.02 for amount in seen)
    doubtful = sum(FAINT <= amount < 0.02 for amount in seen) > 0
    names = {1: "one bed", 2: "two beds", 3: "three beds"}
    told: dict[str, bool | None] = {name: (None if doubtful and sure else sure == n) for n, name in names.items()}
    told["one large bed"] = told["one bed"] if share["bed"] > 0.05 else False if sure != 1 else None
    return told


def baths(record: Mapping[str, Any]) -> dict[str, bool | None]:
    """Return which bath or shower it is, and of what kind."""
    kinds = {
        "bathtub": {"free": "free bathtub", "built in": "built-in bathtub"},
        "shower": {"cabin": "glass shower", "pane": "glass shower", "curtain": "shower curtain"},
        "sink": {"double": "two sinks"},
    }
    named = [(kinds.get(thing["noun"], {}).get(thing["kind"]), thing["share"]) for thing in record["things"]]
    return {name: graded(share, 0.03) for name, share in named if name}


def place(record: Mapping[str, Any], share: Counter[str]) -> dict[str, bool | None]:
    """Return where the picture was taken, and what is seen far away."""
    room, around = record["room"], record["around"]
    told: dict[str, bool | None] = {name: room == name for name in ROOMS}
    if room == "bedroom":
        told["bedroom"] = graded(share["bed"]) or None
    told["kitchen"] = None if room == "kitchen" and share["kitchen cabinets"] < YES else room == "kitchen"
    told["bathroom"] = room == "bathroom" or (None if room == "spa" else False)
    told["restaurant"] = room == "restaurant"
    told["dining room"] = room in ("dining room", "restaurant") or (None if share["table"] > 0.05 else False)
    told["balcony"] = (share["railing"] >= FAINT or None) if room == "balcony" else None if share["railing"] else False
    far = around.get("view", 0) + (0 if record["roof"] else around.get("sky", 0))
    told["view"] = far > 0.15 if far > 0.15 or far < 0.04 else None
    told |= {name: record["view"] == name and (far > 0.12 or (None if far > 0.02 else False)) for name in VIEWS}
    told["window"] = (
        (share["window"] + around.get("frame", 0) + far * record["roof"] > 0.03) if record["roof"] else None
    )
    told["indoors"], told["outdoors"] = record["roof"], not record["roof"]
    told["indoor pool"] = graded(share["pool"]) if record["roof"] else False
    told["outdoor pool"] = graded(share["pool"]) if not record["roof"] else False
    if record["roof"] and around.get("wall", 0) > 0.15:
        told[f"{record['wall']} wall"] = True
        if room in ROOMS:
            told[f"{record['wall']} {room}"] = True
    return told


def phrases_of(concept: str) -> tuple[str, ...]:
    """Return how a concept is said."""
    if concept in PHRASES:
        return PHRASES[concept]
    return (concept if concept in PLURAL else with_article(concept),)


def with_article(words: str) -> str:
    """Return words with "a" or "an"."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def table(records: Sequence[Mapping[str, Any]], fewest: int = 8) -> tuple[list[str], NDArray[np.float32]]:
    """Return the concepts that enough pictures have, and the truth: 1, 0 or NaN, shape (pictures, concepts).

    Colours are told against each other only: a red sofa says nothing of pictures that show no sofa.
    """
    told = [truth_of(record) for record in records]
    counts = Counter(concept for truth in told for concept, true in truth.items() if true)
    names = sorted(name for name, n in counts.items() if n >= fewest and phrases_of(name))
    values = np.zeros((len(records), len(names)), np.float32)
    for row, truth in enumerate(told):
        for column, name in enumerate(names):
            true = truth.get(name, False)
            values[row, column] = np.nan if true is None else float(true)
    return names, values
