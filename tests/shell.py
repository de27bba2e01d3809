"""A process that runs commands of `aliens` one after the other: what they import takes longer than they do."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.unwritable import ROOT

Said = tuple[int, str, str]  # the exit code, stdout and stderr; a traceback in place of the code
RUN = """
import contextlib, functools, io, json, os, resource, sys, tempfile, traceback
import cli

tempfile.gettempdir()  # which is looked for by writing
rest, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for line in sys.stdin:
    commands, folder, full = json.loads(line)
    os.chdir(folder)
    if full:  # no file may grow, as where there is no room
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    said = []
    for command in commands:
        out, err, code = io.StringIO(), io.StringIO(), 0
        sys.argv = ["aliens", *command]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as stop:
                code = stop.code or 0
            except BaseException:
                code = traceback.format_exc()
        said.append([code, out.getvalue(), err.getvalue()])
        models = getattr(sys.modules.get("embedding.open_clip_encoder"), "OpenClipEncoder", None)
        if models is not None and not hasattr(models.load, "cache_info"):
            models.load = functools.cache(models.load)  # every command would load the whole model again
    resource.setrlimit(resource.RLIMIT_FSIZE, (rest, hard))
    print(json.dumps(said), flush=True)
"""


class Shell:
    """Runs commands."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, folder: Path, *commands: Sequence[object], full: bool = False) -> list[Said]:
        """Return what commands say in a folder, `full`: where files cannot grow."""
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = [[list(map(str, command)) for command in commands], str(folder), full]
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return [(code, out, err) for code, out, err in json.loads(self._process.stdout.readline())]


@contextmanager
def shell_of(command: Sequence[str], **settings: str) -> Iterator[Shell]:
    """Start a shell by a command that runs `RUN`, with these settings of its environment."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | settings
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        yield Shell(process)
        process.communicate()
