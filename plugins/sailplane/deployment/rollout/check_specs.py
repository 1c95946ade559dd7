"""The checks of a rollout, as a DAG declares them; checks.py evaluates them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, get_args

from sailplane.durations import seconds
from sailplane.errors import ConfigurationError

_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, kw_only=True)
class ErrorRate:
    """The share of requests that get no prediction, among those that a model can answer.

    :param maximum: the check fails above this share, unless the champion has as many errors at the same time
    :param worse_by: the check fails above the champion's share at the same time plus this; 0.01 if neither is given
    :raises ConfigurationError: for a share outside 0 to 1

    Example::

        ErrorRate(maximum=0.02, worse_by=0.005)
    """

    maximum: float | None = None
    worse_by: float | None = None

    def __post_init__(self) -> None:
        if self.maximum is None and self.worse_by is None:
            object.__setattr__(self, "worse_by", 0.01)
        for name in ("maximum", "worse_by"):
            if getattr(self, name) is not None:
                check_number(f"ErrorRate's {name}", getattr(self, name), low=0, high=1)

    @property
    def name(self) -> str:
        return "error rate"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long an answer may take at the model server. The check does not fail if the champion breaks the limit as much
    at the same time.

    :param p50: the longest median, as `"20ms"` or `"1s"`; None for no limit
    :param p90: the same for 90% of the answers
    :param p95: the same for 95%
    :param p99: the same for 99%
    :raises ConfigurationError: without a limit, or for a text that is no duration

    Example::

        Latency(p50="10ms", p99="50ms")
    """

    p50: str | None = None
    p90: str | None = None
    p95: str | None = None
    p99: str | None = None

    def __post_init__(self) -> None:
        if not self.limits:
            raise refused("Latency", "no limit", f'one or more of {", ".join(_QUANTILES)}, like p99="50ms"')

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """For each name the quantile, and its limit in seconds."""
        given = {name: limit for name in _QUANTILES if (limit := getattr(self, name)) is not None}
        return {name: (_QUANTILES[name], seconds(limit, of=f"Latency's {name}")) for name, limit in given.items()}

    @property
    def name(self) -> str:
        return "latency"


@dataclass(frozen=True, kw_only=True)
class PredictionDrift:
    """How far the distribution of the scores may be from the champion's at the same time. With `sticky` it is checked
    in the shadow only, because at a step the versions have different clients.

    :param maximum: the largest Kolmogorov-Smirnov distance: the largest difference, over all scores, between the shares
        of answers below that score
    :raises ConfigurationError: for a distance outside 0 to 1

    Example::

        PredictionDrift(maximum=0.1)
    """

    maximum: float = 0.1

    def __post_init__(self) -> None:
        check_number("PredictionDrift's maximum", self.maximum, low=0, high=1)

    @property
    def name(self) -> str:
        return "prediction drift"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The mean feedback of clients about predictions: rewards, or late labels compared with the prediction.

    :param metric: its name in the feedback
    :param worse_by: how much worse than the champion's mean at the same time it may be
    :param low: the least possible value
    :param high: the largest possible value
    :param more_is_better: False for a loss
    :raises ConfigurationError: for a name that is not valid, or a range that does not fit

    Example::

        Metric(metric="reward", worse_by=0.02)
    """

    metric: str
    worse_by: float
    low: float = 0.0
    high: float = 1.0
    more_is_better: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not re.fullmatch(r"\w[\w.-]*", self.metric):
            raise refused("Metric's metric", repr(self.metric), "the name of what is fed back, like 'reward'")
        check_number("Metric's low", self.low)
        check_number("Metric's high", self.high)
        if self.low >= self.high:
            raise refused("Metric's low", self.low, f"less than high, which is {self.high}")
        check_number("Metric's worse_by", self.worse_by, low=0, high=self.high - self.low)

    @property
    def name(self) -> str:
        return f"metric {self.metric}"


Check = ErrorRate | Latency | PredictionDrift | Metric
CHECKS: Final[dict[str, type[Check]]] = {kind.__name__: kind for kind in get_args(Check)}


def to_dict(check: Check) -> dict[str, Any]:
    return {"check": type(check).__name__, **asdict(check)}


def from_dict(values: Mapping[str, Any]) -> Check:
    kind = CHECKS[values["check"]]
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in known})


def check_number(name: str, value: object, *, low: float = -math.inf, high: float = math.inf) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high:  # type: ignore[operator]
        limits = "a number" if low == -math.inf else f"a number from {low:g} to {high:g}"
        raise refused(name, repr(value), limits)


def refused(name: str, got: object, expected: str) -> ConfigurationError:
    return ConfigurationError("read the rollout's", name, got=got, expected=expected)
