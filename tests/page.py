"""HTML pages as tests look at them: what is in them, whether every element that is opened is closed again."""

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser

from PIL import Image

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
ADDRESSES = {"src", "href", "srcset", "action", "poster", "data"}


@dataclass
class Page:
    """What a page holds. problems: elements that are not closed in order, attributes given twice, ids used twice."""

    source: str
    tags: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)  # alternative text, address
    inputs: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)  # by id, "" for none
    text: str = ""


class Reader(HTMLParser):
    """Reads a page."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.script_id = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        page = self.page
        page.tags.append(tag)
        if len(known) != len(attributes):
            page.problems.append(f"{tag} has an attribute twice")
        if (name := known.get("id")) is not None:
            if name in self.ids:
                page.problems.append(f"id {name} twice")
            self.ids.add(name)
        page.addresses += [value or "" for name, value in attributes if name in ADDRESSES]
        if tag == "img":
            if known.get("alt") is None:
                page.problems.append("a picture without an alternative text")
            page.pictures.append((known.get("alt") or "", known.get("src") or ""))
        if tag == "input":
            page.inputs.append(known.get("type") or "text")
        if tag == "script":
            self.script_id = known.get("id") or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.page.problems.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.page.scripts[self.script_id] = self.page.scripts.get(self.script_id, "") + data
        elif self.open[-1:] != ["style"]:
            self.page.text += data


def read_page(source: str) -> Page:
    """Return what a page holds."""
    page = Page(source)
    reader = Reader(page)
    reader.feed(source)
    reader.close()
    page.problems += [f"{tag} is never closed" for tag in reader.open]
    return page


def picture_of(address: str) -> Image.Image:
    """Return the picture that a data: URI holds."""
    head, _, data = address.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def pictures_of(page: Page) -> list[tuple[str, Image.Image]]:
    """Return the pictures that a page shows, each with its alternative text."""
    return [(alt, picture_of(address)) for alt, address in page.pictures]
