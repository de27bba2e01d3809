"""The figures that models are compared by."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from base.settings import asset
from embedding.open_clip_encoder import OpenClipEncoder
from training.model_table import TAGS, average_precision, evaluate, mean_ap, samples_of, speed_ratio


def test_average_precision_is_sklearns() -> None:
    chance = np.random.default_rng(1)
    for _ in range(20):
        scores, truth = chance.random(30).astype(np.float32), (chance.random(30) < 0.3).astype(np.float32)
        if truth.any():
            assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores))


def test_unknown_truth_is_left_out() -> None:
    scores = np.tile(np.linspace(1, 0, 4, dtype=np.float32)[:, None], (1, len(TAGS)))
    truth = np.full((4, len(TAGS)), np.nan, np.float32)
    truth[:, 0] = [1, np.nan, 0, 1]
    value, by_tag = mean_ap(scores, truth)
    assert by_tag == {"a pool": pytest.approx((1 + 2 / 3) / 2)} and value == by_tag["a pool"]


def test_a_model_is_scored_on_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.model_table.DRAWS", 50)
    whole = samples_of(asset("aliens/samples"))
    keep = slice(0, 24)
    few = replace(
        whole, files=whole.files[keep], groups=whole.groups[keep], rooms=whole.rooms[keep], truth=whole.truth[keep]
    )
    encoder = OpenClipEncoder.load("starter")
    (figure,) = evaluate(encoder, [few])
    assert figure.low <= figure.value <= figure.high
    assert figure.value > float(np.nanmean(few.truth)), "no better than chance"
    rate, ratio = speed_ratio(encoder, encoder, count=2, turns=1)
    assert rate > 0 and ratio > 0
