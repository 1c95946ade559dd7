"""What a model server counts, for Prometheus. https://prometheus.io/docs/practices/naming/"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    import numpy as np

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
# Seconds: finer where a prediction on this machine falls.
_SECONDS: Final = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)
# Of a probability.
SCORES: Final = tuple(round(place / 20, 2) for place in range(1, 21))


class Metrics:
    def __init__(self, model: str, version: str, outputs: Sequence[str], waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        labels = {"model": model, "version": version}
        self._requests = Counter(
            "sailplane_requests", "Requests by status", (*labels, "protocol", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "sailplane_request_seconds",
            "From the first byte that was read to the last that was written",
            (*labels, "protocol"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        rows = Histogram(
            "sailplane_batch_rows", "Rows of a model call", (*labels,), buckets=_ROWS, registry=self._registry
        )
        calls = Histogram(
            "sailplane_batch_seconds", "A model call", (*labels,), buckets=_SECONDS, registry=self._registry
        )
        self._rows, self._calls = rows.labels(**labels), calls.labels(**labels)
        queue = Gauge("sailplane_queue_requests", "Requests that wait", (*labels,), registry=self._registry)
        queue.labels(**labels).set_function(waiting)
        self._scores = _Scores(labels, outputs)
        self._registry.register(self._scores)
        self._labels = labels
        self._counts: dict[tuple[str, int], Counter] = {}
        self._latencies: dict[str, Histogram] = {}

    def answered(self, protocol: str, status: int, seconds: float) -> None:
        count = self._counts.get((protocol, status))
        if count is None:
            count = self._requests.labels(**self._labels, protocol=protocol, code=str(status))
            self._counts[protocol, status] = count
        latency = self._latencies.get(protocol)
        if latency is None:
            latency = self._latencies[protocol] = self._seconds.labels(**self._labels, protocol=protocol)
        count.inc()
        latency.observe(seconds)

    def scored(self, rows: int, scores: np.ndarray, seconds: float) -> None:
        """Of one model call; `scores` [rows, outputs]. Not from two threads at once."""
        self._rows.observe(rows)
        self._calls.observe(seconds)
        self._scores.add(scores)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Scores(Collector):
    """How often each output was given which probability. Counted by whole arrays."""

    def __init__(self, labels: dict[str, str], outputs: Sequence[str]) -> None:
        import numpy as np

        self._labels, self._outputs = labels, tuple(outputs)
        self._bounds = np.array(SCORES)
        self._counts = np.zeros((len(self._outputs), len(SCORES) + 1), dtype=np.int64)
        self._sums = np.zeros(len(self._outputs))

    def add(self, scores: np.ndarray) -> None:
        import numpy as np

        places = self._bounds.searchsorted(scores)
        for output in range(len(self._outputs)):
            self._counts[output] += np.bincount(places[:, output], minlength=len(SCORES) + 1)
        self._sums += scores.sum(axis=0)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily("sailplane_scores", "Probabilities", labels=[*self._labels, "output"])
        for output, counts, total in zip(self._outputs, self._counts.cumsum(axis=1), self._sums, strict=True):
            buckets = [(str(bound), int(count)) for bound, count in zip((*SCORES, "+Inf"), counts, strict=True)]
            family.add_metric([*self._labels.values(), output], buckets, sum_value=float(total))
        yield family
