"""Every text of the pages is there in every language, and the catalogues are those of their parts."""

import datetime
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from search.query import CHOICES, SIZES
from search.suggestions import OPERATORS
from web.catalogues import TRANSLATED, untranslated, written
from web.rendering import environment
from web.translations import translations

TEMPLATES = Path(__file__).parents[2] / "web" / "templates"
UNTRANSLATED = {
    "CV-Aliens",
    "HTTP",
    "UTC",
    "px",
    "Esc",
    "Enter",
    "Ctrl",
    "Shift",
    "Home",
    "End",
}  # names, and what keys are called
ATTRIBUTE = re.compile(r'\b(?:alt|title|aria-label)="([^"{]*)"')


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated(language: str) -> None:
    assert untranslated(language) == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_catalogues_are_those_of_their_parts(language: str) -> None:
    for path, content in written(language).items():
        assert path.read_bytes() == content, f"{path} is of other texts: make translations"


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_words_of_a_search_are_explained_in_every_language(language: str) -> None:
    assert [about for about in OPERATORS.values() if translations(language).gettext(about) == about] == []


def test_values_that_the_library_names_read_as_words() -> None:
    named = environment("en").get_template("value_words.html").module.value_words  # type: ignore[attr-defined]
    assert {f"size:{name}" for name in SIZES} | {f"color:{name}" for name in CHOICES["color"]} <= set(named)


def words_in(template: str) -> list[str]:
    """Return the words of a template that are shown as they stand, in no language but that of the template."""
    template = re.sub(r"{% block htmx %}.*?{% endblock %}", "", template)  # settings for a program
    text = re.sub(
        r"{#.*?#}|{%-?\s*trans\b.*?endtrans\s*-?%}|<(script|code|kbd|pre)\b.*?</\1>", " ", template, flags=re.DOTALL
    )
    text = re.sub(r"{{.*?}}|{%.*?%}", "", text, flags=re.DOTALL)
    shown = [*ATTRIBUTE.findall(text), re.sub(r"<[^>]*>", " ", text)]
    return [word for part in shown for word in re.findall(r"[A-Za-z][A-Za-z-]+", re.sub(r"&\w+;", " ", part))]


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_no_template_has_words_of_its_own(path: Path) -> None:
    words = words_in(path.read_text(encoding="utf-8"))
    if path.name == "problem_kind.html":  # what errors say is English, and so is the page about them
        words = []
    assert [word for word in words if word not in UNTRANSLATED] == [], "put them into _(...) or {% trans %}"


def test_words_that_stand_in_a_template_are_found() -> None:
    assert words_in('<p>Hello {{ _("you") }}<img alt="a room" title="{{ _("x") }}">{% trans %}yes{% endtrans %}') == [
        "room",
        "Hello",
    ]


def test_plurals_numbers_and_sizes_are_those_of_the_language() -> None:
    shown = "{{ 1234567|number }} {{ 0.5|percent }} {{ 12500000|megabytes }} {{ moment|date }}"
    moment = datetime.date(2018, 6, 16)
    said = {language: environment(language).from_string(shown).render(moment=moment) for language in ("en", "ru")}
    assert said["en"] == "1,234,567 50% 12.5 MB Jun 16, 2018"
    assert re.sub(r"\s", " ", said["ru"]) == "1 234 567 50 % 12,5 МБ 16 июн. 2018 г."


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("de,en;q=0.7,ru;q=0.9", "ru"),
        ("de, fr", "en"),
        ("en-GB,ru;q=0.5", "en"),
        ("ru;q=0,en", "en"),
        ("ru;q=x", "en"),
        ("," * 10_000, "en"),
        ("", "en"),
    ],
)
def test_the_browsers_language_is_taken_by_its_weight(client: TestClient, asked: str, language: str) -> None:
    page = client.get("/sign-in", headers={"accept-language": asked})
    assert f'<html lang="{language}">' in page.text
    assert translations("ru").gettext("Token") in page.text or language == "en"


def test_a_language_that_was_chosen_goes_before_the_browsers(client: TestClient) -> None:
    for chosen, shown in (("ru", "ru"), ("../../etc", "en")):
        answer = client.get("/sign-in", headers={"accept-language": "en", "cookie": f"language={chosen}"})
        assert f'<html lang="{shown}">' in answer.text
