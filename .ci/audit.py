"""Say which of the pinned packages have known vulnerabilities. Asks the network; without one it says so, and passes.

    python .ci/audit.py

Exceptions stand in audit-exceptions.txt beside this, each with its reason: `ID  why it does not matter here`.
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
    """Return the exit status: 1 where a vulnerability is known and is no exception."""
    lines = [line.split(maxsplit=1) for line in EXCEPTIONS.read_text(encoding="utf-8").splitlines()]
    reasons = {line[0]: line[1] for line in lines if len(line) == 2 and not line[0].startswith("#")}
    for service in SERVICES:
        asked = [package for package in advisories(service) if "skip_reason" not in package]
        if asked:
            break
    else:
        print("pip-audit: no package could be audited, neither PyPI nor OSV gave advisories: is there a network?")
        return 0
    found = [(package, vulnerability) for package in asked for vulnerability in package.get("vulns", [])]
    open_ones = 0
    for package, vulnerability in found:
        names = {vulnerability["id"], *vulnerability.get("aliases", [])}
        reason = next((reasons[name] for name in names if name in reasons), None)
        open_ones += reason is None
        fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version"
        print(f"{package['name']} {package['version']}: {vulnerability['id']}, mended in {fixed}; {reason or 'OPEN'}")
    print(f"pip-audit: {len(asked)} packages audited, {len(found)} vulnerabilities, {open_ones} of them no exception")
    return int(open_ones > 0)


if __name__ == "__main__":
    sys.exit(main())
