from __future__ import annotations

import pytest

from sailplane.errors import ConfigurationError
from sailplane.evaluation.gate import verdict


def auc(**contenders: float) -> dict[str, dict[str, float]]:
    return {name: {"auc": value, "log_loss": 0.5} for name, value in contenders.items()}


def test_without_a_champion_only_the_minimum_counts() -> None:
    passed, reasons = verdict(auc(challenger=0.6, baseline=0.7))
    assert passed
    assert reasons == (
        "passed: minimum: auc 0.6000, expected at least 0.5500",
        "no champion yet: only the minimum counts",
        "for information: auc 0.6000 is not better than the baseline's 0.7000",
    )


def test_below_the_minimum_fails() -> None:
    passed, reasons = verdict(auc(challenger=0.54))
    assert not passed
    assert reasons[0] == "failed: minimum: auc 0.5400, expected at least 0.5500"


@pytest.mark.parametrize(("champion", "expected"), [(0.69, True), (0.70, False), (0.71, False)])
def test_a_challenger_must_be_better_than_the_champion_not_equal(champion: float, expected: bool) -> None:
    passed, reasons = verdict(auc(challenger=0.70, champion=champion))
    assert passed is expected
    assert f"expected more than the champion's {champion:.4f}" in reasons[1]


def test_better_than_a_bad_champion_is_not_enough() -> None:
    assert not verdict(auc(challenger=0.52, champion=0.51))[0]


def test_a_metric_of_which_less_is_better_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="judge by log_loss"):
        verdict(auc(challenger=0.7), metric="log_loss")
