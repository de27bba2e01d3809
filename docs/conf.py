"""How Sphinx makes a site of docs/: `make site`. Pages are plain Markdown, which the forge shows as well.

docs/index.md is the one list of pages: its headings and links become the navigation, and a page that it does not name
comes last. The reference of commands is written from the program itself, that of the façade (docs/api.md) by autodoc.
"""

import logging
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import cli
from base import __version__

DOCS = Path(__file__).parent
logging.getLogger("faiss").setLevel(logging.WARNING)  # it would tell how it was loaded
WIDTH = 92  # characters of the helps
project = "CV-Aliens"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["*.py"]
myst_heading_anchors = 3  # as the forge has them
highlight_language = "none"
default_role = "literal"  # of docstrings, whose backticks are Markdown's
html_theme = "furo"
html_title = f"CV-Aliens {__version__}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
LISTED = re.compile(r"^- \[([^\]]+)\]\(([\w.-]+)\.md\)", re.MULTILINE)
STYLE = re.compile(r"\x1b\[\d*m")  # of terminals
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")  # links that lead out of docs/, to what the site has not


def navigated(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the first page the navigation that its own lists say; take links out of docs/ from all."""
    source[0] = OUTSIDE.sub(r"`\1`", source[0])
    if name != "index":
        return
    parts = re.split(r"^## (.+)\n", source[0], flags=re.MULTILINE)[1:]
    headings = {heading: LISTED.findall(body) for heading, body in zip(parts[::2], parts[1::2], strict=True)}
    named = {page for pages in headings.values() for _, page in pages}
    rest = sorted({path.stem for path in DOCS.glob("*.md")} - named - {"index"})
    headings["More"] = [(page.replace("-", " ").capitalize(), page) for page in rest]
    for heading, pages in headings.items():
        if pages:
            lines = [f"{title} <{page}>" for title, page in pages]
            source[0] += "\n".join(["\n\n```{toctree}", ":hidden:", f":caption: {heading}", "", *lines, "```\n"])


class Commands(SphinxDirective):
    """Every command's help, under a heading of its own."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each command."""
        made: list[nodes.Node] = []
        root = cli.command_line()
        with root.make_context("aliens", [], resilient_parsing=True, terminal_width=WIDTH) as context:
            self._add(root, context, made)
        return made

    def _add(self, group: Any, context: Any, made: list[nodes.Node]) -> None:
        for name in group.list_commands(context):
            command = group.commands[name]
            if command.hidden:
                continue
            with type(context)(command, info_name=name, parent=context) as below:
                title = below.command_path
                section = nodes.section(ids=[title.replace(" ", "-")], names=[title])
                section += nodes.title("", title)
                section += nodes.literal_block("", STYLE.sub("", command.get_help(below)), language="none")
                made.append(section)
                if hasattr(command, "commands"):
                    self._add(command, below, made)


def readable(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Have a docstring of ours read as one of Google's: asterisks are text, `Raises: X: why` is a section."""
    raising = False
    read: list[str] = []
    for line in lines:
        said = line.replace("*", "\\*")
        if said.startswith("Raises: "):
            read, said, raising = [*read, "Raises:"], said.removeprefix("Raises: "), True
        raising = raising and bool(said)
        read.append(f"    {said}" if raising else said)
    lines[:] = read


def setup(app: Sphinx) -> None:
    """Put the above into Sphinx."""
    app.connect("source-read", navigated)
    app.connect("autodoc-process-docstring", readable, priority=400)  # before napoleon
    app.add_lexer("query", TextLexer)
    app.add_directive("commands", Commands)
