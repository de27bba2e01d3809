"""`aliens add --list`, and what becomes of its columns in other commands."""

import json
from pathlib import Path

from tests.commands.conftest import Aliens
from tests.conftest import fill_folder


def test_a_list_is_added_and_its_columns_shown_and_exported(aliens: Aliens, tmp_path: Path) -> None:
    fill_folder(tmp_path, range(3))
    (tmp_path / "rooms.csv").write_text("file;price;path\n0.jpg;70;a\n1.jpg;=9;b\n2.jpg;;c\nnone.jpg;1;d\n")
    assert aliens("init", "--model", "starter")[0] == 0
    code, _, err = aliens("add", "--list", "rooms.csv")
    assert code == 1 and "file and path both mean path: say one with --path-column NAME" in err
    out, err = aliens.well("add", "--list", "rooms.csv", "--path-column", "file")
    assert out.startswith("found 4 photos: 4 new, 0 changed, 0 unchanged, 1 missing")
    for wrong in (["x.jpg", "--list", "rooms.csv"], ["--list", "rooms.csv", "--hotels50k", "."]):
        assert aliens("add", *wrong)[0] == 2
    assert aliens("tag")[0] == 0
    code, out, _ = aliens("tag", "show", "1", "--json")
    assert json.loads(out)["columns"] == {"price": "70", "path": "a"}
    assert "price: 70" in aliens("tag", "show", "1")[2]
    columns = "photo_id, details, column:path"
    assert aliens("export", "tags", "-o", "out.csv", "--columns", columns)[0] == 0
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        '"photo_id","price","column:path"',
        *('1,"70","a"', '2,"\'=9","b"', '3,,"c"'),
    ]
    code, out, _ = aliens("search", "a room column:price>=60", "--json")
    assert [json.loads(line)["photo_id"] for line in out.splitlines()] == [1]
