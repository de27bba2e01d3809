"""The browser's libraries are those that were vendored, with their licences; templates hold no script of their own."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
VENDOR = WEB / "static" / "vendor"
LISTED = tomllib.loads((VENDOR / "vendor.toml").read_text(encoding="utf-8"))
FREE = {"0BSD", "MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0"}
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
# What the Content-Security-Policy blocks, and what htmx would evaluate as code.
FORBIDDEN = {
    "an inline script": r"<script(?![^>]*\b(?:src=|type=\"application/json\"))[^>]*>",
    "an inline style": r"<style|\sstyle=",
    "a handler": r"\son[a-z]+\s*=",
    "hx-on": r"\bhx-on\b",
    "js:": r"=\s*[\"'](?:js|javascript):",
    "a trigger's filter": r"hx-trigger=\"[^\"]*\[",
    "another site": r"(?:src|href|action|hx-get|hx-post)=\"(?:https?:)?//",
}


@pytest.mark.parametrize("folder", sorted(path.name for path in VENDOR.iterdir() if path.is_dir()))
def test_a_library_is_unchanged_and_has_its_licence(folder: str) -> None:
    told = LISTED[folder]
    assert told["license"] in FREE
    assert folder.endswith(f"-{told['version']}")
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (VENDOR / folder).iterdir()}
    assert sums == told["sha256"]
    assert any(name.upper().startswith("LICENSE") for name in sums)


def test_every_library_that_is_listed_is_there() -> None:
    assert set(LISTED) == {path.name for path in VENDOR.iterdir() if path.is_dir()}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_nothing_that_a_strict_policy_blocks(path: Path) -> None:
    template = path.read_text(encoding="utf-8")
    assert {what for what, pattern in FORBIDDEN.items() if re.search(pattern, template, re.IGNORECASE)} == set()


@pytest.mark.parametrize(
    "bad",
    [
        "<script>x</script>",
        '<p style="x">',
        '<a onclick="x">',
        '<b hx-on:click="x">',
        '<b hx-vals="js:{}">',
        '<b hx-trigger="click[x]">',
        '<img src="//evil.com/x">',
    ],
)
def test_what_is_forbidden_is_found(bad: str) -> None:
    assert any(re.search(pattern, bad, re.IGNORECASE) for pattern in FORBIDDEN.values())
    assert not any(
        re.search(pattern, '<script src="/static/a.js" type="module"></script>') for pattern in FORBIDDEN.values()
    )


def test_static_files_that_templates_name_exist() -> None:
    for path in TEMPLATES:
        for name in re.findall(r'"/static/([^"{]+)"', path.read_text(encoding="utf-8")):
            assert (WEB / "static" / name).is_file(), f"{path.name}: {name}"
