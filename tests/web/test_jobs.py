import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from aliens.library import Library
from base.errors import LibraryError, QueryError
from search.tags.vocabulary_edits import TagDraft
from tests.conftest import raising
from tests.web.conftest import client_of
from tests.web.running import run_apart
from web.jobs import job_records, runner
from web.jobs.allowed_places import AllowedRoot
from web.jobs.child import birth_of, lines_of
from web.jobs.job_records import JobRecord, JobStore
from web.jobs.job_requests import as_request
from web.jobs.outcomes import BUSY, kept_line, signal_name, yield_of
from web.jobs.runner import JobRunner
from web.web_settings import WebSettings

pytestmark = pytest.mark.usefixtures("ctrl_c")


def with_runner(library: Library, work: Callable[[JobRunner], Awaitable[Any]]) -> Any:
    """Run jobs on a library while something is done with them."""

    async def whole() -> Any:
        jobs = JobRunner(library, WebSettings())
        async with jobs.running():
            return await work(jobs)

    return run_apart(whole())


async def reached(jobs: JobRunner, job_id: int, is_there: Callable[[JobRecord], bool]) -> JobRecord:
    while not is_there(job := jobs.find(job_id)):
        assert job.is_active, job
        await jobs.wait_for_change()
    return job


async def ended(jobs: JobRunner, job_id: int) -> JobRecord:
    return await reached(jobs, job_id, lambda job: not job.is_active)


def begun(job: JobRecord) -> bool:
    return job.state == "running" and job.pid is not None


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Has jobs run a script in place of the command."""

    def run(script: str) -> None:
        (tmp_path / "command.py").write_text(script)
        monkeypatch.setattr("web.jobs.child.COMMAND", tmp_path / "command.py")

    return run


@pytest.fixture
def slow_command(command: Callable[[str], None]) -> None:
    """Has jobs run a command that tells of progress and then waits until it is stopped."""
    step = '{"what": "embedding", "done": 3, "total": 9, "unit": "photos", "note": "x"}'
    command(
        "import sys, time\n"
        f"try:\n    print({step!r}, file=sys.stderr)\n    time.sleep(1000)\n"
        "except KeyboardInterrupt:\n    sys.exit('aliens: stopped')\n"
    )


# The real command


def test_a_job_is_the_command_with_progress_lines_and_an_end(small_library: Library) -> None:
    async def work(jobs: JobRunner) -> None:
        seen: list[str] = []
        job_id = await jobs.start("candidates", {"n": 2, "palette": "moss"})
        job = await reached(jobs, job_id, lambda job: seen.append(job.what) or not job.is_active)
        assert (job.state, job.problem, job.lines) == ("done", "", 2)
        assert "measuring" in seen
        assert (job.done, job.total) == (12, 12)
        picks = yield_of(job, jobs.lines(job_id)).picks
        assert [sorted(pick) for pick in picks] == [["hotel_name", "kind", "photo_id", "why"]] * 2

    with_runner(small_library, work)
    kept = JobStore(small_library).all()  # as a server that starts later finds it
    assert [(job.id, job.state) for job in kept] == [(1, "done")]


def test_a_job_that_fails_says_why_in_the_commands_words(small_library: Library) -> None:
    async def work(jobs: JobRunner) -> None:
        job = await ended(jobs, await jobs.start("tag", {"vocabulary": "nonsense"}))
        assert job.state == "failed"
        assert "nonsense" in job.problem
        assert not job.problem.startswith("aliens:")

    with_runner(small_library, work)


def test_a_vocabulary_that_is_saved_alone_is_tagged_with_by_its_key(small_library: Library) -> None:
    made, path = small_library.save_draft(TagDraft.typed("a stove", [], []), name="mine")

    async def work(jobs: JobRunner) -> None:
        job = await ended(jobs, await jobs.start("tag", {"vocabulary": made.key}))
        assert (job.state, job.problem) == ("done", "")
        assert str(path) not in json.dumps(job.as_json())

    with_runner(small_library, work)
    assert [each.origin for each in small_library.known_vocabularies() if each.key == made.key] == ["tagged"]


def test_a_busy_library_is_waited_for(small_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BUSY_S", 0.05)

    async def work(jobs: JobRunner) -> None:
        with FileLock(small_library.folder.lock_file):  # as another program does that adds photos
            job_id = await jobs.start("index", {})
            waits = await reached(jobs, job_id, lambda job: job.state == "queued" and job.problem != "")
            assert "another process or thread is changing" in waits.problem
        assert (await ended(jobs, job_id)).state == "done"

    with_runner(small_library, work)


# Stopped in all ways


@pytest.mark.usefixtures("slow_command")
def test_a_running_job_is_cancelled_as_by_ctrl_c(small_library: Library) -> None:
    async def work(jobs: JobRunner) -> None:
        job_id, waiting = await jobs.start("index", {}), await jobs.start("verify", {})
        job = await reached(jobs, job_id, lambda job: job.what == "embedding")
        assert (job.done, job.total, job.note) == (3, 9, "x")
        await jobs.cancel(waiting)
        await jobs.cancel(job_id)
        job = await ended(jobs, job_id)
        assert (job.state, job.said) == ("cancelled", ["aliens: stopped"])  # so it was no worse signal
        assert (await ended(jobs, waiting)).state == "cancelled"
        await jobs.cancel(job_id)  # which changes nothing
        assert jobs.find(job_id).state == "cancelled"

    with_runner(small_library, work)


def test_what_does_not_listen_is_killed(
    small_library: Library, monkeypatch: pytest.MonkeyPatch, command: Callable[[str], None]
) -> None:
    deaf = "import signal, sys, time\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
    command(f"{deaf}time.sleep(1000)\n")
    escalation = ((signal.SIGINT, 0.05), (signal.SIGTERM, 0.05), (signal.SIGKILL, 60.0))
    monkeypatch.setattr("web.jobs.child.ESCALATION", escalation)

    async def work(jobs: JobRunner) -> None:
        job_id = await jobs.start("index", {})
        await reached(jobs, job_id, lambda job: job.lines == 1)
        await jobs.cancel(job_id)
        assert (await ended(jobs, job_id)).state == "cancelled"

    with_runner(small_library, work)


@pytest.mark.usefixtures("slow_command")
def test_a_killed_child_is_said_and_can_be_repeated(small_library: Library) -> None:
    async def work(jobs: JobRunner) -> None:
        job_id = await jobs.start("verify", {"quick": True})
        job = await reached(jobs, job_id, begun)
        assert job.pid is not None
        os.killpg(job.pid, signal.SIGKILL)
        job = await ended(jobs, job_id)
        assert (job.state, job.problem) == ("interrupted", "its process was stopped from outside (SIGKILL)")
        again = await reached(jobs, await jobs.repeat(job_id), begun)
        assert (again.id, again.request) == (job_id + 1, job.request)

    with_runner(small_library, work)


@pytest.mark.parametrize(("code", "state"), [("os.kill(os.getpid(), 9)", "interrupted"), ("sys.exit(BUSY)", "queued")])
def test_progress_that_is_written_late_does_not_undo_the_end(
    small_library: Library,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: Callable[[str], None],
    code: str,
    state: str,
) -> None:
    begun_writing, may_write = threading.Event(), threading.Event()
    save, go = JobStore.save, tmp_path / "go"

    def slow_save(store: JobStore, job: JobRecord) -> None:
        if job.state == "running":
            begun_writing.set()
            assert may_write.wait(60)
        save(store, job)

    async def work(jobs: JobRunner) -> None:
        job_id = await jobs.start("verify", {"quick": True})
        await reached(jobs, job_id, begun)
        assert await asyncio.to_thread(begun_writing.wait, 60)
        go.touch()
        while jobs.find(job_id).state == "running":
            await jobs.wait_for_change()
        may_write.set()

    busy = f"BUSY = 'aliens: {BUSY}'"
    wait = f"while not os.path.exists({str(go)!r}):\n    time.sleep(0.01)"
    command(f"import os, sys, time\n{busy}\n{wait}\n{code}\n")
    monkeypatch.setattr(JobStore, "save", slow_save)
    with_runner(small_library, work)
    assert [job.state for job in JobStore(small_library).all()] == [state]


def test_what_a_child_leaves_behind_keeps_no_job_from_its_end(
    small_library: Library, monkeypatch: pytest.MonkeyPatch, command: Callable[[str], None]
) -> None:
    command("import subprocess\nprint('{}', flush=True)\nsubprocess.Popen(['sleep', '1000'])\n")
    monkeypatch.setattr(runner, "LATE_S", 0.2)

    async def work(jobs: JobRunner) -> None:
        job = await ended(jobs, await jobs.start("verify", {"quick": True}))
        assert job.pid is not None
        os.killpg(job.pid, signal.SIGKILL)  # what it has left holds its output open
        assert (job.state, job.lines) == ("done", 1)

    with_runner(small_library, work)


@pytest.mark.usefixtures("slow_command")
def test_a_server_that_ends_stops_its_child(small_library: Library) -> None:
    async def work(jobs: JobRunner) -> JobRecord:
        return await reached(jobs, await jobs.start("index", {}), begun)

    job = with_runner(small_library, work)
    assert not birth_of(job.pid)
    left = JobStore(small_library).all()[0]
    assert (left.state, left.problem) == ("interrupted", "the server was stopped while it ran")


def test_a_server_that_was_killed_leaves_an_interrupted_job_and_no_child(small_library: Library) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    store = JobStore(small_library)
    job = store.add("index", {"rebuild": False})
    store.save(replace(job, state="running", pid=child.pid, born=birth_of(child.pid)))

    async def work(jobs: JobRunner) -> None:
        job = await ended(jobs, 1)
        assert job.state == "interrupted"
        assert "repeat it" in job.problem

    with_runner(small_library, work)
    assert child.wait() != 0


def test_a_process_of_the_same_number_is_left_alone(small_library: Library) -> None:
    store = JobStore(small_library)
    store.save(replace(store.add("index", {}), state="running", pid=os.getpid(), born="another boot 1"))

    async def work(jobs: JobRunner) -> None:
        assert (await ended(jobs, 1)).state == "interrupted"

    with_runner(small_library, work)  # and this process still runs


# Two servers, full disks, much output


@pytest.mark.usefixtures("slow_command")
def test_of_two_servers_one_runs_jobs_and_both_see_and_cancel_them(small_library: Library) -> None:
    async def work(first: JobRunner) -> None:
        done = await first.start("verify", {"quick": True})
        await reached(first, done, begun)
        second = JobRunner(small_library, WebSettings())
        async with second.running():
            await second.cancel(done)
            assert (await ended(second, done)).state == "cancelled"
            job_id = await second.start("index", {})
            seen = await reached(second, job_id, begun)
            assert first.find(job_id).pid == seen.pid
            assert second._lock is None
            await second.cancel(job_id)
            assert (await ended(second, job_id)).state == "cancelled"

    with_runner(small_library, work)


def test_a_full_disk_is_said(small_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(jobs: JobRunner) -> None:
        monkeypatch.setattr("base.records.atomic_write", raising(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(LibraryError, match="is full"):
            await jobs.start("index", {})
        assert jobs.all() == []

    with_runner(small_library, work)


def test_an_error_that_nobody_thought_of_fails_one_job_alone(
    small_library: Library,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[[str], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    kept_line_before = runner.kept_line
    command("print('{}')")

    def wrong(kind: str, line: str) -> str:
        if kind == "candidates":
            raise RuntimeError("nobody thought of this")
        return kept_line_before(kind, line)

    monkeypatch.setattr(runner, "kept_line", wrong)

    async def work(jobs: JobRunner) -> None:
        first, second = await jobs.start("candidates", {"n": 2}), await jobs.start("index", {})
        job = await ended(jobs, first)
        assert (job.state, "nobody thought of this" in job.problem) == ("failed", True)
        assert (await ended(jobs, second)).state == "done"

    with_runner(small_library, work)
    assert "nobody thought of this" in capfd.readouterr().err


def test_signals_without_a_name_are_numbers() -> None:
    assert [signal_name(9), signal_name(40)] == ["SIGKILL", "signal 40"]


def test_output_is_bounded(small_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_records, "MOST_LINES_BYTES", 20)
    store = JobStore(small_library)
    job = store.add("index", {})
    assert [store.append(job.id, f"line {n}") for n in range(4)] == [True, True, False, False]
    assert store.lines(job.id) == ["line 0", "line 1"]
    assert store.lines(job.id, 1, 5) == ["line 1"]
    result = {"result_id": 3, "source_photo_id": 7, "attempts": [1] * 100}
    assert json.loads(kept_line("restyle", json.dumps(result))) == {"result_id": 3, "source_photo_id": 7}
    for nonsense in ("no JSON {", '{"a":' * 5_000):
        assert kept_line("restyle", nonsense) == nonsense


def test_old_jobs_go_and_damaged_records_are_passed_over(
    small_library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_records, "MOST_KEPT", 2)
    store = JobStore(small_library)
    for number in range(4):
        job = store.add("index", {"rebuild": bool(number % 2)})
        store.append(job.id, "x")
        store.save(replace(job, state="done"))
    assert [job.id for job in store.all()] == [4, 3, 2]
    assert not list(store.folder.glob("1.*"))
    (store.folder / "4.json").write_text('{"id": 4')
    (store.folder / "x.json").write_text("{}")
    assert [job.id for job in store.all()] == [3, 2]
    assert store.add("index", {"rebuild": True}).id == 5


def test_a_job_is_found_by_its_own_file(small_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, store = JobRunner(small_library, WebSettings()), JobStore(small_library)
    added = [store.add("index", {"rebuild": rebuild}) for rebuild in (False, True)]
    monkeypatch.setattr(JobStore, "all", None)
    assert jobs.find(2) == added[1]
    (store.folder / "1.json").write_text('{"id": 1')
    for number in (1, 3):
        with pytest.raises(QueryError):
            jobs.find(number)


def test_long_lines_are_cut_and_the_last_needs_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.jobs.child.LONGEST_LINE", 5)

    async def work() -> list[str]:
        stream = asyncio.StreamReader()
        stream.feed_data(b"short\n1234567\n\n\xff\nlast")
        stream.feed_eof()
        return [line async for line in lines_of(stream)]

    assert run_apart(work()) == ["short", "12345", "", "\ufffd", "last"]


# What may be asked


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("rm", {}, "rm"),
        ("restyle", {"photos": []}, "photos"),
        ("restyle", {"photos": [1], "engine": "/tmp/evil"}, "engine"),
        ("restyle", {"photos": ["--html=x"]}, "photos"),
        ("candidates", {"palette": "../../x.toml"}, "palette"),
        ("candidates", {"query": "a\0b"}, "NUL"),
        ("candidates", {"query": "\ud800"}, "query"),
        ("verify", {"quick": True, "library": "/etc"}, "library"),
    ],
)
def test_requests_are_checked_field_by_field(kind: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        as_request(kind, arguments)


def test_no_text_becomes_an_option(small_library: Library) -> None:
    jobs = JobRunner(small_library, WebSettings())

    def words(kind: str, **arguments: Any) -> list[str]:
        return as_request(kind, arguments).words(jobs.places.resolve, Path("x"))

    assert words("candidates", query="--rejected --manifest=/tmp/x")[-1] == "--query=--rejected --manifest=/tmp/x"
    root = jobs.places.roots()[0]
    assert words("add", places=[{"root": root.key}])[-2:] == ["--", str(root.path)]
    with pytest.raises(QueryError, match="hotel_from is said of places"):
        words("add", hotel_from="folder")


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("add", {}, "add --json"),
        ("add", {"retry_failed": True}, "add --json --retry-failed"),
        (
            "tag",
            {"vocabulary": "hotel", "threshold": 0.4, "calibrate": "labels"},
            "tag --json --vocabulary=hotel --threshold=0.4 --calibrate=labels",
        ),
        (
            "restyle",
            {"photos": [7, 3], "strength": 0, "again": True},
            "restyle --json --engine=regrade --palette=fern --seed=0 --again --strength=0.0 -- 7 3",
        ),
        ("verify", {"quick": True}, "verify --json --quick"),
        ("index", {"rebuild": True}, "index --json --rebuild"),
        (
            "export",
            {"query": "pools", "k": 5, "tags": ["pool"], "columns": ["path", "tags"], "vocabulary": "hotel"},
            "export tags --json --output=x.csv --format=csv --query=pools -k 5 --tag=pool --columns=path,tags"
            " --vocabulary=hotel",
        ),
        (
            "export",
            {"format": "imagefolder", "link": True},
            "export tags --json --output=x --format=imagefolder --link",
        ),
    ],
)
def test_requests_are_commands_with_options(
    small_library: Library, kind: str, arguments: dict[str, Any], words: str
) -> None:
    resolve = JobRunner(small_library, WebSettings()).places.resolve
    assert " ".join(as_request(kind, arguments).words(resolve, Path("x"))) == words


def test_trees_of_hotels50k_are_added_whole_and_the_splits_of_their_test_as_such(tmp_path: Path) -> None:
    roots = {
        "tree": AllowedRoot(key="tree", path=tmp_path, kind="hotels50k"),
        "low": AllowedRoot(key="low", path=tmp_path / "images/test/low_occlusions", kind="hotels50k-test"),
        "plain": AllowedRoot(key="plain", path=tmp_path / "images/test/unoccluded", kind="hotels50k-test"),
    }

    def resolve(key: str, inside: str = "") -> tuple[Path, AllowedRoot]:
        return roots[key].path / inside, roots[key]

    def words(*places: dict[str, str]) -> list[str]:
        return as_request("add", {"places": list(places)}).words(resolve, Path("x"))

    assert words({"root": "tree"}) == ["add", "--json", f"--hotels50k={tmp_path}"]
    assert words({"root": "low"}) == ["add", "--json", f"--hotels50k={tmp_path}", "--split=low"]
    assert words({"root": "plain"}) == ["add", "--json", f"--hotels50k={tmp_path}", "--split=unoccluded"]
    for places in ([{"root": "tree"}, {"root": "low"}], [{"root": "low", "inside": "7"}]):
        with pytest.raises(QueryError, match="add it whole, and by itself"):
            words(*places)


@pytest.mark.parametrize("inside", ["..", "../library", "hotel 0/../..", "/etc", "nowhere", "out", "a\0b", "\ud800"])
def test_places_lie_below_their_roots(small_library: Library, tmp_path: Path, inside: str) -> None:
    (tmp_path / "allowed" / "hotel 0").mkdir(parents=True)
    (tmp_path / "allowed" / "out").symlink_to(tmp_path)
    jobs = JobRunner(small_library, WebSettings(roots=(tmp_path / "allowed",)))
    root = jobs.places.roots()[0]
    assert root.path == tmp_path / "allowed"
    assert jobs.places.look(root.key).folders == ("hotel 0",)
    with pytest.raises(QueryError, match="there is no"):
        jobs.places.resolve(root.key, inside)
    with pytest.raises(QueryError, match="may not be added"):
        jobs.places.resolve("0" * 12, "")


# By program


def test_the_file_of_an_export_is_sent_and_a_folder_is_named(small_library: Library) -> None:
    store = JobStore(small_library)
    for number, (kind, ending) in enumerate([("csv", ".csv"), ("imagefolder", "")], start=1):
        store.save(replace(store.add("export", {"format": kind}), state="done"))
        Path(f"{store.kept_file(number)}{ending}").write_text("photo_id\n")
    with client_of(small_library) as client:
        assert "Download the file" in client.get("/jobs/1").text
        sent = client.get("/jobs/1/file")
        assert (sent.text, 'filename="tags-1.csv"' in sent.headers["content-disposition"]) == ("photo_id\n", True)
        assert client.get("/jobs/2/file").status_code == 404
        assert str(store.kept_file(2)) in client.get("/jobs/2").text


@pytest.mark.parametrize("state", ["queued", "running", "done", "failed", "cancelled", "interrupted"])
def test_every_kind_has_a_page_in_every_state(small_library: Library, state: Any) -> None:
    kinds = ["add", "tag", "candidates", "restyle", "add_results", "verify", "index", "export", "of a later version"]
    store, client = JobStore(small_library), client_of(small_library)
    client.app.state.opened.jobs._store = store  # type: ignore[attr-defined] - which nobody runs
    for kind in kinds:
        store.save(replace(store.add(kind, {}), state=state, problem="<b>why</b>", started_at=1.0, what="<i>"))
    for number in range(1, len(kinds) + 1):
        page = client.get(f"/jobs/{number}")
        assert (page.status_code, "<b>why" in page.text, "<i>" in page.text) == (200, False, False)
        assert client.get(f"/jobs/{number}/given").status_code == 200
    for path in ("/jobs", "/basket", "/library"):
        assert client.get(path).status_code == 200, path


def test_jobs_by_program(small_library: Library) -> None:
    with client_of(small_library) as client:
        asked = client.post("/api/v1/jobs", json={"kind": "verify", "quick": True})
        assert (asked.status_code, asked.json()["state"]) == (201, "queued")
        where = asked.headers["location"]
        said = ["all files are what was written, and agree with the database"]
        events = client.get("/api/v1/jobs/events").text  # which ends when no job is left
        assert events.rstrip().endswith("event: idle\ndata: 1")
        states = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: [")]
        assert states[-1][0]["state"] == "done"
        assert client.get(where).json() == states[-1][0] | {"request": {"quick": True, "repair": False}, "said": said}
        assert client.get(f"{where}/output").json() == {"first": 0, "total": 0, "lines": []}
        assert client.delete(where).json()["state"] == "done"  # it has ended: nothing to cancel
        listed = client.get("/api/v1/jobs").json()
        assert [job["id"] for job in listed] == [1]
        assert not {"request", "said"} & set(listed[0])  # which may be long, and are asked for by themselves
        for method, path in [("GET", "9"), ("DELETE", "9"), ("GET", "9/output"), ("POST", "9/repeat")]:
            assert client.request(method, f"/api/v1/jobs/{path}").status_code == 404, path
        assert client.post("/api/v1/jobs", json={"kind": "verify", "quick": "perhaps"}).status_code == 422
        secret = client.post("/api/v1/jobs", json={"kind": "tag", "vocabulary": "/etc/passwd"})
        assert (secret.status_code, "as a file" in secret.text) == (422, True)
        assert "All files are what was written" in client.get("/jobs/1").text
        assert client.get("/jobs/1/line").text.count("<article") == 1
        assert client.get("/jobs").text.count('class="job card"') == 1
        assert client.get("/jobs/9").status_code == 404
        assert client.get("/jobs/1/file").status_code == 404
        folders = client.get("/api/v1/folders").json()
        inside = client.get("/api/v1/folders", params={"root": folders[0]["root"]}).json()[0]
        assert inside["folders"] == ["hotel 0", "hotel 1", "hotel 2"]
        assert "/" not in json.dumps(folders)
