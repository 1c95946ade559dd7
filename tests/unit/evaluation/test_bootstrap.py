from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from sailplane.evaluation import bootstrap
from sailplane.evaluation.bootstrap import Weighted, bound, estimate, resampled
from sailplane.evaluation.metrics import calibration_error, metrics


def binary(rows: int, *, signal: float = 1.0, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores of two digits, so that many are equal."""
    draw = np.random.default_rng(seed)
    target = (draw.random(rows) < 0.3).astype("float32")
    score = 1 / (1 + np.exp(-(signal * target + draw.normal(size=rows))))
    return target, score.round(2).astype("float32")[:, None]


def several(rows: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    draw = np.random.default_rng(1)
    target = draw.integers(3, size=rows)
    logits = draw.normal(size=(rows, 4)) + np.eye(4)[target]
    return target, (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("float32")


def counts(rows: int, resamples: int) -> NDArray[np.float64]:
    return np.random.default_rng(2).multinomial(rows, np.full(rows, 1 / rows), size=resamples).astype("float64")


def test_each_resample_gets_what_scikit_learn_gives_with_sample_weights() -> None:
    target, probability = binary(500)
    positive = probability[:, 0].astype("float64")
    weights = counts(500, 20)
    got = Weighted(target, probability)(weights)
    for place, each in enumerate(weights):
        assert got["auc"][place] == pytest.approx(roc_auc_score(target, positive, sample_weight=each), abs=1e-12)
        assert got["log_loss"][place] == pytest.approx(log_loss(target, positive, sample_weight=each), abs=1e-12)
        assert got["brier"][place] == pytest.approx(brier_score_loss(target, positive, sample_weight=each), abs=1e-12)
        rows = np.repeat(np.arange(500), each.astype(int))
        expected = calibration_error(target[rows], positive[rows])
        assert got["calibration_error"][place] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("data", [binary(300), several(300)], ids=["two classes", "several"])
def test_rows_that_count_once_each_get_the_metrics_themselves(data: tuple[NDArray, NDArray]) -> None:
    got = Weighted(*data)(np.ones((1, 300)))
    assert {name: values[0] for name, values in got.items()} == pytest.approx(metrics(*data), abs=1e-12)


def test_a_resample_of_several_classes_is_scored_as_its_rows_are() -> None:
    target, probability = several(200)
    weights = counts(200, 10)
    got = Weighted(target, probability)(weights)
    for place, each in enumerate(weights):
        rows = np.repeat(np.arange(200), each.astype(int))
        expected = metrics(target[rows], probability[rows])
        assert {name: values[place] for name, values in got.items()} == pytest.approx(expected, abs=1e-12)


def test_the_blocks_of_resamples_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    contender = {"one": Weighted(*binary(400))}
    whole = resampled(contender, resamples=50)["one"]["auc"]
    monkeypatch.setattr(bootstrap, "_CELLS", 400 * 7)
    np.testing.assert_array_equal(resampled(contender, resamples=50)["one"]["auc"], whole)


def test_another_process_gets_the_same_bits() -> None:
    program = """
import hashlib, numpy as np
from sailplane.evaluation.bootstrap import Weighted, resampled
draw = np.random.default_rng(0)
samples = resampled({"one": Weighted(draw.random(400) < 0.3, draw.random((400, 1)))})["one"]
print(hashlib.sha256(b"".join(samples[name].tobytes() for name in sorted(samples))).hexdigest())
"""
    run = partial(subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run().stdout == run().stdout != ""


def test_a_contender_differs_from_itself_by_nothing_in_any_resample() -> None:
    """That is what paired means."""
    data = binary(300)
    found = resampled({"challenger": Weighted(*data), "champion": Weighted(*data)}, resamples=200)
    assert not (found["challenger"]["auc"] - found["champion"]["auc"]).any()


def test_95_of_100_intervals_hold_the_true_value() -> None:
    """Of a mean of squares whose true value is known: of 100 draws of 200 rows, 95 give or take chance."""
    held = 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        truth = draw.random((200, 1))
        target = (draw.random(200) < truth[:, 0]).astype("float32")
        samples = resampled({"one": Weighted(target, truth)}, resamples=300)["one"]["brier"]
        got = estimate(0.0, samples)
        assert got.low is not None
        assert got.high is not None
        held += got.low <= 1 / 6 <= got.high
    assert 88 <= held <= 99


def test_an_interval_that_too_few_resamples_know_is_not_given() -> None:
    known = np.arange(10.0)
    assert bound(np.r_[known, np.nan], 0.5) == 4.5
    assert bound(np.r_[known, [np.nan] * 10], 0.5) is None


def test_resamples_without_a_positive_row_have_no_auc_and_are_left_out() -> None:
    target = np.array([1] + [0] * 9, dtype="float32")
    samples = resampled({"one": Weighted(target, np.linspace(0.9, 0.1, 10)[:, None])})["one"]["auc"]
    assert 0.25 < np.isnan(samples).mean() < 0.45
    assert estimate(1.0, samples).low == 1.0


def test_a_thousand_resamples_of_six_thousand_rows_take_a_second_or_two() -> None:
    contender = Weighted(*binary(6000))
    started = time.process_time()
    resampled({"challenger": contender, "champion": contender})
    assert time.process_time() - started < 2
