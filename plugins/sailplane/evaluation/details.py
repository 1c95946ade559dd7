"""All findings of an evaluation: runs/<run>/evaluation.json in the store. XCom holds the verdict only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from sailplane.records import SPARSE, Record

# Of the intervals that are shown.
LEVEL: Final = 0.95
# Where the api-server shows reports.
REPORTS: Final = "/sailplane/reports"


@dataclass(frozen=True, kw_only=True)
class Estimate(Record):
    """A figure with its 95% interval, which is None for a single cluster, and for a difference of calibration
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
    """A metric of the challenger minus that of another, on the same rows."""

    against: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class Slice(Record):
    """The rows where `column` has `value`, and the gate's metric on them. `skipped`: why the slice is not judged.

    `gain`: how much better the challenger is than the champion; `worse`: by more than the gate allows, and with its
    confidence. `fails_at`: the loss from which on it counts as worse; `detectable`: the true loss that the rule finds
    with a probability of 0.8. `clusters` are those with rows here.
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
    """A tenth of the rows: their mean probability, and how often it came true."""

    contender: str
    predicted: float
    observed: float


@dataclass(frozen=True, kw_only=True)
class Threshold(Record):
    """The results of acting on every score of at least `threshold`, in shares of the rows; `cost` per row."""

    threshold: float
    flagged: float
    precision: float | None
    recall: float
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class FeatureImportance(Record):
    """How much the gate's metric gets worse when the column's values change rows: mean and deviation of the repeats."""

    column: str
    mean: float
    deviation: float


@dataclass(frozen=True, kw_only=True)
class Details(Record):
    """`gate` are its settings. `clusters` is the number of what counts as independent: days, rows, or the values of a
    column; 0 in reports of earlier releases, whose intervals are bootstrapped by rows. `classes` are the rows of each
    class. `best_threshold` is the cheapest of all scores, where there are costs; `latency_ms` the
    median of one row, None where the bundle does not serve."""

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
    """The report's path at the api-server, below its own root."""
    return f"{REPORTS}/{quote(run)}/report.html"
