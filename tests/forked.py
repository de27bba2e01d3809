"""Python begun quickly: what a process would run is run by a fork of one that has imported what takes seconds."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

KNOWN = {"capture_output", "stdout", "stderr", "text", "check", "cwd", "env"}


def fork_in_place_of_python() -> None:
    """Have `subprocess.run` fork, in this process, where it would start Python or `aliens`.

    To be called before anything else: the forks are of this process as it is now.
    """
    ours, theirs = multiprocessing.Pipe()
    if os.fork() == 0:
        ours.close()
        serve(theirs)
        os._exit(0)
    theirs.close()
    real = subprocess.run

    def run(command: Sequence[object], **options: Any) -> subprocess.CompletedProcess[Any]:
        words = [str(word) for word in command]
        if (words[0] != sys.executable and Path(words[0]).name != "aliens") or not options.keys() <= KNOWN:
            return real(words, **options)
        with tempfile.TemporaryDirectory() as folder:
            files: dict[str, str | None] = {}
            for name in ("stdout", "stderr"):
                taken = options.get("capture_output") or options.get(name) == subprocess.PIPE
                silent = options.get(name) == subprocess.DEVNULL
                files[name] = f"{folder}/{name}" if taken else os.devnull if silent else None
            cwd, environment = str(options.get("cwd") or os.getcwd()), dict(options.get("env") or os.environ)
            ours.send((words, cwd, environment, files["stdout"], files["stderr"]))
            code = ours.recv()
            said = [Path(path).read_bytes() if path and path != os.devnull else None for path in files.values()]
        out, err = (part.decode() if part is not None and options.get("text") else part for part in said)
        done = subprocess.CompletedProcess(words, code, out, err)
        if options.get("check"):
            done.check_returncode()
        return done

    subprocess.run = run  # type: ignore[assignment]


def serve(asked: Connection) -> None:
    """Fork for each command that is asked for, and answer with its exit code, until nobody can ask any more."""
    while True:
        try:
            words, cwd, environment, out, err = asked.recv()
        except EOFError:
            return
        pid = os.fork()
        if pid == 0:
            asked.close()
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environment)
            for stream, path in ((1, out), (2, err)):
                if path is not None:
                    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
            os._exit(exit_code(words))
        asked.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def exit_code(words: Sequence[str]) -> int:
    """Do what a command line of Python's or of `aliens` says, and return its exit code."""
    program, *words = words
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    code: Any = 0
    try:
        while words[:1] == ["-W"]:
            warnings.simplefilter("ignore")
            words = words[2:]
        if Path(program).name == "aliens":
            import cli

            sys.argv = [program, *words]
            cli.main()
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = list(words)
            sys.path.insert(0, str(Path(words[0]).parent))
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1
