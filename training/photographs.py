"""The rendered training pictures: NUMBER.jpg and, when it is whole, NUMBER.json with what is seen on it.

A picture follows from its number. What was killed goes on with the numbers that have no .json yet.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from base.files import atomic_write
from training.builder import Plan
from training.catalogue import read_catalogue
from training.rooms import plan_room

SIZES = ((320, 240), (320, 240), (320, 214), (352, 198), (300, 300), (240, 320))  # width, height, as photos have them


def render(catalogue: Path, folder: Path, numbers: range, tell: Callable[[int], None]) -> None:
    """Render the pictures of `numbers` that are not there yet; `tell` is called with each that is.

    Raises: SourceError: there are no models in `catalogue`.
    """
    models = read_catalogue(catalogue)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in numbers if not (folder / f"{number:06d}.json").exists()]
    if not missing:
        return
    from training.blender import Studio  # Blender takes seconds to start
    from training.shapes import SHAPES

    with quiet():
        studio = Studio(models, folder, SHAPES)
        for number in missing:
            plan = plan_room(number, models)
            path = folder / f"{number:06d}.jpg"
            shot = studio.photograph(plan, path, random.Random(number).choice(SIZES))
            with atomic_write(path.with_suffix(".json")) as file:
                file.write(json.dumps(what_is_seen(plan, shot.pieces, shot.others)).encode())
            tell(number)


def what_is_seen(plan: Plan, pieces: dict[int, float], others: dict[str, float]) -> dict[str, Any]:
    """Return what a picture's captions are made of."""
    things = [
        {name: getattr(plan.pieces[i], name) for name in ("noun", "kind", "colour")} | {"share": round(share, 4)}
        for i, share in sorted(pieces.items(), key=lambda item: -item[1])
    ]
    keys = ("room", "roof", "wall", "wall_kind", "floor_kind", "view", "light", "words")
    return {
        **{key: getattr(plan, key) for key in keys},
        "things": things,
        "around": {k: round(v, 4) for k, v in others.items()},
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Blender from telling each file that it reads on stdout; yields while it is so."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
