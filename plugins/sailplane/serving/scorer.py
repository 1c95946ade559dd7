"""A model with what surrounds it in a server, whatever the protocol: the queue, the time, the counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sailplane.registry.bundle import Bundle
from sailplane.registry.columns import columns_of, read
from sailplane.serving.batcher import MOST_WAITING, Batcher, Pace
from sailplane.serving.metrics import Metrics
from sailplane.serving.request_log import RequestLog

if TYPE_CHECKING:
    import numpy as np

    from sailplane.serving.batcher import Values

T = TypeVar("T")
# What is longer is read beside the loop, so that health checks go on.
_LONG_BODY: Final = 64 * 2**10


@dataclass(frozen=True)
class Limits:
    """`body`: bytes. `seconds`: within which a request is answered, or refused; a caller may ask for less."""

    body: int = 16 * 2**20
    seconds: float = 10.0
    waiting: int = MOST_WAITING


class Scorer:
    """`log`: the folder in which what is answered is left, for who ships it to the store."""

    def __init__(self, bundle: Bundle, limits: Limits | None = None, log: Path | None = None) -> None:
        self.bundle, self.limits = bundle, limits or Limits()
        manifest = bundle.manifest
        self.metrics = Metrics(manifest.model, bundle.version, lambda: self._batcher.waiting)
        self._batcher = Batcher(bundle.predict_values, _pace(bundle), self.metrics.scored, self.limits.waiting)
        self.log = RequestLog(log, bundle, self.metrics.dropped) if log else None
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read")

    async def parsed(self, parse: Callable[[], T], size: int) -> T:
        """`size`: bytes of what is parsed."""
        if size <= _LONG_BODY:
            return parse()
        return await asyncio.get_running_loop().run_in_executor(self._reader, parse)

    def read(self, columns: dict[str, list[Any]]) -> Values:
        """Columns of JSON values, checked. Raises RequestError that names the field and the row."""
        return read(columns, self.bundle.manifest.inputs)

    async def score(self, values: Values, seconds: float | None = None) -> np.ndarray:
        """Probabilities, float32 [rows, outputs]. Raises ModelError, or OverloadError if it takes longer than `seconds`
        or than the limit."""
        rows = len(values[self.bundle.manifest.inputs[0].name])
        most = self.limits.seconds
        return await self._batcher.score(values, rows, most if seconds is None else min(seconds, most))


def _pace(bundle: Bundle) -> Pace:
    inputs, records = bundle.manifest.inputs, bundle.golden_records
    many, one = (read(columns_of(rows, inputs), inputs) for rows in (records, records[:1]))
    return Pace.measured(bundle.predict_values, one, many, len(records))
