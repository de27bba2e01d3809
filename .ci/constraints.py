"""Write constraints.txt: the versions of all packages that the tests ran with here, and whatever it said for others.

    python .ci/constraints.py

Looks at what is installed of the extras that `make install` asks for, and of what these ask for. Left out is what torch
wants in one version anyway, by platform. What is pinned for another Python, or another build of FAISS, stays.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

FILE = Path(__file__).parents[1] / "constraints.txt"
EXTRAS = ("cpu", "gpu", "dev", "milvus-lite")
OF_TORCH = re.compile("nvidia-.*|cuda-.*|triton")
TOOLS = ("pip", "setuptools", "wheel")
HEAD = """\
# The versions that the tests ran with, for `make`; pyproject.toml has the ranges. Written by `make constraints`.
"""


def installed() -> dict[str, str]:
    """Return {name: version} of what our extras ask for, as far as it is here."""
    ours = tomllib.loads((FILE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first = [*ours["dependencies"], *(text for extra in EXTRAS for text in ours["optional-dependencies"][extra])]
    found: dict[str, str] = {}
    asked = list(wanted_by(first, ""))
    seen = set(asked)
    while asked:
        name, extra = asked.pop()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = Version(package.version).public  # without the build, such as +cpu
        more = set(wanted_by(package.requires or (), extra)) - seen
        asked += more
        seen |= more
    return {name: found[name] for name in found if not OF_TORCH.fullmatch(name) and name not in TOOLS}


def wanted_by(texts: Iterable[str], extra: str) -> Iterator[tuple[str, str]]:
    """Yield (name, extra) of the requirements that hold here, "" for the package itself."""
    for wanted in map(Requirement, texts):
        if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
            yield from ((canonicalize_name(wanted.name), each) for each in ("", *wanted.extras))


def main() -> None:
    """Write the file."""
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    kept = [pin for pin in pins if pin.marker is not None and not pin.marker.evaluate()]
    here = installed()
    kept += [pin for pin in pins if pin.name.startswith("faiss-") and pin.name not in here]
    markers = {pin.name: pin.marker for pin in pins if pin.marker is not None and pin not in kept}
    found = {name: f"=={version}" + (f"; {markers[name]}" if name in markers else "") for name, version in here.items()}
    rows = sorted({*found.items(), *((pin.name, str(pin).removeprefix(pin.name)) for pin in kept)})
    FILE.write_text(HEAD + "".join(f"{name}{rest}\n" for name, rest in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
