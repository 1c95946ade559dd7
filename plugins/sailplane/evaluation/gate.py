"""The rules that a model must pass before it serves. Values in, verdict out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sailplane.errors import ConfigurationError

MINIMUM: Final = 0.55
LESS_IS_BETTER: Final = frozenset({"log_loss", "brier", "calibration_error"})


def verdict(
    metrics: Mapping[str, Mapping[str, float]], *, minimum: float = MINIMUM, metric: str = "auc"
) -> tuple[bool, tuple[str, ...]]:
    """Whether the challenger may serve, and each rule with what it got and expected.

    :param metrics: by contender: `challenger`, and where there are such `baseline`, `champion`
    :param metric: one of which more is better

    The challenger must reach the minimum, and be better than the champion where there is one. The baseline is a
    yardstick that a person reads: it is stated and never stops a model that is better than what serves now.
    """
    got = _value(metrics, "challenger", metric)
    rules = [(got >= minimum, f"minimum: {metric} {got:.4f}, expected at least {minimum:.4f}")]
    if "champion" in metrics:
        champion = _value(metrics, "champion", metric)
        rules.append(
            (got > champion, f"champion: {metric} {got:.4f}, expected more than the champion's {champion:.4f}")
        )
    reasons = [f"{'passed' if passed else 'failed'}: {reason}" for passed, reason in rules]
    if "champion" not in metrics:
        reasons.append("no champion yet: only the minimum counts")
    if "baseline" in metrics:
        reasons.append(_against_baseline(got, _value(metrics, "baseline", metric), metric))
    return all(passed for passed, _ in rules), tuple(reasons)


def _against_baseline(got: float, baseline: float, metric: str) -> str:
    stands = "better than" if got > baseline else "not better than"
    return f"for information: {metric} {got:.4f} is {stands} the baseline's {baseline:.4f}"


def _value(metrics: Mapping[str, Mapping[str, float]], contender: str, metric: str) -> float:
    known = metrics[contender]
    if metric not in known or metric in LESS_IS_BETTER:
        allowed = ", ".join(sorted(set(known) - LESS_IS_BETTER))
        raise ConfigurationError(
            "judge by", metric, got=f"not a metric of the {contender}", expected=f"one of {allowed}"
        )
    return known[metric]
