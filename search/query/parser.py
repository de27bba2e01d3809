"""Reading a query. Plain text means just that text; only the operators at the beginning of a word mean more."""

import difflib
import math
import re
from dataclasses import dataclass, field

from aliens.errors import QuerySyntaxError
from search.query.terms import ALIASES, FILTER_NAMES, NEGATED, TERM_NAMES, Filter, Kind, Query, Term
from search.query.values import check

NAMES = (*FILTER_NAMES, *ALIASES, *TERM_NAMES)
NAME = re.compile(r"([^\W\d_]+):(?=\S)")
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


@dataclass(slots=True)
class Parser:
    """Reads a query from left to right; `place` is the offset of the next character."""

    text: str
    place: int = 0
    bare_words: list[str] = field(default_factory=list)  # those without sign and quotes

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
        word = match.group(1).lower()
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
            check(name, value, negated)
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
        if kind == "photo" and not (value.isascii() and value.isdigit() and len(value) < 19):
            raise self.error("expected the id of a photo, such as like:42", start)
        if not value.strip():
            raise self.error("expected the path of a photo, such as image:room.jpg", start)
        return Term(kind, int(value) if kind == "photo" else value, self.weight(sign))

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
