"""Image-text retrieval: how often a caption finds its photo among others, and a photo its caption.

Source of the protocol: Hodosh, Young and Hockenmaier 2013, "Framing Image Description as a Ranking Task"; as CLIP and
its successors are measured on Flickr30k (1,000 photos) and COCO (5,000).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from analysis.judged.common_photos import CommonPhotos
from analysis.judged.query_files import JudgedQuery, read_judged_rows
from analysis.judged.retrieval_measures import checked_cutoffs
from analysis.judged.search_evaluation import JudgedTask, RankingEvaluation, evaluate_rankings
from analysis.judged.search_settings import SearchSetting
from analysis.judged.truth_by_tags import Findable
from base.arrays import Floats, Ids
from base.console import counted
from base.errors import QueryError
from base.names import comparable
from base.progress import Progress, Step, silent
from db.caption_rows import all_captions, caption_sets
from db.vector_rows import EmbeddedRows
from search.captions import best_columns
from search.tags.truth import doubts, first_few, with_photo_ids

TEXT_TO_PHOTO, PHOTO_TO_TEXT = "text to photo", "photo to text"
TEXTS_AT_ONCE = 256
SCORES_AT_ONCE = 4_000_000  # texts times photos: 16 MB


@dataclass(frozen=True, slots=True)
class CaptionPairs:
    """Which captions say what which photos show: {photo id: its captions}, photos ascending, and notes on the rest."""

    captions: Mapping[int, Sequence[str]]
    notes: Sequence[str] = ()

    def drawn(self, photos: int, seed: int) -> "CaptionPairs":
        """Return so many of the photos, drawn by chance, the same each time; all of them where there are no more."""
        if len(self.captions) <= photos:
            return self
        ids = np.array(list(self.captions), np.int64)
        kept = np.sort(np.random.default_rng(seed).choice(ids, photos, replace=False)).tolist()
        note = f"{photos} of {len(ids)} photos with captions drawn by chance (seed {seed}): the more, the lower is R"
        return CaptionPairs({photo_id: self.captions[photo_id] for photo_id in kept}, [*self.notes, note])

    def in_common(self, common: CommonPhotos) -> "CaptionPairs":
        """Return those of the photos that libraries have in common, copies as one.

        Raises: QueryError: there is none.
        """
        counted_as = common.counted_as(np.array(list(self.captions), np.int64)).tolist()
        merged: dict[int, dict[str, None]] = defaultdict(dict)
        for photo_id, texts in zip(counted_as, self.captions.values(), strict=True):
            if photo_id >= 0:
                merged[photo_id] |= dict.fromkeys(texts)
        if not merged:
            raise QueryError(f"none of the {len(common)} photos that the libraries have in common has a caption")
        note = f"compared on the {len(merged)} photos with captions that all libraries have, copies counted as one"
        return CaptionPairs({photo_id: list(merged[photo_id]) for photo_id in sorted(merged)}, [*self.notes, note])


def pairs_of_file(session: Session, path: Path, findable: Findable) -> CaptionPairs:
    """Return the captions of a file: a column `caption`, and photo_id, image_id or path; a photo may have several.

    Raises: QueryError: the file cannot be read, or none of its photos can be found in the library.
    """
    remarks, doubtful = list[str](), list[str]()
    pairs = list(with_photo_ids(session, read_judged_rows(path, "caption", remarks), doubtful))
    named = [(photo_id, row) for row, photo_id in pairs if photo_id is not None]
    there = set(findable(np.unique(np.array([photo_id for photo_id, _ in named], np.int64))).tolist())
    if left := [row for row, photo_id in pairs if photo_id not in there]:
        captions = counted(len(left), "caption")
        remarks.append(f"left out {captions} of photos that the library does not know or find: {first_few(left)}")
    found = gathered((photo_id, row.said) for photo_id, row in named if photo_id in there)
    if not found:
        raise QueryError(
            f"{path}: {'; '.join(remarks) or 'it has no row'}; write a row for each caption, with columns caption and "
            "path (or photo_id)"
        )
    return CaptionPairs(found, [*remarks, *doubts(doubtful)])


def pairs_of_set(session: Session, key: str | None) -> CaptionPairs:
    """Return the captions of one of the library's sets, None for the only one.

    Raises: QueryError: there is none, no such set, or several of which none is named.
    """
    sets = [each for each in caption_sets(session) if each.photos]
    wanted = [each for each in sets if key in (None, each.key)]
    wanted = wanted or [each for each in sets if comparable(each.key) == comparable(key or "")]
    if len(wanted) != 1:
        there = ", ".join(each.key for each in sets)
        if key is not None:
            raise QueryError(f"no set of captions {key!r} (there is: {there or 'none'})")
        raise QueryError(
            f"the library has several sets of captions: name one of {there} (--set)"
            if sets
            else "the library has no captions: name a file of them (--from FILE), with columns caption and path"
        )
    (chosen,) = wanted
    rows = all_captions(session)
    found = gathered((photo_id, text) for photo_id, _, _, set_key, _, _, text in rows if set_key == chosen.key)
    if not found:
        raise QueryError(f"no photo that can be found now has a caption of {chosen.key}")
    notes = [f"captions of {chosen.key}"]
    if chosen.kind == "chosen":
        notes.append(f"{chosen.model} chose these captions for its own photos: its figures say how apart they are")
    return CaptionPairs(found, notes)


def gathered(pairs: Iterable[tuple[int, str]]) -> dict[int, list[str]]:
    """Return {photo id: its captions, each once}, ascending, of pairs in any order."""
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for photo_id, said in pairs:
        found[photo_id][" ".join(said.split())] = None
    return {photo_id: list(found[photo_id]) for photo_id in sorted(found)}


def measure_captions(
    settings: Sequence[SearchSetting],
    pairs: CaptionPairs,
    *,
    cutoffs: Sequence[int],
    progress: Progress = silent,
) -> RankingEvaluation:
    """Return R@k both ways in each setting, compared with the first: the share that finds one of its own.

    Text to photo: of all different captions those one of whose photos is among the k best; photo to text likewise. R@k
    as this field says it is ir_measures' Success@k.

    Args:
        settings: libraries, the baseline first, with the photos that all of them have.
        pairs: photos of the first library and their captions.
        cutoffs: values of k.
        progress: told of the texts.
    """
    at = checked_cutoffs(cutoffs)
    ids, texts = np.array(list(pairs.captions), np.int64), list(dict.fromkeys(chain(*pairs.captions.values())))
    places = {text: place for place, text in enumerate(texts)}
    of_photos = [JudgedQuery(f"photo {i}", {places[t]: 1 for t in said}) for i, said in pairs.captions.items()]
    photos_with: list[dict[int, int]] = [{} for _ in texts]
    for photo_id, said in pairs.captions.items():
        for text in said:
            photos_with[places[text]][photo_id] = 1
    of_texts = [JudgedQuery(text, grades) for text, grades in zip(texts, photos_with, strict=True)]
    found = {setting.name: both_ways(setting, ids, texts, at[-1], progress) for setting in settings}
    tasks = [
        JudgedTask(TEXT_TO_PHOTO, of_texts, {name: ranked[0] for name, ranked in found.items()}),
        JudgedTask(PHOTO_TO_TEXT, of_photos, {name: ranked[1] for name, ranked in found.items()}),
    ]
    notes = [*pairs.notes, f"{counted(len(texts), 'different caption')} of {counted(len(ids), 'photo')}"]
    if certain := [f"R@{k}" for k in at if k >= min(len(ids), len(texts))]:
        notes.append(f"{', '.join(certain)} among so few: what is looked for cannot but be there")
    return evaluate_rankings(tasks, [f"Success@{k}" for k in at], photos=len(ids), notes=notes)


def both_ways(
    setting: SearchSetting, ids: Ids, texts: Sequence[str], k: int, progress: Progress
) -> tuple[list[Ids], list[Ids]]:
    """Return the k best photos of each text, by their ids, and the k best texts of each photo, by their places."""
    searcher = setting.searcher
    lines = encoded_captions(setting, texts, progress)  # (t, d)
    with setting.opened() as session:
        here = ids if setting.photos is None else setting.photos.in_turn(ids)
        vectors = searcher.store.current(EmbeddedRows(session, searcher.catalog.model)).gather(here)  # (n, d)
    photos = [ids[row] for row in best_matches(lines, vectors, min(k, len(ids)))]
    return photos, best_matches(vectors, lines, min(k, len(texts)))


def encoded_captions(setting: SearchSetting, texts: Sequence[str], progress: Progress) -> Floats:
    """Return the unit vectors (t, d) of texts as they stand, whatever in them a query would take for operators."""
    parts = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        parts.append(setting.searcher.encoder.encode_texts(texts[start : start + TEXTS_AT_ONCE]))
        done = min(start + TEXTS_AT_ONCE, len(texts))
        progress(Step(f"captions by {setting.name}", done, len(texts), "captions"))
    return np.concatenate(parts)


def best_matches(queries: Floats, among: Floats, k: int) -> list[Ids]:
    """Return the places of the k best of some unit vectors (m, d) for each query (n, d), best first."""
    step = max(1, SCORES_AT_ONCE // len(among))
    rows: list[Ids] = []
    for start in range(0, len(queries), step):
        rows += list(best_columns(queries[start : start + step] @ among.T, k).astype(np.int64))
    return rows
