"""How Sphinx makes a site of docs/: `make site`. Pages are plain Markdown, which the forge shows as well.

docs/index.md is the one list of pages: its headings and links become the navigation, and a page that it does not name
comes last. The reference of commands and of the façade is written from the program itself.
"""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import aliens
import cli
from base import __version__

DOCS = Path(__file__).parent
WIDTH = 92  # characters of the helps
project = "CV-Aliens"
release = version = __version__
copyright = "Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["*.py"]
myst_heading_anchors = 3  # as the forge has them
highlight_language = "none"
default_role = "literal"  # of docstrings, whose backticks are Markdown's
html_theme = "furo"
html_title = f"CV-Aliens {__version__}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
LISTED = re.compile(r"^- \[[^\]]+\]\(([\w.-]+)\.md\)", re.MULTILINE)
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")  # links that lead out of docs/, to what the site has not
NOT_FOR_USERS = "at_desk,catalog,close,desk,encoder,folder,index,is_writable,path,photo,read_desk,searcher"


def navigated(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the first page the navigation that its own lists say; take links out of docs/ from all."""
    source[0] = OUTSIDE.sub(r"`\1`", source[0])
    if name != "index":
        return
    parts = re.split(r"^## (.+)\n", source[0], flags=re.MULTILINE)[1:]
    headings = {heading: LISTED.findall(body) for heading, body in zip(parts[::2], parts[1::2], strict=True)}
    named = {page for pages in headings.values() for page in pages}
    headings["More"] = sorted({path.stem for path in DOCS.glob("*.md")} - named - {"index"})
    for heading, pages in headings.items():
        if pages:
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n" + "\n".join(pages) + "\n```\n"


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
                section += nodes.literal_block("", command.get_help(below), language="none")
                made.append(section)
                if hasattr(command, "commands"):
                    self._add(command, below, made)


class Facade(SphinxDirective):
    """The docstrings of what `import aliens` gives."""

    def run(self) -> list[nodes.Node]:
        """Return what autodoc makes of them."""
        lines = [".. automodule:: aliens", "   :no-members:", ""]
        lines += [line for name in ("create", "open", "check_engine", "download_hotels50k") for line in autodoc(name)]
        lines += [".. autoclass:: aliens.Library", "   :members:", "   :inherited-members:"]
        lines += [f"   :exclude-members: {NOT_FOR_USERS}", ""]
        lines += [line for name in aliens.ERRORS for line in (f".. autoexception:: aliens.{name}", "")]
        return self.parse_text_to_nodes(StringList(lines, source=""), allow_section_headings=True)


def autodoc(name: str) -> list[str]:
    """Return the lines that document a function of the façade."""
    return [f".. autofunction:: aliens.{name}", ""]


def setup(app: Sphinx) -> None:
    """Put the above into Sphinx."""
    app.connect("source-read", navigated)
    app.add_lexer("query", TextLexer)
    app.add_directive("commands", Commands)
    app.add_directive("facade", Facade)
