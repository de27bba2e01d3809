"""Long rounds of fuzzing: inputs without end, each target in a process of its own, which may crash, hang or swell.

    python -m tests.fuzz [--minutes 10] [--target photo] [--first 0] [--findings fuzz-findings]

Targets take turns until the time is over. An input is known by its target and number: the same number is the same bytes
each time. What was found is printed and its bytes are kept; the exit status is 1 where anything was.
"""

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter, defaultdict
from pathlib import Path

from tests.fuzz.file_targets import FILE_TARGETS
from tests.fuzz.photo_targets import PHOTO_TARGETS
from tests.fuzz.target import Target

TARGETS = {target.name: target for target in (*PHOTO_TARGETS, *FILE_TARGETS)}
TURN = 400  # inputs that a target has read before the next one's turn
PATIENCE_S = 180.0  # with one input, on a busy machine; a decoding process is ended after 120 s
MOST_KILOBYTES = 1_000_000  # that one input may add to a process: its photos have two megapixels


def work(target: Target, first: int, count: int) -> None:
    """Have inputs read, and tell on stdout which is in hand, what was wrong with it, and whether it was taken."""
    warnings.simplefilter("ignore")  # of libraries, on what is damaged
    with tempfile.TemporaryDirectory() as folder:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(first, first + count):
            print(f"try {number}", flush=True)
            try:
                taken = target.try_input(number, Path(folder))
            except BaseException as error:
                print(f"wrong {error!r:.300}".replace("\n", " "), flush=True)
                traceback.print_exc()
            else:
                print("taken" if taken else "refused", flush=True)
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if now - most > MOST_KILOBYTES:
                print(f"wrong takes {(now - most) // 1000} MB", flush=True)
            most = max(most, now)


def turn(target: Target, first: int, counts: Counter[str]) -> tuple[int, list[tuple[int, str]]]:
    """Have some inputs of a target read in a process of their own.

    Returns: the number of the next input, and what was wrong with which.
    """
    number, wrong, state = first, [], "taken"
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", "--work", target.name, "--first", str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        alarm = threading.Timer(PATIENCE_S, process.kill)
        alarm.start()
        try:
            for line in process.stdout:
                alarm.cancel()
                alarm = threading.Timer(PATIENCE_S, process.kill)
                alarm.start()
                state, _, what = line.rstrip().partition(" ")
                counts[state] += 1
                if state == "try":
                    number = int(what)
                elif state == "wrong":
                    wrong.append((number, what))
        finally:
            alarm.cancel()
    if process.returncode:
        wrong.append((number, f"ended the process with status {process.returncode}, or took over {PATIENCE_S:g} s"))
    return number + 1, wrong


def main() -> int:
    """Fuzz. Returns: the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all")
    parser.add_argument("--target", default="", help="only those whose names hold this")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="folder of inputs that did harm")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work is not None:
        work(TARGETS[asked.work], asked.first, TURN)
        return 0
    chosen = [target for name, target in TARGETS.items() if asked.target in name]
    following, counts, found = dict.fromkeys(TARGETS, asked.first), defaultdict[str, Counter[str]](Counter), 0
    end = time.monotonic() + 60 * asked.minutes
    for target in itertools.cycle(chosen):
        if time.monotonic() > end:
            break
        following[target.name], wrong = turn(target, following[target.name], counts[target.name])
        for number, what in wrong:
            found += 1
            asked.findings.mkdir(exist_ok=True)
            path = asked.findings / f"{target.name.replace(' ', '-')}-{number}"
            path.write_bytes(target.input(number))
            print(f"{target.name} {number}: {what} ({path})")
        seen = counts[target.name]
        print(f"{target.name}: {seen['try']} inputs, {seen['taken']} taken, {seen['wrong']} wrong", flush=True)
    print(f"{sum(seen['try'] for seen in counts.values())} inputs of {len(counts)} targets, {found} did harm")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
