"""Ways in which a library answers queries, and the photos that each ranks. Measures nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy.orm import Session

from analysis.judged.common_photos import CommonPhotos, Translation, contents_of
from analysis.judged.query_files import JudgedQuery
from analysis.judged.retrieval_measures import DEPTH
from base.arrays import Ids
from base.errors import QueryError
from base.progress import Progress, Step, silent
from db.vector_rows import EmbeddedRows
from search.answers import PLAIN, Question, Searcher, SearchOptions, by_number, photos_in
from search.filters import chosen, describe, kinds_of
from search.query import Filter

AT_ONCE = 256  # queries whose vectors are compared together


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSetting:
    """A way of answering queries: a library, with a model, prompts, and an index or none.

    name: as tables say it. searcher, opened: what answers, and what opens a session of its library's database.
    templates: prompts around each text. exact: every photo is compared, whatever index there is. photos: those that
    may be found, by their ids here and in the first library; None: all, and this is the first library.
    """

    name: str
    searcher: Searcher
    templates: Sequence[str] = PLAIN
    exact: bool = False
    photos: Translation | None = field(default=None, repr=False)

    def opened(self) -> AbstractContextManager[Session]:
        """Open a session of the library's database."""
        return self.searcher.catalog.session()

    def findable(self, session: Session, ids: Ids) -> Ids:
        """Return which of some photos can be found now, in the same order."""
        catalog = self.searcher.catalog
        current = self.searcher.store.current(EmbeddedRows(session, catalog.model))
        found: Ids = ids[current.locate(ids)[0] >= 0]
        return found

    def most_hits(self) -> int | None:
        """Return how many photos an approximate index is asked for at most; None where every photo is compared."""
        with self.opened() as session:
            if self.exact or not self.searcher.has_photos(session):
                return None
            engine = self.searcher.indexes(session, frozenset({"photo"}))[1].engine
        return None if engine is None else engine.most_hits


@dataclass(frozen=True, slots=True)
class AskedGroup:
    """Queries that the same photos may answer: their places among all, they themselves, and the questions they ask."""

    filters: Sequence[Filter]
    judged: Ids | None
    places: list[int] = field(default_factory=list)
    queries: list[JudgedQuery] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


def ranked_photos(
    setting: SearchSetting,
    queries: Sequence[JudgedQuery],
    *,
    depth: int = DEPTH,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda note: None,
) -> list[Ids]:
    """Return the ids of the photos of each query, best first, at most `depth` of them, as searches rank them.

    As `aliens search --copies` ranks, among the photos that are judged; photos that a query names are not among its
    own. `tell` hears what is to be noted of filters.

    Raises: QueryError: a query looks for what the library does not have.
    """
    rankings: list[Ids] = [np.empty(0, np.int64)] * len(queries)
    done = 0
    with setting.opened() as session:
        for group in grouped(session, setting, queries):
            for start in range(0, len(group.places), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                found, note = ranked_group(session, setting, group, part, depth)
                for place, ids in zip(group.places[part], found, strict=True):
                    rankings[place] = ids
                done += len(found)
                if note:
                    tell(note)
                progress(Step(f"queries by {setting.name}", done, len(queries), "queries"))
    return rankings


def grouped(session: Session, setting: SearchSetting, queries: Sequence[JudgedQuery]) -> list[AskedGroup]:
    """Return the queries in groups that are compared together."""
    groups: dict[object, AskedGroup] = {}
    for place, query in enumerate(queries):
        question = question_of(session, setting, query)
        filters = question.query.filters
        key = (describe(filters), None if query.judged is None else query.judged.tobytes())
        group = groups.setdefault(key, AskedGroup(filters, query.judged))
        group.places.append(place)
        group.queries.append(query)
        group.questions.append(question)
    return list(groups.values())


def question_of(session: Session, setting: SearchSetting, query: JudgedQuery) -> Question:
    """Return the question that a query asks, its photos by their numbers.

    Raises: QueryError: it names a photo by number where another library has other numbers, or an unknown one.
    """
    asked = SearchOptions(copies=True, exact=setting.exact).question(query.text, templates=setting.templates)
    if setting.photos is not None and any(isinstance(term.value, int) for term in asked.query.terms):
        raise QueryError(
            f"{query.where}: the query {query.text!r} names a photo by its number, which is another photo in another "
            "library: name it by its path"
        )
    with naming(query):
        return replace(asked, query=by_number(session, setting.searcher.catalog.folder.root, asked.query)[0])


@contextmanager
def naming(query: JudgedQuery) -> Iterator[None]:
    """Have an error say which query it is about. Raises: QueryError: one was raised."""
    try:
        yield
    except QueryError as error:
        raise QueryError(f"{query.where or 'a query'}: {query.text!r}: {error}") from error


def ranked_group(
    session: Session, setting: SearchSetting, group: AskedGroup, part: slice, depth: int
) -> tuple[list[Ids], str]:
    """Return the ranked photos of some queries of a group, and a note on their filters, or nothing."""
    searcher = setting.searcher
    with naming(group.queries[0]):
        choice = chosen(searcher.catalog, session, searcher.store, group.filters)
    among, index = choice.ids, searcher.indexes(session, kinds_of(group.filters))[1]
    if setting.photos is not None:
        among = shared_ids(among, setting.photos.here)
    if group.judged is not None:
        judged = group.judged if setting.photos is None else setting.photos.from_first(group.judged)
        among = shared_ids(among, judged)
    questions, vectors = group.questions[part], []
    for query, question in zip(group.queries[part], questions, strict=True):
        with naming(query):
            vectors.append(searcher.asked_vector(session, question)[0])
    named = [photos_in(question.query) for question in questions]
    _, ids = index.search(np.stack(vectors), depth + max(map(len, named)), among=among, exact=setting.exact)
    found = [row[~np.isin(row, own)][:depth] for row, own in zip(ids, named, strict=True)]
    return [row if setting.photos is None else setting.photos.to_first(row) for row in found], choice.note


def shared_ids(one: Ids | None, other: Ids) -> Ids:
    """Return the ids, ascending, that are in both; None: all are in the one."""
    return other if one is None else np.intersect1d(one, other, assume_unique=True)


def settings_beside(
    first: SearchSetting,
    *,
    exact: bool = False,
    templates: Sequence[str] = (),
    searchers: Mapping[str, Searcher] | None = None,
) -> list[SearchSetting]:
    """Return ways in which the first setting's library can answer otherwise, each in one respect.

    Args:
        first: the setting that they are compared with.
        exact: compare every photo, in place of the approximate index.
        templates: prompts around each text, one setting for each.
        searchers: what answers with other vectors of texts, by the names of the settings.

    Raises: QueryError: there is no approximate index, or a prompt has no place for the text.
    """
    found = []
    if exact:
        if first.most_hits() is None:
            raise QueryError(
                "every photo is compared anyway, there is no approximate index to measure (--exact): build one with "
                "`aliens index`, or leave --exact out"
            )
        found.append(replace(first, name="exact", exact=True))
    for template in templates:
        if template.count("{}") != 1:
            raise QueryError(f"the prompt {template!r} has no {{}} for the text, or several: 'a photo of {{}}' has one")
        found.append(replace(first, name=repr(template), templates=(template,)))
    found += [replace(first, name=name, searcher=searcher) for name, searcher in (searchers or {}).items()]
    return found


def settings_of_libraries(searchers: Sequence[Searcher]) -> tuple[list[SearchSetting], CommonPhotos | None]:
    """Return a setting for each library, named by its model, and the photos that they have in common.

    One library alone is not narrowed: then there are no common photos.

    Raises: QueryError: they have no photo in common.
    """
    roots = [searcher.catalog.folder.root.resolve() for searcher in searchers]
    if doubled := next((root for at, root in enumerate(roots) if root in roots[:at]), None):
        raise QueryError(f"{doubled} would be compared with itself: name another library of the same photos")
    settings: list[SearchSetting] = []
    for searcher in searchers:
        name, taken = searcher.catalog.model.name, {setting.name for setting in settings}
        if name in taken:
            name = f"{name} in {searcher.catalog.folder.root}"
        settings.append(SearchSetting(name=name, searcher=searcher))
    if len(settings) == 1:
        return settings, None
    common = CommonPhotos.of([contents_of(setting.searcher.catalog) for setting in settings])
    if not len(common):
        raise QueryError(f"{' and '.join(map(str, roots))} have no photo in common: add the same photos to each")
    return [replace(s, photos=t) for s, t in zip(settings, common.translations, strict=True)], common
