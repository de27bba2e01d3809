"""Templates with their language: every page is rendered here. Knows no page."""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from gettext import NullTranslations
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from babel.dates import format_date
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from base import __version__
from base.console import one_line
from embedding.html_pages import with_code
from web.translations import LANGUAGES, language_of, translations

DONE_ON = {  # which page does what a command does, by the name that the bar has for it
    "tag": ("/tags", "Tags"),
    "add": ("/library", "Library"),
    "verify": ("/library", "Library"),
    "index": ("/library", "Library"),
    "restyle": ("/basket", "Basket"),
}
TOLD = re.compile(rf"<code>aliens ({'|'.join(DONE_ON)})\b[^<]*</code>")
HERE = Path(__file__).parent


@lru_cache(maxsize=4)
def environment(language: str) -> Environment:
    """Return the templates in a language: everything is escaped, no name may be left undefined."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        finalize=lambda value: one_line(value) if type(value) is str else value,  # what is markup already stays
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    for name in ("gettext", "ngettext"):
        made.globals[name] = with_one_line_values(cast(Callable[..., Any], made.globals[name]))
    made.globals.update(version=__version__, language=language, languages=LANGUAGES)
    made.filters |= formats(language)
    made.filters["told"] = partial(with_pages, words=translations(language))
    return made


def with_one_line_values(translate: Callable[..., Any]) -> Callable[..., Any]:
    """Return what translates a text as before, and shows what is hidden in the values that are put into it."""

    @pass_context
    def translated(context: Context, *texts: Any, **values: Any) -> Any:
        plain = {name: one_line(value) if type(value) is str else value for name, value in values.items()}
        return translate(context, *texts, **plain)

    return translated


def with_pages(text: str, words: NullTranslations) -> Markup:
    """Return what the library says, with a link behind each command to the page that does the same."""
    seen = set[str]()

    def linked(command: re.Match[str]) -> str:
        address, name = DONE_ON[command[1]]
        if address in seen:
            return command[0]
        seen.add(address)
        return f'{command[0]} (<a href="{address}">{escape(words.gettext(name))}</a>)'

    return Markup(TOLD.sub(linked, with_code(text)))  # which has escaped the text  # nosec B704


def formats(language: str) -> dict[str, Callable[..., str]]:
    """Return the filters that write values as readers of a language do: number, percent, date, megabytes."""
    return {
        "number": lambda value, form=None: format_decimal(value, form, locale=language),
        "percent": lambda share: format_percent(share, locale=language),
        "date": lambda moment: format_date(moment, "medium", locale=language),
        "megabytes": lambda size: format_unit(size / 1e6, "megabyte", "short", "#,##0.0#", locale=language),
    }


def page(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """Return a page, or a fragment of one, in the reader's language."""
    begun = perf_counter()
    text = environment(language_of(request)).get_template(template).render(request=request, **values)
    request.app.state.opened.metrics.took("render", perf_counter() - begun)
    return HTMLResponse(text, status, {"Vary": "Cookie, Accept-Language, HX-Request"})
