"""A real Milvus of our own: the server of the package `milvus`, on free ports, to be killed and started again."""

import importlib.util
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from base.files import folder_lock

PORTS = (
    *("etcd", "root_coord", "proxy", "proxy_internal", "query_coord"),
    *("query_node", "index_coord", "index_node", "data_coord", "data_node"),
)
DEADLINE_S = 240  # of a start, on a machine that does much else


def reason_to_skip() -> str | None:
    """Return why there can be no server here, or None."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "the package milvus has a server for Linux on x86-64 alone"
    for name in ("pymilvus", "milvus"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is absent: pip install -e '.[dev]'"
    return None


def stop_lite(path: Path) -> None:
    """Stop what milvus-lite runs for a file, so that no thread outlives the test."""
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(str(path))


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class MilvusServer:
    """A server with its data in a folder. programs: where its program is unpacked, 250 MB, shared by processes."""

    def __init__(self, folder: Path, programs: Path) -> None:
        from milvus import MilvusServerConfig, _initialize_data_files

        self.folder = folder
        self._programs = programs / "bin"
        self._running: subprocess.Popen[bytes] | None = None
        programs.mkdir(parents=True, exist_ok=True)
        with folder_lock(programs):
            _initialize_data_files(str(programs))
        *ports, peer, self._metrics = free_ports(len(PORTS) + 2)
        named = {f"{name}_port": port for name, port in zip(PORTS, ports, strict=True)}
        MilvusServerConfig(data_dir=str(folder), etcd_log_level="error", **named).resolve()
        self.uri = f"http://127.0.0.1:{named['proxy_port']}"
        client = f"http://127.0.0.1:{named['etcd_port']}"
        etcd, settings = folder / "configs" / "etcd.yaml", folder / "configs" / "milvus.yaml"
        lines = {
            "name": "default",
            "data-dir": folder / "data" / "etcd.data",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": f"http://127.0.0.1:{peer}",  # 2380 for every server, unless it is said here
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-cluster": f"default=http://127.0.0.1:{peer}",
            "log-level": "error",
        }
        etcd.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()), encoding="utf-8")
        text, data = settings.read_text(encoding="utf-8"), "  data:\n    dir:"
        assert data in text
        settings.write_text(text.replace(data, f"  config:\n    path: {etcd}\n{data}", 1), encoding="utf-8")

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        told = {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self._metrics),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "LD_LIBRARY_PATH": str(self._programs),
        }
        command = [self._programs / "milvus", "run", "standalone"]
        with open(self.folder / "logs" / "out.log", "ab") as log:
            self._running = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | told, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + DEADLINE_S
        while not self._is_ready():
            if self._running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the Milvus server did not start: {self.folder / 'logs'}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/healthz", timeout=60) as answer:
                return bool(b"OK" in answer.read())
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        if self._running is not None:
            self._running.send_signal(signal.SIGKILL)
            self._running.wait()
            self._running = None


def started(factory: pytest.TempPathFactory) -> MilvusServer:
    """Return a server that runs; skip where there can be none."""
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    shared = factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    server = MilvusServer(factory.mktemp("milvus"), shared / "milvus-programs")
    server.start()
    return server
