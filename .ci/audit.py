"""Say which of the pinned packages have known vulnerabilities. Asks the network; without one it says so, and passes.

    python .ci/audit.py

Exceptions stand in audit-exceptions.txt beside this, each with its reason: `ID  why it does not matter here`. One that
no pinned version needs any more fails as well, so that it is taken out.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PINS, EXCEPTIONS = HERE.parent / "constraints.txt", HERE / "audit-exceptions.txt"
SERVICES = ("pypi", "osv")  # the second where the first has no advisories
PATIENCE_S = 90


def advisories(service: str) -> list[dict[str, object]]:
    """Return what a service says of each pinned package; nothing where it cannot be asked."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(PINS), "--no-deps", "--disable-pip", "-s", service]
    command += ["-f", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False).stdout
        return list(json.loads(said)["dependencies"])
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return []


def main() -> int:
    """Return the exit status: 1 where a vulnerability is known and is no exception, or an exception is of none."""
    lines = [line.split(maxsplit=1) for line in EXCEPTIONS.read_text(encoding="utf-8").splitlines()]
    reasons = {line[0]: line[1] for line in lines if len(line) == 2 and not line[0].startswith("#")}
    for service in SERVICES:
        told = advisories(service)
        asked = [package for package in told if "skip_reason" not in package]
        if asked:
            break
    else:
        print("pip-audit: no package could be audited, neither PyPI nor OSV gave advisories: is there a network?")
        return 0
    found = [(package, vulnerability) for package in asked for vulnerability in package.get("vulns", [])]
    open_ones, needed = 0, set[str]()
    for package, vulnerability in found:
        names = {vulnerability["id"], *vulnerability.get("aliases", [])}
        needed |= names
        reason = next((reasons[name] for name in names if name in reasons), None)
        open_ones += reason is None
        fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version"
        print(f"{package['name']} {package['version']}: {vulnerability['id']}, mended in {fixed}; {reason or 'OPEN'}")
    print(f"pip-audit: {len(asked)} packages audited, {len(found)} vulnerabilities, {open_ones} of them no exception")
    stale = sorted(reasons.keys() - needed) if asked == told else []  # of a package that was skipped nobody knows
    for name in stale:
        print(f"{name}: no pinned version has it any more: take it out of {EXCEPTIONS.name}")
    return int(open_ones > 0 or bool(stale))


if __name__ == "__main__":
    sys.exit(main())
