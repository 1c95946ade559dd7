from __future__ import annotations

import math

import numpy as np
import pytest

from sailplane.evaluation.daily import DailyEvidence, day_gains, shown
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import merge_gains
from sailplane.evaluation.metrics import metrics
from tests.unit.evaluation.looks import Pipeline, promoted_by_evidence, promoted_by_window

GATE = Gate(confidence=0.95)
DAYS = np.array(["2026-10-01"] * 4 + ["2026-10-02"] * 4 + ["2026-10-03"] * 2)
LABELS = np.array([0, 1, 0, 1, 0, 0, 1, 1, 1, 1])
GOOD = np.array([0.1, 0.9, 0.2, 0.8, 0.1, 0.2, 0.8, 0.9, 0.5, 0.5])[:, None]
POOR = np.array([0.1, 0.9, 0.2, 0.8, 0.1, 0.9, 0.8, 0.2, 0.5, 0.5])[:, None]


def test_the_gain_of_a_day_is_that_of_the_metric_on_its_own_rows_and_a_day_of_one_class_has_none() -> None:
    gains = day_gains(GATE, LABELS, DAYS, {"challenger": GOOD, "champion": POOR})
    second = slice(4, 8)
    apart = metrics(LABELS[second], GOOD[second])["auc"] - metrics(LABELS[second], POOR[second])["auc"]
    assert gains == {"2026-10-01": 0.0, "2026-10-02": pytest.approx(apart)}
    assert apart > 0


def test_a_smaller_loss_is_a_gain() -> None:
    gains = day_gains(
        Gate(metric="log_loss", maximum=1.0), LABELS, DAYS, {"challenger": GOOD, "champion": POOR, "baseline": POOR}
    )
    assert gains["2026-10-02"] > 0


def test_without_a_champion_there_are_no_gains() -> None:
    assert day_gains(GATE, LABELS, DAYS, {"challenger": GOOD}) == {}


def test_each_day_counts_once_by_the_evaluation_that_had_it_first() -> None:
    found = merge_gains([{"2026-10-02": 0.2, "2026-10-01": 0.1}, {"2026-10-02": 9.0, "2026-10-03": 0.3}])
    assert list(found.items()) == [("2026-10-01", 0.1), ("2026-10-02", 0.2), ("2026-10-03", 0.3)]


def test_what_the_gate_asks_beyond_the_champion_is_taken_from_each_day() -> None:
    gains = {f"2026-10-{day:02}": 0.05 + 0.001 * (day % 3) for day in range(1, 10)}
    assert DailyEvidence.of(GATE, gains).enough  # type: ignore[union-attr]
    assert not DailyEvidence.of(Gate(confidence=0.95, beat_champion_by=0.06), gains).enough  # type: ignore[union-attr]


@pytest.mark.parametrize("gate", [Gate(), Gate(confidence=0.95, cluster="row"), Gate(confidence=0.95, cluster="plane")])
def test_a_gate_that_judges_each_window_alone_counts_no_days(gate: Gate) -> None:
    assert DailyEvidence.of(gate, {"2026-10-01": 0.1}) is None


@pytest.mark.parametrize(
    ("log", "said"), [(-1.0, "0.37"), (2.5, "12.2"), (7.0, "1097"), (14.0, "9999+"), (5000, "9999+")]
)
def test_evidence_is_shown_as_a_number_of_few_digits(log: float, said: str) -> None:
    found = DailyEvidence(days=1, log_evidence=log, level=0.05)
    assert shown(found.evidence) == said
    assert math.isfinite(found.evidence)
    assert str(found).endswith("of 20 needed, from 1 day")


@pytest.mark.slow
def test_an_equal_model_is_hardly_ever_promoted_in_24_looks_at_overlapping_windows() -> None:
    """Draws 40 sequences of 30 days with 40 rows each. Judged by each window alone, far more would be promoted."""
    random, draws, few = np.random.default_rng(1), 40, 12
    sequences = [Pipeline.draw(random, rows=40) for _ in range(draws)]
    assert sum(promoted_by_evidence(GATE, one) is not None for one in sequences) / draws <= 0.05
    assert sum(promoted_by_window(GATE, one) is not None for one in sequences[:few]) / few >= 0.15


@pytest.mark.slow
def test_a_better_model_is_promoted_within_days() -> None:
    random, draws = np.random.default_rng(2), 20
    found = [promoted_by_evidence(GATE, Pipeline.draw(random, rows=60, noise=2.0)) for _ in range(draws)]
    assert sum(look is not None and look <= 10 for look in found) / draws >= 0.8
