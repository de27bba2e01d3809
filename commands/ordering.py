"""Which photos `aliens restyle` works on: by their numbers, from a manifest, or the best hits of a query."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from base.errors import QueryError
from commands.models import open_for_search

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.photo_rows import PhotoRecord
    from restyle.alienise import Wish
    from restyle.palettes import Palette
    from restyle.picks import Pick, PickList
    from restyle.studio import Order


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is asked of all photos; a manifest's picks say otherwise where they do."""

    prompt: str | None
    negative_prompt: str | None
    strength: float | None
    seed: int
    seeds: int
    budget_s: float | None


def picks_of(
    library: Path, photo_ids: Sequence[int], manifest: "PickList | None", query: str | None, n: int
) -> "list[Pick]":
    """Return the photos that are meant, each once, in the order in which they were named or found.

    Raises: QueryError: none of the three ways, or more than one, is given; or a query finds nothing.
    """
    from restyle.picks import Pick

    if sum((bool(photo_ids), manifest is not None, query is not None)) != 1:
        raise QueryError("say which photos: PHOTO_ID ..., --manifest FILE or --query TEXT, one of the three")
    if manifest is not None:
        return list(manifest.picks)
    if query is None:
        return [Pick(photo_id=photo_id, path="") for photo_id in dict.fromkeys(photo_ids)]
    with open_for_search(library) as opened:
        hits = opened.search(query, k=n)
    if not hits:
        raise QueryError(f"no photo is left for {query!r}: loosen its filters")
    return [Pick(photo_id=hit.photo_id, path=hit.path, member=hit.member) for hit in hits]


def orders_of(
    session: "Session", library: Path, picks: "Sequence[Pick]", asked: Asked, palette: "Palette", paints: bool
) -> "list[Order]":
    """Return the picks as orders, with their files and prompts.

    `paints`: whether a diffusion model will; without one, strength alone is asked for.

    Raises: QueryError: the library has no such photo, or another one under the number of a pick.
    """
    from base.files import PhotoFile
    from restyle.studio import Order

    records = records_of(session, [pick.photo_id for pick in picks])
    orders = []
    for pick in picks:
        record = records.get(pick.photo_id)
        if record is None:
            raise QueryError(f"no photo {pick.photo_id} in {library}: take a number that a search shows")
        if record.kind == "restyled":
            raise QueryError(f"photo {pick.photo_id} is a restyled one: name the photo that it was made of")
        if pick.path and (pick.path, pick.member) != (record.path, record.member):
            raise QueryError(
                f"photo {pick.photo_id} is {record.path} in {library}, but {pick.path} in the manifest: it is of "
                "another library, or the photo was moved"
            )
        wish = wish_of(session, library, pick, asked, palette, paints)
        orders.append(Order(photo_id=pick.photo_id, file=PhotoFile(record.path, record.member), wish=wish))
    return orders


def records_of(session: "Session", photo_ids: Sequence[int]) -> "dict[int, PhotoRecord]":
    """Return what is known of photos by their numbers; numbers that no database holds are unknown."""
    from db.photo_rows import photo_records

    return photo_records(session, [photo_id for photo_id in photo_ids if abs(photo_id) < 1 << 63])


def wish_of(session: "Session", library: Path, pick: "Pick", asked: Asked, palette: "Palette", paints: bool) -> "Wish":
    """Return what is asked of one photo: what the pick says, else the options, else what the photo itself tells.

    Of what decides nothing where no diffusion model paints, seeds, prompts and the budget, nothing is said then: the
    same result is not made once more for it.
    """
    from restyle.alienise import Wish
    from restyle.palettes import build_prompt

    strength = asked.strength if pick.strength is None else pick.strength
    if not paints:
        return Wish(strength=strength)
    prompt, negative = pick.prompt or asked.prompt, pick.negative_prompt or asked.negative_prompt
    if prompt is None or negative is None:
        built = build_prompt(
            palette.prompt, tags_of(session, library, pick.photo_id), caption_of(session, pick.photo_id)
        )
        prompt, negative = (built[0] if prompt is None else prompt), (built[1] if negative is None else negative)
    return Wish(
        prompt=prompt,
        negative_prompt=negative,
        strength=strength,
        seed=asked.seed if pick.seed is None else pick.seed,
        seeds=asked.seeds,
        budget_s=asked.budget_s,
    )


def tags_of(session: "Session", library: Path, photo_id: int) -> list[str]:
    """Return a photo's tags, the surest first; none where the library is not tagged."""
    from base.settings import LibraryFolder
    from search.tags.tagging import Tagging

    try:
        tagging = Tagging.open(session, LibraryFolder(library))
        photo = tagging.photo(photo_id)
    except QueryError:
        return []
    names, probabilities = tagging.vocabulary.names, photo.probabilities[0].tolist()
    surest = sorted(range(len(names)), key=lambda place: -probabilities[place])
    return [names[place] for place in surest if photo.decided[0, place]]


def caption_of(session: "Session", photo_id: int) -> str | None:
    """Return a photo's best caption, or None."""
    from db.caption_rows import captions_of

    found = captions_of(session, [photo_id]).get(photo_id)
    return found[0][0] if found else None
