from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from sailplane.errors import ConfigurationError
from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.details import Slice
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.slices import groups, judged

ROWS = 900
DAYS = 9


def frame() -> pd.DataFrame:
    """Returns 400 rows of A, 400 of B, 97 without a value, 3 of C."""
    values = ["A"] * 400 + ["B"] * 400 + [None] * 97 + ["C"] * 3
    times = pd.date_range("2026-03-02", periods=ROWS, freq="7min", tz="UTC").as_unit("us")
    return pd.DataFrame({"country": pd.array(values, dtype="str"), "time": times, "size": np.arange(ROWS) / 7})


def scored(gate: Gate, **slices: Any) -> dict[str, Slice]:
    """The champion is equally good everywhere; the challenger guesses in B."""
    rows, draw = frame(), np.random.default_rng(0)
    target = (draw.random(ROWS) < 0.4).astype("float32")
    good = (target + draw.normal(size=ROWS)).astype("float32")
    challenger = np.where(rows["country"] == "B", draw.normal(size=ROWS), good)
    scores = {"challenger": challenger, "champion": good}
    probability = {name: (1 / (1 + np.exp(-score)))[:, None] for name, score in scores.items()}
    clusters = Clusters(np.arange(ROWS) % DAYS)
    return {one.value: one for one in judged(gate, groups(gate, rows), target, probability, clusters)}


def test_a_slice_has_its_rows_and_both_models_metric_with_intervals() -> None:
    found = scored(Gate(slices={"country": 0.02}))
    assert {value: one.rows for value, one in found.items()} == {"A": 400, "B": 400, "C": 3, "missing": 97}
    one = found["B"]
    assert one.challenger
    assert one.champion
    assert one.difference
    assert one.challenger.value == pytest.approx(0.5, abs=0.1)
    assert one.champion.value == pytest.approx(0.75, abs=0.07)
    assert one.difference.value == one.gain == one.challenger.value - one.champion.value
    assert one.difference.low is not None
    assert one.difference.low < one.difference.value < 0


def test_a_slice_of_three_rows_is_listed_and_not_judged() -> None:
    one = scored(Gate(slices={"country": 0.02}))["C"]
    assert (one.rows, one.skipped, one.challenger, one.worse) == (3, "fewer than 100 rows", None, False)


def test_a_slice_of_a_single_day_is_listed_and_not_judged() -> None:
    """A weekday occurs once in a week's window, so its variation is unknown."""
    gate, codes = Gate(slices={"country": 0.0}), np.arange(ROWS) % DAYS
    codes[frame()["country"] == "A"] = 0
    scores = {"challenger": np.random.default_rng(0).random((ROWS, 1))}
    found = {
        one.value: one for one in judged(gate, groups(gate, frame()), np.arange(ROWS) % 2, scores, Clusters(codes))
    }
    assert (found["A"].skipped, found["B"].skipped) == ("a single day", None)


def test_a_slice_of_one_class_is_listed_and_not_judged() -> None:
    gate = Gate(slices={"country": 0.0}, min_slice_rows=2)
    target = np.where(frame()["country"] == "A", 1.0, np.arange(ROWS) % 2)
    scores, clusters = {"challenger": np.full((ROWS, 1), 0.5)}, Clusters(np.arange(ROWS))
    found = {one.value: one for one in judged(gate, groups(gate, frame()), target, scores, clusters)}
    assert found["A"].skipped == "one class only"
    assert found["B"].skipped is None


def test_only_the_slice_that_is_worse_than_allowed_is_marked() -> None:
    found = scored(Gate(slices={"country": 0.02}, min_slice_rows=50))
    assert {value for value, one in found.items() if one.worse} == {"B"}
    assert not any(one.worse for one in scored(Gate(slices={"country": 0.5})).values())


def test_with_a_confidence_a_slice_is_worse_only_where_that_is_sure() -> None:
    lost = -(scored(Gate(slices={"country": 0.0}))["B"].gain or 0)
    assert not scored(Gate(slices={"country": lost - 0.01}))["B"].worse
    assert not scored(Gate(slices={"country": lost - 0.01}, confidence=0.99))["B"].worse
    assert scored(Gate(slices={"country": 0.0}, confidence=0.99))["B"].worse


def test_the_loss_that_a_slice_would_show_is_larger_where_there_are_more_slices_and_more_is_allowed() -> None:
    few = scored(Gate(slices={"country": 0.02}))["B"].detectable
    more = scored(Gate(slices={"country": 0.02, "time:hour": 0.02}, min_slice_rows=20))["B"].detectable
    assert few
    assert more
    assert 0.02 < few < more < 0.5
    assert scored(Gate(slices={"country": 0.05}))["B"].detectable == pytest.approx(few + 0.03)


@pytest.mark.slow
def test_an_equal_model_is_hardly_ever_worse_in_any_of_twenty_slices() -> None:
    """Without a tolerance, and with 60 draws: a point estimate would find a worse slice in 68% of them."""
    draw, found, draws = np.random.default_rng(1), 0, 60
    gate = Gate(slices={"country": 0.0}, min_slice_rows=50)
    rows = pd.DataFrame({"country": np.repeat([f"{letter}" for letter in "ABCDEFGHIJKLMNOPQRST"], 104)})
    clusters = Clusters(np.tile(np.arange(8), 260))
    cut = groups(gate, rows)
    for _ in range(draws):
        target = draw.random(len(rows)) < 0.4
        signal = target + draw.normal(size=len(rows))
        scores = {name: _probability(signal + draw.normal(size=len(rows)) / 2) for name in ("challenger", "champion")}
        found += any(one.worse for one in judged(gate, cut, target, scores, clusters))
    assert found / draws <= 0.1


def _probability(score: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-score)))[:, None]


def test_without_a_champion_a_slice_has_the_challengers_metric_alone() -> None:
    gate, target = Gate(slices={"country": 0.02}), np.arange(ROWS) % 2
    probability = np.random.default_rng(0).random((ROWS, 1))
    clusters = Clusters(np.arange(ROWS))
    one = next(judged(gate, groups(gate, frame()), target, {"challenger": probability}, clusters))
    assert one.challenger
    assert one.challenger.value == pytest.approx(roc_auc_score(target[:400], probability[:400, 0]))
    assert (one.champion, one.difference, one.gain, one.worse) == (None, None, None, False)


def test_a_timestamp_is_sliced_by_hour_in_order() -> None:
    found = groups(Gate(slices={"time:hour": 0.1}), frame())
    assert [group.value for group in found] == [str(hour) for hour in range(24)]
    assert sum(len(group.indices) for group in found) == ROWS


def test_a_timestamp_is_sliced_by_weekday_from_monday_on() -> None:
    found = groups(Gate(slices={"time:weekday": 0.1}), frame())
    assert [group.value for group in found] == ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("contry", "slice by contry: no such column; expected one of country, time, size"),
        ("time:minute", r"slice by time:minute: 'minute' of a column.*expected hour or weekday of a timestamp"),
        ("country:hour", r"slice by country:hour: 'hour' of a column.*expected hour or weekday of a timestamp"),
        ("size", "slice by size: 900 values; expected at most 200. Name a categorical column"),
    ],
)
def test_a_column_that_is_no_way_to_slice_is_refused_with_those_that_there_are(column: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        groups(Gate(slices={column: 0.1}), frame())
