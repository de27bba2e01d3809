"""The texts of pages, gathered from templates and modules, and the catalogues of their translations.

`make translations` runs it. What translators write is web/locale/LANGUAGE/*.po, a part for each group of pages; the
catalogue that pages read, LC_MESSAGES/messages.po and .mo, is made of the parts.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from base import console
from base.errors import SourceError
from web.translations import LANGUAGES, LOCALE

HERE = Path(__file__).parent
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"templates/**.html": {"newstyle_gettext": "true", "silent": "false", "trimmed": "false"}}
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "gettext": None, "N_": None, "ngettext": (1, 2)}
TRANSLATED = [language for language in LANGUAGES if language != "en"]
# Without a date: the same texts make the same files.
HEADER = """\
# Made of the parts beside this folder by `make translations`.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Language: {language}\\n"
"Plural-Forms: {plural_forms}\\n"

"""
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Texts = str | tuple[str, ...]  # a text, or one with its plural


def page_texts() -> Iterator[tuple[str, Texts]]:
    """Yield every text of the pages to be translated, with the file where it is."""
    found = extract_from_dir(HERE, METHODS, OPTIONS, KEYWORDS)
    for file, _, text, _, _ in found:
        yield file, text


def parts(language: str) -> Iterator[tuple[Path, Catalog]]:
    """Yield the parts of a language's catalogue. Raises: SourceError: one cannot be read."""
    for path in sorted((LOCALE / language).glob("*.po")):
        try:
            yield path, read_po(io.BytesIO(path.read_bytes()), locale=language, abort_invalid=True)
        except (ValueError, UnicodeError, OSError) as error:
            raise SourceError(f"{path} cannot be read: {error}") from error


def catalogue(language: str) -> Catalog:
    """Return the translations of a language, those of all parts together.

    Raises: SourceError: a part cannot be read, or two translate a text differently.
    """
    made = Catalog(locale=language)
    translators: dict[str, tuple[Path, object]] = {}
    for path, part in parts(language):
        for message in part:
            if not message.id or not is_translated(message):
                continue
            single = message.id if isinstance(message.id, str) else message.id[0]
            before = translators.setdefault(single, (path, message.string))
            if before[1] != message.string:
                raise SourceError(f"{before[0].name} and {path.name} translate {single!r} differently: choose one")
            made.add(message.id, message.string)
    return made


def is_translated(message: Message) -> bool:
    """Tell whether a text has its translation, in each of its forms."""
    forms = message.string if isinstance(message.string, tuple) else (message.string,)
    return all(forms) and not message.fuzzy


def untranslated(language: str) -> list[str]:
    """Return the texts that a language lacks, each with the file where it is."""
    known = catalogue(language)
    lacking = []
    for file, text in page_texts():
        single = text if isinstance(text, str) else text[0]
        message = known.get(single)
        if message is None or isinstance(text, tuple) != isinstance(message.id, tuple):
            lacking.append(f"{file}: {single}")
    return sorted(set(lacking))


def written(language: str) -> dict[Path, bytes]:
    """Return the files of a language's catalogue as they have to be, by their paths; the same whenever it is made."""
    made, folder, po, mo = catalogue(language), LOCALE / language / "LC_MESSAGES", io.BytesIO(), io.BytesIO()
    po.write(HEADER.format(language=language, plural_forms=made.plural_forms).encode())
    write_po(po, made, sort_output=True, no_location=True, omit_header=True)
    dated = read_po(io.BytesIO(po.getvalue()))
    dated.creation_date = dated.revision_date = EPOCH
    write_mo(mo, dated)
    return {folder / "messages.po": po.getvalue(), folder / "messages.mo": mo.getvalue()}


def write_catalogues() -> None:
    """Write the catalogues, and say which texts have no translation."""
    for language in TRANSLATED:
        for path, content in written(language).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        lacking = untranslated(language)
        console.say(f"{language}: {len(list(catalogue(language)))} texts, {len(lacking)} lack a translation")
        for text in lacking:
            console.say(f"  {text}")


if __name__ == "__main__":
    write_catalogues()
