import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from base.errors import LibraryBusyError
from base.settings import LibraryFolder
from db.locks import Holder, busy, holder_noted, locked

HOLD = """
import sys
from pathlib import Path
from base.settings import LibraryFolder
from db.locks import locked
with locked(LibraryFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LibraryFolder:
    monkeypatch.setattr("db.locks.LOCK_TIMEOUT_S", 0.05)
    return LibraryFolder(tmp_path)


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_who_is_refused_is_told_which_process_has_the_lock_and_where_and_since_when(folder: LibraryFolder) -> None:
    command = [sys.executable, "-c", HOLD, str(folder.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        since = json.loads(folder.holder_file.read_text(encoding="utf-8"))["holder"]
        known = Holder.named(since)
        assert known is not None
        assert (known.process, known.host) == (other.pid, socket.gethostname())
        with pytest.raises(LibraryBusyError, match=rf"is changing {folder.root}: .*; it is {known}$"):
            locked(folder).__enter__()
        other.communicate()
    assert not folder.holder_file.exists()
    with locked(folder):
        pass


def test_a_killed_process_is_named_to_nobody(folder: LibraryFolder) -> None:
    here = Holder.here()
    folder.holder_file.write_text(json.dumps({"holder": Holder(ended_process(), here.host, here.since).name}))
    with FileLock(folder.lock_file), pytest.raises(LibraryBusyError, match=r"\(searching meanwhile is fine\)$"):
        locked(folder).__enter__()
    with locked(folder):
        noted = holder_noted(folder)
        assert noted is not None
        assert noted.process == os.getpid()
    assert not folder.holder_file.exists()


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"holder": 7}', '{"holder": "somebody else"}', "\0"])
def test_a_note_that_says_nothing_is_passed_over(folder: LibraryFolder, note: str) -> None:
    folder.holder_file.write_text(note, encoding="utf-8")
    assert holder_noted(folder) is None


def test_a_process_of_another_machine_is_named_whether_or_not_it_has_ended(folder: LibraryFolder) -> None:
    far = Holder(ended_process(), "another machine", Holder.here().since)
    folder.holder_file.write_text(json.dumps({"holder": far.name}), encoding="utf-8")
    assert holder_noted(folder) == far
    assert str(busy(folder, far)).endswith(
        f"; it is process {far.process} on another machine, since {far.since:%F %T} UTC"
    )


def test_a_holders_name_fits_where_databases_keep_it() -> None:
    here = Holder(4_194_304, "h" * 255, Holder.here().since)
    assert len(here.name.encode()) == 63
    known = Holder.named(here.name)
    assert known is not None
    assert (known.process, known.since) == (here.process, here.since)
    assert Holder.named("psql") is Holder.named(None) is None
