"""How alien photos become, whether they are recognised still, and how long that takes.

python benchmarks/restyle_quality.py [--photos ../shared/photos] [-n 20] [--seeds 3] [--tiny]

Of a library of the sample hotels and, where they are at hand, real photos, n detailed photos, n in colours opposed to
the palette and n nearly empty ones are picked as `aliens candidates` does, half of them real. They are restyled by
`regrade`, by `grow` and by an engine whose damage is known (benchmarks.synthetic), which stands in for diffusion: it
shows what the loop does with damage, not what diffusion paints. Judged by the starter model. Then the speeds, on one
photo.
--tiny does it all with a few of the samples, in seconds: whether it works, not how well.

above: share of results that pass every floor. dE, >5: median of the change that a protanope sees, in dE2000, and share
of the picture where it is over 5. nearer: to the palette, in units of protan L*b*. strength: mean. quiz, HOG: share of
results whose own original is the most alike of all, by the library's model and by outlines. s/photo: median.
"""

# ruff: noqa: E402
import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import mean, median

import numpy as np
from measuring import medians_ms
from records import figure, recorded
from regrading import spread
from sqlalchemy.orm import Session

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # where benchmarks.synthetic is found

import aliens
from aliens.library import Library
from base.arrays import Pixels
from base.files import PhotoFile
from base.settings import LibraryFolder, asset
from benchmarks.synthetic import SyntheticEngine
from db.photo_rows import PhotoRecord, photo_records
from embedding.colour import read_pixels, resized
from restyle.alienise import Wish
from restyle.candidates.picking import KINDS, choose
from restyle.engines.engine import Engine, Job
from restyle.growing.grow_engine import GrowEngine
from restyle.judge import Judge, library_judge
from restyle.palettes import Palette, read_palette
from restyle.protanopia import colours_of, palette_distance, seen
from restyle.quiz.playing import play
from restyle.regrade import RegradeEngine, regrade
from restyle.restyled import RestyledPhotos, Result
from restyle.studio import Done, Failed, Order, Studio
from search.tags.checking import TagChecker
from search.tags.tagging import Tagging

WORK = Path(__file__).parent / "work"
COLUMNS = ("engine", "photos", "above", "dE", ">5", "nearer", "strength", "quiz", "HOG", "attempts", "s/photo")
POOL = 400  # photos of a source that candidates are picked from
REPEATS = 15  # of a timing: the median counts
TINY = 24  # photos of a smoke run


def open_library(photos: Path, *, tiny: bool) -> Library:
    """Open the library, made, filled and tagged where it is not so yet."""
    root = WORK / ("restyle-tiny" if tiny else "restyle") / "library"
    made = LibraryFolder(root).database_file.exists()
    library = aliens.open(root) if made else aliens.create(root, "starter")
    if tiny:
        few = root.parent / "photos"
        few.mkdir(exist_ok=True)
        found = sorted(asset("aliens/samples").rglob("*.jpg"))
        for path in found[:: len(found) // TINY]:
            shutil.copy(path, few)
        library.add(few)
    else:
        library.add(hotels50k=asset("aliens/samples"))
        if photos.is_dir():
            library.add(photos)
    library.tag()
    return library


class Workshop:
    """The library opened, with all that judges its results."""

    def __init__(self, library: Library, session: Session, palette: Palette) -> None:
        self.session, self.encoder, self.palette = session, library.encoder, palette
        index = library.index(session)
        self.vectors = library.searcher.vectors(session, index.ids.tolist())
        self.records = photo_records(session, list(self.vectors))
        self.tags = TagChecker(Tagging.open(library.catalog, session, library.store), self.encoder)
        self.judge = library_judge(library.catalog, session, index, self.encoder, palette, tags=self.tags)
        self.results = RestyledPhotos(library.catalog, session)

    def picks(self, n: int) -> dict[int, str]:
        """Return {photo: kind} of n photos of each kind, half of them of the samples."""
        is_sample = {photo_id: record.hotel_id is not None for photo_id, record in self.records.items()}
        kinds: dict[int, str] = {}
        for kind in KINDS:
            for samples in (True, False):
                pool = [photo_id for photo_id in self.vectors if is_sample[photo_id] is samples]
                pool = [photo_id for photo_id in spread(pool, POOL) if photo_id not in kinds]
                if pool:
                    wanted = n - n // 2 if samples else n // 2
                    records = [self.records[photo_id] for photo_id in pool]
                    vectors = np.stack([self.vectors[photo_id] for photo_id in pool]).astype(np.float32)
                    choice = choose(records, vectors, self.palette, n=wanted, strategy=kind, encoder=self.encoder)
                    kinds |= {pick.looked.record.photo_id: kind for pick in choice}
        return kinds

    def restyle(self, engine: Engine, photo_ids: Sequence[int], wish: Wish) -> list[Result]:
        """Have an engine restyle photos, anew."""
        studio = Studio(engine=engine, judge=self.judge, results=self.results, file_format="jpg", again=True)
        orders = [Order(photo_id=photo_id, file=file_of(self.records[photo_id]), wish=wish) for photo_id in photo_ids]
        outcomes = list(studio.restyle(orders))
        for failed in (outcome for outcome in outcomes if isinstance(outcome, Failed)):
            print(f"photo {failed.order.photo_id} is left out: {failed.reason}", file=sys.stderr)
        return [outcome.result for outcome in outcomes if isinstance(outcome, Done)]

    def quiz(self, results: Sequence[Result]) -> dict[str, float]:
        """Return the accuracy of matching results with originals, by method."""
        return {m.method: m.top1 for m in play(self.session, results, self.encoder).matchings}

    def nearer(self, result: Result) -> float:
        """Return by how much a result came nearer to the palette than its photo."""
        before = colours_of(read_pixels(file_of(self.records[result.lineage.source_photo_id]), 512))
        far = palette_distance(before, self.palette.leaf, self.palette.sky)
        return far - float(result.lineage.scores["palette_distance"])


def file_of(record: PhotoRecord) -> PhotoFile:
    """Return where a photo lies."""
    return PhotoFile(record.path, record.member)


def row(name: str, results: Sequence[Result], workshop: Workshop, quiz: dict[str, float]) -> str:
    """Return a row of the table. A result counts as above the floors where it is more than the photo itself."""
    lineages = [result.lineage for result in results]
    above = [lineage.rung != "unchanged" for lineage in lineages]
    cells = [
        name,
        str(len(results)),
        f"{mean(above):.1%}",
        f"{median(lineage.scores['protan_median_de'] for lineage in lineages):.1f}",
        f"{mean(lineage.scores['protan_share'] for lineage in lineages):.0%}",
        f"{mean(map(workshop.nearer, results)):.1f}",
        f"{mean(lineage.settings['strength'] for lineage in lineages):.2f}",
        *(f"{quiz[method]:.1%}" if method in quiz else "" for method in ("embedding", "hog")),
        f"{mean(len(lineage.attempts) for lineage in lineages):.1f}",
        f"{median(lineage.seconds for lineage in lineages):.2f}",
    ]
    return "\t".join(cells)


def report(engine: Engine, kinds: dict[int, str], workshop: Workshop, wish: Wish) -> list[Result]:
    """Restyle and print the table of an engine."""
    results = workshop.restyle(engine, list(kinds), wish)
    print(row(engine.name, results, workshop, workshop.quiz(results)), flush=True)
    lineages = [result.lineage for result in results]
    figure(f"{engine.name}: above every floor", mean(one.rung != "unchanged" for one in lineages), "share")
    figure(f"{engine.name}: seen", median(one.scores["protan_median_de"] for one in lineages), "dE2000")
    figure(f"{engine.name}: a photo", median(one.seconds for one in lineages), "s")
    for kind in KINDS:
        of_kind = [result for result in results if kinds[result.lineage.source_photo_id] == kind]
        print(row(f"  {kind}", of_kind, workshop, {}), flush=True)
    rungs = [result.rung for result in (result.lineage for result in results)]
    print("  rungs: " + ", ".join(f"{rung} {rungs.count(rung)}" for rung in dict.fromkeys(rungs)), flush=True)
    return results


def report_bathrooms(results: Sequence[Result], kinds: dict[int, str], workshop: Workshop) -> None:
    """Print the photos of opposed palettes that are bathrooms, by their tags or their folder, one by one."""
    print("\npeach and red bathrooms\nphoto\tengine\trung\tstrength\tHOG\tedge F1\tdE\t>5\tlost\tphoto's file")
    for result in results:
        lineage, scores = result.lineage, result.lineage.scores
        photo_id = lineage.source_photo_id
        wet = {"a bathtub", "a shower"} & set(workshop.tags.confident(photo_id)) or "bathroom" in lineage.source_path
        if kinds[photo_id] == "opposite-palette" and wet:
            print(
                f"{photo_id}\t{lineage.engine}\t{lineage.rung}\t{lineage.settings['strength']:.2f}\t{scores['hog']:.2f}\t"
                f"{scores['edge_f1']:.2f}\t{scores['protan_median_de']:.1f}\t{scores['protan_share']:.0%}\t"
                f"{scores['protan_wasted']:.0%}\t{'/'.join(Path(lineage.source_path).parts[-3:])}"
            )


def report_speeds(photo: Pixels, photo_id: int, workshop: Workshop, repeats: int) -> None:
    """Print what single steps take with a photo of the library, the median of several."""
    palette, judge = workshop.palette, workshop.judge
    plain = Judge(judge.floors, palette)
    subject, alone = judge.study(photo, photo_id), plain.study(photo)
    result = regrade(photo, palette)
    grower = GrowEngine(palette)
    job = Job(original=photo, start=result, slack=lambda pixels: judge.slack(subject, pixels))
    seeds = count()
    steps = {
        "regrade": lambda: regrade(photo, palette),
        "draw and fit a garden": lambda: grower.restyle(job, replace(grower.settings, seed=next(seeds))),
        "the same garden, less of it": lambda: grower.restyle(job, replace(grower.settings, seed=0, strength=0.5)),
        "protan view": lambda: seen(photo),
        "scoring without the model": lambda: plain.score(alone, result),
        "scoring with the starter": lambda: judge.score(subject, result, "a hotel room overgrown with ferns"),
    }
    print(f"\n{photo.shape[1]} x {photo.shape[0]} px\tms\tphotos/s")
    taken = medians_ms(steps, repeats)
    for name, ms in taken.items():
        print(f"{name}\t{ms:.1f}\t{1000 / ms:.1f}")
        figure(name, ms, "ms")
    ratio = taken["draw and fit a garden"] / taken["scoring with the starter"]
    print(f"drawing and fitting takes {ratio:.1f} times one scoring")
    figure("drawing and fitting over one scoring", ratio, "times")


@recorded
def main() -> None:
    """Restyle, play, time, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "photos")
    parser.add_argument("-n", type=int, help="photos of each kind; default: 20, with --tiny 2")
    parser.add_argument("--seeds", type=int, help="default: 3, with --tiny 0")
    parser.add_argument("--tiny", action="store_true", help="a few samples: whether it works")
    options = parser.parse_args()
    n = options.n or (2 if options.tiny else 20)
    seeds = (0 if options.tiny else 3) if options.seeds is None else options.seeds
    palette = read_palette()
    with open_library(options.photos, tiny=options.tiny) as library, library.catalog.session() as session:
        workshop = Workshop(library, session, palette)
        kinds = workshop.picks(n)
        floors = workshop.judge.floors
        print(f"{len(workshop.vectors)} photos; floors: HOG {floors.hog:.2f}, edge F1 {floors.edge_f1:.2f}")
        print("\t".join(COLUMNS), flush=True)
        results: list[Result] = []
        smaller = {"longest_px": 160} if options.tiny else {}
        for engine in (RegradeEngine(palette, **smaller), GrowEngine(palette, **smaller), SyntheticEngine(**smaller)):
            results += report(engine, kinds, workshop, Wish(seeds=seeds))
        report_bathrooms(results, kinds, workshop)
        first = next(iter(kinds))
        photo = resized(read_pixels(file_of(workshop.records[first])), (1024, 728))
        report_speeds(photo, first, workshop, 1 if options.tiny else REPEATS)


if __name__ == "__main__":
    sys.exit(main())
