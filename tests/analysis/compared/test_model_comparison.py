"""Models compared: by hand where rankings are known, without embedding twice, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from aliens.library import Library
from analysis.compared.model_comparison import shared_share
from base.errors import EncoderError, LibraryError, QueryError
from tests.analysis.compared.conftest import OtherEncoder
from tests.conftest import stopping_at


def test_shared_shares_by_hand() -> None:
    arrays = [np.array(ids) for ids in ([1, 2, 3, 4], [4, 3, 9, 8], [1, 2], [])]
    assert shared_share(arrays[:1], arrays[1:2]) == 0.5
    assert shared_share(arrays[:1], arrays[2:3]) == 0.5  # two of four
    assert shared_share([arrays[0], arrays[3]], [arrays[0], arrays[3]]) == 1.0
    assert shared_share([arrays[0], arrays[0]], [arrays[0], arrays[3]]) == 0.5
    assert shared_share([arrays[3]], [arrays[3]]) == 1.0


def test_a_model_that_ranks_alike_gains_nothing_and_one_that_ranks_reversed_is_seen(
    own_ten: Library, two_queries: Path, loaded: list[OtherEncoder]
) -> None:
    found = own_ten.compare("twin", "upside-down", queries=two_queries, k=[1, 10])
    ranked = {q: [h.photo_id for h in own_ten.search(q, k=10, copies=True)] for q in ("a pool", "a bed")}
    answers = {"a pool": (1, 2), "a bed": (3,)}
    first = [1 / (1 + min(ranked[q].index(photo) for photo in photos)) for q, photos in answers.items()]
    reverse = [1 / (10 - max(ranked[q].index(photo) for photo in photos)) for q, photos in answers.items()]
    mrr = {mean.setting: mean for mean in found.quality if mean.measure == "MRR"}
    assert [mrr[name].mean for name in ("fake", "twin", "upside-down")] == pytest.approx(
        [np.mean(first), np.mean(first), np.mean(reverse)]
    )
    assert mrr["twin"].difference == 0
    assert {(each.model, each.other): each.shared for each in found.agreement} == {
        ("fake", "twin"): 1.0,
        ("fake", "upside-down"): 1.0,  # ten of ten photos
        ("twin", "upside-down"): 1.0,
    }
    assert (found.sample, len(found.costs)) == (10, 3)
    assert "the sample is of 10 photos: 3 that answer queries and 7 drawn by chance" in found.notes
    assert any("fewer than 50 photos" in note for note in found.notes)
    assert {record["of"] for record in found.to_dicts()} == {"quality", "cost", "agreement"}


def test_what_a_model_costs_is_told_for_the_whole_library(
    own_ten: Library, two_queries: Path, loaded: list[OtherEncoder]
) -> None:
    own, twin = own_ten.compare("twin", queries=two_queries, photos=2).costs
    assert (own.model, own.parameters, own.photos_per_s, own.hours) == ("fake", None, None, None)
    assert (twin.model, twin.parameters, twin.size_px, twin.photos, twin.dim) == ("twin", 1_500_000, 32, 10, 48)
    assert twin.vectors_bytes == 10 * (2 * 48 + 8)
    assert twin.hours == pytest.approx(10 / twin.photos_per_s / 3600)
    assert min(own.text_ms, twin.text_ms) > 0


def test_a_sample_is_embedded_once_whatever_is_asked_of_it_and_the_library_stays_as_it_is(
    own_ten: Library, two_queries: Path, loaded: list[OtherEncoder]
) -> None:
    before = own_ten.info().as_json()
    first = own_ten.compare("twin", queries=two_queries, photos=2)
    assert sum(encoder.encoded_photos for encoder in loaded) == 5
    again = own_ten.compare("twin", queries=two_queries, photos=2)
    assert sum(encoder.encoded_photos for encoder in loaded) == 5
    assert again.costs[1].photos_per_s == first.costs[1].photos_per_s  # as it was measured then
    assert again.sample == first.sample == 5
    own_ten.compare("twin", queries=two_queries)
    assert sum(encoder.encoded_photos for encoder in loaded) == 10
    fewer = own_ten.compare("twin", queries=two_queries, photos=0)
    assert fewer.sample == 3  # others that were embedded before do not count
    assert own_ten.info().as_json() == before
    assert list(own_ten.verify()) == []


def test_stopping_keeps_what_was_embedded(
    own_ten: Library, two_queries: Path, loaded: list[OtherEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        own_ten.compare("twin", queries=two_queries, progress=stopping_at("embedding", 4))
    embedded = sum(encoder.encoded_photos for encoder in loaded)
    assert own_ten.compare("twin", queries=two_queries).sample == 10
    assert embedded <= 10 <= sum(encoder.encoded_photos for encoder in loaded) <= 14  # a batch of 4 may be lost


def test_damage_in_a_sample_is_told_with_what_mends_it_there(
    own_ten: Library, two_queries: Path, loaded: list[OtherEncoder]
) -> None:
    own_ten.compare("twin", queries=two_queries)
    (own,) = (own_ten.path / "compared").iterdir()
    (segment,) = own.rglob("*.faiss")
    segment.write_bytes(segment.read_bytes()[:100])
    with pytest.raises(LibraryError, match="is damaged") as refused:
        own_ten.compare("twin", queries=two_queries)
    assert f"`aliens verify --repair --library {own}`" in str(refused.value)


def test_another_database_named_by_the_environment_is_not_the_samples(
    own_ten: Library, two_queries: Path, loaded: list[OtherEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIENS_DATABASE", f"sqlite:///{own_ten.path}/library.db")
    assert own_ten.compare("twin", queries=two_queries).sample == 10
    assert (own_ten.path / "compared" / "twin-00000000" / "library.db").is_file()


def test_what_cannot_be_compared_is_refused(
    own_ten: Library, two_queries: Path, loaded: list[OtherEncoder], tmp_path: Path
) -> None:
    for models, options, message in (
        ((), {}, "name the models to compare"),
        (("fake",), {}, "'fake' is the library's own model, which the others are compared with: leave it out"),
        (("twin", "twin"), {}, "'twin' is a model that was named already: name each once"),
        (("twin",), {"photos": -1}, "photos is -1: draw 0 or more"),
        (("twin",), {"k": [0]}, "k is 0"),
        (("twin",), {"queries": tmp_path / "absent.csv"}, "absent.csv cannot be read"),
    ):
        with pytest.raises(QueryError, match=message):
            own_ten.compare(*models, **({"queries": two_queries} | options))  # type: ignore[arg-type]


def test_photos_that_are_gone_count_for_no_model_and_without_any_nothing_is_compared(
    own_ten: Library, two_queries: Path, loaded: list[OtherEncoder], ten_photos: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    with own_ten.catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE photo SET path = ? || id WHERE id > 8", (str(away),))
    found = own_ten.compare("twin", queries=two_queries)
    assert found.sample == 8
    assert any(note.startswith("2 of the sample are copies of others, or could not be read") for note in found.notes)
    with own_ten.catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE photo SET path = ? || id", (str(away),))
    shutil.rmtree(own_ten.path / "compared")
    with pytest.raises(QueryError, match="none of 10 photos can be read where the library knows them"):
        own_ten.compare("twin", queries=two_queries)


def test_a_real_model_embeds_the_sample_and_its_text_tower_answers(own_ten: Library, two_queries: Path) -> None:
    found = own_ten.compare("starter", queries=two_queries, photos=3)
    assert (found.sample, found.quality.settings) == (6, ["fake", "starter"])
    assert found.costs[1].dim == 384
    assert (found.costs[1].parameters or 0) > 1_000_000
    with pytest.raises(EncoderError, match="no model 'nothing'"):
        own_ten.compare("nothing", queries=two_queries)
