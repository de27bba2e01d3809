"""The query language: what a query consists of, reading it, writing it down. See docs/query-language.md.

Plain text means just that text; only the operators at the beginning of a word mean more. Searches nothing.
"""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from base.errors import QuerySyntaxError
from base.names import folded
from search.list_columns import read_column

Kind = Literal["text", "photo", "image"]
NEGATED = 0.3  # the weight of -words: of those tried, 1 throws away what was asked for (benchmarks/search_quality.py)
TERM_NAMES = {"like": "photo", "image": "image"}  # how a query writes terms that are no text
FILTER_NAMES = (
    *("hotel", "chain", "source", "tag", "near", "after", "before"),
    *("year", "size", "color", "orientation", "path", "column", "kind"),
)
ALIASES = {"colour": "color"}


@dataclass(frozen=True, slots=True)
class Term:
    """What photos should look like, or should not where the weight is negative.

    value: words, the id or the path of a photo of the library, or the path of a photo file.
    """

    kind: Kind
    value: str | int
    weight: float


@dataclass(frozen=True, slots=True)
class Filter:
    """Which photos may be hits at all.

    value: as it was written, checked. op, number: for tags alone, such as > and 0.6. negated: only the others.
    """

    name: str
    value: str
    op: str = ""
    number: float | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """Terms, which rank photos, and filters, which choose among them."""

    terms: tuple[Term, ...]
    filters: tuple[Filter, ...]


LONGEST_VALUE = 1_000  # characters
METRES = {"km": 1000.0, "m": 1.0, "mi": 1609.344}
NEAR = re.compile(r"(-?[0-9.]+),(-?[0-9.]+),([0-9.]+)(km|mi|m)", re.IGNORECASE | re.ASCII)
SIZE = re.compile(r"(>=|<=)?([0-9]{1,6})x([0-9]{1,6})", re.IGNORECASE | re.ASCII)
YEAR = re.compile(r"[0-9]{4}", re.ASCII)
DATE = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?", re.ASCII)
SIZES = {"small": (1, 640), "medium": (640, 1600), "large": (1600, 2**31 - 1)}  # px of the longer side, from and below
CHOICES = {
    "orientation": ("landscape", "portrait", "square"),
    "color": ("grey", "colour"),
    "kind": ("photo", "restyled", "any"),
}
SPELLINGS = {"gray": "grey", "color": "colour"}


@dataclass(frozen=True, slots=True)
class Near:
    """A circle on the earth: degrees, metres."""

    latitude: float
    longitude: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Size:
    """At least, or at most, so many pixels each way."""

    at_least: bool
    width_px: int
    height_px: int


def read_near(text: str) -> Near:
    """Return the circle that `48.85,2.35,10km` means."""
    match = NEAR.fullmatch(text)
    if match is None:
        raise ValueError("expected latitude,longitude,radius without spaces, such as 48.85,2.35,10km")
    try:
        latitude, longitude, radius = (float(number) for number in match.group(1, 2, 3))
    except ValueError:
        raise ValueError("expected numbers, such as 48.85,2.35,10km") from None
    if not -90 <= latitude <= 90:
        raise ValueError(f"the latitude {latitude:g} does not lie between -90 and 90 degrees")
    if not -180 <= longitude <= 180:
        raise ValueError(f"the longitude {longitude:g} does not lie between -180 and 180 degrees")
    if radius <= 0:
        raise ValueError("the radius has to be more than 0")
    return Near(latitude, longitude, radius * METRES[match.group(4).lower()])


def read_date(text: str) -> datetime:
    """Return the first moment of a year, a month or a day."""
    match = DATE.fullmatch(text)
    if match is None:
        raise ValueError("expected a year, a month or a day, such as 2015, 2015-01 or 2015-01-31")
    try:
        return datetime(*(int(part or 1) for part in match.groups()))  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{text} is no date: {error}") from None


def read_size(text: str) -> Size:
    """Return what `>=1024x728` means; without a sign at least is meant."""
    match = SIZE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"expected width x height in pixels, such as >=1024x728 or <=350x233, or one of {', '.join(SIZES)}"
        )
    return Size(match.group(1) != "<=", int(match.group(2)), int(match.group(3)))


def read_size_class(text: str) -> tuple[int, int] | None:
    """Return how long the longer side of small, medium or large photos is, in pixels: from, and below; None else."""
    return SIZES.get(text.lower())


def read_year(text: str) -> int:
    """Return a year; 0 for none."""
    if text.lower() == "none":
        return 0
    if not YEAR.fullmatch(text) or text == "0000":
        raise ValueError("expected a year, such as 2015, or none for photos without a date")
    return int(text)


def read_choice(name: str, text: str) -> str:
    """Return one of a filter's few values."""
    chosen = SPELLINGS.get(text.lower(), text.lower()) if name == "color" else text.lower()
    if chosen not in CHOICES[name]:
        remedy = "; for a colour of your choice say it in words, such as: a red room" if name == "color" else ""
        raise ValueError(f"expected {', '.join(CHOICES[name][:-1])} or {CHOICES[name][-1]}{remedy}")
    return chosen


def check_value(name: str, value: str, negated: bool = False) -> None:
    """Refuse a value that a filter cannot have. Raises: ValueError: says what was expected."""
    if not value.strip():
        raise ValueError(f"expected a value behind {name}:")
    if len(value) > LONGEST_VALUE:
        raise ValueError(f"the value behind {name}: has more than {LONGEST_VALUE:,} characters: shorten it")
    if name == "near":
        read_near(value)
    elif name in ("after", "before"):
        read_date(value)
    elif name == "year":
        read_year(value)
    elif name == "size":
        read_size_class(value) or read_size(value)
    elif name == "column":
        read_column(value)
    elif name in CHOICES and read_choice(name, value) == "any" and negated:
        raise ValueError("nothing is of no kind: write kind:photo or kind:restyled")


NAMES = (*FILTER_NAMES, *ALIASES, *TERM_NAMES)
NAME = re.compile(r"((?:[^\W\d_]|[\u0300-\u036f])+):(?=\S)")  # a letter's accent may be a character of its own
NUMBER = r"(?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)"  # possessive: thousands of digits are read once
WEIGHT = re.compile(rf":({NUMBER}\.?)(?=\s|$)")
LIKE_A_WEIGHT = re.compile(r":[-+]?[0-9.,]+", re.ASCII)
TIME = re.compile(r"[0-9]++:[0-9]++(?=\s|$)")  # 10:30 has no weight
COMPARISON = re.compile(rf"(>=|<=|>|<)({NUMBER})(?=\s|$)")
BARE = re.compile(r"\S+")
MOST_CHARACTERS = 200_000  # some ten thousand words
MOST_FILTERS = 100  # databases take statements of some hundred conditions
LIKENESS = 0.75  # from which a name is taken for a mistyped one


def parse(text: str) -> Query:
    """Return what a query means.

    Raises: QuerySyntaxError: it cannot be read; the message points at the character and says what was expected.
    """
    return Parser(text).query()


SHELL_WORD = re.compile(
    rf'(?P<head>[-+]?(?:{"|".join(NAMES)}):|[-+])(?P<value>[^"\s]+\s[^"]*?)(?P<weight>:{NUMBER})?', re.IGNORECASE
)


def query_of(words: Sequence[str]) -> str:
    """Return the query that words of a shell mean together; a single one is the whole query.

    What a shell read as one word behind a name or a sign belongs together, as in chain:"Best Western": it took the
    quotes away.
    """
    return words[0] if len(words) == 1 else " ".join(map(quoted_again, words))


def quoted_again(word: str) -> str:
    """Return a word of a shell with quotes round what stands behind a name or a sign, where it has spaces."""
    match = SHELL_WORD.fullmatch(word)
    if match is None:
        return word
    weight = match["weight"] or ""
    is_term = match["head"].strip("+-:").lower() in ("", *TERM_NAMES)
    value, weight = (match["value"], weight) if is_term else (match["value"] + weight, "")
    return f"{match['head']}{quoted(value, always=True)}{weight}"


@dataclass(slots=True)
class Parser:
    """Reads a query from left to right; `place` is the offset of the next character."""

    text: str
    place: int = 0
    bare_words: list[str] = field(default_factory=list)  # those without sign and quotes
    filter_spans: list[tuple[int, int]] = field(default_factory=list)  # where each filter begins and ends

    def query(self) -> Query:
        """Return what the whole text means."""
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise self.error("this character is no text: type the query in UTF-8", error.start) from None
        if len(self.text) > MOST_CHARACTERS:
            raise self.error(f"a query has at most {MOST_CHARACTERS:,} characters: shorten it", MOST_CHARACTERS)
        words: list[str] = []
        terms: list[Term] = []
        filters: list[Filter] = []
        while self.skip_spaces():
            start = self.place
            sign = self.sign()
            name = self.name(sign)
            if name in FILTER_NAMES:
                if sign == "+":
                    raise self.error(f"a filter takes no plus sign: write {name}: or -{name}:", start)
                if len(filters) == MOST_FILTERS:
                    raise self.error(f"a query has at most {MOST_FILTERS} filters: leave some out", start)
                filters.append(self.filter(name, negated=sign == "-"))
                self.filter_spans.append((start, self.place))
            elif name is not None:
                terms.append(self.photo(name, sign))
            elif sign:
                terms.append(self.signed_text(sign))
            else:
                words.append(self.unsigned_text())
            self.end_of_word()
        free = " ".join(words)
        return Query((*([Term("text", free, 1.0)] if free.strip() else []), *terms), tuple(filters))

    def skip_spaces(self) -> bool:
        """Go to the next word and tell whether there is one."""
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1
        return self.place < len(self.text)

    def sign(self) -> str:
        """Read a plus or minus that stands directly before something other than another one."""
        sign, following = self.text[self.place], self.text[self.place + 1 : self.place + 2]
        if sign not in "+-" or not following or following.isspace() or following in "+-":
            return ""
        self.place += 1
        return sign

    def name(self, sign: str) -> str | None:
        """Read the name of a filter or of a photo term, with its colon; None where there is none.

        Behind a sign a word and a number are a weighted word: `+chair:0.5`; only -tag:2 and the like are filters.
        Without a sign the colon and the number are part of a word that is no name: `chair:2`.

        Raises: QuerySyntaxError: the name resembles one, but is none.
        """
        match = NAME.match(self.text, self.place)
        if match is None:
            return None
        word = folded(match.group(1))
        number = WEIGHT.match(self.text, match.end() - 1)
        if number and (word not in NAMES or (sign == "+" and word not in TERM_NAMES)):
            return None
        if word in NAMES:
            self.place = match.end()
            return ALIASES.get(word, word)
        near = difflib.get_close_matches(word, NAMES, n=1, cutoff=LIKENESS)
        if near:
            raise self.error(f'there is no {word}: - is {near[0]}: meant? For the words themselves: "{word}:..."')
        return None

    def filter(self, name: str, negated: bool) -> Filter:
        """Read a filter's value."""
        start = self.place
        op, number = "", None
        if name == "tag":
            value = self.tag_name()
            if match := COMPARISON.match(self.text, self.place):
                op, number = match.group(1), float(match.group(2))
                self.place = match.end()
                if not 0 <= number <= 1:
                    raise self.error("a probability lies between 0 and 1, as in tag:bathtub>0.6", match.start(2))
        else:
            value = self.quoted() if self.text[self.place] == '"' else self.bare()
        try:
            check_value(name, value, negated)
        except ValueError as error:
            raise self.error(str(error), start) from None
        return Filter(name, value, op, number, negated)

    def tag_name(self) -> str:
        """Read a tag's name, which may be followed by a comparison."""
        if self.text[self.place] == '"':
            return self.quoted()
        word = self.bare(forwards=False)
        comparison = re.search(r"[<>]=?[0-9.]+$", word, re.ASCII)
        value = word[: comparison.start()] if comparison else word
        self.place += len(value)
        return value

    def photo(self, name: str, sign: str) -> Term:
        """Read a photo of the library, or a photo file, with its weight."""
        start = self.place
        kind: Kind = "photo" if name == "like" else "image"
        value = self.quoted() if self.text[self.place] == '"' else self.bare_before_weight()
        if not value.strip():
            raise self.error(f"expected a photo, such as {name}:{'42' if kind == 'photo' else 'room.jpg'}", start)
        if kind == "photo" and value.isascii() and value.isdigit():
            if len(value) >= 19:
                raise self.error("no photo has such a long number: take one that a search shows", start)
            return Term(kind, int(value), self.weight(sign))
        return Term(kind, value, self.weight(sign))

    def unsigned_text(self) -> str:
        """Read a word, or words in quotes, that mean just themselves."""
        start = self.place
        if self.text[start] != '"':
            self.bare_words.append(self.bare())
            return self.bare_words[-1]
        words = self.quoted()
        if WEIGHT.match(self.text, self.place):
            raise self.error(f"a weight needs a sign: +{self.text[start : self.place]}:...", start)
        return words

    def signed_text(self, sign: str) -> Term:
        """Read words behind a plus or minus, with their weight."""
        start = self.place
        time = TIME.match(self.text, self.place)
        value = self.quoted() if self.text[start] == '"' else self.bare() if time else self.bare_before_weight()
        if not value.strip():
            raise self.error(f'expected words behind {sign}, such as {sign}"shower curtain"', start)
        return Term("text", value, self.weight(sign))

    def weight(self, sign: str) -> float:
        """Read a weight such as :0.5, by default 1, behind a minus 0.3; there it becomes negative."""
        match = WEIGHT.match(self.text, self.place)
        if match is None:
            if self.text[self.place : self.place + 1] == ":":
                raise self.error("a weight is a number above 0, as in +sea:0.5", self.place + 1)
            return -NEGATED if sign == "-" else 1.0
        weight = float(match.group(1))
        if not (weight > 0 and math.isfinite(weight)):
            raise self.error("a weight is a number above 0, as in +sea:0.5", match.start(1))
        self.place = match.end()
        return -weight if sign == "-" else weight

    def bare_before_weight(self) -> str:
        """Read up to the next space, or to the weight that ends the word."""
        word = self.bare(forwards=False)
        colon = word.rfind(":")
        if colon > 0 and LIKE_A_WEIGHT.fullmatch(word, colon):
            word = word[:colon]
        self.place += len(word)
        return word

    def bare(self, forwards: bool = True) -> str:
        """Read up to the next space."""
        match = BARE.match(self.text, self.place)
        word = match.group() if match else ""
        if forwards:
            self.place += len(word)
        return word

    def quoted(self) -> str:
        """Read what stands in double quotes; a backslash makes a quote or a backslash literal."""
        start = self.place
        self.place += 1
        characters: list[str] = []
        while self.place < len(self.text):
            character = self.text[self.place]
            self.place += 1
            if character == '"':
                if not "".join(characters).strip():
                    raise self.error("there is nothing between the quotes", start)
                return "".join(characters)
            if character == "\\" and self.text[self.place : self.place + 1] in ('"', "\\"):
                character = self.text[self.place]
                self.place += 1
            characters.append(character)
        raise self.error('the quote that opens here is never closed: add a "', start)

    def end_of_word(self) -> None:
        """Make sure that a space, or the end, follows."""
        if self.place < len(self.text) and not self.text[self.place].isspace():
            raise self.error("expected a space here", self.place)

    def error(self, problem: str, place: int | None = None) -> QuerySyntaxError:
        """Return the error that points at a character, by default the next one."""
        return QuerySyntaxError(self.text, self.place if place is None else place, problem)


NAMES_OF_KINDS = {kind: name for name, kind in TERM_NAMES.items()}


def format_query(query: Query) -> str:
    """Return a query as text: `parse(format_query(q)) == q`."""
    parts = [format_term(term, first=place == 0) for place, term in enumerate(query.terms)]
    return " ".join([*parts, *map(format_filter, query.filters)])


def with_whole_paths(text: str) -> str:
    """Return a query with the paths of its photo files in full; as it stands where they are, or where it has none.

    Raises: QuerySyntaxError: it cannot be read.
    """
    query = parse(text)
    whole = whole_paths(query)
    return text if whole == query else format_query(whole)


def whole_paths(query: Query) -> Query:
    """Return a query with the paths of its photo files in full, so that it means the same in every working folder."""
    terms = tuple(
        replace(term, value=str(Path(term.value).absolute()))
        if isinstance(term.value, str) and term.kind != "text"
        else term
        for term in query.terms
    )
    return replace(query, terms=terms)


def format_term(term: Term, first: bool) -> str:
    """Return a term; the first words need no sign."""
    weight = "" if term.weight in (1, -NEGATED) else f":{format_number(abs(term.weight))}"
    sign = "-" if term.weight < 0 else "+"
    if term.kind != "text":
        named = str(term.value) if isinstance(term.value, int) else quoted(term.value)
        return f"{'-' if sign == '-' else ''}{NAMES_OF_KINDS[term.kind]}:{named}{weight}"
    if first and term.weight == 1:
        return free(str(term.value))
    return f"{sign}{quoted(words := str(term.value), always=not words.isalpha() or folded(words) in NAMES)}{weight}"


def format_filter(part: Filter) -> str:
    """Return a filter."""
    comparison = "" if part.number is None else f"{part.op}{format_number(part.number)}"
    return f"{'-' if part.negated else ''}{part.name}:{quoted(part.value)}{comparison}"


def format_number(number: float) -> str:
    """Return a number without an exponent, so that every one of its digits survives."""
    text = f"{number:.400f}".rstrip("0").rstrip(".") if "e" in repr(number) else repr(number)
    return text.removesuffix(".0") or "0"


def free(text: str) -> str:
    """Return words as they stand where they hold nothing that means more, else in quotes."""
    plain = all(word.isalpha() for word in text.split(" "))
    return text if plain else quoted(text, always=True)


def quoted(text: str, always: bool = False) -> str:
    """Return a value, in quotes where it needs them."""
    if not always and all(character.isalnum() or character in "-_.,/>=<" for character in text) and text[0].isalnum():
        return text if not any(character in "<>" for character in text) else quoted(text, always=True)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
