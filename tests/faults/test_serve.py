"""kill -9 of a server and of its jobs, at events that a seed chooses: the next server goes on, and nothing is lost."""

import json
import random
import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

import aliens
from tests.faults.checks import committed
from tests.faults.conftest import LONG, Tries
from tests.faults.faulty import END_S, LIMIT_S, Ended, Nursery, Plan

if TYPE_CHECKING:
    from embedding.open_clip_encoder import OpenClipEncoder

PATIENCE_S = 600.0
FIRST, THEN = 6, 12  # photos before, and with those that the job adds

pytestmark = pytest.mark.sqlite("what is committed is read from its file")


@pytest.fixture(scope="module")
def served(starter: "OpenClipEncoder", samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library of a few photos by the embedded model, which more photos have come beside."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "photos").mkdir()
    with aliens.create(folder / "begun", encoder=starter) as library:
        for number, path in enumerate(sorted(samples.rglob("*.jpg"))[:THEN]):
            shutil.copy(path, folder / "photos" / f"{number:02d}.jpg")
            if number == FIRST - 1:
                library.add(folder / "photos")
    return folder


class Client:
    """What asks a server at an address."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, said: dict[str, Any] | None = None) -> Any:
        """Return what is answered. Raises: OSError, HTTPException: nobody answers."""
        data = None if said is None else json.dumps(said).encode()
        request = urllib.request.Request(
            f"{self._url}/api/v1{path}", data, {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def ended_job(self, job_id: int) -> dict[str, Any]:
        """Wait for the end of a job, and return it. Raises: as `ask`."""
        until = time.monotonic() + PATIENCE_S
        while (job := self.ask(f"/jobs/{job_id}"))["state"] in ("queued", "running"):
            assert time.monotonic() < until, job
            time.sleep(0.1)
        return dict(job)


@contextmanager
def serving(nursery: Nursery, folder: Path, plan: Plan | None = None) -> Iterator[tuple[Client, list[Ended]]]:
    """Have a worker serve a library during the block."""
    ended: list[Ended] = []
    for name in ("address", "stop"):
        (folder / name).unlink(missing_ok=True)
    worker = Thread(target=lambda: ended.append(nursery.run("serve", folder / "library", folder / "photos", plan=plan)))
    worker.start()
    try:
        until = time.monotonic() + PATIENCE_S
        while not (folder / "address").exists() and worker.is_alive():
            assert time.monotonic() < until
            time.sleep(0.05)
        yield Client((folder / "address").read_text() if (folder / "address").exists() else "http://127.0.0.1:9"), ended
    finally:
        (folder / "stop").touch()
        worker.join(LIMIT_S + 2 * END_S)
        assert not worker.is_alive()


def test_a_server_and_its_job_may_be_killed_at_any_event(
    nursery: Nursery, request: pytest.FixtureRequest, seed: int, rounds: Tries
) -> None:
    if rounds(0) == 0:
        pytest.skip(LONG)
    served: Path = request.getfixturevalue("served")
    starter = request.getfixturevalue("starter")
    root, chosen = served / "library", random.Random(f"{seed} serve")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(served / "begun", root)
    with serving(nursery, served, Plan(under=root)) as (client, ended):
        assert client.ended_job(client.ask("/jobs", {"kind": "add"})["id"])["state"] == "done"
    events = ended[0].events
    assert len(committed(root)) == THEN
    for _ in range(rounds(0)):
        shutil.rmtree(root)
        shutil.copytree(served / "begun", root)
        plan = Plan(under=root, does=chosen.choice(("kill", "torn")), at=chosen.randint(1, events))
        state = "the server was killed"
        with serving(nursery, served, plan) as (client, ended):
            try:
                job = client.ended_job(client.ask("/jobs", {"kind": "add"})["id"])
                state = f"the job {job['state']}"
                assert job["state"] in ("done", "failed", "interrupted")
            except HTTPError:
                raise
            except (OSError, HTTPException):
                pass
        print(f"{plan.does} at event {plan.at} of {events}: {state}")
        assert ended[0].faults == 1 or state == "the job done", ended[0].said
        with serving(nursery, served) as (client, ended):  # goes on, and lets no job of the dead one run beside it
            for job in client.ask("/jobs"):
                client.ended_job(job["id"])
            assert client.ended_job(client.ask("/jobs", {"kind": "add"})["id"])["state"] == "done"
        assert ended[0].code == 0, ended[0].said
        assert sorted(committed(root)) == sorted(str(path) for path in (served / "photos").iterdir())
        with aliens.open(root, encoder=starter) as library:
            library.repair()
            assert library.verify() == []
            assert {hit.path for hit in library.search("a room", k=99)} == set(committed(root))
