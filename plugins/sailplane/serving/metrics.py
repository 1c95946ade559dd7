"""The Prometheus metrics of a model server. https://prometheus.io/docs/practices/naming/"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from sailplane.serving.customer_counts import CustomerCounts
from sailplane.serving.observations import (
    LATENCY,
    LATENCY_BOUNDS,
    PREDICTION_BOUNDS,
    REQUESTS,
    REWARD,
    SCORE,
    STARTED,
    FeedbackTotals,
)
from sailplane.serving.violations import VIOLATIONS, counted

if TYPE_CHECKING:
    import numpy as np

    from sailplane.bundles.checks import Violation

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)

# Clients name the versions that they reward, so their number must be bounded.
_MOST_ANSWERED: Final = 100


class Metrics:
    def __init__(self, model: str, version: str, waiting: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        labels = {"model": model, "version": version}
        names, values = tuple(labels), tuple(labels.values())

        def histogram(name: str, description: str, bounds: tuple[float, ...]) -> Histogram:
            return Histogram(name, description, names, buckets=bounds, registry=registry).labels(*values)

        started = Gauge(STARTED, "Start of counting, in seconds since 1970", names, registry=registry)
        started.labels(*values).set(time.time())
        queue = Gauge("sailplane_queue_requests", "Waiting requests", names, registry=registry)
        queue.labels(*values).set_function(waiting)
        requests = Counter(
            REQUESTS, "Requests by HTTP status or its gRPC equivalent", (*names, "protocol", "code"), registry=registry
        )
        self._requests: Callable[[str, int], Counter] = lambda protocol, code: requests.labels(*values, protocol, code)
        self._counts: dict[tuple[str, int], Counter] = {}
        self._seconds = histogram(LATENCY, "From a request's head to its answer; predictions only", LATENCY_BOUNDS)
        self._rows = histogram("sailplane_batch_rows", "Rows per model call", _ROWS)
        self._calls = histogram("sailplane_batch_seconds", "Seconds per model call", LATENCY_BOUNDS)
        self._scores = _Scores(labels)
        registry.register(self._scores)
        self._rewards = _Rewards(labels)
        registry.register(self._rewards)
        self._customers = CustomerCounts(labels)
        lost = "Entries missing from the request log, by reason"
        dropped = Counter("sailplane_request_log_dropped", lost, (*names, "reason"), registry=registry)
        self._dropped: Callable[[str], Counter] = lambda reason: dropped.labels(*values, reason)
        broken = "Request values that fail a check of the training schema; only the first of a refused request"
        violations = Counter(VIOLATIONS, broken, (*names, "field", "check"), registry=registry)
        self._violations: Callable[[str, str], Counter] = lambda *which: violations.labels(*values, *which)

    def answered(self, protocol: str, status: int, seconds: float, headers: Mapping[bytes, bytes]) -> None:
        """`headers`: the request's, which may name its customer."""
        count = self._counts.get((protocol, status))
        if count is None:
            count = self._counts[protocol, status] = self._requests(protocol, status)
        count.inc()
        if protocol != "other":
            self._seconds.observe(seconds)
            self._customers.answered(headers, status, seconds)

    def scored(self, rows: int, scores: np.ndarray, seconds: float) -> None:
        """Counts one model call; `scores` [rows, outputs]. Not thread-safe."""
        self._rows.observe(rows)
        self._calls.observe(seconds)
        self._scores.add(scores)

    def dropped(self, reason: str, count: int) -> None:
        """Counts entries missing from the request log."""
        self._dropped(reason).inc(count)

    def violated(self, violations: Sequence[Violation]) -> None:
        for (field, check), count in counted(violations).items():
            self._violations(field, check).inc(count)

    def rewarded(self, answered: str | None, reward: float, headers: Mapping[bytes, bytes]) -> None:
        """Counts a reward. `answered` is the rewarded version; None if unknown."""
        self._rewards.add(answered or "unknown", reward)
        if answered:
            self._customers.rewarded(headers, answered, reward)

    def text(self) -> bytes:
        return generate_latest(self._registry) + self._customers.text().encode()


class _Scores(Collector):
    """A histogram of scores: the probability of a single output, or the largest of several classes. Counts whole
    arrays."""

    def __init__(self, labels: dict[str, str]) -> None:
        import numpy as np

        self._labels, self._sum = labels, 0.0
        self._bounds = np.array(PREDICTION_BOUNDS)
        self._counts = np.zeros(len(PREDICTION_BOUNDS) + 1, dtype=np.int64)

    def add(self, scores: np.ndarray) -> None:
        import numpy as np

        score = scores.max(axis=1)
        self._counts += np.bincount(self._bounds.searchsorted(score), minlength=len(PREDICTION_BOUNDS) + 1)
        self._sum += float(score.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        description = "The probability of a single output; the largest of several classes"
        family = HistogramMetricFamily(SCORE, description, labels=list(self._labels))
        bounds = [*(str(bound) for bound in PREDICTION_BOUNDS), "+Inf"]
        buckets = [(bound, int(count)) for bound, count in zip(bounds, self._counts.cumsum(), strict=True)]
        family.add_metric(list(self._labels.values()), buckets, sum_value=self._sum)
        yield family


class _Rewards(Collector):
    """Rewards, by the version that gave the answer."""

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels
        self._found: dict[str, FeedbackTotals] = {}

    def add(self, answered: str, reward: float) -> None:
        known = answered in self._found or len(self._found) < _MOST_ANSWERED
        name = answered if known else "unknown"
        single = FeedbackTotals(count=1, total=reward, low=reward, high=reward, squares=reward * reward)
        self._found[name] = self._found.get(name, FeedbackTotals()) + single

    def collect(self) -> Iterator[Metric]:
        names, values = [*self._labels, "answered"], list(self._labels.values())
        family = SummaryMetricFamily(REWARD, "Rewards for the answers of a version", labels=names)
        low = GaugeMetricFamily(f"{REWARD}_low", "The smallest reward", labels=names)
        high = GaugeMetricFamily(f"{REWARD}_high", "The largest reward", labels=names)
        squares = GaugeMetricFamily(f"{REWARD}_squares", "The sum of the squared rewards", labels=names)
        for answered, found in self._found.items():
            family.add_metric([*values, answered], count_value=found.count, sum_value=found.total)
            low.add_metric([*values, answered], found.low)
            high.add_metric([*values, answered], found.high)
            squares.add_metric([*values, answered], found.squares)
        yield from (family, low, high, squares)
