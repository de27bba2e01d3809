"""What makes no sense is refused in a line that names it, and nothing is made or left behind."""

import shlex
import shutil
from pathlib import Path

import pytest

from base.settings import LibraryFolder
from restyle.picks import Pick, PickList, write_picks
from tests.commands.conftest import Aliens
from tests.conftest import copy_library
from tests.quizzes import restyle

# What is typed, the exit code, and words of what is said.
OF_TEN_PHOTOS = [
    ("candidates --palette ferm", 2, "fern"),
    ("candidates --tag bathtub", 2, "aliens tag"),
    ("candidates --query hotel:nowhere", 2, "nowhere"),
    ("candidates --query kind:restyled", 2, "kind:"),
    ("candidates --sheet sheet.txt", 2, ".jpg"),
    ("candidates -n 0", 2, "it should be greater than or equal to 1"),
    ("candidates -n 1.5", 2, "'1.5': give a whole number"),
    ("candidates --strategy pretty", 2, "pretty"),
    ("caption", 2, "give either captions to choose from"),
    ("caption --from captions.txt --generate", 2, "give either captions to choose from"),
    ("caption --generate -k 2", 2, "k is 2, which goes with captions to choose from"),
    ("caption --from captions.txt --limit 2", 2, "model and limit go with generate"),
    ("caption --from captions.txt --model starter", 2, "no model 'starter' in this library"),
    ("caption --from captions.txt -k 0", 2, "give at least one caption, and -k of at least 1"),
    ("caption --from nowhere.txt", 2, "nowhere.txt cannot be read"),
    ("caption --generate --limit 0", 2, "the limit is 0"),
    ("caption --generate --model ViT-B-32/openai", 1, "use a CoCa, such as"),
    ("caption --generate --model ViT-B-32/openai", 1, "or a BLIP, such as `--model blip:"),
    ("eval hotels50k nowhere", 1, "nowhere is no Hotels-50K tree"),
    ("eval hotels50k nowhere --results found.csv", 2, "found.csv cannot be read"),
    ("eval hotels50k nowhere --occlusion much", 2, "much"),
    ("eval hotels50k", 2, "ROOT"),
    ("eval search --queries absent.csv", 2, "absent.csv cannot be read: No such file or directory"),
    ("eval search --queries queries.csv --at ten", 2, "--at is 'ten': give numbers with commas between them"),
    ("eval search --queries queries.csv --at 0", 2, "k is 0: give numbers from 1 to 1000"),
    ("eval search --queries queries.csv --exact", 2, "there is no approximate index to measure"),
    ("eval search --queries queries.csv --prompt photo", 2, "the prompt 'photo' has no {} for the text"),
    ("eval search --queries queries.csv --texts-in half", 2, "precision is 'half'"),
    ("eval search --queries queries.csv --compare aliens-library", 2, "would be compared with itself"),
    ("eval search --queries queries.csv --compare nowhere", 1, "nowhere"),
    ("eval captions", 2, "the library has no captions: name a file of them (--from FILE)"),
    ("duplicates -o copies.doc", 2, "does not say in what format"),
    ("duplicates --sheet copies.doc", 2, "cannot be written as"),
    ("duplicates --spare --json", 2, "leave one of both out"),
    ("duplicates -q 'a pool'", 2, "has words to look for"),
    ("duplicates -q hotel:nowhere", 2, "hotel"),
    ("duplicates --min-cosine 2", 2, "from 0.5 to 1"),
    ("eval captions --from queries.csv", 2, "aliens: queries.csv:2: there is no column 'caption'"),
    ("export tags -o tags.csv", 2, "run `aliens tag"),
    ("index --kind annoy", 1, "'annoy' is no kind of index"),
    ("index --factory IVF4,SQ8", 1, "needs --kind ivf or hnsw"),
    ("index --kind milvus:http://127.0.0.1:9 --factory IVF4,SQ8", 1, "needs --kind ivf or hnsw, not milvus"),
    ("index --kind milvus:", 1, "milvus: needs a URI"),
    ("index --kind ivf --least-recall 2", 1, "the least recall is 2"),
    ("init", 1, "is a library already"),
    ("add empty", 1, "no photos under"),
    ("add photos --hotels50k tree", 2, "give either PATHs"),
    ("add photos --exclude !", 2, "'!' is no pattern that excludes anything"),
    ("add --hotels50k . --exclude raw/", 2, "does not go with a Hotels-50K tree"),
    ("quiz --results 1,99", 2, "no result 99"),
    (f"quiz --results {'9' * 30}", 2, "--results is"),
    ("quiz --results one", 2, "--results is 'one'"),
    ("quiz --engine sdxl", 2, "results of regrade"),
    ("quiz --choices 1", 2, "--choices 2 to 9"),
    ("quiz --seed -1", 2, "--seed"),
    (f"quiz --seed {1 << 60}", 2, "--seed"),  # more than JavaScript counts, so that no answers would fit the quiz
    ("quiz --answers nowhere.json", 2, "nowhere.json"),
    ("quiz --html file/quiz.html", 1, "file/quiz.html cannot be written"),
    ("restyle --engine regrade", 2, "one of the three"),
    ("restyle --engine regrade 3 --query pool", 2, "one of the three"),
    ("restyle --engine regrade --manifest picks.toml --query pool", 2, "one of the three"),
    ("restyle --engine regrade 99", 2, "aliens-library: take a number"),
    (f"restyle --engine regrade {'9' * 20}", 2, "no photo 999"),
    ("restyle --engine regrade 3 99", 2, "no photo 99"),
    ("restyle --engine regrade three", 2, "no photo three in "),
    ("restyle --engine regrade --manifest gone.toml", 2, "gone.toml cannot be read"),
    ("restyle --engine regrade --manifest elsewhere.toml", 2, "in the manifest: it is of another library"),
    ("restyle --engine regrade --query pool -n 0", 2, "-n"),
    ("restyle --engine regrade --query 'pool size:nonsense'", 2, "size:"),
    ("restyle --engine regrade 3 --palette frn", 2, "did you mean 'fern'"),
    ("restyle --engine regrade 3 --floor 1.5", 2, "'1.5': it should be less than or equal to 1"),
    ("restyle --engine regrade 3 --strength -1", 2, "--strength"),
    ("restyle --engine regrade 3 --seed -1", 2, "--seed"),
    ("restyle --engine regrade 3 --budget nan", 2, "--budget"),
    ("restyle --engine regrade 3 --format webp", 2, "--format"),
    ("restyle --engine regrade 3 --html file/page.html", 1, "the page file/page.html cannot be written"),
    ("restyle --engine regrade 3 --html .", 1, "the page . cannot be written"),
    ("restyled --results 1,99", 2, "no result 99"),
    (f"restyled --results {'9' * 19}", 2, "no result 9999999999999999999"),
    ("restyled --results ''", 2, "--results is ''"),
    ("restyled --results x", 2, "--results is 'x'"),
    ("restyled --results 1 --photo 2", 2, "no such results"),
    (f"restyled --photo {'9' * 30}", 2, "no photo 999"),
    (f"restyled --photo {'9' * 20}", 2, "no such results"),
    ("restyled --photo gone.jpg", 2, "no photo gone.jpg"),
    ("restyled --engine sd15", 2, "no such results"),
    ("search", 2, "nothing to look for"),
    ("search ''", 2, "empty"),
    ("search pool -k 0", 2, "k is 0"),
    ("search pool -k -1", 2, "k is -1"),
    ("search --like 99", 2, "no photo 99"),
    ("search pool --per-hotel 0", 2, "per_hotel is 0"),
    ("search pool --diverse 2", 2, "diverse is 2"),
    ("search pool --sort size", 2, "'size' is not one of"),
    ("search pool --min-score 5", 2, "min_score is 5"),
    ("search 'pool \"open'", 2, "the quote that opens here is never closed"),
    ("search '-- -pool'", 2, "No such option"),
    ("search pool near:91,0,5km", 2, "the latitude 91"),
    ("search pool --page 0", 2, "--page"),
    ("search pool --page -1", 2, "--page"),
    ("search pool --page x", 2, "--page"),
    ("search pool --sheet found.docx", 2, "a sheet cannot be written as 'found.docx'"),
    ("search pool --all --sheet found.docx", 2, "a sheet cannot be written as 'found.docx'"),
    ("search pool --all --sort date", 2, "--sort"),
    ("search pool --all --diverse 0.5", 2, "--diverse"),
    ("search pool --all --explain", 2, "--explain"),
    ("search pool --all -k 2", 2, "-k"),
    ("search pool --all -k 10", 2, "-k"),
    ("search pool --more-like one", 2, "no photo one in "),
    *(
        (f"search pool --by hotel {option}", 2, f"{option.split()[0]} is for photos: leave it or --by hotel out")
        for option in (
            "--per-hotel 2",
            "--diverse 0.5",
            "--sort date",
            "--all",
            "--save p",
            "--saved p",
            "--more-like 1",
        )
    ),
    (f"search pool --more-like {'9' * 20}", 2, "999"),
    (f"search pool --more-like {'9' * 5000}", 2, "999"),
    *(
        (f"{command}{number}", 2, f"no photo {number} with a vector")
        for number in ("9" * 20, str(2**63), "-5")
        for command in ("search --like=", "similar -- ", "similar --other-hotels -- ")
    ),
    ("similar 999", 2, "no photo 999 with a vector"),
    ("similar 1 --page 0", 2, "--page"),
    ("similar 1 --page=-1", 2, "--page"),
    ("similar 1 --page x", 2, "--page"),
    ("similar 1 --sheet found.docx", 2, "a sheet cannot be written as 'found.docx'"),
    ("similar 3 --other-hotels", 2, "photo 3 belongs to no hotel"),
    ("similar 99999 --other-hotels", 2, "no photo 99999"),
    ("see gone.jpg -o x.png", 2, "no file gone.jpg"),
    ("see . -o x.png", 2, "no file ."),
    ("see empty.jpg -o x.png", 2, "empty.jpg is no photo that can be shown: the file is empty"),
    ("see text.jpg -o x.png", 2, "text.jpg is no photo that can be shown: no image format"),
    ("see photos/00.jpg -o x.txt", 2, "end its name in .jpg, .png or .webp"),
    ("see photos/00.jpg -o x", 2, "end its name"),
    ("see photos/00.jpg -o photos/00.jpg/x.png", 1, "cannot be written"),
    ("see photos/00.jpg --against gone.jpg -o x.png", 2, "no file gone.jpg"),
    ("see photos/00.jpg -o x.png --longest-px 0", 2, "--longest-px"),
    ("see photos/00.jpg", 2, "--output"),
    ("see 99 -o x.png", 2, "aliens-library: take a number"),
    (f"see {'9' * 20} -o x.png", 2, "no photo 999"),
    (f"see {'9' * 5000} -o x.png", 2, "no photo 999"),
    ("serve --host 0.0.0.0", 2, "give --token new, or --insecure"),
    ("serve --host no.such.host.invalid --insecure", 2, "is no address of this machine"),
    ("serve --host 203.0.113.7 --insecure", 2, "cannot be listened at"),
    ("serve --token secret", 2, "a token of 6 characters can be guessed"),
    ("serve --host-name http://photos", 2, "no host's name"),
    ("serve --port 70000", 2, "--port"),
    ("serve --root absent", 2, "absent"),
    *(
        (f"{command} --html page.pdf", 2, "the page 'page.pdf' does not end in .html")
        for command in ("stats", "search pool", "quiz", "restyle 3 --engine regrade", "restyle list")
    ),
    ("stats --html file/report.html", 1, "cannot be written"),
    ("tags", 2, "run `aliens tag"),
    ("tag --threshold much", 2, "'much': give a number"),
    ("tag --method sofmax", 2, "'sofmax' is not one of 'signal', 'calibrated', 'uncalibrated', 'softmax'"),
    ("tag --threshold 1.5", 2, "the threshold is 1.5: choose a probability between 0 and 1"),
    ("tag --method softmax --top-k 0", 2, "top k is 0"),
    ("tag --method softmax --threshold 0.4", 2, "the threshold is 0.4, and softmax has none"),
    ("tag --top-k 3", 2, "which goes with --method softmax: signal takes a --threshold"),
    ("tag -v hotels", 2, "no vocabulary 'hotels': name a .toml or .txt file, or one of case-study, hotel"),
    ("tag --vocabulary absent.toml", 2, "absent.toml cannot be read: No such file"),
    ("tag --calibrate absent.csv", 2, "absent.csv cannot be read: No such file"),
    ("tag --calibrate labels", 2, "nobody has set a label yet"),
    *(
        (f"{command} --library absent", 1, "no library at absent: make one with `aliens init")
        for command in ("add photos", "see 3 -o x.png", "index", "quiz", "serve", "stats")
    ),
]
OF_TAGGED_PHOTOS = [
    ("export tags -o tags.ods", 2, "'tags.ods' does not say in what format: end it in .csv, .tsv, .xlsx, .jsonl, "),
    ("export tags -o tags.csv --tag 'a pol'", 2, "did you mean 'a pool'"),
    ("export tags -o tags.csv --columns photo_id,colour", 2, "no column 'colour' to export"),
    ("export tags -o tags.csv --tag pool --tag restaurant --tag kitchen --tag shower", 2, "nothing was exported"),
    ("export tags -o tags.csv --link", 2, "--link is for imagefolders"),
    ("export tags -o tags.csv --query ''", 2, "empty"),
    ("export tags -o tags.csv --query pool -k 0", 2, "k is 0"),
    ("export tags -o tags.csv --vocabulary hotel", 2, "is not tagged with 'hotel'"),
    ("export tags -o tags.csv -k 5", 2, "-n (or -k) is for queries"),
    ("export tags -o tags.csv --columns ' , '", 2, "--columns names no column"),
    ("export tags -o photos --format imagefolder", 2, "is there already"),
    ("import tags absent.csv", 2, "cannot be read"),
    ("import tags tags.ods", 2, "give a .csv, .tsv, .txt, .xlsx, .xlsm,"),
    ("import tags unknown-photo.csv", 1, "aliens: unknown-photo.csv"),
    ("import tags unknown-tag.csv", 1, "aliens: unknown-tag.csv"),
    ("import tags empty.csv", 1, "aliens: empty.csv"),
    ("eval tags --truth unknown-photo.csv", 2, "none of its 1 photos is in the library"),
    ("tags show 4711", 2, "no photo 4711"),
    ("tags set 4711 'a pool'", 2, "no photo 4711"),
    ("tags unset 4711 'a pool'", 2, "no photo 4711"),
    ("tags set 3 'a bathtube'", 2, "no tag 'a bathtube' in "),
    ("tags set 3 'a bathtube'", 2, "did you mean 'a bathtub'"),
    ("tags report -o report.doc", 2, "end its name in .png"),
    ("tags --library elsewhere show 3", 2, "put it after `show`"),
]


@pytest.fixture(scope="module")
def places(
    filled_template: Path, tagged_template: Path, ten_photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two folders to work in, each with a library of the ten photos, of which one is tagged; not to be changed."""
    root = tmp_path_factory.mktemp("refusals")
    for name, template in (("plain", filled_template), ("tagged", tagged_template)):
        photos = Path(shutil.copytree(ten_photos, root / name / "photos"))
        copy_library(template, root / name / "aliens-library", ten_photos, photos)
        for empty in ("file", "empty.jpg"):
            (root / name / empty).touch()
        (root / name / "empty").mkdir()
        (root / name / "text.jpg").write_text("a text")
        (root / name / "captions.txt").write_text("a room with a pool\n")
        (root / name / "queries.csv").write_text("query,path\na pool,photos/00.jpg\n")
        (root / name / "unknown-photo.csv").write_text("photo_id,tags\n999,a pool\n")
        (root / name / "unknown-tag.csv").write_text("photo_id,tags\n1,a unicorn\n")
        (root / name / "empty.csv").write_text("photo_id,tags\n")
        write_picks(PickList(picks=(Pick(photo_id=3, path=""),)), root / name / "picks.toml")
        write_picks(PickList(picks=(Pick(photo_id=3, path="/elsewhere/02.jpg"),)), root / name / "elsewhere.toml")
    restyle(LibraryFolder(root / "plain" / "aliens-library"), range(1, 11))
    return root


@pytest.mark.parametrize(
    ("folder", "typed", "code", "said"),
    [("plain", *case) for case in OF_TEN_PHOTOS] + [("tagged", *case) for case in OF_TAGGED_PHOTOS],
)
def test_it_is_said_what_makes_no_sense(
    aliens: Aliens, places: Path, monkeypatch: pytest.MonkeyPatch, folder: str, typed: str, code: int, said: str
) -> None:
    monkeypatch.chdir(places / folder)
    before = files_but_the_database()
    ended, out, err = aliens(*shlex.split(typed))
    assert (ended, out) == (code, ""), err
    assert said in " ".join(err.replace("│", " ").split()) and "like:" not in err and len(err) < 600
    first, *others = err.splitlines()
    assert not others or first.startswith(("Usage: ", "loading ")) or others[-1].endswith("^")
    assert files_but_the_database() == before


def files_but_the_database() -> set[Path]:
    return {path for path in Path().rglob("*") if "library.db" not in path.name}
