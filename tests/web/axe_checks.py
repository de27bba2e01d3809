"""Whether a page can be used by everybody, as axe sees it."""

from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def faults(page: Page, *schemes: Literal["light", "dark"]) -> list[str]:
    """Return what axe finds that is serious or critical, in some schemes of colours, or as the page is."""
    found = []
    for scheme in schemes or ("",):
        if scheme:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                shown = [node["html"][:120] for node in violation["nodes"][:3]]
                found.append(f"{scheme} {violation['id']}: {shown}")
    if schemes:
        page.emulate_media(color_scheme="light")
    return found


def is_too_wide(page: Page) -> bool:
    """Tell whether a page has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
