"""Mutation testing: small faults are put into the code one by one, and the tests must notice: `make mutants`.

Which files are changed, and which tests must notice, stands in pyproject.toml under [tool.mutmut]: mutmut puts in the
faults and finds which tests reach each. They are tried here: a file of tests is run once, so that what its tests share
is made, and then in a fork of that process for each fault, so that a fault costs no more than the tests that reach it.
A sample of the faults of each package is tried, drawn by a seed that is printed; --all tries them all.
"""

import argparse
import gc
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORK = ROOT / "mutants"  # mutmut's copy of the tree, with all faults in it
OUTCOMES = "outcomes.jsonl"  # a line [fault, exit code of its tests] for each trial
NONE = "no such fault"  # which mutmut says is none of those that it has made until then
MOST_CPU_S, LONGEST_S = 60, 600  # for one fault's tests of one file: what takes longer never ends, and is noticed so
SETTLED = {"PYTEST_XDIST_WORKER": "mutants", "OMP_NUM_THREADS": "1", "CI": "1"}  # the same examples each time


class Trials:
    """A plugin of pytest that runs the tests, and then tries each fault in a fork of the process as it is by then."""

    def __init__(self, faults: Mapping[str, Sequence[str]]) -> None:
        """`faults`: of each, the ids of the tests that reach it."""
        self._faults = faults

    def pytest_collection(self) -> None:
        """Have Hypothesis look for no simpler example: that one was found suffices."""
        import hypothesis  # not before pytest, which rewrites what asserts

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings(), phases=phases)
        hypothesis.settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests in place of pytest's own loop."""
        took_s: dict[str, float] = {}
        for item in session.items:
            start = time.perf_counter()
            run_tests(session, [item])
            took_s[item.nodeid] = time.perf_counter() - start
        quickest = sorted(session.items, key=lambda item: took_s[item.nodeid])
        gc.collect()
        gc.freeze()  # what is there by now, forks leave alone
        trials = {"": list(took_s)} | self._faults  # first without a fault, which all must pass
        with open(OUTCOMES, "a", encoding="utf-8") as outcomes:
            for fault, tests in trials.items() if not session.testsfailed else ():
                code = try_fault(session, fault, [item for item in quickest if item.nodeid in set(tests)])
                if not fault and code:
                    raise session.Failed(f"tests do not pass in a fork of their process: {code}")
                print(json.dumps([fault, code]), file=outcomes, flush=True)
        return True


def run_tests(session: pytest.Session, tests: Iterable[pytest.Item]) -> None:
    """Run tests until one fails; what they share with others of their file stays for these."""
    for item in tests:
        other = next((each for each in session.items if each is not item), None)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=other)
        if session.testsfailed:
            return


def try_fault(session: pytest.Session, fault: str, tests: Sequence[pytest.Item]) -> int:
    """Return how a fork of this process ended that ran tests with a fault: 0 if none noticed it."""
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # of processes left to their parent
        pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
        signal.alarm(LONGEST_S)
        session.config.pluginmanager.unregister(name="terminalreporter")
        os.environ["MUTANT_UNDER_TEST"] = fault
        run_tests(session, tests)
        code = int(session.testsfailed > 0)
    finally:
        os._exit(code)


def make_faults() -> dict[str, list[str]]:
    """Have mutmut put faults into files that have changed; return {fault: ids of its package's tests that reach it}."""
    shared = WORK / "tmp"  # what many tests need, such as embedded samples, is made once for all of them
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir(parents=True)
    os.environ.update(SETTLED, PYTEST_DEBUG_TEMPROOT=str(shared))
    subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "1", NONE], cwd=ROOT)
    reached = json.loads((WORK / "mutmut-stats.json").read_text())["tests_by_mangled_function_name"]
    files = sorted(WORK.rglob("*.py.meta"))
    faults = [fault for file in files for fault in json.loads(file.read_text())["exit_code_by_key"]]
    reaching = {fault: reached.get(fault.rpartition("__mutmut_")[0], []) for fault in faults}
    return {
        fault: [test for test in tests if test.startswith(f"tests/{fault.partition('.')[0]}/")]
        for fault, tests in reaching.items()
    }


def outcomes_of(faults: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Try faults with one file of tests after another, until one notices; return {fault: exit code}, 0: unnoticed."""
    found = dict.fromkeys(faults, 0)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(WORK), os.environ.get("PYTHONPATH", "")])}
    for path in sorted({test.partition("::")[0] for tests in faults.values() for test in tests}):
        here = {fault: [test for test in tests if test.startswith(path)] for fault, tests in faults.items()}
        here = {fault: tests for fault, tests in here.items() if tests and not found[fault]}
        (WORK / OUTCOMES).unlink(missing_ok=True)
        command = [sys.executable, __file__, "--tests", path]
        subprocess.run(command, cwd=WORK, env=environment, input=json.dumps(here), text=True, check=True)
        with open(WORK / OUTCOMES, encoding="utf-8") as lines:
            found |= dict(line for line in map(json.loads, lines) if line[0])
    return found


def main() -> None:
    """Try a sample of faults and print the score of each package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=60, help="faults of each package (default 60)")
    parser.add_argument("--all", action="store_true", help="all faults, in place of a sample")
    parser.add_argument("--seed", type=int, default=20261130, help="of the sample")
    parser.add_argument("--package", action="append", help="only this one; may be given again")
    parser.add_argument("--tests", help=argparse.SUPPRESS)  # a file of them, to try the faults of the input with
    options = parser.parse_args()
    if options.tests:
        plain = ["-q", "--rootdir=.", "--tb=short", "-p", "no:xdist", "-p", "no:cacheprovider"]
        sys.exit(pytest.main([*plain, options.tests], plugins=[Trials(json.load(sys.stdin))]))
    faults = make_faults()
    moments = random.Random(options.seed)
    print(f"seed {options.seed}")
    for package in sorted({fault.partition(".")[0] for fault in faults}):
        of_package = sorted(fault for fault in faults if fault.startswith(f"{package}."))
        tried = of_package if options.all else moments.sample(of_package, min(options.each, len(of_package)))
        if options.package and package not in options.package:
            continue
        found = outcomes_of({fault: faults[fault] for fault in tried})
        survived = sorted(fault for fault, code in found.items() if not code)
        print(f"{package}: {len(found) - len(survived)} of {len(found)} noticed; {len(of_package)} there are")
        for fault in survived:
            print(f"  {'survived' if faults[fault] else 'not reached'}: python -m mutmut show {fault}", flush=True)


if __name__ == "__main__":
    main()
