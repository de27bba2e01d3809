"""How long commands take to answer, against starting Python and importing open_clip; the best of several runs.

python benchmarks/startup.py [--runs 5]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from records import figure, recorded

ALIENS = Path(sys.executable).with_name("aliens")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "aliens --help": [str(ALIENS), "--help"],
    "aliens search --help": [str(ALIENS), "search", "--help"],
    "python -c 'import open_clip'": [sys.executable, "-c", "import open_clip"],
}


@recorded
def main() -> None:
    """Time every command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(runs):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            best[name] = min(best[name], time.perf_counter() - start)
    bare_s = best["python -c pass"]
    for name, seconds in best.items():
        print(f"{name:<30} {seconds:6.2f} s  {seconds / bare_s:6.1f} times bare Python")
        figure(name, seconds, "s")
        figure(f"{name} / bare Python", seconds / bare_s, "times as long")


if __name__ == "__main__":
    main()
