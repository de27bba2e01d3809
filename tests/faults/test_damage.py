"""Bits that flip and ends that are cut off, in every file that a library has: named, or harmless; and mended."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from base.errors import AliensError
from base.records import write_record
from restyle.floors import Floors, KeptFloors
from search.tags.vocabulary_edits import TagDraft
from tests.conftest import FakeEncoder
from tests.embedding.conftest import overwrite
from tests.faults.checks import Answers, answers, opened
from tests.faults.conftest import Tries
from tests.faults.faulty import Nursery
from tests.indexer.test_verify import write_tower
from web.app import make_app
from web.web_settings import WebSettings

DAMAGES = 1  # of each kind of file, each time
ENOUGH = 12  # damages of the database, as many as each time: one of them at least is named
PLAIN = ("library.db", "library.holder", "library.lock")

# Every kind of file that a library may have, by the beginning of its path: what verifying calls it; "" for what it does
# not look at, of which is told why nothing is lost.
KINDS = {
    "vectors/": "segment",
    "index/": "approximate index",
    "tags/fake-00000000/photos": "table",
    "tags/": "tags",
    "text/": "text tower",
    "restyled/floors.json": "floors",
    "restyled/": "result",
    "library.db": "database",
    "pages/": "",  # the basket and jobs that ended: records with sums, one that is damaged is passed over
    "thumbnails.db": "",  # made anew
    "duplicates/": "",  # made anew
    "vocabularies/": "",  # the database has it as well once it has tagged
    "library.lock": "",  # empty
    "out/": "",  # exports are people's: their manifests tell
}

pytestmark = pytest.mark.sqlite("its file is damaged as well")


@pytest.fixture(scope="module")
def whole(nursery: Nursery, begun: Callable[[str], Path], ground: Path) -> Path:
    """A library that has everything which libraries keep."""
    root = ground / "library"  # where the others lie as well: results are known by their whole paths
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(begun("filled"), root)
    for work in ("merge", "tag"):
        assert nursery.run(work, root, ground / "photos").code == 0
    with opened(root) as library:
        library.add_restyled(library.restyled())
        library.duplicates()
        library.save_draft(TagDraft.typed("a stove", [], []), vocabulary="case-study", name="mine")
        with TestClient(make_app(library, WebSettings()), base_url="http://127.0.0.1:8765") as client:
            client.get("/api/v1/photos/1/image?w=480").raise_for_status()
            client.post("/api/v1/basket", json={"ids": [1, 2]}).raise_for_status()
    write_tower(library.folder.text_tower(FakeEncoder().key), 1)
    write_record(library.folder.floors_file, KeptFloors(18, Floors(hog=0.5, edge_f1=0.625, pairs=7)))
    return Path(shutil.copytree(root, ground / "whole"))


@pytest.fixture(autouse=True)
def an_index_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few photos have an index, as workers build it."""
    monkeypatch.setattr("embedding.index.building.POINTS_PER_LIST", 9)


def kind_of(name: str) -> str:
    """Return the beginning by which a file's kind is known."""
    return next(beginning for beginning in KINDS if name.startswith(beginning))


def test_every_file_that_a_library_has_is_of_a_kind_that_is_damaged_here(whole: Path) -> None:
    names = [str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()]
    kinds = {kind_of(name) for name in names}
    assert kinds >= KINDS.keys(), sorted(names)


def damages(path: Path, chosen: random.Random) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what may happen to a file, in words, and what does it."""
    data = path.read_bytes()
    place, bit = chosen.randrange(max(len(data), 1)), chosen.randrange(8)
    flipped = bytearray(data)
    if data:
        flipped[place] ^= 1 << bit
    yield f"bit {bit} of byte {place} flips", lambda: overwrite(path, bytes(flipped))
    yield f"it ends after {place} of {len(data)} bytes", lambda: overwrite(path, data[:place])
    zeroed = data[: place & ~511] + bytes(len(data[place & ~511 :][:512])) + data[(place & ~511) + 512 :]
    yield f"512 bytes at {place & ~511} are zero", lambda: overwrite(path, zeroed)


def told_or_refused(root: Path) -> tuple[set[str], Answers | None]:
    """Return what verifying names and what a library answers; None where it refuses to, in our words."""
    try:
        with opened(root) as library:
            named = {told.part for told in library.verify()}
    except AliensError:
        return {"database"}, None
    try:
        return named, answers(root)
    except AliensError:
        return named, None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("library.db", "library.lock")])
def test_damage_is_named_or_harmless_and_mended(
    kind: str, whole: Path, tmp_path: Path, seed: int, rounds: Tries, ground: Path
) -> None:
    chosen, expected = random.Random(f"{seed} {kind}"), answers(whole)
    files = [
        path for path in sorted(whole.rglob("*")) if path.is_file() and kind_of(str(path.relative_to(whole))) == kind
    ]
    root = ground / "library"
    for _ in range(rounds(DAMAGES)):
        if not files:
            pytest.skip(f"there is no {kind} in the library of this test")
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(whole, root)
        path = root / chosen.choice(files).relative_to(whole)
        what, damage = chosen.choice(list(damages(path, chosen)))
        print(f"{path.relative_to(root)}: {what}")
        damage()
        named, told = told_or_refused(root)
        assert named <= {KINDS[kind], "stray file"} and (named - {"stray file"} or told == expected)
        with opened(root) as library:
            library.repair()
            assert [told for told in library.verify() if told.part != "photo"] == []
            library.add(*sorted((ground / "photos").glob("*/")))
            library.tag("hotel")
            library.tag("case-study")
            library.update_index("hnsw", least_recall=0.1, rebuild=True)
        after = answers(root)
        assert (after.hits, after.labels, after.captions) == (expected.hits, expected.labels, expected.captions)
        assert after.tags == expected.tags
        assert len(after.restyled) >= len(expected.restyled) - (kind == "restyled/")


def test_damage_of_the_database_is_named_refused_or_changes_a_value_alone(
    whole: Path, seed: int, rounds: Tries, ground: Path
) -> None:
    """SQLite's pages have no sums: a bit that flips within a value is seen by whoever reads the value, if at all."""
    chosen, expected = random.Random(f"{seed} database"), answers(whole)
    root, seen = ground / "library", {"named": 0, "harmless": 0, "a value": 0}
    for _ in range(rounds(3) * 4):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(whole, root)
        what, damage = chosen.choice(list(damages(root / "library.db", chosen)))
        damage()
        named, told = told_or_refused(root)
        kind = "named" if named else "harmless" if told == expected else "a value"
        seen[kind] += 1
        if kind == "a value":
            print(f"{what}: not noticed")
            assert what.startswith("bit")
            assert told is not None and len(told.hits) == len(expected.hits)
    print(f"of {sum(seen.values())} damages of library.db: {seen}")
    assert seen["named"] or sum(seen.values()) < ENOUGH


def test_numbers_are_of_this_library(whole: Path) -> None:
    """The library that is damaged has segments, scores, learnt directions, an index and results."""
    with opened(whole) as library:
        assert len(library.search("a sofa", k=99)) == 18
        assert library.restyled()
        assert np.isfinite(library.search("a sofa", k=1)[0].score)
