"""A PostgreSQL server of the tests' own, and libraries that keep their rows there: `pytest --database postgresql`.

Nothing else is changed for the tests: whoever makes a library without naming a database gets a new one of the server's,
by the library's own library.toml, and a copied folder gets a copy of it.
"""

import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import make_url

from base.settings import LibraryFolder
from db.catalog import Catalog

ACCOUNT = "postgres"  # of this machine, which a server runs as where the tests run as root
USER = "aliens"
PASSWORD = "pool/7:bath@tub"  # with what addresses must quote
PATIENCE_S = 120.0
PATIENT = "connect_timeout=600"  # a busy machine fails no test
QUICK = (  # what a crash of the machine would cost does not matter here
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum=off",
    "shared_buffers=32MB",
    "max_wal_size=256MB",
)
DATABASE_LINE = re.compile(r'^database = "(postgresql[^"]*)"$', re.MULTILINE)


def missing() -> str | None:
    """Return why no server can be started here, None where one can."""
    if not programs():
        return "no PostgreSQL is installed: Debian's package is called postgresql"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "no psycopg is installed: pip install -e '.[postgres]'"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and there is no setpriv to be somebody else by"
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return f"PostgreSQL does not run as root, and there is no account {ACCOUNT}" if os.geteuid() == 0 else None
    return None


def programs() -> Path | None:
    """Return the folder of PostgreSQL's own programs, the newest's where there are several."""
    found = [path for path in glob.glob("/usr/lib/postgresql/*/bin/initdb") if os.access(path, os.X_OK)]
    newest = max(found, key=lambda path: int(Path(path).parts[4]), default=shutil.which("initdb"))
    return Path(os.path.realpath(newest)).parent if newest else None


class Server:
    """A PostgreSQL server with an empty cluster, reached by a socket in its folder or by a port of this machine."""

    def __init__(self, *settings: str) -> None:
        """`settings`: of postgresql.conf, besides what makes it quick."""
        found = programs()
        assert found is not None
        self._programs = found
        self._settings = (*QUICK, *settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path may not be long
        self._as_somebody: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, ACCOUNT, ACCOUNT)
            self._as_somebody = [
                "setpriv",
                f"--reuid={ACCOUNT}",
                f"--regid={ACCOUNT}",
                "--clear-groups",
                "--pdeathsig=QUIT",
            ]
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        password.chmod(0o644)
        # Names are compared as people do it by default: what needs bytes has to say so.
        locale = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8", "--encoding=UTF8"]
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}", f"--username={USER}"]
        self._run("initdb", "--pgdata", str(self._data), "--no-sync", *locale, *auth)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_somebody, str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=self._environment)
        assert done.returncode == 0, done.stderr

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"}  # times are UTC all the same

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = [f"-c{setting}" for setting in (f"unix_socket_directories={self.folder}", *self._settings)]
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*self._as_somebody, *command], stdout=log, stderr=log, cwd=self.folder, env=self._environment
            )
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8", errors="replace")
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _answers(self) -> bool:
        import psycopg

        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server: by default at once, as `pg_ctl stop -m immediate` does; SIGINT has it close well."""
        if "_own" in self.__dict__:
            self.__dict__.pop("_own").close()
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop the server at once and start it again."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop the server and remove all that it holds."""
        self.stop()
        shutil.rmtree(self.folder)

    def connect(self, database: str = "postgres", **options: Any) -> Any:
        """Return a connection of the driver's, each statement for itself."""
        import psycopg

        known: dict[str, Any] = {"host": str(self.folder), "port": self.port, "user": USER, "dbname": database}
        return psycopg.connect(**(known | options), autocommit=True)

    @cached_property
    def _own(self) -> Any:
        return self.connect()

    def execute(self, statement: str, *parameters: object) -> list[Any]:
        """Run a statement outside the libraries' databases and return its rows."""
        done = self._own.execute(statement, parameters or None)
        return list(done.fetchall()) if done.description else []

    def new_database(self, template: str | None = None) -> str:
        """Make a database, empty or a copy of another one, and return its name."""
        self._made += 1
        name = f"library_{self._made}"
        if template is not None:  # nobody else may be connected to what is copied: whoever was connects again
            self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", template)
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url(self, database: str) -> str:
        """Return the address of a database by the server's socket, which asks for no password."""
        return f"postgresql+psycopg://{USER}@/{database}?host={self.folder}&port={self.port}&{PATIENT}"

    def tcp_url(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        """Return the address of a database by the server's port, with a password."""
        address = make_url(f"postgresql+psycopg://127.0.0.1/?{PATIENT}").set(
            username=user, password=password, port=self.port, database=database
        )
        return address.render_as_string(hide_password=False)


class EveryLibrary:
    """Has every library of the tests keep its rows in a server, and copies of folders have copies of their rows."""

    is_used = False

    def __init__(self, server: Server) -> None:
        EveryLibrary.is_used = True
        self.server = server
        self._databases: dict[Path, str] = {}  # {library.toml: its database}

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Have libraries be made so."""
        make, copy = Catalog.create.__func__, shutil.copytree  # type: ignore[attr-defined]

        def create(cls: type[Catalog], folder: LibraryFolder, *, url: str | None = None, **options: Any) -> Catalog:
            by_default = url is None and not folder.nested and not os.environ.get("ALIENS_DATABASE")
            if by_default and not folder.config_file.exists():
                url = self.server.url(self.new(folder.config_file))
            catalog: Catalog = make(cls, folder, url=url, **options)
            return catalog

        def copytree(source: Any, target: Any, *arguments: Any, **options: Any) -> Any:
            done = copy(source, target, *arguments, **options)
            for config in Path(target).rglob("library.toml"):
                self.give_copy(config)
            return done

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Catalog, "create", classmethod(create))
            patch.setattr(shutil, "copytree", copytree)
            yield

    def new(self, config: Path, template: str | None = None) -> str:
        """Make a database for a library's library.toml and return its name."""
        name = self._databases[config.absolute()] = self.server.new_database(template)
        return name

    def give_copy(self, config: Path) -> None:
        """Have a library.toml that was copied name a database of its own."""
        text = config.read_text(encoding="utf-8")
        named = DATABASE_LINE.search(text)
        if named is not None and (known := make_url(named[1]).database) is not None:
            own = self.new(config, known)
            config.write_text(text.replace(named[1], self.server.url(own)), encoding="utf-8")

    def drop_below(self, folder: Path) -> None:
        """Remove the databases of the libraries that lie in a folder."""
        for config in [each for each in self._databases if each.is_relative_to(folder)]:
            self.server.drop(self._databases.pop(config))


ON_POSTGRES = pytest.StashKey[EveryLibrary]()


def say_missing() -> str:
    """Return the reason for tests that need a server, the empty text where there is one to be had."""
    return missing() or ""


needs_postgres: Callable[[Any], Any] = pytest.mark.skipif(missing() is not None, reason=say_missing())


if __name__ == "__main__":
    with Server() as server:
        print(server.url("postgres"), flush=True)
        sys.stdin.readline()
