"""A library on a disk that is read-only, or full: what only reads answers as ever, what writes says so in a line."""

import re
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

import aliens
from embedding.encoder import Encoder
from tests.conftest import LibraryFactory
from tests.shell import RUN, Said, Shell, shell_of
from tests.unwritable import command_without_rights, unwritable

OLD_LIBRARY = Path(__file__).parents[1] / "data" / "library-0004.tar.xz"
READING = [
    'search "a room" -k 3 --explain',
    "search --saved tubs",
    'search "tag:bathtub room" -k 3',
    'search "kind:any room" -k 3',
    "search --image photos/00.jpg -k 3",
    'search "a room" --all',
    "similar 3 -k 3",
    "searches",
    "info",
    "failures",
    "verify",
    "verify --quick",
    "tags",
    "tags --by-chain",
    "tags show 3",
    "eval tags --truth truth.csv",
    "eval search --queries queries.csv --truth truth.csv",
    "captions",
    "captions bed",
    "restyled",
    "quiz",
    "quiz --games",
    "candidates -n 2",
]
WRITING_ELSEWHERE = [
    'search "a room" -k 3 --sheet out/found.jpg',
    "tags sheet bathtub -o out/tag.jpg",
    "tags report -o out/report.png",
    "export tags -o out/tags.csv",
    "export tags -o out/tags.parquet",
    "export tags -o out/coco.json",
    "export tags -o out/folder --format imagefolder",
    "export captions -o out/captions.jsonl",
    "candidates -n 2 --manifest out/picks.toml --sheet out/picks.jpg",
    "restyled --html out/restyled.html",
    "quiz --html out/quiz.html",
    "see 3 -o out/seen.jpg",
]
WRITING = [
    "add photos",
    "index",
    "tag",
    "tags set 3 bathtub",
    "import tags truth.csv",
    "caption --from captions.txt",
    "captions --remove captions.txt-f00df00d",
    "search room --save rooms",
    "searches remove tubs",
    "restyle 3 --engine regrade --again",
    "restyled --add",
    "verify --repair",
]
MEASURED = re.compile(r"\d+\.\d{4,}|\d+\.\d MB")  # scores, of texts by one tower or the other, and sizes of files
Answers = dict[str, Said]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, starter: Encoder, samples: Path) -> Path:
    """A library of a few photos with all that a library can hold, but without the text tower."""
    folder = tmp_path_factory.mktemp("unwritable")
    (folder / "photos").mkdir()
    for number, photo in enumerate(sorted(samples.rglob("*.jpg"))[::20]):
        shutil.copy(photo, folder / "photos" / f"{number:02d}.jpg")
    (folder / "truth.csv").write_text("path,tags\nphotos/00.jpg,a bathtub\nphotos/01.jpg,a bed\n", encoding="utf-8")
    (folder / "queries.csv").write_text("query,tags\ntub,a bathtub\n", encoding="utf-8")
    (folder / "captions.txt").write_text("a bed\na bathtub\n", encoding="utf-8")
    with aliens.create(folder / "library", encoder=starter) as library:
        library.add(folder / "photos")
        library.tag()
        library.caption(folder / "captions.txt")
        library.restyle([1, 2], engine="regrade")
        library.save_search("tubs", "a bathtub", k=4)
    shutil.rmtree(folder / "library" / "text")
    return folder / "library"


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """A process that has no rights beyond those of files."""
    with shell_of(command_without_rights(RUN)) as shell:
        yield shell


def run(shell: Shell, root: Path, commands: list[str], *, full: bool = False) -> Answers:
    """Return what commands say of a library."""
    said = shell.run(root.parent, *([*shlex.split(command), "--library", root] for command in commands), full=full)
    told = [(code, MEASURED.sub("...", out), err) for code, out, err in said]
    return dict(zip(commands, told, strict=True))


def output(root: Path) -> Iterator[Path]:
    """Yield the files that were written elsewhere, and remove them."""
    yield from sorted(path.relative_to(root.parent) for path in (root.parent / "out").rglob("*") if path.is_file())
    shutil.rmtree(root.parent / "out")


@pytest.fixture(scope="module")
def writable(root: Path, shell: Shell) -> tuple[Answers, list[Path]]:
    """What commands say where the library can be written, and the files that they make."""
    said = run(shell, root, READING + WRITING_ELSEWHERE)
    shutil.rmtree(root / "text")
    return said, list(output(root))


@pytest.fixture(scope="module")
def read_only(root: Path, shell: Shell, writable: object) -> tuple[Answers, list[Path]]:
    """The same where it cannot; what writes to it as well."""
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with unwritable(root):
        said = run(shell, root, READING + WRITING_ELSEWHERE + WRITING)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    return said, list(output(root))


@pytest.fixture(scope="module")
def full(root: Path, shell: Shell, read_only: object) -> Answers:
    """What commands say where the library's files cannot grow."""
    return run(shell, root, READING[::2], full=True)


def test_what_reads_answers_as_ever_on_a_disk_that_is_read_only_or_full(
    writable: tuple[Answers, list[Path]], read_only: tuple[Answers, list[Path]], full: Answers
) -> None:
    said, files = writable
    assert {command: code for command, (code, _, _) in said.items() if code} == {}
    assert len(files) >= len(WRITING_ELSEWHERE)
    answers = {command: (0, out) for command, (_, out, _) in said.items()}
    on_read_only, made = read_only
    assert {command: on_read_only[command][:2] for command in READING + WRITING_ELSEWHERE} == answers
    assert made == files
    assert {command: said[:2] for command, said in full.items()} == {command: answers[command] for command in full}
    for command in WRITING:
        code, _, err = on_read_only[command]
        assert (command, code) == (command, 1)
        assert "cannot be written" in err.splitlines()[-1], command
        assert err.splitlines()[-1].startswith("aliens: ")


def test_a_library_of_an_earlier_version_names_no_remedy_that_would_be_refused(shell: Shell, tmp_path: Path) -> None:
    with tarfile.open(OLD_LIBRARY) as tar:
        tar.extractall(tmp_path, filter="data")
    root = tmp_path / "library-0004"
    with unwritable(root):
        said = run(shell, root, ["info", "index"])
    for command, remedy in (
        ("info", "copy it to where you may write, and use the copy"),
        ("index", "copy it"),
    ):
        code, _, err = said[command]
        assert code == 1
        assert remedy in err
        assert f"--library {root}" not in err


def test_verify_knows_that_others_are_writing_where_it_may_not(
    shell: Shell, tmp_path: Path, library: LibraryFactory
) -> None:
    """The newest files of theirs are not recorded yet."""
    vectors = library.folder.vectors(library.encoder.key)
    vectors.mkdir(parents=True)
    (vectors / f"{'0' * 16}.faiss").touch()
    library.folder.lock_file.touch()
    with unwritable(library.folder.root):
        quiet = run(shell, library.folder.root, ["verify"])
        with FileLock(library.folder.lock_file):
            busy = run(shell, library.folder.root, ["verify"])
    assert (quiet["verify"][0], busy["verify"][0]) == (1, 0)
    assert "belongs to nothing" in quiet["verify"][1]
