"""Several models in one library, and models to choose from, as somebody types it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import aliens as library_of
from analysis import model_estimates
from embedding.device_speed import DeviceSpeed
from embedding.known_models import SHORT_LIST, chosen_models, known_models
from tests.commands.conftest import Aliens
from tests.conftest import FakeEncoder, fill_folder, photo_bytes
from tests.other_model import OTHER, OtherEncoder

KNOWN = "hf-hub:other"


@pytest.fixture(autouse=True)
def encoders(fake_encoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is another model to load beside the fake one."""
    from embedding.open_clip_encoder import OpenClipEncoder

    def load(name: str, **options: object) -> FakeEncoder:
        return OtherEncoder() if name == KNOWN else FakeEncoder()

    monkeypatch.setattr(OpenClipEncoder, "load", load)
    monkeypatch.delenv("ALIENS_USE", raising=False)


def test_another_model_is_embedded_named_used_and_forgotten(aliens: Aliens, filled: Path) -> None:
    code, out, err = aliens("embed", "--model", KNOWN)
    assert (code, "10 photos got vectors of other-11111111 in" in out) == (0, True), err
    assert f"no photo that can be found lacks one: `aliens use {KNOWN}` searches by them" in out
    Path("queries.csv").write_text(f"query,path\na pool,{filled}/03.jpg\na bed,{filled}/05.jpg\n")
    code, out, err = aliens("compare", "other", "--queries", "queries.csv", "--json")
    assert (code, Path("aliens-library/compared").exists()) == (0, False), err  # its vectors are there already
    (filled / "10.jpg").write_bytes(photo_bytes(10))
    code, _, err = aliens("add", filled)
    assert f"1 photo has no vector of the model {KNOWN}: `aliens embed --model {KNOWN}` makes them" in err
    code, out, _ = aliens("models", "--here", "--json")
    first, second = map(json.loads, out.splitlines())
    assert (first["name"], first["in_use"], first["photos"], first["lacking"]) == ("fake", True, 11, 0)
    assert (second["name"], second["in_use"], second["photos"], second["lacking"]) == (KNOWN, False, 10, 1)
    assert "beside it   other-11111111, 49 dimensions, 1 kB, 10 photos, 1 photo without" in aliens("info")[1].replace(
        "\t", "   "
    )
    assert aliens("info", "--model", "other")[1].splitlines()[2] == f"model\t{OTHER}, 49 dimensions, not in use"
    assert "1 photo has no vector of hf-hub:other yet" in aliens.fails(1, "use", "other")
    assert aliens("embed", "--model", "other", "--json")[0] == 0
    code, out, err = aliens("use", "other")
    assert (code, out) == (0, f"{OTHER} is in use; fake-00000000 stays beside it\n")
    code, out, _ = aliens("search", "a pool", "-n", "99", "--json")
    assert len(out.splitlines()) == 11
    assert "Nobody can be asked here: say --yes" in aliens.fails(2, "forget", "--model", "fake")
    assert aliens("forget", filled, "--model", "fake")[0] == 2
    assert "would forget fake-00000000" in aliens("forget", "--model", "fake", "--dry-run")[1]
    code, out, _ = aliens("forget", "--model", "fake", "--yes")
    assert (code, out) == (0, "forgot fake-00000000, 48 dimensions, 1 kB, 11 photos\n")
    _, err = aliens.well("verify")
    assert aliens("use", "fake")[0] == 2


def test_a_model_without_any_vector_is_named_with_what_makes_them(aliens: Aliens, filled: Path) -> None:
    aliens("embed", "--model", KNOWN)
    with closing(sqlite3.connect("aliens-library/library.db")) as database, database:
        # As a kill before the first batch leaves it.
        other = "(SELECT id FROM model WHERE key LIKE 'other%')"
        for table in ("embedding", "vector_segment"):
            database.execute(f"DELETE FROM {table} WHERE model_id = {other}")
    for command in (("search", "a bed"), ("tag",)):
        code, _, err = aliens(*command, "--model", "other")
        assert (code, f"has a vector of {KNOWN} yet: `aliens embed --model {KNOWN}` makes them" in err) == (2, True), (
            err
        )


def test_every_command_copes_with_a_model_that_lacks_photos(
    aliens: Aliens, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliens("embed", "--model", KNOWN)
    fill_folder(filled, (10, 11))
    aliens("add", filled, "--hotel-from", "path")
    (tmp_path / "lines.txt").write_text("a pool\na bed\n")
    (tmp_path / "queries.csv").write_text(f"query,path\na pool,{filled}/03.jpg\na bed,{filled}/11.jpg\n")
    by_other = ("--model", "other")
    for words in (
        ("search", "a pool", "-n", "99"),
        ("search", "a pool size:small", "--per-hotel", "1"),
        ("similar", "1", "--copies"),
        ("tag", "--method", "calibrated"),
        ("tag", "list"),
        ("tag", "show", "1"),
        ("tag", "sheet", "pool", "-o", "tag.jpg"),
        ("export", "tags", "-o", "tags.csv"),
        ("export", "hotels", "-o", "hotels.csv"),
        ("export", "vectors", "-o", "vectors.parquet"),
        ("duplicates", "--same-bytes"),
        ("hotels",),
        ("gallery", "photos"),
        ("candidates", "-n", "2"),
        ("caption", "--from", "lines.txt"),
        ("caption", "--from", "lines.txt"),
        ("eval", "search", "--queries", "queries.csv"),
        ("stats",),
        ("index",),
        ("index", "--kind", "exact"),
    ):
        _, err = aliens.well(*words, *by_other)
        assert "2 photos have no vector of the model hf-hub:other, and are not found by it" in err
    assert len((tmp_path / "tags.csv").read_text().splitlines()) == 11
    err = aliens.fails(2, "similar", "12", *by_other)
    assert "has none by this model yet, `aliens embed --model NAME` makes it" in err
    assert "no model 'none'" in aliens("search", "a pool", "--model", "none")[2]
    monkeypatch.setenv("ALIENS_USE", "other")
    assert len(aliens("search", "a pool", "-n", "99")[1].splitlines()) == 10
    with library_of.open("aliens-library") as opened:
        assert opened.verify() == []


def test_models_to_choose_from_are_estimated_for_library_and_device(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = DeviceSpeed("cpu", "float32", transformer=882e9, convolution=172e9)
    monkeypatch.setattr("embedding.device_speed.device_speed", lambda device, precision: speed)
    monkeypatch.setattr(model_estimates, "decoded_per_s", lambda files: 100.0 * (len(files) == 10))
    out, _ = aliens.well("models", "--json")
    found = {line["name"]: line for line in map(json.loads, out.splitlines())}
    assert len(found) == len(SHORT_LIST)
    openai = found["ViT-B-32/openai"]
    assert (openai["dim"], openai["size_px"], openai["imagenet_1k"]) == (512, 224, 0.6332)
    assert openai["photos_per_s"] == pytest.approx(1 / (8.82 / 882 + 1 / 100))  # one after the other on a CPU
    assert openai["hours"] == pytest.approx(10 / openai["photos_per_s"] / 3600)
    assert openai["vectors_gb"] == pytest.approx(10 * (2 * 512 + 8) / 1e9)
    assert found["starter"]["photos_per_s"] == pytest.approx(1 / (1.72 / 172 + 1 / 100))
    rates = [json.loads(line)["photos_per_s"] for line in out.splitlines()]
    assert rates == sorted(rates, reverse=True)
    assert len(aliens("models", "siglip2", "512")[1].splitlines()) == 3
    assert "no model of open_clip has 'nothing' and 'such' in its name" in aliens.fails(2, "models", "nothing", "such")
    assert aliens("models", "--here", "--all")[0] == 2
    _, out, _ = aliens("models", "starter", "--json", "--library", "none-here")
    assert (json.loads(out)["hours"], json.loads(out)["vectors_gb"]) == (None, None)
    assert json.loads(out)["photos_per_s"] == pytest.approx(100)


def test_known_models_are_those_of_open_clip() -> None:
    import open_clip

    known = {model.name: model for model in known_models()}
    assert {f"{name}/{weights}" for name, weights in open_clip.list_pretrained()} == known.keys() - {"starter"}
    for name, model in known.items():
        if name != "starter":
            assert open_clip.get_model_config(name.partition("/")[0])["embed_dim"] == model.dim
        assert model.image_gflops is not None
        assert model.image_gflops > 0
    assert [model.name for model in chosen_models([])] == [name for name in known if name in SHORT_LIST]
