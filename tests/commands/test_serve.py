"""`aliens serve`, as the shell runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from base.errors import QueryError
from commands.serve_command import listening_at
from tests.commands.conftest import Aliens

ROOT = Path(__file__).parents[2]


def get(address: str, token: str = "") -> tuple[int, str]:
    asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_it_says_where_to_look_serves_and_stops_at_ctrl_c(filled: Path) -> None:
    command = [sys.executable, ROOT / "cli.py", "serve", "--port", "0", "--token", "new"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    where, token = process.stdout.readline().split(), process.stdout.readline().split()
    assert where[:3] == ["serving", "aliens-library", "at"]
    assert token[0] == "token:"
    assert get(where[3] + "healthz")[0] == 401
    status, told = get(where[3] + "healthz", token[1])
    assert (status, json.loads(told)["photos"]) == (200, 10)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "stopped serving\n")


def test_a_port_that_is_taken_is_named_with_what_helps(aliens: Aliens, filled: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = aliens("serve", "--port", port)
    assert (code, out) == (1, "")
    assert f"port {port} of 127.0.0.1 is taken" in err
    assert "--port 0" in err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_answers_do_not_wait_for_the_browser_to_say_that_it_heard(host: str) -> None:
    with suppress(QueryError), listening_at(host, 0) as listening:  # a machine may have no IPv6
        assert listening.proto == socket.IPPROTO_TCP  # by which asyncio turns Nagle's waiting off


def test_a_browser_is_opened_only_where_there_is_a_desktop(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.serve_command.has_desktop", lambda: False)
    assert "--open needs a desktop" in aliens.fails(1, "serve", "--open")
