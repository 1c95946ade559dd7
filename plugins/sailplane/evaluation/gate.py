"""The conditions, declared in a DAG, that a model must meet before it serves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sailplane.errors import ConfigurationError

HIGHER_IS_BETTER: Final = ("auc",)
LOWER_IS_BETTER: Final = ("log_loss", "brier", "calibration_error")
METRICS: Final = (*HIGHER_IS_BETTER, *LOWER_IS_BETTER)
# Settings that are refused for metrics whose difference has no interval.
WITHOUT_INTERVAL: Final[Mapping[str, tuple[str, ...]]] = {"calibration_error": ("confidence", "slices")}
COSTS: Final = ("false_positive", "false_negative")
# The units that count as independent: days of the dataset, or rows. Anything else is the name of a column.
DAY: Final = "day"
ROW: Final = "row"
# The confidence of the rules about slices and the baseline if the gate has none.
CONFIDENCE: Final = 0.95
# The default minimum AUC: such a model has learned something.
MINIMUM: Final = 0.55


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The rules of a verdict. Besides these, the bundle must always load and reproduce the scores that its golden rows
    had in training.

    :param metric: what the rules compare: `"auc"`, `"log_loss"`, `"brier"` or `"calibration_error"`
    :param minimum: the smallest AUC; None for 0.55. Not for the other metrics
    :param maximum: the largest log loss, Brier score or calibration error; required for these metrics
    :param beat_champion_by: the challenger must be better than the champion by more than this
    :param confidence: the required confidence in that, from 0.5 to 0.999, over all evaluations against one champion:
        the evidence of the days since it took over decides, and each day counts once (`sailplane.evaluation.sequence`).
        With a `cluster` other than the day, the one-sided lower bound of the gain must be above `beat_champion_by` in
        each evaluation. With None, the gain itself must be above it
    :param baseline: how much worse than the baseline the model may be. It is rejected if the one-sided interval of the
        difference, at `confidence` or 0.95, lies below that. None for no rule
    :param cluster: the independent unit: `"day"`, `"row"`, or a column, such as a customer. Rows of one day share
        their weather, so intervals by rows are too narrow
    :param slices: how much worse than the champion the challenger may be in each value of a column, by column:
        `{"country": 0.02}`; `{"time:hour": 0.05}` and `{"time:weekday": 0.05}` use parts of a timestamp. A slice fails
        only if it is worse than that at `confidence`, or 0.95, for all slices together (Bonferroni)
    :param min_slice_rows: smaller slices are listed, not judged
    :param costs: the cost of one `false_positive` and of one `false_negative`, for the report's table of thresholds
    :param max_latency_ms: the longest median time of a prediction of one row through the bundle: reading the row,
        features and graph, without a network
    :raises ConfigurationError: for a value outside its range, or values that do not fit together

    Example::

        Gate(metric="auc", minimum=0.6, confidence=0.95, slices={"country": 0.02})
    """

    metric: str = "auc"
    minimum: float | None = None
    maximum: float | None = None
    beat_champion_by: float = 0.0
    confidence: float | None = None
    baseline: float | None = 0.0
    cluster: str = DAY
    slices: Mapping[str, float] = field(default_factory=dict)
    min_slice_rows: int = 100
    costs: Mapping[str, float] | None = None
    max_latency_ms: float | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise _refused("metric", repr(self.metric), f"one of {', '.join(METRICS)}")
        self._check_limit()
        _check("beat_champion_by", self.beat_champion_by, "0 or more", low=0)
        if self.confidence is not None:
            _check("confidence", self.confidence, "a share like 0.95, from 0.5 to 0.999", low=0.5, high=0.999)
        if self.baseline is not None:
            _check("baseline", self.baseline, "the allowed loss, 0 or more, or None", low=0)
        if not isinstance(self.cluster, str) or not self.cluster:
            raise _refused("cluster", repr(self.cluster), f'"{DAY}", "{ROW}" or the name of a column')
        if self.max_latency_ms is not None:
            _check("max_latency_ms", self.max_latency_ms, "milliseconds, more than 0", low=0, above=True)
        if not isinstance(self.min_slice_rows, int) or self.min_slice_rows < 2:
            raise _refused("min_slice_rows", repr(self.min_slice_rows), "a whole number of 2 or more")
        self._check_slices()
        self._check_costs()
        for name in WITHOUT_INTERVAL.get(self.metric, ()):
            if getattr(self, name):
                expected = f"none with {self.metric}, whose difference has no interval"
                raise _refused(name, repr(getattr(self, name)), expected)

    @property
    def higher_is_better(self) -> bool:
        return self.metric in HIGHER_IS_BETTER

    @property
    def limit(self) -> float:
        """The bound of the metric: a minimum, or a maximum."""
        limit = self.minimum if self.higher_is_better else self.maximum
        return MINIMUM if limit is None else limit

    @property
    def level(self) -> float:
        """The probability with which a rule may be wrong in saying that the model is worse."""
        return 1 - (CONFIDENCE if self.confidence is None else self.confidence)

    @property
    def sequential(self) -> bool:
        """True if the confidence holds over all evaluations against one champion, not for each of them alone."""
        return self.confidence is not None and self.cluster == DAY

    @property
    def sign(self) -> int:
        """1 if higher values of the metric are better, else -1."""
        return 1 if self.higher_is_better else -1

    def gain(self, difference: float) -> float:
        """How much better the challenger is, from the difference challenger - other of the metric."""
        return self.sign * difference

    def _check_limit(self) -> None:
        name, other = ("minimum", "maximum") if self.higher_is_better else ("maximum", "minimum")
        if getattr(self, other) is not None:
            better = "higher" if self.higher_is_better else "lower"
            raise _refused(other, getattr(self, other), f"a {name}: {better} is better for {self.metric}")
        if self.metric != "auc" and getattr(self, name) is None:
            raise _refused(name, "none", f"the largest {self.metric} that a model may have")
        if getattr(self, name) is not None:
            most = 1 if self.metric == "auc" else None
            _check(name, getattr(self, name), f"a value of {self.metric}", low=0, high=most)

    def _check_slices(self) -> None:
        if not isinstance(self.slices, Mapping):
            raise _refused("slices", repr(self.slices), 'the allowed drop by column, like {"country": 0.02}')
        for column, allowed in self.slices.items():
            if not isinstance(column, str) or not column:
                raise _refused("slices", repr(column), "the name of a column")
            _check(f"slices[{column!r}]", allowed, "the allowed drop, 0 or more", low=0)

    def _check_costs(self) -> None:
        if self.costs is None:
            return
        if not isinstance(self.costs, Mapping) or set(self.costs) != set(COSTS):
            raise _refused("costs", repr(self.costs), " and ".join(COSTS))
        for name, cost in self.costs.items():
            _check(f"costs[{name!r}]", cost, "0 or more", low=0)
        if not any(self.costs.values()):
            raise _refused("costs", "both are 0", "one of them above 0")


def _check(name: str, value: Any, expected: str, *, low: float, high: float | None = None, above: bool = False) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < low or (above and value == low) or (high is not None and value > high):
        raise _refused(name, repr(value), expected)


def _refused(name: str, got: Any, expected: str) -> ConfigurationError:
    return ConfigurationError("read the gate's", name, got=got, expected=expected)
