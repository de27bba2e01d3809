"""Makes the pictures of the pages that docs/ shows, from the sample hotels; needs Chromium and playwright.

python docs/screenshots.py [FOLDER]
"""

import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import aliens
from aliens.library import Library
from base.settings import asset
from web.app import make_app
from web.web_settings import WebSettings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUALITY = 86  # of JPEG
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@dataclass(frozen=True)
class Shot:
    """A picture: its name, the address that it shows, the browser that it is seen in, and what is done before."""

    name: str
    address: str
    browser: dict[str, Any] = field(default_factory=lambda: {**DESKTOP, "locale": "en-GB"})
    before: Callable[[Page], object] = lambda page: None


def below_the_line(page: Page) -> None:
    """Scroll to the stop line and select two photos above it."""
    page.evaluate("scrollTo(0, document.querySelector('.line').getBoundingClientRect().top + scrollY - 520)")
    page.wait_for_load_state("networkidle")
    for rank in (page.locator(".tile:not(.below)[data-id]").last, page.locator(".tile:not(.below)[data-id]").nth(-3)):
        rank.locator(".pick input").check()
    page.locator(".tile:not(.below)[data-id]").nth(-2).hover()


def suggested(page: Page) -> None:
    """Type the beginning of a name, so that suggestions show."""
    page.locator("#box").press("End")
    page.locator("#box").press_sequentially(" cas")
    page.locator("#suggestions [role=option]").first.wait_for()
    page.locator("body:not(.asking)").wait_for()


SHOTS = [
    Shot("search-page", "/?q=bathtub+with+a+view", before=lambda page: page.locator(".tile").nth(1).hover()),
    Shot("search-page-line", "/?q=swimming+pool", before=below_the_line),
    Shot("search-page-suggestions", "/?q=a+balcony", before=suggested),
    Shot("search-page-map", "/?q=swimming+pool&view=map", before=lambda page: page.locator(".place").nth(1).hover()),
    Shot("search-page-dark", "/?q=a+balcony+at+night", {**DESKTOP, "color_scheme": "dark", "locale": "en-GB"}),
    Shot("search-page-russian", "/?q=a+bedroom+with+two+beds", {**DESKTOP, "locale": "ru-RU"}),
    Shot("stats", "/library/numbers", {"viewport": {"width": 1280, "height": 1180}, "locale": "en-GB"}),
    Shot("search-page-phone", "/?q=swimming+pool", {**PHONE, "locale": "en-GB"}),
]
HOTEL = "Azura Bay Marisol"  # whose part of an exported page is shown
WITHOUT_TUBS = ("a bathroom", "a bathroom -bathtub", "a bathroom -bathtub:1")


def hotel_of(page: Page) -> None:
    """Scroll to the hotel that is shown."""
    page.locator("section, article").filter(has_text=HOTEL).last.scroll_into_view_if_needed()
    page.evaluate(
        "name => scrollTo(0, [...document.querySelectorAll('h2, h3')].find(head => head.textContent.includes(name))"
        ".getBoundingClientRect().top + scrollY - 70)",
        HOTEL,
    )


def write_negation(library: Library, folder: Path, scratch: Path) -> None:
    """Write the five best of a query, with a minus word, and with all of its weight, below each other."""
    sheets = []
    for number, query in enumerate(WITHOUT_TUBS):
        library.search(query, k=5).write_sheet(scratch / f"{number}.jpg")
        sheets.append(Image.open(scratch / f"{number}.jpg"))
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), "white")
    for number, sheet in enumerate(sheets):
        whole.paste(sheet, (0, sum(before.height for before in sheets[:number])))
    whole.resize((1100, whole.height * 1100 // whole.width)).save(folder / "negation.jpg", quality=QUALITY)


def main() -> None:
    """Serve the tagged sample hotels and take every picture."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    with tempfile.TemporaryDirectory() as made, aliens.create(Path(made) / "library", model="starter") as library:
        library.add(hotels50k=asset("aliens/samples"))
        library.tag("case-study")
        write_negation(library, folder, Path(made))
        library.export_hotels(Path(made) / "hotels.html", gallery=6)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(make_app(library, WebSettings(port=port)), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for shot in SHOTS:
                take(chromium, f"http://127.0.0.1:{port}", shot, folder)
            hotels = {"viewport": {"width": 1000, "height": 586}, "locale": "en-GB"}
            take(chromium, f"file://{made}", Shot("hotels", "/hotels.html", hotels, hotel_of), folder)
            chromium.close()
        server.should_exit = True
        thread.join()


def take(chromium: Browser, url: str, shot: Shot, folder: Path) -> None:
    """Write one picture as JPEG."""
    page = chromium.new_page(**shot.browser)
    page.goto(url + shot.address)
    page.wait_for_load_state("networkidle")
    shot.before(page)
    page.wait_for_load_state("networkidle")
    picture = Image.open(BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    picture.save(folder / f"{shot.name}.jpg", quality=QUALITY, optimize=True, progressive=True)
    page.close()


if __name__ == "__main__":
    main()
