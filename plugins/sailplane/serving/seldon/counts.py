"""The metrics of `SeldonModel`, in memory that all processes of Seldon's server share: they are forked from the process
that creates the class. Names and bounds are those of our own server."""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

from sailplane.serving.customer_counts import escaped
from sailplane.serving.observations import LATENCY, LATENCY_BOUNDS, PREDICTION_BOUNDS, REQUESTS, SCORE, STARTED
from sailplane.serving.violations import VIOLATIONS, counted

if TYPE_CHECKING:
    import numpy as np

    from sailplane.bundles.checks import Violation

_STATUSES: Final = 600
_SECONDS: Final = len(LATENCY_BOUNDS) + 1
_SCORES: Final = len(PREDICTION_BOUNDS) + 1


class SharedCounts:
    """The counts of one version since the server's start."""

    def __init__(self, model: str, version: str, checks: Sequence[tuple[str, str]] = ()) -> None:
        """`checks` are the checks that a value may fail, as (field, name)."""
        import numpy as np

        self._checks = {which: index for index, which in enumerate(checks)}
        self._labels, self._started = f'model="{model}",version="{version}"', time.time()
        self._file, self._turn = os.memfd_create("sailplane-counts"), Lock()
        size = 8 * (_STATUSES + _SECONDS + _SCORES + 2 + len(checks))
        os.truncate(self._file, size)
        shared = np.frombuffer(mmap.mmap(self._file, size), dtype=np.float64)
        self._parts = np.split(shared, np.cumsum([_STATUSES, _SECONDS, _SCORES, 2]))
        self._bounds = np.array(LATENCY_BOUNDS), np.array(PREDICTION_BOUNDS)

    def answered(self, status: int, seconds: float, scores: np.ndarray | None) -> None:
        """Counts an answer. `scores` [rows, outputs] are those of a prediction; the probability of a single output
        counts, or the largest of several."""
        import numpy as np

        highest = np.empty(0) if scores is None else scores.max(axis=1)
        bins = self._bounds[1].searchsorted(highest)
        with self._locked():
            statuses, latencies, distribution, sums, _ = self._parts
            statuses[status] += 1
            latencies[self._bounds[0].searchsorted(seconds)] += 1
            distribution += np.bincount(bins, minlength=_SCORES)
            sums += (seconds, highest.sum())

    def violated(self, violations: Sequence[Violation]) -> None:
        with self._locked():
            for which, count in counted(violations).items():
                self._parts[-1][self._checks[which]] += count

    def text(self) -> str:
        """The metrics in Prometheus' text format, written by hand because the prometheus_client in Seldon's environment
        is too old."""
        with self._locked():
            statuses, latencies, distribution, sums, violations = (part.copy() for part in self._parts)
        labels = self._labels
        lines = [
            f"# TYPE {STARTED} gauge",
            f"{STARTED}{{{labels}}} {self._started!r}",
            f"# TYPE {REQUESTS}_total counter",
        ]
        counted = [(code, int(count)) for code, count in enumerate(statuses) if count]
        lines += [f'{REQUESTS}_total{{{labels},protocol="seldon",code="{code}"}} {count}' for code, count in counted]
        lines += _histogram(LATENCY, labels, LATENCY_BOUNDS, latencies, sums[0])
        lines += _histogram(SCORE, labels, PREDICTION_BOUNDS, distribution, sums[1])
        lines += _violations(labels, zip(self._checks, violations.tolist(), strict=True))
        return "".join(f"{line}\n" for line in lines)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Excludes all other threads and processes. A killed process releases the lock."""
        with self._turn:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _violations(labels: str, counts: Iterable[tuple[tuple[str, str], float]]) -> Iterator[str]:
    yield f"# TYPE {VIOLATIONS}_total counter"
    for (field, check), count in counts:
        if count:
            yield f'{VIOLATIONS}_total{{{labels},field="{escaped(field)}",check="{check}"}} {int(count)}'


def _histogram(name: str, labels: str, bounds: Sequence[float], counts: np.ndarray, total: float) -> Iterator[str]:
    yield f"# TYPE {name} histogram"
    cumulated = [int(count) for count in counts.cumsum()]
    for bound, count in zip((*bounds, "+Inf"), cumulated, strict=True):
        yield f'{name}_bucket{{{labels},le="{bound}"}} {count}'
    yield f"{name}_count{{{labels}}} {cumulated[-1]}"
    yield f"{name}_sum{{{labels}}} {total}"
