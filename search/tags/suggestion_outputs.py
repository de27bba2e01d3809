"""What becomes of suggestions: a vocabulary with them, as a new file, and a sheet of photos. Suggests nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy.orm import Session

from base.console import counted
from base.errors import QueryError
from base.files import PhotoFile
from base.names import nearest
from db.photo_rows import photo_records
from embedding.sheet import Cell, Section, check_ending, write_sheet
from search.tags.suggesting import PromptSuggestion, PromptSuggestions
from search.tags.uncovered import PhotoGroup, UncoveredWords
from search.tags.vocabulary import Vocabulary, bare, refuse_existing, write_new
from search.tags.vocabulary_edits import TagDraft, in_order_of_headings, vocabulary_toml, with_draft

SHOWN = 5  # photos of each kind: a row of the sheet
MOST_SHOWN = 20  # tags on a sheet
HEAD = "# Made by `aliens tag suggest` of {key}: {what}. Change it as you like; then: aliens tag --vocabulary THIS_FILE"


def check_new_file(path: Path) -> None:
    """Refuse a file that a vocabulary cannot be written to. Raises: QueryError: it ends otherwise, or is there."""
    if path.suffix.lower() != ".toml":
        raise QueryError(f"a vocabulary with prompts cannot be written as {path.name!r}: end its name in .toml")
    refuse_existing(path)


def changed_vocabulary(
    vocabulary: Vocabulary, prompts: PromptSuggestions | None, words: UncoveredWords | None, add: Sequence[str]
) -> Vocabulary:
    """Return a vocabulary with suggestions in it.

    Raises: QueryError: nothing would be other than before, or a word to be added was not suggested.
    """
    better = {each.tag: tuple(each.suggested) for each in prompts or ()}
    tags = tuple(replace(tag, prompts=better.get(tag.name, tag.prompts)) for tag in vocabulary.tags)
    changed = replace(vocabulary, tags=tags)
    suggested = {bare(word): word for word in (words.words() if words is not None else ())}
    for word in dict.fromkeys(map(bare, add)):
        if word not in suggested:
            near = nearest(word, suggested) or list(suggested)[:5]
            hint = f"suggested are {', '.join(repr(suggested[each]) for each in near)}" if near else "there are none"
            raise QueryError(f"{word!r} was not suggested, so it cannot be added here: {hint}")
        changed = with_draft(changed, TagDraft(name=suggested[word]))
    if changed == vocabulary:
        raise QueryError("nothing was written: no prompts are better than today's, and no word is to be added (--add)")
    return in_order_of_headings(changed)


def write_changed(path: Path, vocabulary: Vocabulary, of: Vocabulary) -> int:
    """Write a vocabulary to a new file; return how many of its tags are other than those `of` which it was made.

    Raises: QueryError: the file came to be there meanwhile. OutputError: it cannot be written.
    """
    before = {tag.name: tag.prompts for tag in of.tags}
    count = sum(before.get(tag.name) != tag.prompts for tag in vocabulary.tags)
    head = HEAD.format(key=of.key, what=f"{counted(count, 'tag')} changed or new")
    write_new(path, vocabulary_toml(vocabulary, head))
    return count


def write_suggestion_sheet(
    session: Session, path: Path, prompts: PromptSuggestions | None, words: UncoveredWords | None
) -> None:
    """Write a contact sheet: for each tag what comes in and drops out by the suggested prompts, then the groups.

    Raises: QueryError: there is nothing to show, or the path's ending names no picture. OutputError: see write_sheet.
    """
    check_ending(path, "sheet")
    shown = list(prompts or ())[:MOST_SHOWN]
    groups = list(words or ())
    wanted = [photo_id for each in shown for ids in moved_photos(each) for photo_id in ids]
    wanted += [photo_id for group in groups for photo_id in group.examples[:SHOWN]]
    cells = sheet_cells(session, wanted)
    sections = [
        Section(heading, [cells[photo_id] for photo_id in ids[:SHOWN] if photo_id in cells])
        for heading, ids in (
            *(part for each in shown for part in changes_of(each)),
            *((group_heading(group), group.examples) for group in groups),
        )
    ]
    sections = [section for section in sections if section.cells]
    if not sections:
        raise QueryError(f"there is nothing to show, so {path} was not written: nothing is suggested")
    more = len(prompts or ()) - len(shown)
    note = f"and {counted(more, 'tag')} more with better prompts" if more else ""
    write_sheet(sections, "suggested prompts and words", path, note=note)


def sheet_cells(session: Session, ids: Sequence[int]) -> dict[int, Cell]:
    """Return {photo id: its place on a sheet}."""
    records = photo_records(session, list(dict.fromkeys(ids)))
    return {
        number: Cell(
            PhotoFile(record.path, record.member),
            (f"photo {number}", record.hotel_name or Path(record.member or record.path).name),
        )
        for number, record in records.items()
    }


def moved_photos(suggestion: PromptSuggestion) -> list[list[int]]:
    """Return the photos of each row of a suggestion: the surest, those that come in, those that drop out."""
    return [ids[:SHOWN] for ids in (suggestion.surest, suggestion.came, suggestion.dropped)]


def changes_of(suggestion: PromptSuggestion) -> Iterator[tuple[str, list[int]]]:
    """Yield the headings and photos of the rows of a suggestion."""
    headings = (
        f"{suggestion.tag}: surest by {', '.join(suggestion.suggested)}",
        f"{suggestion.tag}: {counted(suggestion.comes_in, 'photo')} would come in",
        f"{suggestion.tag}: {counted(suggestion.drops_out, 'photo')} would drop out",
    )
    yield from zip(headings, moved_photos(suggestion), strict=True)


def group_heading(group: PhotoGroup) -> str:
    """Return what stands above a group of photos."""
    many = f"{'about ' if group.estimated else ''}{counted(group.about, 'photo')} without a tag"
    near = f" (near: {', '.join(group.also)})" if group.also else ""
    if group.name is not None:
        return f"{group.name}: {many}{near}"
    if group.tag is not None:
        return f"like the tag {group.tag!r}, which was decided of none of them: {many}"
    return f"no word fits: {many}"
