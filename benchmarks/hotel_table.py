"""How good and how quick tables of hotels are: joining photos, ranking hotels, galleries, and a million photos.

python benchmarks/hotel_table.py [--photos ../shared/photos] [--million 1124215]

On the sample hotels (30 of 8 photos) and, where they are at hand, on 28 real hotels (205 photos) that the starter model
has never seen, in a library with 815 other photos; the truth of a hotel is that of all its photos together. Galleries
are chosen of whole chains of sample hotels, up to 48 photos, as if each were one hotel. The library of --million photos
is made up (benchmarks/million.py).
"""

import argparse
import csv
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from growing import RandomEncoder
from kept_library import WORK, kept_library
from measuring import memory_mb
from million import PHOTOS, million_library
from records import figure, recorded
from sklearn.metrics import average_precision_score
from sqlalchemy.orm import Session
from tag_quality import real_truth

import aliens
from aliens.library import Library
from base.settings import asset
from db.hotel_rows import ids_of_hotels
from db.models import Hotel, Photo
from db.photo_rows import mark_columns_changed, photo_records
from embedding.open_clip_encoder import OpenClipEncoder
from embedding.quality import opened_photo, same_shot
from search.gallery import GalleryMaker
from search.hotels import Joined, evidence_of
from search.tags.tagging import Tagging
from search.tags.truth import read_truth

IN_GALLERY = 8
DRAWS = 200  # random galleries of a hotel
ROOM_OF_SCENE = {"bath": "bathroom", "vanity": "bathroom"}  # the others are rooms by themselves, but:
NO_ROOMS = {"minibar", "tvwall"}

Evidence = np.ndarray


def hotels_from_folders(library: Library, photos: Path) -> None:
    """Make each folder of photos/hotels a hotel."""
    with library.catalog.writing() as session:
        folders = sorted(path for path in (photos / "hotels").iterdir() if path.is_dir())
        known = {hotel.id for hotel in session.query(Hotel)}
        session.add_all(Hotel(id=n, name=f.name) for n, f in enumerate(folders, start=1) if n not in known)
        session.flush()
        numbers = {str(folder): number for number, folder in enumerate(folders, start=1)}
        for photo in session.query(Photo):
            photo.hotel_id = numbers.get(str(Path(photo.path).parent))
        mark_columns_changed(session)
        session.commit()


def joining_rules(e: Evidence, p: Evidence, decided: np.ndarray) -> dict[str, np.ndarray]:
    """Return a hotel's tags, (t,), by each way of joining its photos' e, probabilities and tags, each (n, t)."""
    two = np.sort(e, axis=0)[-2:]
    return {
        "any decided": decided.any(axis=0),
        "any e >= 1 (likely)": (e >= 1).any(axis=0),
        "mean of the best two e >= 1 (sure)": (two.mean(axis=0) >= 1) & (len(e) > 1),
        "at least 15 % of photos e >= 1": (e >= 1).mean(axis=0) >= 0.15,
        "noisy-or >= 0.8": 1 - (1 - p).prod(axis=0) >= 0.8,
        "noisy-or >= 0.9": 1 - (1 - p).prod(axis=0) >= 0.9,
    }


def show_joining(called: str, session: Session, tagging: Tagging, truth_file: Path) -> None:
    """Print precision and recall of each way of joining, over all pairs of hotel and tag, and tag by tag."""
    truth = read_truth(session, tagging.vocabulary, truth_file)
    position = {photo_id: row for row, photo_id in enumerate(truth.photo_ids)}
    parts = [(photos, evidence_of(tagging, photos)) for photos in tagging.photos(["hotel_id"])]
    ids = np.concatenate([photos.photo_ids for photos, _ in parts])
    hotels = np.array([hotel or 0 for photos, _ in parts for hotel in photos.columns["hotel_id"].to_pylist()])
    e = np.concatenate([evidence for _, evidence in parts])
    p = np.nan_to_num(np.concatenate([photos.probabilities for photos, _ in parts]))
    decided = np.concatenate([photos.decided for photos, _ in parts])
    true, found = [], {name: [] for name in joining_rules(e[:2], p[:2], decided[:2])}
    for hotel in np.unique(hotels[hotels > 0]):
        rows = np.flatnonzero(hotels == hotel)
        values = truth.values[[position[i] for i in ids[rows].tolist() if i in position]]
        shows = (values == 1).any(axis=0)
        true.append(np.where(shows, 1.0, np.where(np.isnan(values).any(axis=0), np.nan, 0.0)))
        for name, has in joining_rules(e[rows], p[rows], decided[rows]).items():
            found[name].append(has)
    whole = np.array(true)
    known = ~np.isnan(whole)
    print(f"{len(whole)} hotels x {whole.shape[1]} tags, {np.nanmean(whole):.0%} of the pairs true")
    print(f"{'joined by':<36} precision recall")
    for name, has in found.items():
        said, true_ones = np.array(has)[known], whole[known] == 1
        print(f"{name:<36} {precision_and_recall(said, true_ones)}")
        figure(f"{called}: precision, {name}", (said & true_ones).sum() / max(said.sum(), 1), "share")
        figure(f"{called}: recall, {name}", (said & true_ones).sum() / max(true_ones.sum(), 1), "share")
    print(f"{'tag':<20} true | likely: precision recall | sure: precision recall")
    names = list(found)
    for place, tag in enumerate(tagging.vocabulary.names):
        at = known[:, place]
        likely, sure = (
            precision_and_recall(np.array(found[name])[at, place], whole[at, place] == 1) for name in names[1:3]
        )
        print(f"{tag:<20} {int((whole[at, place] == 1).sum()):4} | {likely} | {sure}")


def precision_and_recall(has: np.ndarray, true: np.ndarray) -> str:
    """Return both as text; - where nothing can be said."""
    right = int((has & true).sum())
    return f"{ratio(right, int(has.sum())):>9} {ratio(right, int(true.sum())):>6}"


def ratio(part: int, whole: int) -> str:
    """Return a share with two digits, - of nothing."""
    return f"{part / whole:.2f}" if whole else "-"


RANKED_BY: dict[str, Callable[[np.ndarray], float]] = {
    "the best photo": lambda scores: float(scores.max()),
    "mean of the best two": lambda scores: float(np.sort(scores)[-2:].mean()),
    "mean of the best three": lambda scores: float(np.sort(scores)[-3:].mean()),
    "mean of all photos": lambda scores: float(scores.mean()),
}


def show_ranking(library: Library, session: Session, tagging: Tagging, truth_file: Path) -> None:
    """Print how well hotels are ranked for each tag as a query, by each way of joining their photos' cosines."""
    truth = read_truth(session, tagging.vocabulary, truth_file)
    vectors = library.searcher.vectors(session, truth.photo_ids)
    ids = [photo_id for photo_id in truth.photo_ids if photo_id in vectors]
    cosines = np.stack([vectors[i] for i in ids]) @ library.encoder.encode_texts(tagging.vocabulary.names).T
    values = truth.values[[truth.photo_ids.index(i) for i in ids]]
    records = photo_records(session, ids)
    hotels = np.array([records[i].hotel_id for i in ids])
    print(f"{'hotels ranked by':<36} mean average precision")
    for name, join in RANKED_BY.items():
        found = []
        for place in range(values.shape[1]):
            known = ~np.isnan(values[:, place])
            true = [bool((values[known & (hotels == hotel), place] == 1).any()) for hotel in np.unique(hotels)]
            scores = [join(cosines[hotels == hotel, place]) for hotel in np.unique(hotels)]
            if any(true) and not all(true):
                found.append(average_precision_score(true, scores))
        print(f"{name:<36} {np.mean(found):.3f}")


def show_galleries(library: Library, session: Session, tagging: Tagging, labels: Path, most: int) -> None:
    """Print what share of the true rooms of a chain galleries show, against other ways of choosing; and copies."""
    with open(labels, encoding="utf-8", newline="") as file:
        scenes = {int(row["image_id"]): row["scene"] for row in csv.DictReader(file)}
    maker = GalleryMaker(library.searcher, session, library.encoder, IN_GALLERY)
    drawn = random.Random(1)
    shares: dict[str, list[float]] = {"suggested": [], "the best photos of tags": [], "at random": []}
    copies = surely = right = 0
    for hotel in as_one_hotel(session)[:most]:
        ids = sorted(ids_of_hotels(session, [hotel]))
        records = photo_records(session, ids)
        room = {i: room_of(scenes[records[i].image_id or 0]) for i in ids}
        rooms = len({name for name in room.values() if name})

        def covered(chosen: Sequence[int], room: dict[int, str] = room, rooms: int = rooms) -> float:
            return len({room[i] for i in chosen} - {""}) / min(rooms, IN_GALLERY)

        gallery = maker.gallery(hotel, "chain")
        shares["suggested"].append(covered([photo.photo_id for photo in gallery]))
        shares["the best photos of tags"].append(covered(best_of_tags(tagging, ids)))
        draws = [covered(drawn.sample(ids, min(IN_GALLERY, len(ids)))) for _ in range(DRAWS)]
        shares["at random"].append(float(np.mean(draws)))
        opened = [opened_photo(photo.file) for photo in gallery]
        vectors = library.searcher.vectors(session, [photo.photo_id for photo in gallery])
        for at, one in enumerate(gallery):
            for before, other in enumerate(gallery[:at]):
                cosine = float(vectors[one.photo_id] @ vectors[other.photo_id])
                copies += same_shot(opened[at], opened[before], cosine, "") is not None  # type: ignore[arg-type]
        called = [(photo.room, room[photo.photo_id]) for photo in gallery if "perhaps" not in photo.why]
        surely += len(called)
        right += sum(SAME_ROOM.get(true, true) == name for name, true in called)
    print(f"{'galleries of ' + str(IN_GALLERY) + ' photos':<36} share of the rooms shown")
    for name, found in shares.items():
        print(f"{name:<36} {np.mean(found):.2f}")
    print(f"near copies in galleries: {copies}; rooms called by their true name: {right} of {surely}")
    session.rollback()


SAME_ROOM = {"balcony": "view", "living": "living room"}


def room_of(scene: str) -> str:
    """Return the room that a sample photo shows, or nothing for one thing in a room."""
    return "" if scene in NO_ROOMS else ROOM_OF_SCENE.get(scene, scene)


def as_one_hotel(session: Session) -> list[int]:
    """Make the hotels of each chain one hotel, without keeping it; return their ids."""
    chains: dict[int | None, int] = {}
    for hotel in session.query(Hotel).order_by(Hotel.id):
        first = chains.setdefault(hotel.chain_id, hotel.id)
        session.query(Photo).filter(Photo.hotel_id == hotel.id).update({"hotel_id": first})
    session.flush()
    return list(chains.values())


def best_of_tags(tagging: Tagging, ids: list[int]) -> list[int]:
    """Return the photos that show each tag best, the surest first."""
    (photos,) = tagging.photos(ids=ids)
    evidence = evidence_of(tagging, photos)
    order = np.argsort(-evidence.max(axis=0))
    best = photos.photo_ids[evidence.argmax(axis=0)[order]].tolist()
    return list(dict.fromkeys(best))[:IN_GALLERY]


def show_speed(photos: int) -> None:
    """Print how long the table of a large library takes, and what it holds."""
    folder = million_library(WORK / f"million-{photos}", photos).root
    with aliens.open(folder, encoder=RandomEncoder()) as library:
        for vocabulary in ("case-study", "hotel"):
            library.tag(vocabulary)
            held = [memory_mb("RssAnon")]
            start = time.perf_counter()
            table = library.hotels(progress=lambda step, held=held: held.append(memory_mb("RssAnon")))
            taken = time.perf_counter() - start
            print(
                f"{photos} photos of {len(table)} hotels x {len(table.names)} tags: {taken:.1f} s, "
                f"{max(held) - held[0]:.0f} MB more than before"
            )
            figure(f"{vocabulary}, {photos} photos", taken, "s")
            start = time.perf_counter()
            manifest = library.export_hotels(WORK / "hotels.csv")
            print(f"written as CSV: {time.perf_counter() - start:.1f} s, {manifest.size_bytes / 1e6:.1f} MB")
    places, rng = 1 + 50_000 * photos // PHOTOS, np.random.default_rng(3)
    evidence = rng.normal(size=(photos, 15)).astype(np.float32)
    rows = np.sort(rng.integers(0, places, photos))
    start = time.perf_counter()
    Joined(places, 15).add(rows, np.arange(photos), evidence)
    print(f"joining alone, in one part: {time.perf_counter() - start:.2f} s")


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--million", type=int, default=0, help="also measure speed, on so many made-up photos")
    parser.add_argument("--chains", type=int, default=100, help="chains whose galleries are measured, at most")
    arguments = parser.parse_args()
    photos = arguments.photos.resolve()
    encoder = OpenClipEncoder.load("starter")
    samples = asset("aliens/samples")
    sets = [("sample", {"hotels50k": samples}, samples / "labels.csv")]
    if photos.is_dir():
        sets.append(("real", photos, real_truth(photos)))
    for name, source, truth_file in sets:
        with kept_library(f"hotels-{name}", encoder, source) as library:
            if name == "real":
                hotels_from_folders(library, photos)
            library.tag("case-study")
            print(f"\n=== {name} hotels")
            with library.catalog.session() as session:
                tagging = Tagging.open(library.catalog, session, library.store)
                show_joining(name, session, tagging, truth_file)
                show_ranking(library, session, tagging, truth_file)
                if name == "sample":
                    show_galleries(library, session, tagging, truth_file, arguments.chains)
    if arguments.million:
        print("\n=== speed")
        show_speed(arguments.million)


if __name__ == "__main__":
    main()
