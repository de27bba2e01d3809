"""The languages of the pages: English, which the templates are written in, and those in locale/."""

import gettext
from functools import lru_cache
from pathlib import Path

from fastapi import Request

LOCALE = Path(__file__).parent / "locale"
LANGUAGES = {"en": "English", "ru": "Русский"}
COOKIE = "language"


@lru_cache(maxsize=4)
def translations(language: str) -> gettext.NullTranslations:
    """Return the texts of a language; English stands for what is not translated."""
    return gettext.translation("messages", LOCALE, [language], fallback=True)


def language_of(request: Request) -> str:
    """Return the reader's language: the one that was chosen, or the first that the browser asks for and we have."""
    chosen = request.cookies.get(COOKIE, "")
    asked = [
        part.partition(";")[0].strip()[:2].lower() for part in request.headers.get("accept-language", "").split(",")
    ]
    return next((each for each in [chosen, *asked] if each in LANGUAGES), "en")
