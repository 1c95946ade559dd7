from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from sailplane.errors import DataError, ModelError
from sailplane.evaluation.calibration import gaps
from sailplane.evaluation.metrics import metrics


def test_two_classes_get_the_figures_that_one_works_out_by_hand() -> None:
    target = np.array([0, 0, 1, 1], dtype="float32")
    probability = np.array([[0.1], [0.4], [0.35], [0.8]], dtype="float32")
    got = metrics(target, probability)
    assert got["auc"] == pytest.approx(3 / 4)
    assert got["brier"] == pytest.approx((0.01 + 0.16 + 0.65**2 + 0.04) / 4)
    assert got["log_loss"] == pytest.approx(-(math.log(0.9 * 0.6 * 0.35 * 0.8)) / 4)
    assert set(got) == {"auc", "log_loss", "brier", "calibration_error"}


def test_several_classes_get_one_figure_each() -> None:
    target = np.array([0, 1, 2, 2])
    probability = np.full((4, 3), 0.05, dtype="float32")
    probability[np.arange(4), target] = 0.9
    got = metrics(target, probability)
    assert got["auc"] == 1
    assert got["brier"] == pytest.approx(0.1**2 + 2 * 0.05**2, abs=1e-6)
    assert got["log_loss"] == pytest.approx(-math.log(0.9), abs=1e-6)
    assert got["calibration_error"] == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("decimals", [1, 12], ids=["many equal scores", "no equal scores"])
def test_two_classes_get_the_figures_of_scikit_learn(decimals: int) -> None:
    random = np.random.default_rng(decimals)
    target, probability = random.integers(2, size=500), random.random(500).round(decimals)
    assert_figures(
        metrics(target, probability[:, None]),
        auc=roc_auc_score(target, probability),
        log_loss=log_loss(target, probability),
        brier=brier_score_loss(target, probability),
    )


@pytest.mark.parametrize("missing", [0, 1], ids=["all classes", "a class that does not occur"])
def test_several_classes_get_the_figures_of_scikit_learn(missing: int) -> None:
    random = np.random.default_rng(missing)
    target, probability = random.integers(4 - missing, size=500), random.dirichlet([1, 2, 3, 4], 500)
    occurring = np.unique(target)
    assert_figures(
        metrics(target, probability),
        auc=roc_auc_score(target[:, None] == occurring, probability[:, occurring]),
        log_loss=log_loss(target, probability, labels=range(4)),
        brier=brier_score_loss(target, probability, labels=range(4)),
    )


def test_certain_mistakes_get_the_log_loss_of_scikit_learn() -> None:
    target, probability = np.array([0, 1, 1]), np.array([1.0, 0.0, 1.0])
    assert metrics(target, probability[:, None])["log_loss"] == pytest.approx(log_loss(target, probability))


def assert_figures(got: dict[str, float], **expected: float) -> None:
    assert {name: got[name] for name in expected} == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_the_metrics_of_a_training_need_no_scikit_learn() -> None:
    script = """
import sys
import numpy as np
from sailplane.evaluation.metrics import metrics
metrics(np.array([0, 1, 1]), np.array([[0.2], [0.3], [0.4]]))
print(sorted({"sklearn", "scipy"} & sys.modules.keys()))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_a_class_that_does_not_occur_is_left_out_of_the_auc() -> None:
    target = np.array([0, 1, 1, 0])
    probability = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics(target, probability)["auc"] == 1


def test_a_single_class_is_refused_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"all 3 rows have the same label.*Check the labels that extract returns"):
        metrics(np.zeros(3), np.full((3, 1), 0.5))


def test_probabilities_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ModelError, match="1 of 2 rows have probabilities that are not finite numbers"):
        metrics(np.array([0, 1]), np.array([[0.5], [np.nan]]))


def test_a_wrong_number_of_rows_is_refused() -> None:
    with pytest.raises(ModelError, match=r"shape \(2, 1\); expected \[3, outputs\]"):
        metrics(np.array([0, 1, 1]), np.full((2, 1), 0.5))


def test_the_calibration_error_of_several_classes_is_that_of_the_most_probable_one() -> None:
    random = np.random.default_rng(1)
    probability, classes = random.dirichlet([1, 2, 3, 4], 3000), random.integers(4, size=3000)
    expected = gaps(classes == probability.argmax(axis=1), probability.max(axis=1)).error
    assert expected > 0.1
    assert metrics(classes, probability)["calibration_error"] == pytest.approx(expected)
