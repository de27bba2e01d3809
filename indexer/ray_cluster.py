"""A Ray cluster: connecting with it, quietly, and its own words in ours. The only file that imports Ray.

A cluster that was there before stays; one that was started here ends here.
"""

import logging
import os
import platform
import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from base import __version__
from base.console import one_line
from base.errors import ClusterError

CONNECT_S = 5  # until a port answers
SHOWN = 300  # characters, of what Ray says
STARTING = "start the cluster with `ray start --head`, and give its port, usually 6379, or 10001 behind ray://"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_worker_niceness": "0",  # or workers, at 15, would stand back behind whatever else runs
}
ADDRESS = re.compile(r"(ray://)?(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):(\d{1,5})")


def imported_ray() -> Any:
    """Return the module. Raises: ClusterError: it is not installed."""
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ClusterError("--engine ray needs Ray: `pip install -e '.[ray]'` brings it") from error
    return ray


@contextmanager
def ray_connected(address: str | None) -> Iterator[Any]:
    """Yield Ray, connected; a connection that was there before stays. Raises: ClusterError: as `ray_stages`."""
    ray = imported_ray()
    if ray.is_initialized():
        yield ray
        return
    refuse_wrong_address(address)
    try:
        with quietly():
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
            )
    # Ray raises errors of a dozen kinds, and plain RuntimeErrors; all mean that there is no cluster to work on.
    except Exception as error:
        raise ClusterError(refusal(address, error)) from error
    try:
        yield ray
    finally:
        ray.shutdown()  # ends the cluster where it is our own


@contextmanager
def quietly() -> Iterator[None]:
    """Have what Ray starts tell nobody that it is used, and its import and start say nothing on stderr."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def refuse_wrong_address(address: str | None) -> None:
    """Find out in seconds what Ray takes a minute for. Raises: ClusterError: nobody is there, or it is no address."""
    if address is None or address == "auto":
        return
    found = ADDRESS.fullmatch(address)
    if found is None or int(found[3]) > 65_535:
        raise ClusterError(
            f"--address {address!r} is no address of a cluster: give auto, HOST:PORT as `ray start` says it, or "
            "ray://HOST:PORT"
        )
    try:
        socket.create_connection((found[2].strip("[]"), int(found[3])), CONNECT_S).close()
    except socket.gaierror as error:
        raise ClusterError(f"--address {address}: there is no host {found[2]}") from error
    except OSError as error:
        why = error.strerror or f"no answer within {CONNECT_S} s"
        raise ClusterError(f"--address {address}: nobody answers there ({why}): {STARTING}") from error
    if not speaks_grpc(address.removeprefix("ray://")):
        raise ClusterError(f"--address {address}: what answers there is no Ray cluster: {STARTING}")


def speaks_grpc(address: str) -> bool:
    """Tell whether a port answers as a cluster's does; where clusters have certificates, Ray itself finds out."""
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return True
    import grpc

    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(CONNECT_S)
        except grpc.FutureTimeoutError:
            return False
    return True


def refusal(address: str | None, error: Exception) -> str:
    """Return why there is no cluster to work on, in words that help."""
    said = str(error)
    if "ersion mismatch" in said or ("version" in said and "Python:" in said):
        return (
            f"the cluster runs other versions than this machine, which has Ray {imported_ray().__version__} and Python "
            f"{platform.python_version()}: {one_line(said)}"
        )
    if address == "auto" and isinstance(error, ConnectionError):
        return (
            "--address auto: no Ray cluster is found on this machine: start one with `ray start --head`, or leave "
            "--address out, and one is started for the time that it takes"
        )
    hint = "" if address is None or address.startswith("ray:") else f" ({STARTING})"
    return f"no cluster at {address or 'this machine'}: {one_line(said)[:SHOWN] or type(error).__name__}{hint}"


def living_nodes(ray: Any) -> list[dict[str, float]]:
    """Return what each living node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def other_version(node: str, version: str) -> str:
    """Return the message for a node with another version of ours, which may decode otherwise."""
    return f"node {node} has CV-Aliens {version}, this machine {__version__}: install the same on every node"


OURS = re.compile(r"No module named '(indexer|embedding|base|db)\b")


def is_not_installed(error: Exception) -> bool:
    """Tell whether a node could not import us."""
    return OURS.search(str(error)) is not None


def not_installed(error: Exception) -> ClusterError:
    """Return the error for that."""
    place = getattr(error, "ip", "")
    where = f"node {place}" if place else "a node of the cluster"
    return ClusterError(
        f"{where} has no CV-Aliens: install {__version__} for the Python that runs Ray there, as on every node"
    )


def said_shortly(error: Exception) -> str:
    """Return what an error of Ray's says: one of a task ends with the cause, others begin with it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(lines[-1 if hasattr(error, "cause") else 0])[:SHOWN]
