"""All findings of an evaluation: runs/<run>/evaluation.json in the store. XCom holds only the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from sailplane.records import SPARSE, Record

# The confidence level of the intervals in reports.
LEVEL: Final = 0.95
# The path of reports at the api-server.
REPORTS: Final = "/sailplane/reports"


@dataclass(frozen=True, kw_only=True)
class Estimate(Record):
    """An estimate with its 95% interval. There is none for a single cluster, or for a difference of calibration
    errors."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measured(Record):
    """A metric of the challenger, the champion or the baseline."""

    contender: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class MetricDifference(Record):
    """A metric of the challenger minus that of another contender, on the same rows."""

    against: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class Slice(Record):
    """The rows where `column` has `value`, and the gate's metric on them.

    :param skipped: why the slice is not judged
    :param gain: how much better the challenger is than the champion
    :param worse: whether it is worse by more than the gate allows, with the gate's confidence
    :param detectable: the true loss that the rule detects with a probability of 0.8
    :param fails_at: the smallest loss at which the slice fails
    :param clusters: the number of clusters with rows in this slice
    """

    column: str
    value: str
    rows: int
    skipped: str | None = None
    challenger: Estimate | None = None
    champion: Estimate | None = None
    difference: Estimate | None = None
    gain: float | None = None
    worse: bool = False
    detectable: float | None = field(default=None, metadata=SPARSE)
    fails_at: float | None = field(default=None, metadata=SPARSE)
    clusters: int | None = field(default=None, metadata=SPARSE)


@dataclass(frozen=True, kw_only=True)
class CalibrationPoint(Record):
    """A tenth of the rows: their mean predicted probability and their observed frequency."""

    contender: str
    predicted: float
    observed: float


@dataclass(frozen=True, kw_only=True)
class Threshold(Record):
    """The results of flagging every score of at least `threshold`: `flagged` as a share of the rows, `cost` per row."""

    threshold: float
    flagged: float
    precision: float | None
    recall: float
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class FeatureImportance(Record):
    """How much worse the gate's metric gets when the column is shuffled: mean and deviation over the repeats."""

    column: str
    mean: float
    deviation: float


@dataclass(frozen=True, kw_only=True)
class Details(Record):
    """The content of evaluation.json.

    :param gate: the settings of the gate
    :param best_threshold: the cheapest of all scores; None without costs
    :param latency_ms: the median time of a prediction of one row; None if the bundle does not serve
    :param clusters: the number of independent units: days, rows, or values of a column; 0 in reports of earlier
        releases, whose intervals are bootstrapped by rows
    :param classes: the number of rows by class
    """

    gate: Mapping[str, Any]
    metrics: tuple[Measured, ...]
    differences: tuple[MetricDifference, ...]
    slices: tuple[Slice, ...]
    calibration: tuple[CalibrationPoint, ...]
    thresholds: tuple[Threshold, ...]
    best_threshold: Threshold | None
    importance: tuple[FeatureImportance, ...]
    latency_ms: float | None
    notes: tuple[str, ...] = ()
    clusters: int = field(default=0, metadata=SPARSE)
    classes: Mapping[str, int] = field(default_factory=dict, metadata=SPARSE)


def details_path(run: str) -> str:
    return f"runs/{run}/evaluation.json"


def report_path(run: str) -> str:
    return f"runs/{run}/report.html"


def report_link(run: str) -> str:
    """The path of the report at the api-server."""
    return f"{REPORTS}/{quote(run)}/report.html"
