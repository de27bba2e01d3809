"""How often what `aliens tag suggest` says is right: prompts by labels, and names of groups of photos.

python benchmarks/suggestions.py [--photos ../shared/photos] [--draws 5]

On the sample hotels and, where they are at hand, on real photos that the starter model has never seen (tag_quality.py
says which). Prompts: texts chosen on 60 photos of some hotels, judged on all photos of the others. Names: photos of
one kind of room, in up to four groups that k-means makes, against words that fit the room.
"""

import argparse
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from kept_library import kept_library
from records import figure, recorded
from tag_quality import groups_of, real_truth

from aliens.library import Library
from base.arrays import unit_or_zero
from base.settings import asset
from db.photo_rows import photo_records
from db.vector_rows import EmbeddedRows
from embedding.open_clip_encoder import OpenClipEncoder
from search.tags.suggesting import (
    LabelledTrial,
    SampledPhotos,
    TextBoard,
    Trial,
)
from search.tags.trial_measures import average_precisions, best_of
from search.tags.truth import read_truth
from search.tags.uncovered import COMPARED, WordsHere, clusters_of
from search.tags.vocabulary import Tag, Vocabulary, bare, read_vocabulary

FEWEST = 3  # photos that have a tag, for it to be counted
LABELS = 60
FITTING = {  # words that fit a kind of room
    "bathroom": "bathroom,bath,toilet,washbasin,shower,bathtub,sink,tub,basin,restroom,washroom,vanity,shower room",
    "bedroom": "bedroom,bed,double bed,single bed,master bedroom,bedspread,headboard,hotel room,pillow,king-size bed,"
    "two beds,wardrobe",
    "kitchen": "kitchen,kitchenette,oven,stove,refrigerator,microwave,kitchen table,cooker",
    "front": "facade,building,driveway,cottage,bungalow,villa,yard,garage,lawn,mansion,backyard,farmhouse,porch",
    "dining": "dining room,dining table,table,kitchen table,restaurant,cafeteria,breakfast table",
    "living": "living room,sofa,couch,drawing room,sitting room,coffee table,armchair,lounge,furniture,love seat",
    "children": "children's room,crib,nursery,toy,bunk bed,playroom,bedroom",
    "office": "office,desk,study,workplace,bookshelf,bookcase,computer,writing desk",
    "outdoor": "patio,terrace,garden,balcony,deck,courtyard,backyard,porch,veranda",
    "pool": "pool,swimming pool", "balcony": "balcony,terrace,sea view,patio,deck,shore,shoreline,beach,lake,veranda",
    "minibar": "minibar,refrigerator,bottle,bar,wine,cooler", "tv": "tv,television,screen",
    "mirror": "mirror,vanity,bathroom,washbasin,table,dresser",
}  # fmt: skip
KIND = {
    "@bedroom": "bedroom", "@bath": "bathroom", "@living": "living", "@pool": "pool", "@restaurant": "dining",
    "@balcony": "balcony", "@kitchen": "kitchen", "@minibar": "minibar", "@tvwall": "tv", "@vanity": "mirror",
    "bathroom": "bathroom", "bedroom": "bedroom", "kitchen": "kitchen", "frontal": "front", "Bedroom": "bedroom",
    "Dining": "dining", "Living Room": "living", "Kitchen": "kitchen", "Baby Children Room": "children",
    "Home Office": "office", "Outdoor": "outdoor",
}  # fmt: skip


class Photos:
    """The photos of one library, with what is known of them: {tag: (has it (n,), their places among all photos)}."""

    def __init__(self, library: Library, truth_file: Path, said: Mapping[str, set[str]]) -> None:
        self.study = read_vocabulary("case-study")
        with library.catalog.session() as session:
            self.vectors = library.store.current(EmbeddedRows(session, library.model))
            self.truth = read_truth(session, self.study, truth_file)
        self.sample = SampledPhotos.of(self.vectors)
        self.paths = paths_of(library)
        self.board = TextBoard(library.encoder)
        self.said = {path: words for path, words in said.items() if path in self.paths}
        self.places = np.searchsorted(self.sample.ids, [self.paths[path] for path in self.said])
        rows = np.searchsorted(self.sample.ids, self.truth.photo_ids)
        self.known = {}
        for place, name in enumerate(self.study.names):
            there = ~np.isnan(self.truth.values[:, place])
            self.known[name] = self.truth.values[there, place] == 1, rows[there]
        self.known = {key: value for key, value in self.known.items() if value[0].sum() >= FEWEST}


def paths_of(library: Library) -> dict[str, int]:
    """Return {path: photo id} of the photos that can be found."""
    with library.catalog.session() as session:
        vectors = library.store.current(EmbeddedRows(session, library.model))

        return {record.path: number for number, record in photo_records(session, vectors.ids.tolist()).items()}


def with_labels(photos: Photos, hotel_of: Mapping[int, str], draws: int) -> tuple[list[float], list[float]]:
    """Return average precisions before and after, of each tag the mean over draws, on hotels that chose nothing."""
    hotels = np.unique([hotel_of[i] for i in photos.truth.photo_ids], return_inverse=True)[1]
    none = LabelledTrial(photos.truth.values[:0], photos.vectors.gather(photos.sample.ids[:0]), np.empty(0, np.int64))
    trial = Trial(photos.study, photos.sample, none, photos.board, 0.5)
    before, after = [], []
    for name, (has, rows) in photos.known.items():
        place = photos.study.position(name)
        groups = hotels[~np.isnan(photos.truth.values[:, place])]
        prompts = trial.candidates(photos.study.tags[place], [])
        means, today = trial.means(prompts), photos.board.mean(photos.study.texts(photos.study.tags[place]))
        over = photos.sample.vectors[rows]
        found = []
        for draw in range(draws):
            shuffled = np.random.default_rng(draw).permutation(groups.max() + 1)
            for fold in range(5):
                judged = shuffled[groups] % 5 == fold
                others = np.flatnonzero(~judged)
                chosen = np.random.default_rng([draw, fold]).permutation(others)[:LABELS]
                if has[chosen].sum() < 2 or not has[judged].any():
                    continue
                new = means[best_of(has[chosen], over[chosen] @ unit_or_zero(means).T)].mean(axis=0)
                scores = over[judged] @ unit_or_zero(np.stack([today, new])).T
                found.append(average_precisions(has[judged], scores))
        if found:
            before.append(float(np.mean(found, axis=0)[0]))
            after.append(float(np.mean(found, axis=0)[1]))
    return before, after


def names(photos: Photos) -> Iterator[bool | None]:
    """Yield of each group of photos of one kind of room whether its name fits; None where it has no name."""
    whole = SampledPhotos.of(photos.vectors, COMPARED)
    middle = whole.vectors.mean(axis=0)
    none = Vocabulary(
        name="none", tags=(Tag("a rainbow", ("a rainbow",)),), templates=("{}",), background=(), groups=()
    )
    words = WordsHere(photos.board, none, whole, middle)
    vectors = unit_or_zero(photos.sample.vectors - middle)
    by_kind: dict[str, list[int]] = {}
    for place, said in zip(photos.places.tolist(), photos.said.values(), strict=True):
        for word in said & set(KIND):
            by_kind.setdefault(word, []).append(place)
    for word, places in by_kind.items():
        for rows in clusters_of(vectors[places], 4):
            if len(rows) >= 4:
                name = words.named(vectors[places][rows]).name
                yield None if name is None else bare(name) in FITTING[KIND[word]].split(",")


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    photos = options.photos.resolve()
    encoder = OpenClipEncoder.load("starter")
    samples = asset("aliens/samples")
    with open(samples / "labels.csv", encoding="utf-8", newline="") as file:
        said = {
            str(samples / row["path"]): {*row["extra"].split(";"), f"@{row['scene']}"} for row in csv.DictReader(file)
        }
    sets = [("sample hotels", {"hotels50k": samples}, samples / "labels.csv", said, lambda p: Path(p).parts[-3])]
    if photos.is_dir():
        with open(photos / "labels.csv", encoding="utf-8", newline="") as file:
            rooms = {str(photos / row["path"]): {row["room"]} for row in csv.DictReader(file) if row["room"]}
        sets.append(("real hotels", photos, real_truth(photos), rooms, groups_of(photos).__getitem__))
    named = []
    for name, source, truth_file, words, hotel_of in sets:
        with kept_library(f"tags-{name}", encoder) as library:
            library.add(**source) if isinstance(source, dict) else library.add(source)
            here = Photos(library, truth_file, words)
            print(f"\n=== {name}")
            hotels = {
                number: hotel_of(path) for path, number in here.paths.items() if number in set(here.truth.photo_ids)
            }
            before, after = with_labels(here, hotels, options.draws)
            better = sum(a > b for a, b in zip(after, before, strict=True))
            print(f"prompts by {LABELS} labels, judged on other hotels: mAP {np.mean(before):.3f} before, ", end="")
            print(f"{np.mean(after):.3f} after; better of {better} of {len(before)} tags")
            figure(f"{name}: mAP, prompts of today", float(np.mean(before)), "mAP")
            figure(f"{name}: mAP, prompts by {LABELS} labels", float(np.mean(after)), "mAP")
            named += (found := list(names(here)))
            print(f"names: {found.count(True)} of {len(found)} fit, {found.count(None)} groups without a name")
    print("\n=== both")
    figure("groups of one kind of room whose name fits", named.count(True) / max(len(named), 1), "share")
    print(f"names: {named.count(True)} of {len(named)} fit, {named.count(None)} groups without a name")


if __name__ == "__main__":
    main()
