"""What a server keeps and shares: answers that are still so, one computation for equal questions, many searchers."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aliens.library import Library
from base.errors import QueryError
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.web.running import run_apart
from web.opened import Opened, TooBusy, warm_up
from web.web_settings import WebSettings


class Counted:
    """Counts the orders that a library computes, and may hold them up."""

    def __init__(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        order = library.order

        def counted(text: str, **options: Any) -> Any:
            self.asked.append(text)
            assert self.gate.wait(60)
            return order(text, **options)

        monkeypatch.setattr(library, "order", counted)


@pytest.fixture
def counted(opened: Library, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(opened, monkeypatch)


def served(library: Library, work: Callable[[Opened], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    return run_apart(work(Opened(library, WebSettings(**settings))))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_an_answer_is_kept_as_long_as_it_is_so(
    library: LibraryFactory, opened: Library, photos: Path, counted: Counted
) -> None:
    async def work(held: Opened) -> None:
        first = await held.ordered("pool")
        assert await held.ordered("pool") is first
        assert len(await held.ordered("pool", sort="newest")) == 10
        assert len(await held.ordered("pool", more_like=[3])) == 9
        assert counted.asked == ["pool"] * 3
        (photos / "20.jpg").write_bytes(photo_bytes(20))
        library.add(photos)
        assert len(await held.ordered("pool")) == 11
        assert len(counted.asked) == 4

    served(opened, work)


def test_only_as_much_is_kept_as_is_allowed(opened: Library, counted: Counted) -> None:
    async def work(held: Opened) -> None:
        for text in ("a", "b", "c", "a"):
            await held.ordered(text)
        assert counted.asked == ["a", "b", "c", "a"]

    served(opened, work, orders_bytes=4_000)  # two of them
    counted.asked.clear()

    async def nothing(held: Opened) -> None:
        assert await held.ordered("a") is not await held.ordered("a")

    served(opened, nothing, orders_bytes=10)


def test_equal_questions_at_once_share_one_answer(opened: Library, counted: Counted) -> None:
    async def work(held: Opened) -> None:
        counted.gate.clear()
        asked = [asyncio.create_task(held.ordered("pool")) for _ in range(100)]
        await until(lambda: len(counted.asked) == 1)
        asked[0].cancel()  # whoever goes away takes nobody's answer with them
        counted.gate.set()
        answers = await asyncio.gather(*asked[1:])
        assert len({id(order) for order in answers}) == 1
        assert counted.asked == ["pool"]
        failed = await asyncio.gather(*(held.ordered("chain:x") for _ in range(5)), return_exceptions=True)
        assert all(isinstance(error, QueryError) for error in failed)
        assert await held.ordered("pool") is answers[0]

    served(opened, work)


def test_too_many_different_questions_at_once_are_refused(opened: Library, counted: Counted) -> None:
    async def work(held: Opened) -> None:
        counted.gate.clear()
        asked = [asyncio.create_task(held.ordered(f"pool {n}")) for n in range(4)]
        await until(lambda: held._limiter is not None and held._limiter.statistics().tasks_waiting == 2)
        with pytest.raises(TooBusy):
            await held.ordered("pool 5")
        counted.gate.set()
        assert len(await asyncio.gather(*asked)) == 4

    served(opened, work, waiting=2)


def test_heavy_work_is_done_one_at_a_time_beside_searches(library: LibraryFactory, photos: Path) -> None:
    library.add(photos)

    async def work(held: Opened) -> None:
        begun, goes_on = threading.Event(), threading.Event()

        def heavy() -> bool:
            begun.set()
            return goes_on.wait(60)

        asked = [asyncio.create_task(held.compute_heavy(heavy)) for _ in range(3)]
        assert await held.look(begun.wait, 60)
        assert (await held.ordered("pool")).total > 0  # with one place for searches, which heavy work has not
        await until(lambda: held._waiting == 2)
        goes_on.set()
        assert await asyncio.gather(*asked) == [True] * 3

    served(library.open(), work, side_by_side=1)


def test_uploads_are_asked_for_the_vectors_that_a_query_names(library: LibraryFactory, opened: Library) -> None:
    vector = library.encoder.encode_texts(["x"])[0]

    class Uploads:
        def vectors(self, text: str) -> dict[str, Any]:
            return {"u_1": vector} if "u_1" in text else {}

    async def work(held: Opened) -> None:
        held.uploads = Uploads()
        assert len(await held.ordered("image:u_1")) == 10
        with pytest.raises(QueryError, match="drop or paste it again"):
            await held.ordered("image:u_2")

    served(opened, work)


def test_fifty_searchers_at_once_get_their_answers(server: Any) -> None:
    filters = ("", "size:small", "chain:11")
    texts = [f"{what} {chosen}".strip() for what in ("a pool", "a bed", "sea", "") for chosen in filters]
    expected = {text: server.library.order(text).photo_ids[:20].tolist() for text in texts}
    gate = threading.Barrier(50)

    def search(number: int) -> None:
        with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=300) as client:
            gate.wait(60)
            text = texts[number % len(texts)]
            answer = client.get("/search", params={"q": text, "limit": 20})
            assert answer.status_code == 200, answer.text
            assert [hit["photo_id"] for hit in answer.json()["hits"]] == expected[text]
            path = ("/search/facets", "/search/map", "/suggestions")[number % 3]
            assert client.get(path, params={"q": text}).status_code == 200

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(search, range(50)))


def test_threads_look_around_while_photos_are_added(library: LibraryFactory, photos: Path) -> None:
    library.add(photos)
    opened, added = library.open(), threading.Event()

    def look(number: int) -> list[int]:
        seen = []
        while not added.is_set() or len(seen) < 3:
            order = opened.order(("pool", "", "size:small", "pool year:none")[number % 4])
            assert len(opened.ratios(order)) == len(order)
            assert len(opened.hits_at(order, 0, 100)) == len(order)
            assert opened.facets(order)
            seen.append(len(order))
        return seen

    def add(number: int) -> list[int]:
        try:
            for at in range(10, 40, 5):
                fill_folder(photos, range(at, at + 5))
                opened.add(photos)
        finally:
            added.set()
        return [40]

    with ThreadPoolExecutor(8) as pool:
        for counts in pool.map(lambda number: (look if number else add)(number), range(8)):
            assert counts == sorted(counts)
    assert len(opened.order("pool")) == 40


def test_a_library_is_made_ready_as_far_as_it_can_be(library: LibraryFactory, photos: Path) -> None:
    opened = library.open()
    warm_up(opened)
    library.add(photos)
    warm_up(opened)
    opened.close()
    warm_up(opened)
