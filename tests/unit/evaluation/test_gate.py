from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from sailplane.errors import ConfigurationError
from sailplane.evaluation.gate import Gate


def test_an_auc_must_reach_at_least_what_guessing_does_not() -> None:
    assert Gate().limit == 0.55
    assert Gate(minimum=0.9).limit == 0.9


def test_of_a_loss_less_is_better() -> None:
    gate = Gate(metric="log_loss", maximum=0.6)
    assert (gate.limit, gate.gain(-0.1)) == (0.6, 0.1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"metric": "acc"}, "metric: 'acc'; expected one of auc, log_loss, brier, calibration_error"),
        ({"metric": "log_loss"}, "maximum: none; expected the largest log_loss that a model may have"),
        ({"metric": "log_loss", "minimum": 0.5}, "minimum: 0.5; expected a maximum: lower is better for log_loss"),
        ({"maximum": 0.9}, "maximum: 0.9; expected a minimum: higher is better for auc"),
        ({"minimum": 55}, "minimum: 55; expected a value of auc"),
        ({"minimum": float("nan")}, "minimum: nan; expected a value of auc"),
        ({"beat_champion_by": -0.01}, "beat_champion_by: -0.01; expected 0 or more"),
        ({"confidence": 95}, "confidence: 95; expected a share like 0.95"),
        ({"confidence": True}, "confidence: True; expected a share like 0.95"),
        (
            {"metric": "calibration_error", "maximum": 0.1, "slices": {"country": 0.02}},
            "slices: {'country': 0.02}; expected none with calibration_error, whose difference has no interval",
        ),
        ({"slices": ["country"]}, "slices: ['country']; expected the allowed drop by column"),
        ({"slices": {"country": None}}, "slices['country']: None; expected the allowed drop, 0 or more"),
        ({"slices": {"": 0.1}}, "slices: ''; expected the name of a column"),
        ({"min_slice_rows": 1}, "min_slice_rows: 1; expected a whole number of 2 or more"),
        ({"costs": {"fp": 1, "fn": 2}}, "costs: {'fp': 1, 'fn': 2}; expected false_positive and false_negative"),
        ({"costs": {"false_positive": 0, "false_negative": 0}}, "costs: both are 0; expected one of them above 0"),
        ({"max_latency_ms": 0}, "max_latency_ms: 0; expected milliseconds, more than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_the_dag_is_parsed(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Gate(**wrong)
    assert said in str(refused.value)


def test_a_dag_that_declares_a_gate_does_not_pay_for_what_judges() -> None:
    program = "import sys; from sailplane.evaluation.gate import Gate; print({'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
