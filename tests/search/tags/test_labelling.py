import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from sqlalchemy import text

from base.errors import LibraryError, QueryError, SourceError
from base.progress import Step
from base.records import MANIFEST_SUFFIX
from db.tag_rows import Label, all_labels
from search.tags.calibration import TagOptions
from search.tags.choosing import narrowed
from search.tags.labelling import Photos, WantedPhotos, different
from search.tags.tag_files import bytes_check
from search.tags.vocabulary import bare
from tests.by_folder import import_tags, label_photo, session_of
from tests.conftest import LibraryFactory, photo_bytes
from tests.search.tags.conftest import OWN, decided, opened, tag

HEAD = ("photo_id", "tags", "set_by_hand", "unset_by_hand")
Row = dict[str, str]


def labels_of(library: LibraryFactory) -> list[Label]:
    with session_of(library.folder) as session:
        return list(all_labels(session))


def exported(library: LibraryFactory) -> list[Row]:
    """Return the rows of an export."""
    rows = []
    with opened(library.folder) as (_, tagging):
        names = tagging.vocabulary.names
        for photos in tagging.photos():
            for photo_id, row in zip(photos.photo_ids.tolist(), photos.decided, strict=True):
                said = photos.labels.get(photo_id, {})
                lists = (
                    [name for name, has in zip(names, row, strict=True) if has],
                    [name for name, present in said.items() if present],
                    [name for name, present in said.items() if not present],
                )
                rows.append(dict(zip(HEAD, [str(photo_id), *map(";".join, lists)], strict=True)))
    return rows


def written(path: Path, rows: list[Row], exported_from: LibraryFactory | None = None) -> Path:
    """Write rows as a file, with the manifest of an export beside it where a library is given."""
    if exported_from is not None:
        with opened(exported_from.folder) as (_, tagging):
            manifest = {
                "model": tagging.model.key,
                "vocabulary": tagging.vocabulary.key,
                "calibration": tagging.calibration.as_json(),
            }
        path.with_name(path.name + MANIFEST_SUFFIX).write_text(json.dumps(manifest))
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else HEAD)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def own(tagged: LibraryFactory) -> LibraryFactory:
    """A library with a vocabulary of three tags, and two labels."""
    tag(tagged, OWN)
    before = decided(tagged.folder)
    for photo_id, name in ((2, "01.jpg"), (5, "04.jpg")):
        label_photo(tagged.folder, photo_id, "a pool", "a pool" not in before[name], None)
    return tagged


# Single labels


def test_a_label_is_set_replaced_and_forgotten(tagged: LibraryFactory) -> None:
    assert label_photo(tagged.folder, 3, "POOL", True, None) == "a pool"
    assert label_photo(tagged.folder, 3, "a tv", False, None) == "a tv"
    assert labels_of(tagged) == [Label(3, "pool", True), Label(3, "tv", False)]
    label_photo(tagged.folder, 3, "a pool", False, None)
    label_photo(tagged.folder, 3, "tv", None, None)
    assert labels_of(tagged) == [Label(3, "pool", False)]


def test_an_unknown_photo_tag_or_vocabulary_is_refused(tagged: LibraryFactory) -> None:
    with pytest.raises(QueryError, match="no photo 99 in"):
        label_photo(tagged.folder, 99, "a pool", True, None)
    with pytest.raises(QueryError, match=r"no tag 'a pol' .*did you mean 'a pool'"):
        label_photo(tagged.folder, 1, "a pol", True, None)
    with pytest.raises(QueryError, match="is not tagged with 'hotel'"):
        label_photo(tagged.folder, 1, "a pool", True, "hotel")
    assert labels_of(tagged) == []


# Files


def test_an_export_read_back_unchanged_adds_nothing(own: LibraryFactory, tmp_path: Path) -> None:
    before, labels = decided(own.folder), labels_of(own)
    assert len(labels) == 2
    report = import_tags(own.folder, written(tmp_path / "tags.csv", exported(own), own))
    assert (report.rows, report.unknown_photos, report.unknown_tags) == (10, 0, 0)
    assert labels_of(own) == labels
    assert decided(own.folder) == before


def test_an_edited_export_becomes_labels(tagged: LibraryFactory, tmp_path: Path) -> None:
    rows = exported(tagged)
    place = next(place for place, row in enumerate(rows) if row["tags"])
    removed, *kept = rows[place]["tags"].split(";")
    added = "a table" if "a table" not in rows[place]["tags"] else "a mirror"
    unknown = next(row for row in rows[::-1] if row is not rows[place])
    expected = {**decided(tagged.folder), f"{place:02d}.jpg": {*kept, added}}
    rows[place]["tags"] = ";".join([*kept, added.upper().removeprefix("A ")])
    unknown["tags"] = ";".join(f"?{name}" for name in unknown["tags"].split(";") if name)
    report = import_tags(tagged.folder, written(tmp_path / "tags.csv", rows, tagged))
    assert (report.rows, report.set, report.unset) == (10, 1, 1)
    assert sorted(labels_of(tagged)) == sorted(
        [Label(place + 1, bare(added), True), Label(place + 1, bare(removed), False)]
    )
    assert decided(tagged.folder) == expected


def test_a_label_is_taken_back_by_editing_the_tags_of_an_export(own: LibraryFactory, tmp_path: Path) -> None:
    rows = exported(own)
    for row in rows:
        for said in ("set_by_hand", "unset_by_hand"):
            if row[said] == "a pool":
                tags = set(row["tags"].split(";")) - {""}
                row["tags"] = ";".join(sorted(tags ^ {"a pool"}))
                break
    before = {label: label.present for label in labels_of(own)}
    import_tags(own.folder, written(tmp_path / "tags.csv", rows, own))
    assert labels_of(own) == [label._replace(present=not present) for label, present in before.items()]


def test_labels_only_reads_nothing_but_the_labels(own: LibraryFactory, tmp_path: Path) -> None:
    labels = labels_of(own)
    rows = [{**row, "tags": "a bathtub"} for row in exported(own)]
    rows[8]["set_by_hand"], rows[9]["unset_by_hand"] = "tv", "a tv;a bar"
    report = import_tags(own.folder, written(tmp_path / "tags.csv", rows), labels_only=True)
    assert report.unknown_tags == 1
    assert labels_of(own) == [*labels, Label(9, "tv", True), Label(10, "tv", False)]


def test_a_file_without_a_manifest_says_yes_to_what_it_lists_and_no_to_nothing(
    tagged: LibraryFactory, tmp_path: Path
) -> None:
    before = decided(tagged.folder)
    rows = [{**row, "tags": "a minibar"} for row in exported(tagged)]
    report = import_tags(tagged.folder, written(tmp_path / "tags.csv", rows))
    assert (report.compared, report.unset) == (False, 0)
    assert decided(tagged.folder) == {name: tags | {"a minibar"} for name, tags in before.items()}


@pytest.mark.parametrize("options", [TagOptions(threshold=0.9), TagOptions(method="softmax")])
def test_a_file_is_compared_with_the_tags_as_they_were_decided_when_it_was_exported(
    tagged: LibraryFactory, tmp_path: Path, options: TagOptions
) -> None:
    path = written(tmp_path / "tags.csv", exported(tagged), tagged)
    before = decided(tagged.folder)
    tag(tagged, options=options)
    assert decided(tagged.folder) != before
    report = import_tags(tagged.folder, path)
    assert (report.rows, report.set, report.unset) == (10, 0, 0)


@pytest.mark.parametrize(
    ("name", "message"), [("model", "exported with the model other"), ("vocabulary", "is not tagged with 'other'")]
)
def test_a_file_of_another_model_or_vocabulary_is_refused(
    tagged: LibraryFactory, tmp_path: Path, name: str, message: str
) -> None:
    path = written(tmp_path / "tags.csv", exported(tagged), tagged)
    beside = path.with_name(path.name + MANIFEST_SUFFIX)
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {name: "other"}))
    with pytest.raises(QueryError, match=message):
        import_tags(tagged.folder, path)
    assert labels_of(tagged) == []


def test_a_file_is_compared_with_the_vocabulary_that_it_was_exported_with(
    tagged: LibraryFactory, tmp_path: Path
) -> None:
    path = written(tmp_path / "tags.csv", exported(tagged), tagged)
    tag(tagged, OWN)  # now the current one
    report = import_tags(tagged.folder, path)
    assert (report.set, report.unset, report.unknown_tags) == (0, 0, 0)


def test_a_label_that_is_newer_than_the_file_stays(tagged: LibraryFactory, tmp_path: Path) -> None:
    path = written(tmp_path / "tags.csv", exported(tagged), tagged)
    has = decided(tagged.folder)["02.jpg"]
    absent, present = next(t for t in ("a minibar", "a mirror", "a tv") if t not in has), next(iter(has))
    label_photo(tagged.folder, 3, absent, True, None)
    label_photo(tagged.folder, 3, present, False, None)
    labels = labels_of(tagged)
    import_tags(tagged.folder, path)
    assert labels_of(tagged) == labels


def test_a_misspelt_tag_takes_no_other_away(tagged: LibraryFactory, tmp_path: Path) -> None:
    rows = exported(tagged)
    rows[0]["tags"] = "a pol"
    report = import_tags(tagged.folder, written(tmp_path / "tags.csv", rows, tagged))
    assert (report.unknown_tags, report.set, report.unset) == (1, 0, 0)


def test_a_tag_both_set_and_unset_is_refused(own: LibraryFactory, tmp_path: Path) -> None:
    rows = exported(own)
    rows[3] |= {"set_by_hand": "a tv;a pool", "unset_by_hand": "pool"}
    path = written(tmp_path / "tags.csv", rows)
    with pytest.raises(QueryError, match=r"tags\.csv:5: 'pool' is both set and unset by hand"):
        import_tags(own.folder, path, labels_only=True)


def test_what_is_unknown_is_left_out_counted_and_named(own: LibraryFactory, tmp_path: Path) -> None:
    labels, rows = labels_of(own), exported(own)
    rows[0]["tags"] += ";a bathtubb;a spa"
    rows += [{"photo_id": str(number), "tags": "", "set_by_hand": "", "unset_by_hand": ""} for number in range(91, 110)]
    report = import_tags(own.folder, written(tmp_path / "tags.csv", rows))
    assert (report.rows, report.unknown_photos, report.unknown_tags) == (29, 19, 2)
    assert labels_of(own) == labels
    assert report.tags_left_out == {"a bathtubb": ["a bathtub"], "a spa": []}
    assert report.photos_left_out == [f"tags.csv:{line} (photo_id {line + 79})" for line in range(12, 22)]
    words = " ".join(report.notes)
    assert "left out 19 rows whose photo the library does not know: tags.csv:12 (photo_id 91), tags.csv:13 " in words
    assert (
        "left out 2 tags that the vocabulary does not have: 'a bathtubb' (did you mean 'a bathtub'?), 'a spa'" in words
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photo_id": "99"}, r"no photo of its 10 rows can be found in the library, as tags\.csv:2 \(photo_id 99\), "),
        (
            {"tags": "a batthub;a spa"},
            r"none of its tags is in the vocabulary own-\w+: 'a batthub' \(did you mean 'a bath",
        ),
    ],
)
@pytest.mark.parametrize("labels_only", [False, True])
def test_a_file_of_which_nothing_is_known_changes_nothing(
    own: LibraryFactory, tmp_path: Path, change: Row, message: str, labels_only: bool
) -> None:
    labels = labels_of(own)
    if labels_only and "tags" in change:
        change = {"set_by_hand": change["tags"]}
    rows = [row | {"set_by_hand": "", "unset_by_hand": ""} | change for row in exported(own)]
    path = written(tmp_path / "tags.csv", rows)
    with pytest.raises(SourceError, match=message):
        import_tags(own.folder, path, labels_only=labels_only)
    assert labels_of(own) == labels


def test_labels_of_another_vocabulary_are_no_unknown_tags(own: LibraryFactory, tmp_path: Path) -> None:
    label_photo(own.folder, 3, "a minibar", True, "case-study")
    rows = exported(own)
    assert "minibar" in rows[2]["set_by_hand"]
    report = import_tags(own.folder, written(tmp_path / "tags.csv", rows, own))
    assert (report.set, report.unset, report.notes) == (0, 0, [])


def test_of_a_photo_in_two_rows_both_are_read(tagged: LibraryFactory, tmp_path: Path) -> None:
    rows = exported(tagged)
    added = "a minibar" if "a minibar" not in rows[0]["tags"] else "a mirror"
    edited = rows[0] | {"tags": f"{rows[0]['tags']};{added}"}
    report = import_tags(tagged.folder, written(tmp_path / "tags.csv", [edited, *rows], tagged))
    assert (report.rows, report.set, report.unset) == (11, 1, 0)


def test_rows_of_no_export_whose_number_and_path_are_two_photos_are_told_of(
    tagged: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("photo_id,path,tags\n1,photos/04.jpg,a minibar\n2,photos/01.jpg,\n", encoding="utf-8")
    report = import_tags(tagged.folder, path)
    assert "a minibar" in decided(tagged.folder)["04.jpg"]
    (note,) = (note for note in report.notes if "path" in note)
    assert note == f"1 row taken by path: {path}:2: photo_id 1 is {photos}/00.jpg, but {photos}/04.jpg is photo 5"


def cells_of(path: Path) -> list[Row]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check(number: int) -> str:
    """Return by what an exported row knows the photo that was made by a seed."""
    return bytes_check(hashlib.sha256(photo_bytes(number)).digest())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "1,a pool,other-00000000/00/CHECK",
            r"t\.csv:3 was exported with the vocabulary other-00000000, not with case-",
        ),
        ("1,a pool,mine", r"t\.csv:3: exported is 'mine', which no export wrote"),
    ],
)
def test_what_was_exported_otherwise_is_refused(tagged: LibraryFactory, tmp_path: Path, row: str, message: str) -> None:
    with opened(tagged.folder) as (_, tagging):
        key = tagging.vocabulary.key
    path = tmp_path / "t.csv"
    rows = f"2,a pool,{key}/0000/{check(1)}\n{row.replace('CHECK', check(0))}\n"
    path.write_text(f"photo_id,tags,exported\n{rows}", encoding="utf-8")
    with pytest.raises(QueryError, match=message):
        import_tags(tagged.folder, path)
    assert labels_of(tagged) == []


def test_edits_find_photos_that_moved_since_the_export(tagged: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    with tagged.open() as library:
        library.export(tmp_path / "tags.csv")
        rows = cells_of(tmp_path / "tags.csv")
        moved = photos.rename(photos.with_name("moved"))
        library.add(moved)
        added = "a minibar"
        assert added not in rows[3]["tags"].split(";")
        rows[3]["tags"] += f";{added}"
        report = library.import_tags(written(tmp_path / "edited.csv", rows))
        assert (report.set, report.unset, report.unknown_photos) == (1, 0, 0)
        assert labels_of(tagged) == [Label(4, "minibar", True)]


def test_edits_find_photos_whose_names_others_have_now(tagged: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    with tagged.open() as library:
        library.export(tmp_path / "tags.csv")
        rows = cells_of(tmp_path / "tags.csv")
        (photos / "old").mkdir()
        (photos / "03.jpg").rename(photos / "old" / "03.jpg")
        library.add(photos)
        (photos / "03.jpg").write_bytes(photo_bytes(99))  # another photo of that name
        (photos / "05.jpg").rename(photos / "x")
        (photos / "06.jpg").rename(photos / "05.jpg")
        (photos / "x").rename(photos / "06.jpg")
        library.add(photos)
        assert (library.import_tags(written(tmp_path / "same.csv", rows)).set, labels_of(tagged)) == (0, [])
        for row in rows[3], rows[5]:
            row["tags"] += ";a minibar"
        report = library.import_tags(written(tmp_path / "edited.csv", rows))
        assert (report.set, report.unknown_photos) == (2, 0)
        assert labels_of(tagged) == [Label(4, "minibar", True), Label(7, "minibar", True)]


def test_edits_are_of_the_picture_that_was_exported(tagged: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    with tagged.open() as library:
        library.export(tmp_path / "tags.csv")
        rows = cells_of(tmp_path / "tags.csv")
        (photos / "03.jpg").write_bytes(photo_bytes(99))
        library.add(photos)
        library.tag()
        for row in rows[3:5]:
            row["tags"] += ";a minibar"
        report = library.import_tags(written(tmp_path / "edited.csv", rows))
        assert (report.set, report.unset, report.unknown_photos) == (1, 0, 1)
        assert "left out 1 row whose photo the library does not know: edited.csv:5" in " ".join(report.notes)
        assert labels_of(tagged) == [Label(5, "minibar", True)]


def test_a_row_that_was_added_to_an_export_says_yes_alone(tagged: LibraryFactory, tmp_path: Path) -> None:
    with opened(tagged.folder) as (_, tagging):
        key = tagging.vocabulary.key
    path = tmp_path / "t.csv"
    path.write_text(f"photo_id,tags,exported\n2,,{key}/8000/{check(1)}\n3,a minibar,\n", encoding="utf-8")
    report = import_tags(tagged.folder, path)
    assert labels_of(tagged) == [Label(2, "pool", False), Label(3, "minibar", True)]
    assert not report.compared
    assert "tags that it does not list were not unset" in " ".join(report.notes)


def test_an_error_in_the_middle_leaves_the_library_as_it_was(
    own: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("labels", "truth"):
        monkeypatch.setattr(f"search.tags.{module}.BATCH", 2)
    labels = labels_of(own)
    rows = [{**row, "tags": "a pool;a bathtub;a tv"} for row in exported(own)]
    rows[7]["photo_id"] = "eight"
    told: list[Step] = []
    with pytest.raises(QueryError, match=r"tags\.csv:9: photo_id is 'eight'"):
        import_tags(own.folder, written(tmp_path / "tags.csv", rows), progress=told.append)
    assert [step.done for step in told] == [2, 4, 6]
    assert labels_of(own) == labels


def test_small_batches_set_the_same_labels_as_one(
    own: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "tags.csv", [{**row, "tags": "a pool"} for row in exported(own)], own)
    monkeypatch.setattr("search.tags.labels.BATCH", 3)
    import_tags(own.folder, path)
    assert all(tags == {"a pool"} for tags in decided(own.folder).values())


def test_a_library_that_is_being_changed_or_not_tagged_is_refused(stocked: LibraryFactory, tmp_path: Path) -> None:
    path = written(tmp_path / "tags.csv", [dict(zip(HEAD, ("1", "a pool", "", ""), strict=True))])
    with pytest.raises(QueryError, match="is not tagged yet"):
        import_tags(stocked.folder, path)
    tag(stocked, OWN)
    with (
        FileLock(stocked.folder.lock_file, timeout=0),
        pytest.raises(LibraryError, match="another process or thread is changing"),
    ):
        import_tags(stocked.folder, path)
    with pytest.raises(SourceError, match=r"tags\.csv has no rows: nothing was changed"):
        import_tags(stocked.folder, written(path, []))


# Photos to ask about


@pytest.mark.parametrize("read", [[3, 8], []])
def test_photos_that_were_read_are_found_among_many_that_were_not_at_the_second_look(
    tagged: LibraryFactory, monkeypatch: pytest.MonkeyPatch, read: list[int]
) -> None:
    looks: list[int] = []

    def counted(*arrays: np.ndarray) -> np.ndarray:
        looks.append(1)
        return narrowed(*arrays)

    monkeypatch.setattr("search.tags.choosing.POOL", 1)
    monkeypatch.setattr("search.tags.labelling.narrowed", counted)
    with session_of(tagged.folder) as session:
        session.execute(
            text(f"UPDATE photo SET content_sha256 = NULL WHERE id NOT IN ({', '.join(map(str, [0, *read]))})")
        )
        session.commit()
    with opened(tagged.folder) as (session, tagging):
        ids = tagging.ids
        likeliest = np.linspace(1, 0, len(ids), dtype=np.float32)
        asked = Photos(ids, np.where(np.isin(ids, read), 0.01, likeliest), frozenset())
        arguments = (session, tagging, asked, np.ones(len(ids), bool), [], WantedPhotos(2, turn=0, beside=[]))
        if read:
            assert set(different(*arguments)) <= {*read}
        else:
            with pytest.raises(QueryError, match="these photos' files were never read"):
                different(*arguments)
    assert len(looks) <= 2
