"""Mutation testing: small faults are put into the code one by one, and the tests must notice: `make mutants`.

Which files are changed, and which tests must notice, stands in pyproject.toml under [tool.mutmut]. A sample of the
faults of each package is tried, drawn by a seed that is printed; --all tries them all, which takes hours.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "mutants"  # mutmut's copy of the tree, with all faults in it
UNNOTICED = (0, 33)  # exit codes: of pytest where all tests pass, and mutmut's own where none reaches a fault
NONE = ("no such fault",)  # which mutmut says is none of those that it has made until then


def mutmut(*arguments: str) -> None:
    """Run mutmut at the tree's root; it makes faults of files that have changed, and finds which tests reach them.

    What many tests need, such as embedded samples, is made once for all of them.
    """
    shared = WORK / "tmp"
    shared.mkdir(parents=True, exist_ok=True)
    environment = {"PYTEST_XDIST_WORKER": "mutants", "PYTEST_DEBUG_TEMPROOT": str(shared), "OMP_NUM_THREADS": "1"}
    environment |= {"CI": "1"}  # Hypothesis tries the same examples each time
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *arguments]
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=arguments != NONE)


def results() -> dict[str, dict[str, int | None]]:
    """Return {package: {fault: exit code of the tests that were to notice it}}."""
    found: dict[str, dict[str, int | None]] = {}
    for file in sorted(WORK.rglob("*.py.meta")):
        package = file.relative_to(WORK).parts[0]
        found.setdefault(package, {}).update(json.loads(file.read_text())["exit_code_by_key"])
    return found


def main() -> None:
    """Try a sample of faults and print the score of each package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=60, help="faults of each package (default 60)")
    parser.add_argument("--all", action="store_true", help="all faults, in place of a sample")
    parser.add_argument("--seed", type=int, default=20261130, help="of the sample")
    parser.add_argument("--package", action="append", help="only this one; may be given again")
    options = parser.parse_args()
    shutil.rmtree(WORK / "tmp", ignore_errors=True)
    mutmut(*NONE)
    moments = random.Random(options.seed)
    tried: list[str] = []
    for package, faults in results().items():
        if options.package and package not in options.package:
            continue
        tried += sorted(faults) if options.all else moments.sample(sorted(faults), min(options.each, len(faults)))
    mutmut(*tried)
    print(f"seed {options.seed}")
    for package, faults in results().items():
        codes = {name: code for name, code in faults.items() if name in set(tried)}
        if not codes:
            continue
        survived = sorted(name for name, code in codes.items() if code in UNNOTICED)
        print(f"{package}: {len(codes) - len(survived)} of {len(codes)} noticed; {len(faults)} there are")
        for name in survived:
            print(f"  survived: python -m mutmut show {name}")


if __name__ == "__main__":
    main()
