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
    if (chosen := request.cookies.get(COOKIE, "")) in LANGUAGES:
        return chosen
    asked = [weighed(part) for part in request.headers.get("accept-language", "").split(",")[:20]]
    liked = sorted((part for part in asked if part[1] in LANGUAGES and part[0] > 0), key=lambda part: -part[0])
    return liked[0][1] if liked else "en"


def weighed(part: str) -> tuple[float, str]:
    """Return how much a language is wanted, 0 to 1, and its code, of a part of Accept-Language such as ru-RU;q=0.8."""
    name, _, weight = part.partition(";")
    try:
        wanted = float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        wanted = 0.0
    return wanted, name.strip()[:2].lower()
