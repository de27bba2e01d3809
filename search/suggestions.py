"""What may be typed next into a query: tags, hotels, chains, operators, saved searches. Searches for no photo.

Names are compared by their letters, in any script: what begins so, what has a word that begins so, what holds it, and
what differs in one letter. Fifty thousand hotels lie in one text, which is looked through in a millisecond.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.orm import Session

from base.forks import fork_lock
from base.names import comparable
from db.catalog import Catalog
from db.conditions import all_sources
from db.hotel_rows import hotels_stamp
from db.photo_rows import columns_stamp, hotels_and_chains
from db.settings_rows import saved_searches
from db.tag_rows import taggings_stamp
from search.query import ALIASES, CHOICES, FILTER_NAMES, SIZES, TERM_NAMES, Filter, format_filter
from search.saved import names_file
from search.tags.tagging import known_vocabularies
from search.tags.vocabulary import bare

OPERATORS = {
    "tag:": "photos with a tag, such as tag:bathtub",
    "chain:": "photos of a chain's hotels; chain:none: of no chain",
    "hotel:": "photos of a hotel, by a part of its name or its number",
    "near:": "photos taken around a place: near:48.85,2.35,10km",
    "after:": "photos taken since then: after:2015-06",
    "before:": "photos taken until then: before:2015-06",
    "year:": "photos taken in a year: year:2015",
    "size:": "small, medium or large photos, or size:>=1024x728",
    "color:": "color:grey or color:colour",
    "orientation:": "landscape, portrait or square photos",
    "source:": "photos of a source, such as source:traffickcam",
    "path:": "photos with this in their path",
    "column:": "photos by a column of their list: column:price>=100",
    "kind:": "kind:restyled finds restyled photos, kind:any both",
    "like:": "photos that look like one: like:42",
    "-": "less of this: -bathtub; without: -tag:bathtub",
    "+": "this as well: +sea, +sea:0.5",
}
KINDS_IN_TURN = ("operator", "tag", "chain", "hotel", "source", "saved")
SHORTEST_MISTYPED = 4  # letters from which one may be wrong
MOST_TRIED = 2_000  # places in the names that are looked at for a mistyped word
MOST_WORDS = 5  # that a name is typed in without quotes
LONGEST_TYPED = 200  # characters that are looked for
MOST_CANDIDATES = 50  # of each kind


@dataclass(frozen=True, slots=True)
class SuggestedTerm:
    """What may be typed next: the whole query with it, where the caret stands then, what it is, and a word about it."""

    text: str
    caret: int
    kind: str  # tag, hotel, chain, source, operator, saved
    label: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A name that may be typed: how it reads, the value that a filter has for it, and a word about it."""

    name: str
    value: str
    about: str = ""


class Names:
    """Names in one text, line by line, to be found by what is typed of them."""

    def __init__(self, named: Iterable[NamedValue]) -> None:
        self._named = sorted(named, key=lambda each: (len(each.name), each.name))
        lines = [comparable(each.name) for each in self._named]
        self._text = "\n" + "\n".join(lines) + "\n"
        self._starts, at = [], 1
        for line in lines:
            self._starts.append(at)
            at += len(line) + 1

    def found(self, typed: str) -> Iterator[tuple[int, NamedValue]]:
        """Yield what may be meant, the likeliest first, each with how well it fits: 0 is best. typed: comparable."""
        if not typed:
            yield from ((1, named) for named in self._named)
            return
        seen: set[int] = set()
        ways = [self._places(f"\n{typed}"), self._places(f" {typed}"), self._places(typed), self._mistyped(typed)]
        for fit, places in enumerate(ways):
            for place in islice(places, MOST_CANDIDATES * 4):
                row = bisect_right(self._starts, place) - 1
                if row not in seen and 0 <= row < len(self._named):
                    seen.add(row)
                    yield fit, self._named[row]

    def _places(self, part: str) -> Iterator[int]:
        """Yield where a part of the text stands."""
        at = self._text.find(part)
        while at >= 0:
            yield at + (part[0] in "\n ")
            at = self._text.find(part, at + 1)

    def _mistyped(self, typed: str) -> Iterator[int]:
        """Yield where words begin as they would if a letter is wrong: one half of them is right, whichever it is."""
        if len(typed) < SHORTEST_MISTYPED:
            return
        half = len(typed) // 2
        first, second = typed[:half], typed[half:]
        begin = islice((place for sign in "\n " for place in self._places(sign + first)), MOST_TRIED)
        ends = islice(self._places(second), MOST_TRIED)
        for place in begin:
            if self._nearly(typed, place):
                yield place
        for place in ends:
            for start in (place - half, place - half - 1, place - half + 1):
                if start > 0 and self._text[start - 1] in "\n " and self._nearly(typed, start):
                    yield start

    def _nearly(self, typed: str, start: int) -> bool:
        return any(one_edit(typed, self._text[start : start + len(typed) + more]) for more in (0, 1, -1))


def one_edit(one: str, other: str) -> bool:
    """Tell whether two words differ in one letter, another, missing or too many, or in two that are swapped."""
    if one == other:
        return True
    length = min(len(one), len(other))
    at = next((i for i in range(length) if one[i] != other[i]), length)
    if len(one) == len(other):
        swapped = one[at : at + 2] == other[at : at + 2][::-1] and one[at + 2 :] == other[at + 2 :]
        return swapped or one[at + 1 :] == other[at + 1 :]
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return len(longer) - len(shorter) == 1 and longer[at + 1 :] == shorter[at:]


@dataclass(frozen=True, slots=True)
class TypedWord:
    """What stands at the caret: a sign, a filter's name, and what is typed of its value; and where, in the text."""

    begin: int
    end: int
    sign: str
    name: str  # of a filter; empty for words
    value: str


def words_at(text: str, caret: int) -> list[TypedWord]:
    """Return what may be being typed at the caret: the longest words that belong together first, the last one last."""
    spans = token_spans(text, caret)
    if not spans or spans[-1][1] < caret:
        return [TypedWord(caret, caret, "", "", "")]
    begin, end = spans[-1]
    last = read_token(text, begin, end, caret)
    found = [last]
    if not last.sign and not last.name and text[begin] != '"':
        for first, stop in reversed(spans[:-1][-MOST_WORDS + 1 :]):
            before = read_token(text, first, stop, stop)
            if before.sign or before.name or '"' in text[first:stop]:
                break
            found.insert(0, TypedWord(first, end, "", "", text[first:caret]))
    return found


def token_spans(text: str, caret: int) -> list[tuple[int, int]]:
    """Return where the words up to the caret begin and end; spaces in quotes end none."""
    spans: list[tuple[int, int]] = []
    begin, in_quotes = None, False
    for place, character in enumerate(text):
        if character.isspace() and not in_quotes:
            if begin is not None:
                spans.append((begin, place))
                begin = None
            if place >= caret:
                return spans
            continue
        if begin is None:
            if place >= caret:
                return spans
            begin = place
        if character == '"' and not (in_quotes and text[place - 1] == "\\"):
            in_quotes = not in_quotes
    if begin is not None:
        spans.append((begin, caret if in_quotes else len(text)))
    return spans


def read_token(text: str, begin: int, end: int, caret: int) -> TypedWord:
    """Return what a word says as far as the caret."""
    token = text[begin : min(end, caret)]
    sign = token[0] if token[:1] in ("-", "+") and len(token) > 1 else ""
    head, colon, value = token[len(sign) :].partition(":")
    name = comparable(head)
    name = ALIASES.get(name, name)
    if not colon or name not in (*FILTER_NAMES, *TERM_NAMES):
        name, value = "", token[len(sign) :]
    return TypedWord(begin, end, sign, name, value.replace("\\", "").replace('"', ""))


class Suggester:
    """Knows a library's names, and reads them again when they change; threads may share it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._names: dict[str, tuple[object, dict[str, Names]]] = {}
        self._reading = fork_lock()

    def suggest(self, session: Session, text: str, caret: int, k: int) -> list[SuggestedTerm]:
        """Return what may be typed next at the caret, counted in characters, the likeliest first."""
        caret = max(0, min(caret, len(text)))
        names = self._known(session)
        found: dict[str, tuple[tuple[int, int, int], SuggestedTerm]] = {}
        for turn, word in enumerate(words_at(text, caret)):
            if len(word.value) > LONGEST_TYPED:
                continue
            for rank, (fit, suggested) in enumerate(self._of_word(session, names, text, word)):
                key = (fit, turn if fit < 3 else turn + 10, rank)
                if suggested.text not in found or key < found[suggested.text][0]:
                    found[suggested.text] = key, suggested
        return [suggested for _, suggested in sorted(found.values(), key=lambda each: each[0])[:k]]

    def _of_word(
        self, session: Session, names: dict[str, Names], text: str, word: TypedWord
    ) -> Iterator[tuple[int, SuggestedTerm]]:
        typed = comparable(word.value)
        if word.name:
            yield from self._of_values(names, text, word, typed)
            return
        if word.sign != "+" and (not word.sign or typed):
            yield from operators_for(text, word, typed)
        if word.sign != "+" and len(typed) > 1 - (not typed.isascii()):
            for kind in ("tag", "chain", "hotel", "source"):
                for fit, each in islice(names[kind].found(bare(typed) if kind == "tag" else typed), MOST_CANDIDATES):
                    yield fit, put_in(text, word, kind, Filter(kind, each.value, negated=word.sign == "-"), each)
        if not word.sign and (typed or not text.strip()):
            saved = Names(saved_values(session))
            for fit, each in saved.found(typed):
                yield fit, SuggestedTerm(each.value, len(each.value), "saved", each.name, each.value)

    def _of_values(
        self, names: dict[str, Names], text: str, word: TypedWord, typed: str
    ) -> Iterator[tuple[int, SuggestedTerm]]:
        """Yield values that a filter may have."""
        few = CHOICES | {"size": tuple(SIZES)}
        known = (
            Names(NamedValue(value, value) for value in few[word.name]) if word.name in few else names.get(word.name)
        )
        if known is None:
            return
        looked_for = bare(typed) if word.name == "tag" else typed
        for fit, each in islice(known.found(looked_for), MOST_CANDIDATES):
            kind = word.name if word.name in KINDS_IN_TURN else "operator"
            yield fit, put_in(text, word, kind, Filter(word.name, each.value, negated=word.sign == "-"), each)

    def _known(self, session: Session) -> dict[str, Names]:
        """Return the names by kind, as they are now."""
        model = self._catalog.model
        stamps = {
            "hotels": (hotels_stamp(session),),
            "sources": (columns_stamp(session), last_segment(session, self._catalog)),
            "tags": tuple(taggings_stamp(session, model)),
        }
        readers: dict[str, Callable[[Session], dict[str, Names]]] = {
            "hotels": hotel_names,
            "sources": source_names,
            "tags": lambda session: tag_names(session, self._catalog),
        }
        with self._reading:
            for what, stamp in stamps.items():
                if what not in self._names or self._names[what][0] != stamp:
                    self._names[what] = stamp, readers[what](session)
            return {kind: names for _, known in self._names.values() for kind, names in known.items()}


def operators_for(text: str, word: TypedWord, typed: str) -> Iterator[tuple[int, SuggestedTerm]]:
    """Yield the operators that begin so; all of them where nothing is typed yet."""
    for operator, about in OPERATORS.items():
        if not operator.startswith(typed) or (typed and len(operator) == 1) or (word.sign and operator == "like:"):
            continue
        before, after = text[: word.begin] + word.sign, text[word.end :]
        yield 0, SuggestedTerm(before + operator + after, len(before + operator), "operator", operator, about)


def put_in(text: str, word: TypedWord, kind: str, part: Filter, named: NamedValue) -> SuggestedTerm:
    """Return a query with a filter in place of what was typed, and the caret behind it."""
    before, after = text[: word.begin], text[word.end :]
    whole = f"{before}{format_filter(part)} "
    return SuggestedTerm(whole + after.lstrip(), len(whole), kind, named.name, named.about)


def hotel_names(session: Session) -> dict[str, Names]:
    """Return the names of hotels, and of chains."""
    hotels, chains = hotels_and_chains(session)
    named = [
        NamedValue(name, name, chains.get(chain_id or 0, "")) for name, chain_id in hotels.values() if name is not None
    ]
    return {
        "hotel": Names({each.name: each for each in named}.values()),
        "chain": Names(NamedValue(name, name) for name in dict.fromkeys(chains.values())),
    }


def source_names(session: Session) -> dict[str, Names]:
    """Return the sources that photos are of."""
    return {"source": Names(NamedValue(name, name) for name in all_sources(session))}


def tag_names(session: Session, catalog: Catalog) -> dict[str, Names]:
    """Return the tags of all vocabularies; those of several with their vocabulary."""
    words = known_vocabularies(session, catalog.model)
    named = []
    for vocabulary in words.newest:
        for name in vocabulary.names:
            value = f"{vocabulary.name}/{name}" if len(words.with_tag(name)) > 1 else bare(name)
            named.append(NamedValue(bare(name), value, vocabulary.name))
    return {"tag": Names(named)}


def last_segment(session: Session, catalog: Catalog) -> object:
    """Return what changes when photos come, which may be of a new source."""
    from db.vector_rows import segments_of

    return [(file.name, file.alive) for file in segments_of(session, catalog.model)]


def saved_values(session: Session) -> Iterator[NamedValue]:
    """Yield the saved searches that a stranger may repeat: those of words and filters, which name no file."""
    for saved in saved_searches(session):
        if saved.query and not names_file(saved.query):
            yield NamedValue(saved.name, saved.query)
