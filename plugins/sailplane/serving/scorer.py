"""A model in a server, independent of the protocol, with its queue, deadlines and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import columns_of, read
from sailplane.serving.batcher import MOST_WAITING, Batcher, Pace
from sailplane.serving.in_flight import MOST_BYTES, InFlight, trim
from sailplane.serving.long_requests import LongRequests
from sailplane.serving.metrics import Metrics
from sailplane.serving.request_log import RequestLog
from sailplane.serving.violations import Policy, Violations, judged

if TYPE_CHECKING:
    import numpy as np

    from sailplane.bundles.checks import Violation
    from sailplane.serving.batcher import Values


# The delays after the last large body: gRPC frees a message some time after its call ends.
_TRIM_SECONDS: Final = (1.0, 4.0)
# The shortest pause between two trims while large bodies come and go.
_BETWEEN_TRIMS: Final = 1.0


@dataclass(frozen=True)
class RequestLimits:
    """`body` limits the bytes of one body, `in_flight` the bytes of all requests and replies in progress, and `waiting`
    the requests in the queue. `seconds` is the deadline for an answer or a refusal; a caller may set a shorter one."""

    body: int = 16 * 2**20
    in_flight: int = MOST_BYTES
    seconds: float = 10.0
    waiting: int = MOST_WAITING


class Scorer:
    """Reads and scores rows. `log` is the folder of the request log, from which the log exporter reads. `on_violation`
    says how to handle values that fail a check."""

    def __init__(
        self,
        bundle: Bundle,
        limits: RequestLimits | None = None,
        log: Path | None = None,
        on_violation: Policy | None = None,
    ) -> None:
        self.bundle, self.limits = bundle, limits or RequestLimits()
        self._checks, self._on_violation = bundle.checks, on_violation or Policy()
        manifest = bundle.manifest
        self.metrics = Metrics(manifest.model, bundle.version, lambda: self._batcher.waiting)
        self._batcher = Batcher(bundle.predict_values, _pace(bundle), self.metrics.scored, self.limits.waiting)
        self.log = RequestLog(log, bundle, self.metrics.dropped) if log else None
        # A score takes at most 16 bytes in a JSON reply, so a reply is no longer than the longest request.
        self.long = LongRequests(self.read, self.score, self.limits.body // 16)
        self.in_flight = InFlight(self.limits.in_flight, self._trim)
        self._trims: list[asyncio.TimerHandle] = []
        self._next_trim = 0.0

    @property
    def most_rows(self) -> int:
        """The most rows of one model call."""
        return self._batcher.most_rows

    def patience(self, seconds: float | None) -> float:
        """The deadline in seconds for a caller that sets `seconds`."""
        return self.limits.seconds if seconds is None else min(seconds, self.limits.seconds)

    def read(self, columns: dict[str, list[Any]], violations: Violations | None = None, first: int = 0) -> Values:
        """Checks columns of JSON values. Raises a RequestError that names the field and the row; `first` is the first
        row's number. Adds the values that fail a check of the schema to `violations`, for the reply."""
        values = read(columns, self.bundle.manifest.inputs, first)
        found = judged(_after(first, self._checks.violations(values)), self._on_violation, self.metrics.violated)
        if violations is not None:
            violations.add(found)
        return values

    async def score(self, values: Values, seconds: float | None = None) -> np.ndarray:
        """Probabilities, float32 [rows, outputs]. Raises ModelError, or OverloadError if it takes longer than `seconds`
        or than the limit."""
        rows = len(values[self.bundle.manifest.inputs[0].name])
        return await self._batcher.score(values, rows, self.patience(seconds))

    def _trim(self) -> None:
        """Trims immediately, unless it trimmed within the last second, and again some seconds later. Cancels earlier
        planned trims."""
        for planned in self._trims:
            planned.cancel()
        if (now := time.monotonic()) >= self._next_trim:
            self._next_trim = now + _BETWEEN_TRIMS
            self.long.later(trim, (0.0,))
        self._trims = self.long.later(trim, _TRIM_SECONDS)


def _after(first: int, violations: Iterator[Violation]) -> Iterator[Violation]:
    """Renumbers the rows to start at `first`."""
    return (replace(violation, row=first + violation.row) for violation in violations) if first else violations


def _pace(bundle: Bundle) -> Pace:
    inputs, records = bundle.manifest.inputs, bundle.golden_records
    many, single = (read(columns_of(rows, inputs), inputs) for rows in (records, records[:1]))
    return Pace.measured(bundle.predict_values, single, many, len(records))
