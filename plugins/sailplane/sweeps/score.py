"""The score of a trial, by one rule for workers on this machine and on others. Needs only Python."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sailplane.errors import TrainingError


def trial_score(number: int, metric: str, values: Mapping[str, float], *, stops_early: bool, reported: bool) -> float:
    """The value of the sweep's metric among the last `values` of trial `number`.

    Raises TrainingError if there is no such value, if it is not a finite number, or if the sweep stops trials early by
    a metric of which this trial `reported` no value.
    """
    log_it = f"run.log({{{metric!r}: ...}})"
    if metric not in values:
        expected = f"the sweep's metric, one of {', '.join(values)}" if values else "the sweep's metric"
        raise TrainingError(
            "score trial", number, got=f"no metric {metric!r}", expected=expected, remedy=f"Log it: {log_it}."
        )
    if stops_early and not reported:
        got = f"{metric!r} was never logged, so it cannot stop trials early"
        remedy = f"Log it each epoch: {log_it}; or remove early_terminate or asha."
        raise TrainingError("score trial", number, got=got, remedy=remedy)
    score = float(values[metric])
    if not math.isfinite(score):
        raise TrainingError("score trial", number, got=f"its score is {score}", expected="a finite number")
    return score
