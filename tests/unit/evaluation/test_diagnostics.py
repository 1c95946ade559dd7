from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.evaluation import diagnostics
from sailplane.evaluation.diagnostics import calibration, importance, thresholds
from sailplane.evaluation.gate import Gate
from tests.unit.evaluation.toy import Toy, extract

TARGET = np.array([0, 0, 0, 1, 0, 1, 1, 1], dtype="float32")
SCORE = np.array([0.1, 0.2, 0.3, 0.35, 0.6, 0.7, 0.8, 0.9], dtype="float32")[:, None]


def rows() -> tuple[pd.DataFrame, np.ndarray]:
    frame = extract(pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-01-08", tz="UTC")).dropna()
    return frame.drop(columns="good"), frame["good"].to_numpy("float32")


def test_a_threshold_says_what_comes_of_acting_on_it() -> None:
    listed, best = thresholds(TARGET, SCORE, None)
    assert best is None
    assert [round(one.threshold, 2) for one in listed] == [round(0.05 * n, 2) for n in range(1, 20)]
    half = listed[9]
    assert (half.threshold, half.flagged, half.precision, half.recall) == (0.5, 4 / 8, 3 / 4, 3 / 4)
    assert (listed[0].flagged, listed[0].recall) == (1.0, 1.0)
    assert (listed[-1].flagged, listed[-1].precision, listed[-1].recall) == (0.0, None, 0.0)


@pytest.mark.parametrize(
    ("costs", "at", "cost"),
    [
        ({"false_positive": 1.0, "false_negative": 5.0}, 0.35, 1 / 8),
        ({"false_positive": 5.0, "false_negative": 1.0}, 0.7, 1 / 8),
        ({"false_positive": 1.0, "false_negative": 0.0}, 0.9, 0.0),
    ],
)
def test_the_cheapest_threshold_is_chosen_among_all_scores(costs: dict[str, float], at: float, cost: float) -> None:
    listed, best = thresholds(TARGET, SCORE, costs)
    assert best
    assert (best.threshold, best.cost) == (pytest.approx(at, abs=1e-6), cost)
    assert all(one.cost is not None and one.cost >= cost for one in listed)


def test_to_flag_nothing_may_be_the_cheapest() -> None:
    _, best = thresholds(1 - TARGET, SCORE, {"false_positive": 9.0, "false_negative": 1.0})
    assert best
    assert (best.flagged, best.cost, best.precision) == (0.0, 4 / 8, None)


def test_several_classes_have_no_thresholds() -> None:
    assert thresholds(np.array([0, 1, 2]), np.eye(3), None) == ((), None)


def test_each_contender_has_a_reliability_curve_of_equal_parts() -> None:
    draw = np.random.default_rng(0)
    truth = draw.random(5000)
    target = (draw.random(5000) < truth).astype("float32")
    points = calibration(target, {"challenger": truth[:, None], "champion": (truth / 2)[:, None]})
    mine = [point for point in points if point.contender == "challenger"]
    assert [point.predicted for point in mine] == pytest.approx([0.05 + 0.1 * n for n in range(10)], abs=0.02)
    assert all(abs(point.observed - point.predicted) < 0.06 for point in mine)
    assert all(point.observed > point.predicted for point in points if point.contender == "champion")


def test_calibration_of_several_classes_is_that_of_the_most_probable_one() -> None:
    probability = np.tile([0.7, 0.2, 0.1], (100, 1))
    [point] = calibration(np.array([0] * 60 + [1] * 40), {"challenger": probability})
    assert (point.predicted, point.observed) == pytest.approx((0.7, 0.6))


@pytest.fixture
def bundle(toy: Toy) -> Bundle:
    toy.train("one", [[2.0], [0.0]])
    return Bundle.open(toy.folder / "one")


def test_what_the_model_looks_at_is_important_and_what_it_does_not_look_at_is_not(bundle: Bundle) -> None:
    frame, target = rows()
    found, note = importance(Gate(), bundle, frame, target)
    assert note == ""
    assert [one.column for one in found] == ["height", "colour"]
    assert found[0].mean > 0.2
    assert (found[1].mean, found[1].deviation) == (0.0, 0.0)
    assert importance(Gate(), bundle, frame, target) == (found, note), "seeded"


def test_a_loss_that_grows_without_a_column_is_importance_too(bundle: Bundle) -> None:
    found, _ = importance(Gate(metric="log_loss", maximum=1.0), bundle, *rows())
    assert found[0].mean > 0.1


def test_importance_looks_at_a_bounded_number_of_rows(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    predict = Bundle.predict
    monkeypatch.setattr(Bundle, "predict", lambda self, frame: [seen.append(len(frame)), predict(self, frame)][1])
    frame, target = (pd.concat([rows()[0]] * 8, ignore_index=True), np.tile(rows()[1], 8))
    importance(Gate(), bundle, frame, target)
    assert set(seen) == {diagnostics.MOST_ROWS}


def test_a_model_that_fails_on_mixed_rows_has_a_note_instead_of_importance(toy: Toy) -> None:
    features = """
import numpy as np

def transform(frame, state):
    numbers = np.column_stack([frame["height"], frame["height"]]).astype("float32")
    return {"numbers": numbers / (not (len(frame) > 9 and (frame["colour"] == "blue").iloc[0]))}
"""
    toy.train("one", features=features)
    frame, target = rows()
    frame = frame.assign(colour=["red"] * 20 + ["blue"] * (len(frame) - 20))
    with np.errstate(divide="ignore", invalid="ignore"):
        found, note = importance(Gate(), Bundle.open(toy.folder / "one"), frame, target)
    assert found == ()
    assert "rows (first: row 0) get NaN or infinity" in note
