"""What negation, weights, the stop line and the word that nothing stands out do for a search, on photos of known tags.

python benchmarks/search_quality.py [--photos ../shared/photos]

On the sample hotels (240 rendered photos) and, where they are at hand, on the real photos that the starter model has
never seen: 205 of hotels and 200 of houses, in a library of their own. A photo whose tag is not known counts neither
way; `onsen_ambiguous` is not known to be a pool or a bathtub, and houses that nobody looked at have a room but no tags.
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from kept_library import WORK, kept_library
from numpy.typing import NDArray
from records import figure, recorded

from aliens.library import Library
from analysis.judged.query_files import JudgedQuery
from analysis.judged.retrieval_measures import score_rankings
from analysis.judged.search_evaluation import JudgedTask, RankingEvaluation, evaluate_rankings
from base.arrays import unit
from base.settings import asset
from embedding.open_clip_encoder import OpenClipEncoder
from search import ranking as relevance
from search.query import NEGATED
from search.tags.vocabulary import read_vocabulary

Floats = NDArray[np.floating]
TAGS = read_vocabulary("case-study").names
SCENES = {"a bedroom": "bedroom", "a bathroom": "bath", "a living room": "living"}
ROOMS = {"a bathroom": "bathroom", "a bedroom": "bedroom", "a kitchen": "kitchen", "the front of a house": "frontal"}
TOP = 20
ENOUGH = 8  # photos that show what was asked for, below which a query is left out
BAND = 201  # thresholds tried for the best single one

# What was asked for, what was not: pairs of which enough photos show the one without the other.
PAIRS = {
    "samples": [
        ("a bathroom", "a bathtub"), ("a bathroom", "a shower"), ("a bathroom", "a mirror"), ("a bedroom", "two beds"),
        ("a bedroom", "a tv"), ("a bedroom", "a king-size bed"), ("a bedroom", "an amazing view"),
        ("a living room", "a tv"), ("a restaurant", "an amazing view"), ("an amazing view", "a pool"),
        ("an amazing view", "a balcony"), ("a chair", "a table"), ("a table", "a restaurant"), ("a sofa", "a tv"),
        ("a tv", "a king-size bed"),
    ],
    "real photos": [
        ("an amazing view", "a pool"), ("an amazing view", "a balcony"), ("an amazing view", "two beds"),
        ("an amazing view", "a bathtub"), ("an amazing view", "a chair"), ("a chair", "two beds"),
        ("a table", "two beds"), ("a table", "a restaurant"), ("a sofa", "a tv"), ("a chair", "a restaurant"),
        ("a table", "an amazing view"), ("a chair", "an amazing view"), ("a balcony", "a chair"),
    ],
}  # fmt: skip


@dataclass
class Photos:
    """Photos with their vectors (n, d), and for each label 1, 0 or NaN for each photo, (n,)."""

    name: str
    library: Library
    vectors: Floats
    ids: NDArray[np.int64]
    labels: dict[str, Floats]
    texts: dict[str, Floats]

    def text(self, words: str) -> Floats:
        """Return a text's unit vector (d,), each text encoded once."""
        if words not in self.texts:
            self.texts[words] = self.library.encoder.encode_prompts(words, ("{}",))
        return self.texts[words]

    def scores(self, words: str) -> Floats:
        """Return the cosines (n,) of all photos with a text."""
        return self.vectors @ self.text(words)


def bare(name: str) -> str:
    """Return a tag as people type it: without its article."""
    return name.removeprefix("an ").removeprefix("a ")


# --- negation and weights

Rule = Callable[[Floats, Floats], Floats]
NEGATION: dict[str, Rule] = {
    "without negation": lambda asked, refused: asked,
    **{f"q - {w} n": lambda q, n, w=w: unit(q - w * n) for w in (0.2, NEGATED, 0.5, 0.75, 1.0)},
    **{f"q - {w} (n across q, unit)": lambda q, n, w=w: unit(q - w * unit(n - (n @ q) * q)) for w in (0.3, 0.5, 1.0)},
    **{f"q - {w} (q n) n": lambda q, n, w=w: unit(q - w * (n @ q) * n) for w in (0.5, 1.0)},
}


KINDS: dict[str, Callable[[Floats, Floats], NDArray[np.bool_]]] = {
    "refused": lambda asked, refused: refused == 1,
    "asked": lambda asked, refused: asked == 1,
    "asked alone": lambda asked, refused: (asked == 1) & (refused == 0),
    "both": lambda asked, refused: (asked == 1) & (refused == 1),
}


def judged_pairs(photos: Photos, kind: str) -> list[JudgedQuery]:
    """Return for each pair which places of photos, of those whose labels are known, are of a kind."""
    found = []
    for asked, refused in PAIRS[photos.name]:
        known = known_pair(photos, asked, refused)
        answers = KINDS[kind](photos.labels[asked][known], photos.labels[refused][known])
        found.append(JudgedQuery(f"{asked} -{bare(refused)}", dict.fromkeys(known[answers].tolist(), 1), known))
    return found


def known_pair(photos: Photos, asked: str, refused: str) -> NDArray[np.int64]:
    """Return the places of photos of which both labels are known."""
    return np.flatnonzero(~np.isnan(photos.labels[asked] + photos.labels[refused]))


def ranked_pairs(photos: Photos, rule: Rule) -> list[NDArray[np.int64]]:
    """Return for each pair the places of photos by a rule, best first; refused words as people type them."""
    found = []
    for asked, refused in PAIRS[photos.name]:
        known = known_pair(photos, asked, refused)
        scores = photos.vectors[known] @ rule(photos.text(asked), photos.text(bare(refused)))
        found.append(known[np.argsort(-scores, kind="stable")])
    return found


def filtered_pairs(photos: Photos) -> list[NDArray[np.int64]]:
    """Return for each pair the places of photos where a filter of tags leaves out what was refused."""
    place = {photo_id: at for at, photo_id in enumerate(photos.ids.tolist())}
    found = []
    for asked, refused in PAIRS[photos.name]:
        known = set(known_pair(photos, asked, refused).tolist())
        hits = photos.library.search(f'{asked} -tag:"{refused}"', k=len(photos.ids), copies=True)
        found.append(np.array([place[hit.photo_id] for hit in hits if place[hit.photo_id] in known], np.int64))
    return found


def counts_in_top(photos: Photos, rankings: Sequence[NDArray[np.int64]], kinds: Sequence[str]) -> list[float]:
    """Return how many of the 20 best photos are of each kind, mean over the pairs."""
    asked = [judged_pairs(photos, kind) for kind in kinds]
    return [TOP * float(score_rankings(queries, rankings, [f"P@{TOP}"]).means[0]) for queries in asked]


def negation(photos: Photos) -> Iterator[tuple[str, float, float, float]]:
    """Yield each rule with its three counts, mean over the pairs: refused, asked for, the latter alone."""
    for name, rule in NEGATION.items():
        refused, asked, alone = counts_in_top(photos, ranked_pairs(photos, rule), ("refused", "asked", "asked alone"))
        yield name, refused, asked, alone


def by_filter(photos: Photos) -> tuple[str, float, float, float]:
    """Return the three counts where a filter of tags leaves out what was refused."""
    refused, asked, alone = counts_in_top(photos, filtered_pairs(photos), ("refused", "asked", "asked alone"))
    return "filter -tag:n", refused, asked, alone


def negation_measured(photos: Photos) -> RankingEvaluation:
    """Return how well each rule finds what was asked for alone, against no negation, pair by pair."""
    rankings = {name: ranked_pairs(photos, rule) for name, rule in NEGATION.items()} | {
        "filter": filtered_pairs(photos)
    }
    task = JudgedTask("", judged_pairs(photos, "asked alone"), rankings)
    return evaluate_rankings([task], ["AP", f"P@{TOP}"], photos=len(photos.ids))


def weights(photos: Photos) -> Iterator[tuple[str, float, float, float]]:
    """Yield each weight of a second term with, among the 20 best, its photos, those of the first, those of both."""
    for weight in (0, 0.25, 0.5, 1, 2, 4):
        rankings = ranked_pairs(photos, lambda first, second, weight=weight: unit(first + weight * second))
        second, first, both = counts_in_top(photos, rankings, ("refused", "asked", "both"))
        yield f"+second:{weight}" if weight else "first alone", second, first, both


# --- the stop line


@dataclass
class Judged:
    """A query's scores (n,) over a set of photos, and whether each shows it: 1, 0 or NaN."""

    scores: Floats
    shows: Floats

    def f1(self, line: float) -> float:
        """Return F1 of "at or above the line" against the labels."""
        above = self.scores >= line
        right = (above & (self.shows == 1)).sum()
        return float(2 * right / max((above & ~np.isnan(self.shows)).sum() + (self.shows == 1).sum(), 1))

    def thinned(self, share: float, chance: np.random.Generator) -> "Judged | None":
        """Return it with so few photos left that show the query that they are this share; None if they are already."""
        shown = np.flatnonzero(self.shows == 1)
        wanted = max(3, round(share * (len(self.shows) - len(shown))))
        if len(shown) <= wanted:
            return None
        keep = np.ones(len(self.shows), bool)
        keep[chance.permutation(shown)[wanted:]] = False
        return Judged(self.scores[keep], self.shows[keep])


def questions(photos: Photos) -> dict[str, list[Judged]]:
    """Return the queries: tags and rooms, two tags at once, and all of them where few photos show what is asked for."""
    alone = {name: shows for name, shows in photos.labels.items() if np.nansum(shows) >= ENOUGH}
    both = {f"{a} and {b}": photos.labels[a] * photos.labels[b] for a, b in combinations(TAGS, 2)}
    both = {name: shows for name, shows in both.items() if np.nansum(shows) >= ENOUGH}
    judged = [[Judged(photos.scores(name), shows) for name, shows in part.items()] for part in (alone, both)]
    chance = np.random.default_rng(0)
    rare = [[q.thinned(share, chance) for part in judged for q in part for _ in range(3)] for share in (0.05, 0.02)]
    thin = [[q for q in part if q is not None] for part in rare]
    return dict(zip(("one", "two", "5 %", "2 %"), (*judged, *thin), strict=True))


def way(scores: Floats, share: float, best: float = relevance.BEST) -> float:
    """Return the line at a share of the way from the median to a quantile."""
    median, top = np.quantile(scores, (0.5, best))
    return float(median + share * (top - median))


def otsu(scores: Floats) -> float:
    """Return the cut that leaves the least variance within its two sides. Source: Otsu 1979."""
    ordered = np.sort(scores)
    below = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    gap = (sums[-1] - sums[:-1]) / (len(ordered) - below) - sums[:-1] / below
    return float(ordered[1:][np.argmax(below * (len(ordered) - below) * gap**2)])


def again(cut: Callable[[Floats], float], scores: Floats) -> float:
    """Return the cut of what lies above the cut."""
    return cut(scores[scores >= cut(scores)])


def deviation(scores: Floats) -> float:
    """Return the robust standard deviation, from the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(scores - np.median(scores))))


LINES: dict[str, Callable[[Floats], float]] = {
    "suggested stop line": lambda s: float(relevance.stop_line(s) or 0),
    "mean + 1 sd": lambda s: s.mean() + s.std(),
    "mean + 1.25 sd": lambda s: s.mean() + 1.25 * s.std(),
    "mean + 2 sd (before)": lambda s: s.mean() + 2 * s.std(),
    "median + 1 robust sd": lambda s: np.median(s) + deviation(s),
    "median + 1.5 robust sd": lambda s: np.median(s) + 1.5 * deviation(s),
    "Otsu": otsu,
    "Otsu, twice": lambda s: again(otsu, s),
    "Otsu, three times": lambda s: otsu(s[s >= again(otsu, s)]),
}
SHARES = np.arange(0.3, 1.01, 0.05)


def best_threshold(judged: list[Judged]) -> float:
    """Return the single cosine that gives the best mean F1 over queries, chosen with knowledge of the labels."""
    lines = np.linspace(min(q.scores.min() for q in judged), max(q.scores.max() for q in judged), BAND)
    return float(lines[np.argmax([np.mean([q.f1(line) for q in judged]) for line in lines])])


def best_share(parts: dict[str, list[Judged]]) -> float:
    """Return the share of the way that gives the best F1, mean over the kinds of queries."""
    means = [np.mean([np.mean([q.f1(way(q.scores, s)) for q in part]) for part in parts.values()]) for s in SHARES]
    return float(SHARES[np.argmax(means)])


def lines(parts: dict[str, list[Judged]], other: dict[str, list[Judged]] | None) -> Iterator[tuple[str, list[float]]]:
    """Yield each way to draw the line with its mean F1 for each kind of query; what was fitted on another set last."""
    yield "best line of each query", [float(np.mean([best_line(q) for q in part])) for part in parts.values()]
    found = []
    for part in parts.values():
        flat = best_threshold(part)
        found.append(float(np.mean([q.f1(flat) for q in part])))
    yield "best single threshold", found
    for name, line in LINES.items():
        yield name, [float(np.mean([q.f1(line(q.scores)) for q in part])) for part in parts.values()]
    if other is not None:
        share = best_share(other)
        name = f"way of {share:.2f}, fitted there"
        yield name, [float(np.mean([q.f1(way(q.scores, share)) for q in part])) for part in parts.values()]
        flats = [best_threshold(part) for part in other.values()]
        pairs = zip(parts.values(), flats, strict=True)
        yield "single threshold fitted there", [float(np.mean([q.f1(flat) for q in part])) for part, flat in pairs]


def best_line(judged: Judged) -> float:
    """Return the best F1 that any line gives."""
    return max(judged.f1(line) for line in judged.scores[judged.shows == 1])


# --- whether anything stands out

UNANSWERABLE = (
    *("a giraffe", "an elephant", "a penguin", "a shark", "a snake", "a spider", "a tiger", "a goat", "a dinosaur"),
    *("a spreadsheet", "a page of sheet music", "a passport", "a bank statement", "a map of Europe", "a bar chart"),
    *("a newspaper front page", "an x-ray of a hand", "a bacterium", "a skeleton", "a cartoon character"),
    *("a football match", "a boxing match", "a racing car", "a bicycle race", "a skateboard", "a horse jumping"),
    *("a rocket launch", "an astronaut", "a submarine", "a helicopter", "a steam locomotive", "a tank", "a motorcycle"),
    *("a tractor in a field", "a volcano erupting", "a desert with camels", "a waterfall", "a lighthouse in a storm"),
    *("a windmill", "a wedding cake", "a hamburger", "a pizza", "a bowl of ramen", "a surgeon operating", "a dentist"),
    *("a microscope", "a circuit board", "a chess board", "a saxophone", "a violin", "a pair of scissors"),
    *("a soldier", "a parade", "a rock concert", "a court trial", "quarterly revenue", "the theory of relativity"),
    *("happiness", "democracy", "prime numbers", "asdfgh qwerty", "xylqua mernip", "dskjfh sdkjfh wek"),
)
BESTS: dict[str, Callable[[Floats], float]] = {
    "best score": lambda s: float(s.max()),
    "best score above the median": lambda s: float(s.max() - np.median(s)),
    "best score in deviations": lambda s: float((s.max() - s.mean()) / s.std()),
}
FALSE = 0.05  # share of answerable queries that a fitted line may tell of


def answerable(photos: Photos) -> dict[str, list[str]]:
    """Return queries that photos of the library show: one thing, two at once, one without another."""
    alone = [name for name, shows in photos.labels.items() if np.nansum(shows) >= 1]
    both = [
        f"{a} and {b}" for a, b in combinations(alone, 2) if np.nansum(photos.labels[a] * photos.labels[b]) >= ENOUGH
    ]
    return {"one": alone, "two": both, "without": [f'{a} -"{bare(b)}"' for a, b in PAIRS[photos.name]]}


def nothing(photos: Photos, queries: Sequence[str]) -> float:
    """Return the share of queries that are told that nothing stands out."""
    return float(np.mean([photos.library.search(query, k=1).stands_out is False for query in queries]))


def by_line(photos: Photos, other: Photos, best: Callable[[Floats], float]) -> list[float]:
    """Return the same of unanswerable queries, of one thing and of two, by a line fitted on another set."""
    fitted = [best(other.scores(query)) for kind in ("one", "two") for query in answerable(other)[kind]]
    line = np.quantile(fitted, FALSE)
    kinds = [UNANSWERABLE, *(answerable(photos)[kind] for kind in ("one", "two"))]
    return [float(np.mean([best(photos.scores(query)) < line for query in queries])) for queries in kinds]


def standing_out(photos: Photos, other: Photos | None) -> Iterator[tuple[str, list[float]]]:
    """Yield each rule with the shares that it tells: unanswerable queries, and kinds of answerable ones."""
    yield "against nonsense's best", [nothing(photos, part) for part in (UNANSWERABLE, *answerable(photos).values())]
    for name, best in BESTS.items() if other is not None else ():
        yield f"{name}, fitted there", by_line(photos, other or photos, best)


# --- the photos


def sample_photos(library: Library) -> Photos:
    """Return the sample hotels, from a library of them."""
    with open(asset("aliens/samples") / "labels.csv", encoding="utf-8", newline="") as file:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    return labelled("samples", library, lambda path: sample_labels(rows[path.name]))


def sample_labels(row: dict[str, str]) -> dict[str, float]:
    """Return what is true of a sample photo."""
    tags = row["tags"].split(";")
    scenes = {name: float(row["scene"] == scene) for name, scene in SCENES.items()}
    return {tag: float(tag in tags) for tag in TAGS} | scenes


def real_photos(folder: Path, encoder: OpenClipEncoder) -> Photos:
    """Return the real photos that the starter model has not seen."""
    with open(folder / "labels.csv", encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    unseen = WORK / "unseen"
    for path, row in rows.items():
        new = row["source"] == "hotels" or (row["source"] == "houses" and int(Path(path).stem) > 400)
        if new and (folder / path).exists() and not (unseen / path).exists():
            (unseen / path).parent.mkdir(parents=True, exist_ok=True)
            (unseen / path).symlink_to(folder / path)
    library = library_of("unseen", encoder, unseen)
    return labelled("real photos", library, lambda path: real_labels(rows["/".join(path.parts[-3:])]))


def real_labels(row: dict[str, str]) -> dict[str, float]:
    """Return what is true of a real photo; NaN where nobody knows."""
    tags = row["tags"].split(";")
    found = {tag: float(bare(tag) in tags) for tag in TAGS}
    if row["source"] == "houses":
        found = found if row["tags"] else dict.fromkeys(TAGS, np.nan)
        rooms = {name: float(row["room"] == room) for name, room in ROOMS.items()}
        return rooms | {tag: value for tag, value in found.items() if tag not in rooms}
    if "onsen_ambiguous" in tags:
        found |= {"a pool": np.nan, "a bathtub": np.nan}
    return dict.fromkeys(ROOMS, np.nan) | found


def library_of(name: str, encoder: OpenClipEncoder, photos: dict[str, Path] | Path) -> Library:
    """Return the library of some photos, as `add` takes them, embedded and tagged."""
    library = kept_library(f"search-{name}", encoder, photos)
    library.tag()
    return library


def labelled(name: str, library: Library, of: Callable[[Path], dict[str, float]]) -> Photos:
    """Return a library's photos with their labels."""
    hits = library.search("a photo", k=1_000_000, copies=True)
    found = [of(Path(hit.path)) for hit in hits]
    labels = {label: np.array([row[label] for row in found]) for label in found[0]}
    ids = [hit.photo_id for hit in hits]
    with library.catalog.session() as session:
        by_id = library.searcher.vectors(session, ids)
    return Photos(name, library, np.stack([by_id[photo_id] for photo_id in ids]), np.array(ids), labels, {})


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    folder = parser.parse_args().photos.resolve()
    WORK.mkdir(exist_ok=True)
    encoder = OpenClipEncoder.load("starter")
    samples = library_of("samples", encoder, {"hotels50k": asset("aliens/samples")})
    sets = [sample_photos(samples)] + ([real_photos(folder, encoder)] if folder.is_dir() else [])
    asked = [questions(photos) for photos in sets]
    for photos, parts, other in zip(sets, asked, asked[::-1], strict=True):
        print(f"\n=== {photos.name}: {len(photos.ids)} photos; means over {len(PAIRS[photos.name])} pairs")
        print(f"\n{'q: asked for, n: negated':<32} {'n in top 20':>11} {'q in top 20':>11} {'q without n':>11}")
        for name, *counts in [*negation(photos), by_filter(photos)]:
            print(f"{name:<32} " + " ".join(f"{count:11.2f}" for count in counts))
        print(f"\n{'q without n, of each pair':<32} {'mAP':>11} {'difference':>11} {'p, all tests':>12}")
        for mean in negation_measured(photos):
            if mean.measure == "mAP":
                apart = "" if np.isnan(mean.p) else f"{mean.difference:+11.3f} {mean.p_corrected:12.3f}"
                print(f"{mean.setting:<32} {mean.mean:11.3f} {apart}")
        print(f"\n{'first +second:weight':<32} {'second':>11} {'first':>11} {'both':>11}")
        for name, *counts in weights(photos):
            print(f"{name:<32} " + " ".join(f"{count:11.2f}" for count in counts))
        heads = [f"{name} ({len(part)})" for name, part in parts.items()]
        print(f"\n{'mean F1 of what lies above':<32} " + " ".join(f"{head:>11}" for head in heads))
        for name, means in lines(parts, other if len(sets) > 1 else None):
            print(f"{name:<32} " + " ".join(f"{mean:11.3f}" for mean in means))
            for head, mean in zip(parts, means, strict=False):
                figure(f"{photos.name}: F1 above, {name}, {head}", mean, "F1")
        kinds = [f"{kind} ({len(part)})" for kind, part in answerable(photos).items()]
        print(
            f"\n{'told that nothing stands out':<42} " + " ".join(f"{head:>14}" for head in ["none shows it", *kinds])
        )
        for name, shares in standing_out(photos, next((each for each in sets if each is not photos), None)):
            print(f"{name:<42} " + " ".join(f"{share:14.3f}" for share in shares))
            figure(f"{photos.name}: told of none, {name}", shares[0], "share")
    for photos in sets:
        photos.library.close()


if __name__ == "__main__":
    main()
