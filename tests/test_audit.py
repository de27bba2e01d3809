"""What .ci/audit.py makes of advisories, without asking anybody."""

import runpy
from pathlib import Path
from typing import Any

import pytest

AUDIT = runpy.run_path(str(Path(__file__).parents[1] / ".ci" / "audit.py"))
SOUND: dict[str, Any] = {"name": "numpy", "version": "2.0", "vulns": []}
KNOWN = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["9.9"]}


@pytest.mark.parametrize(
    ("told", "exceptions", "status", "words"),
    [
        ([SOUND], "# ID, then why\n", 0, "0 vulnerabilities"),
        ([SOUND | {"vulns": [KNOWN]}], "", 1, "numpy 2.0: PYSEC-1, mended in 9.9; OPEN"),
        ([SOUND | {"vulns": [KNOWN]}], "CVE-1  nobody calls it\n", 0, "mended in 9.9; nobody calls it"),
        ([SOUND], "CVE-1  nobody calls it\n", 1, "CVE-1: no pinned version has it any more: take it out of"),
        ([SOUND, {"name": "torch", "skip_reason": "unknown"}], "CVE-1  nobody calls it\n", 0, "1 packages audited"),
        ([], "CVE-1  nobody calls it\n", 0, "is there a network?"),
    ],
)
def test_what_is_known_fails_and_so_does_an_exception_that_nothing_needs(
    told: list[dict[str, Any]],
    exceptions: str,
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "exceptions.txt").write_text(exceptions, encoding="utf-8")
    main = AUDIT["main"]
    monkeypatch.setitem(main.__globals__, "advisories", lambda service: told)
    monkeypatch.setitem(main.__globals__, "EXCEPTIONS", tmp_path / "exceptions.txt")
    assert main() == status
    assert words in capsys.readouterr().out
