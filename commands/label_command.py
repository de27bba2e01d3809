"""`aliens label`: photos shown one after the other on sheets, and keys that say what they show."""

import os
import shutil
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from base import console
from base.console import FilePath, counted
from base.desktop import has_desktop, open_files
from base.errors import AliensError, LibraryBusyError, LibraryError, QueryError
from base.files import PhotoFile
from commands import options
from commands.options import LIBRARY, checked_sheet, completing, opened, print_notes, stopping
from commands.tag_commands import VocabularyOption

if TYPE_CHECKING:
    from aliens.library import Library

ON_SHEET = 10  # photos
STEP = 10  # answers after which it is said what labels brought
TAG_KEYS = (
    "123456789abcdefghijklmoprtvwxz"  # of the tags of a photo: not s, u, q; n and y would be taken for no and yes
)
WORDS = {"yes": "y", "no": "n", "skip": "s", "undo": "u", "quit": "q"}
ESCAPE, END = "\x1b", "\x04"  # what arrows and the like begin with; Ctrl-D


def label(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TAG",
            autocompletion=completing("tags"),
            help="The tag to ask about, such as bathtub or hotel/bathtub. Without it: whole photos, all tags at once.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", "-k", metavar="N", min=1, help="Stop after so many answers.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT.jpg", callback=checked_sheet, help="Where the sheet of photos is written."
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Show the sheet by the desktop's viewer, where there is one.")
    ] = True,
    apply: Annotated[
        bool,
        typer.Option("--apply/--no-apply", help="Have the tags decided by the labels, every ten and at last."),
    ] = True,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Say what photos show: of one tag yes or no, or of whole photos which tags they have.

    The photos are those whose label teaches most. Every answer is kept at once; the same command goes on. Through a
    pipe it takes a line an answer: y, n, s (skip), u (undo), q (quit); of whole photos the keys of their tags, or their
    names with semicolons between them, and an empty line for none of them.

    Examples:
        aliens label bathtub
        aliens label -n 20
        aliens label "king-size bed" -o label.jpg --no-open
    """
    with opened(library, model=model) as photos:
        if not photos.is_writable():
            raise LibraryError(f"{library} cannot be written, and keeps the labels: copy it to where you may write")
        session = LabelSession(
            photos=photos,
            library=library,
            tag=" ".join(words) if words else None,
            vocabulary=vocabulary,
            sheet=output,
            show=show,
            apply=apply,
            json=json,
        )
        with stopping("stopped: all answers are kept; the same command goes on"), session.seated(), Keys() as keys:
            session.run(count, keys)


@dataclass(frozen=True, slots=True)
class PhotoAsked:
    """A photo that is asked about. tags: which, with what was said of them before, None where nothing was."""

    photo_id: int
    file: PhotoFile
    probability: float = 0.0
    tags: Mapping[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelAnswer:
    """What was answered; before: what was said of these tags before, empty where the photo was passed over."""

    asked: PhotoAsked
    before: Mapping[str, bool | None]


@dataclass(kw_only=True)
class LabelSession:
    """Somebody labels at a terminal, or a program through a pipe."""

    photos: "Library"
    library: Path  # as it was typed
    tag: str | None
    vocabulary: str | None
    sheet: Path | None
    show: bool
    apply: bool
    json: bool
    tab: str = field(default_factory=lambda: f"terminal {os.getpid()}")
    labelled: int = 0
    _queue: list[PhotoAsked] = field(default_factory=list)
    _answers: list[LabelAnswer] = field(default_factory=list)
    _skipped: list[int] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)  # of photos on the sheet
    _name: str = ""  # the tag's whole name
    _told: int = 0  # answers when it was said last what labels brought
    _enough: bool = False  # labels for the tags to be decided by them
    _applied: bool = False

    def run(self, count: int | None, keys: "Keys") -> None:
        """Ask until somebody has enough. Raises: QueryError: there is no such tag, or a line says nothing known."""
        if keys.is_terminal:
            what = "y yes, n no" if self.tag else "keys of tags, Enter: these and no others, + by name"
            console.note(f"{what}, s skip, u undo, q quit")
        while count is None or self.labelled < count:
            if not self._queue and not self._ask(ON_SHEET if count is None else min(ON_SHEET, count - self.labelled)):
                console.note("no other photo is left to ask about")
                break
            asked = self._queue[0]
            if self._was_labelled(asked):
                self._queue.pop(0)
                continue
            self._show(asked, keys)
            if not (self._answer_whole if self.tag is None else self._answer_tag)(asked, keys):
                break
        self._end()

    @contextmanager
    def seated(self) -> Iterator[None]:
        """Have a place for sheets, on a terminal a temporary one; at the end leave what was not labelled to others."""
        made = None
        if self.sheet is None and at_terminal():
            self.sheet = made = Path(tempfile.gettempdir()) / f"aliens-label-{os.getpid()}.jpg"
        try:
            yield
        finally:
            self.photos.leave_labelling(self.tab)
            if made is not None:
                made.unlink(missing_ok=True)

    def _ask(self, count: int) -> bool:
        """Have the next photos chosen, and draw their sheet; tell whether there are any."""
        more: dict[str, Any] = {"vocabulary": self.vocabulary, "tab": self.tab, "skipped": self._skipped}
        if self.tag is None:
            whole, all_state = self.photos.ask_photos(count=count, **more)
            self.vocabulary = all_state.vocabulary
            wanted = {of.photo_id: (0.0, {each.tag: each.said for each in of.tags}) for of in whole}
            title = "What do they show?"
        else:
            asked, state = self.photos.ask_labels(self.tag, count=count, **more)
            self.vocabulary, self._name = state.vocabulary, state.tag
            wanted = {of.photo_id: (of.probability, {state.tag: None}) for of in asked}
            title = f"Which show {state.tag}?"
        self._skipped = []
        records = self.photos.photos_numbered(list(wanted))
        self._queue = [
            PhotoAsked(photo_id, PhotoFile(records[photo_id].path, records[photo_id].member), chance, tags)
            for photo_id, (chance, tags) in wanted.items()
            if photo_id in records
        ]
        if self._queue and self.sheet is not None:
            self._numbers = {of.photo_id: number for number, of in enumerate(self._queue, start=1)}
            self.photos.label_sheet([of.photo_id for of in self._queue], self.sheet, title=title)
            console.note((f"{counted(len(self._queue), 'photo')}: ", FilePath(str(self.sheet))))
            if self.show and has_desktop() and at_terminal():
                with suppress(OSError):
                    open_files([self.sheet])
        return bool(self._queue)

    def _was_labelled(self, asked: PhotoAsked) -> bool:
        """Tell whether somebody else has labelled a photo since it was chosen."""
        said = self.photos.labels_of(asked.photo_id, self.vocabulary)
        known = all(tag in said for tag in asked.tags)
        return known and None in asked.tags.values()

    def _show(self, asked: PhotoAsked, keys: "Keys") -> None:
        """Say which photo is asked about."""
        number = f"{self._numbers[asked.photo_id]}. " if asked.photo_id in self._numbers else ""
        path = Path(asked.file.member or asked.file.path)
        short = FilePath("/".join(path.parts[-2:]), asked.file.path)
        if self.tag is None:
            console.note((f"{number}photo {asked.photo_id}  ", short), *tag_lines(asked.tags))
        elif keys.is_terminal:
            line = (f"{number}photo {asked.photo_id}  ", short, f"  {self._name}? ")
            console.prompt(line)

    def _answer_tag(self, asked: PhotoAsked, keys: "Keys") -> bool:
        """Take an answer about one tag; tell whether to go on."""
        while True:
            key = keys.next()
            if key in ("y", "n"):
                keys.echo("yes" if key == "y" else "no")
                self._keep(asked, {self._name: key == "y"})
                return True
            if (goes_on := self._other(asked, key, keys)) is not None:
                return goes_on
            keys.refuse(key)

    def _answer_whole(self, asked: PhotoAsked, keys: "Keys") -> bool:
        """Take an answer about all tags of a photo; tell whether to go on."""
        of_keys = dict(zip(TAG_KEYS, asked.tags, strict=False))
        chosen = {tag for tag, said in asked.tags.items() if said}
        while True:
            keys.status(f"  shows {', '.join(sorted(chosen)) or 'none of them'}? ")
            key = keys.next(whole_line=True)
            if (goes_on := self._other(asked, key, keys)) is not None:
                return goes_on
            if not keys.is_terminal:
                chosen = self._tags_in(key or "", of_keys)
            elif key == "+":
                try:
                    chosen ^= self._tags_in(keys.line("  the tag's name: "), {})
                except QueryError as error:
                    console.note(str(error))
                continue
            elif key:
                chosen ^= {of_keys[key]} if key in of_keys else set()
                continue
            keys.echo("")
            self._keep(asked, {tag: tag in chosen for tag in [*asked.tags, *sorted(chosen)]})
            return True

    def _tags_in(self, line: str, of_keys: Mapping[str, str]) -> set[str]:
        """Return the tags that a line names, by their keys or names. Raises: QueryError: there is no such tag."""
        vocabulary = self.photos.vocabulary(self.vocabulary)
        try:  # names first, since a name such as beach may be made of keys
            return {vocabulary.names[vocabulary.position(name)] for name in line.split(";") if name.strip()}
        except QueryError:
            letters = line.replace(" ", "")
            if all(letter in of_keys for letter in letters) and len(set(letters)) == len(letters):
                return {of_keys[letter] for letter in letters}
            raise

    def _other(self, asked: PhotoAsked, key: str | None, keys: "Keys") -> bool | None:
        """Do what is no label: skip, undo, quit; tell whether to go on, or None where the key is none of these."""
        if key is None or key == "q":
            keys.echo("")
            return False
        if key == "s":
            keys.echo("skipped")
            self._queue.pop(0)
            self._skipped.append(asked.photo_id)
            self._answers.append(LabelAnswer(asked, {}))
            self._print(asked, {}, skipped=True)
            return True
        if key != "u":
            return None
        if not self._answers:
            keys.echo("nothing to undo")
            return True
        last = self._answers.pop()
        keys.echo(f"photo {last.asked.photo_id} again")
        self._skipped = [photo_id for photo_id in self._skipped if photo_id != last.asked.photo_id]
        self.photos.take_back_photo(
            last.asked.photo_id, last.before, tag=self._name or None, vocabulary=self.vocabulary, tab=self.tab
        )
        self.labelled -= bool(last.before)
        self._queue.insert(0, last.asked)
        self._print(last.asked, last.before, undone=True)
        return True

    def _keep(self, asked: PhotoAsked, said: Mapping[str, bool]) -> None:
        self._queue.pop(0)
        try:
            before = self.photos.label_photo(asked.photo_id, said, vocabulary=self.vocabulary)
        except QueryError as error:  # it has left the library
            console.note(str(error))
            return
        self._answers.append(LabelAnswer(asked, before))
        self.labelled += 1
        told = self.labelled % STEP == 0
        self._print(asked, said, brought=self._brought() if told else None)
        if told:
            self._learn()

    def _print(self, asked: PhotoAsked, said: Mapping[str, bool | None], **more: Any) -> None:
        """Print an answer on stdout, where a program may read it."""
        if self.json:
            record: dict[str, Any] = {"photo_id": asked.photo_id, "path": asked.file.path, "member": asked.file.member}
            record |= {"yes": [tag for tag, there in said.items() if there]}
            record |= {"no": [tag for tag, there in said.items() if there is False]}
            record |= {"skipped": False, "undone": False, "brought": None} | more
            console.print_json(record)
        elif not at_terminal():
            yes = ";".join(tag for tag, there in said.items() if there)
            no = ";".join(tag for tag, there in said.items() if there is False)
            word = next((name for name in ("skipped", "undone") if more.get(name)), "labelled")
            console.print_rows((), [(asked.photo_id, word, yes, no)])
        sys.stdout.flush()

    def _brought(self) -> dict[str, Any] | None:
        """Say what labels brought, and return it as figures; None where they teach nothing."""
        self._told = self.labelled
        try:
            gain = self.photos.labels_brought(self._name or None, vocabulary=self.vocabulary)
        except QueryError as error:  # by this method labels teach nothing
            self._enough = False
            print_notes([str(error)], self.library)
            return None
        console.note(str(gain))
        self._enough = gain.photos >= STEP
        return gain.as_json()

    def _learn(self) -> None:
        """Have the tags decided by the labels, where that is wanted, they are enough, and it can be done now."""
        if not self.apply or not (self._enough or self._applied):  # what is undone is not decided by any more
            return
        try:
            self.photos.learn_labels(self.vocabulary)
            self._applied = True
        except LibraryBusyError:
            self._applied = False
            console.note("another process is changing the library: the labels are kept, its tags follow later")
        except AliensError as error:
            self.apply = self._applied = False
            print_notes([f"the labels are kept, but tags are not decided by them: {error}"], self.library)

    def _end(self) -> None:
        """Say what came of it, and what to do then."""
        if not self._answers:
            return
        if self.labelled != self._told:
            self._brought()
            self._learn()
        elif self._enough and not self._applied:  # another process was changing the library
            self._learn()
        command = f"aliens tag --vocabulary {self.vocabulary} --calibrate"
        then = f"`{command} labels` has the tags decided by the labels"
        if self._applied:
            then = f"the tags are decided by the labels now; `{command} none` forgets them"
        elif self.apply and not self._enough:
            then = f"from {STEP} labelled photos on the tags are decided by them"
        print_notes([f"{counted(self.labelled, 'photo')} labelled: {then}"], self.library)


def tag_lines(tags: Mapping[str, bool | None]) -> list[str]:
    """Return tags with their keys, in columns as the terminal is wide; what was said before stands behind them."""
    remark = {None: "", True: " (yes)", False: " (no)"}
    cells = [f"{key} {tag}{remark[said]}" for key, (tag, said) in zip(TAG_KEYS, tags.items(), strict=False)]
    wide = max(map(len, cells), default=1) + 3
    columns = max((shutil.get_terminal_size().columns - 2) // wide, 1)
    rows = -(-len(cells) // columns)
    return ["  " + "".join(cell.ljust(wide) for cell in cells[row::rows]).rstrip() for row in range(rows)]


def at_terminal() -> bool:
    """Tell whether somebody types at a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


class Keys:
    """Answers as they are typed: single keys of a terminal, or lines of a pipe."""

    def __init__(self) -> None:
        self.is_terminal = at_terminal()
        self._typed: list[str] = []
        self._lines = 0
        self._before: list[Any] = []

    def __enter__(self) -> "Keys":
        """Have a terminal give keys as they are pressed, and show none of them; Ctrl-C stays what it is."""
        if self.is_terminal:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin, termios.TCSADRAIN)
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_terminal:
            with suppress(termios.error):  # it was closed
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    @contextmanager
    def _as_it_was(self) -> Iterator[None]:
        """Have a terminal take lines again."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def next(self, *, whole_line: bool = False) -> str | None:
        """Return the next key, "" for Enter, or None at the end; of a pipe the next line, its word as a key."""
        if not self.is_terminal:
            return self._next_line(whole_line)
        while not self._typed:
            data = os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
            if not data:
                return None
            if not data.startswith(ESCAPE):
                self._typed = list(data)
        key = self._typed.pop(0)
        return None if key == END else "" if key in "\r\n" else key.lower()

    def line(self, prompt: str) -> str:
        """Return a line that is typed at a terminal."""
        console.prompt(prompt, anew=True)
        with self._as_it_was():
            return sys.stdin.readline().strip()

    def _next_line(self, whole_line: bool) -> str | None:
        try:
            line = sys.stdin.readline() if sys.stdin is not None else ""
        except OSError:  # nothing can be read there
            return None
        self._lines += 1
        if not line:
            return None
        said = line.strip()
        word = said.lower()
        return WORDS.get(word, word if word in WORDS.values() or not whole_line else said)

    def echo(self, word: str) -> None:
        """Say on the terminal what a key was taken for."""
        if self.is_terminal:
            console.note(word)

    def status(self, line: str) -> None:
        """Show a line in place of the one before."""
        if self.is_terminal:
            console.prompt(line[-(shutil.get_terminal_size().columns - 1) :], anew=True)

    def refuse(self, key: str | None) -> None:
        """Pass over a key that says nothing. Raises: QueryError: it is a line of a pipe."""
        if not self.is_terminal:
            raise QueryError(f"line {self._lines} says {key!r}: give y, n, s (skip), u (undo) or q (quit)")
