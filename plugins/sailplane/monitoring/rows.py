"""Converts a model server's log file to tables: one row per row of a request, and one row per feedback.

The model's own columns start with `input.` or `prediction.`, so that no field hides another column.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from sailplane.bundles.checks import Checks
from sailplane.bundles.columns import read
from sailplane.errors import RequestError
from sailplane.records import Field, FieldKind
from sailplane.serving import spool
from sailplane.serving.feedback import read_feedback
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.open_inference.binary import LENGTH
from sailplane.serving.seldon import messages as seldon
from sailplane.serving.spool import LogEntry

TIME: Final = pa.timestamp("us", tz="UTC")
ARROW: Final[Mapping[FieldKind, Any]] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": TIME,
}
INPUT, PREDICTION = "input.", "prediction."
_REQUEST: Final = {
    "id": pa.string(),
    "row": pa.int32(),
    "time": TIME,
    "model": pa.string(),
    "version": pa.string(),
    "protocol": pa.string(),
    "status": pa.int16(),
    "shadow": pa.bool_(),
    "seconds": pa.float64(),
}
_ERROR: Final = "error"
# The failed checks of the row, each as `field: check: value`; null if there are none.
VIOLATIONS: Final = "violations"
FEEDBACK: Final = pa.schema(
    [
        ("id", pa.string()),
        ("time", TIME),
        ("model", pa.string()),
        ("version", pa.string()),
        ("reward", pa.float64()),
        ("truth", pa.string()),
    ]
)
_PROTOCOLS: Final = {
    spool.SELDON: "seldon",
    spool.OPEN_INFERENCE: "open_inference",
    spool.OPEN_INFERENCE_GRPC: "open_inference_grpc",
    spool.SELDON_GRPC: "seldon_grpc",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Head:
    """The head of a file: the version that wrote it, with its inputs and outputs."""

    model: str
    version: str
    inputs: tuple[Field, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        inputs = tuple(Field.from_dict(field) for field in values["inputs"])
        return cls(values["model"], values["version"], inputs, tuple(values["outputs"]))

    @property
    def schema(self) -> pa.Schema:
        inputs = [(f"{INPUT}{field.name}", ARROW[field.kind]) for field in self.inputs]
        outputs = [(f"{PREDICTION}{name}", pa.float32()) for name in self.outputs]
        others = [(_ERROR, pa.string()), (VIOLATIONS, pa.list_(pa.string()))]
        return pa.schema([*_REQUEST.items(), *inputs, *outputs, *others])

    @cached_property
    def checks(self) -> Checks:
        return Checks(self.inputs)


@dataclass
class Rows:
    """Rows of requests, column by column."""

    head: Head
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = {name: [] for name in self.head.schema.names}

    def __len__(self) -> int:
        return len(self.columns["id"])

    def add(self, entry: LogEntry) -> None:
        values, scores = _inputs(entry, self.head), _scores(entry, self.head)
        rows = max(1, *(len(column) for column in values.values()), len(scores))
        common = {
            "id": entry.id,
            "time": moment(entry),
            "model": self.head.model,
            "version": self.head.version,
            "protocol": _PROTOCOLS[entry.kind],
            "status": entry.status,
            "shadow": entry.shadow,
            "seconds": entry.seconds,
            _ERROR: _reason(entry),
        }
        for name, value in common.items():
            self.columns[name] += [value] * rows
        self.columns["row"] += range(rows)
        for name in (known.name for known in self.head.inputs):
            self.columns[f"{INPUT}{name}"] += values[name] or [None] * rows
        self.columns[VIOLATIONS] += _violations(values, self.head, rows)
        for index, name in enumerate(self.head.outputs):
            self.columns[f"{PREDICTION}{name}"] += scores[:, index].tolist() if len(scores) else [None] * rows

    def table(self) -> pa.Table:
        return pa.table(self.columns, schema=self.head.schema)


def feedback_row(entry: LogEntry, head: Head) -> dict[str, Any]:
    found = read_feedback(entry.body, head.model)
    truth = None if found.truth is None else json.dumps(found.truth)
    common = {"id": found.puid, "time": moment(entry), "model": head.model, "version": found.answered}
    return {**common, "reward": found.reward, "truth": truth}


def moment(entry: LogEntry) -> datetime:
    return datetime.fromtimestamp(entry.time, UTC)


def _inputs(entry: LogEntry, head: Head) -> dict[str, list[Any]]:
    """The inputs as the server read them; empty for an unreadable request."""
    try:
        return read(_COLUMNS[entry.kind](entry, head.inputs), head.inputs)
    except RequestError:
        return {tensor.name: [] for tensor in head.inputs}
    except Exception:
        # A request that made the server fail (500) must not block later ones.
        _log.exception("request %s", entry.id)
        return {tensor.name: [] for tensor in head.inputs}


def _violations(values: Mapping[str, list[Any]], head: Head, rows: int) -> list[list[str] | None]:
    found: list[list[str] | None] = [None] * rows
    for violation in head.checks.violations(values):
        found[violation.row] = [*(found[violation.row] or []), str(violation)]
    return found


def _scores(entry: LogEntry, head: Head) -> np.ndarray:
    """Scores [rows, outputs]; no rows for an answer without scores."""
    if entry.status != 200:
        return np.empty((0, len(head.outputs)), "float32")
    if entry.kind == spool.OPEN_INFERENCE_GRPC:
        from sailplane.serving.open_inference.grpc import answer_scores

        return answer_scores(entry.content).reshape(-1, len(head.outputs))
    return np.frombuffer(entry.content, "float32").reshape(-1, len(head.outputs))


def _reason(entry: LogEntry) -> str | None:
    if entry.status == 200:
        return None
    text = entry.content.decode(errors="replace")
    spoken = entry.kind in (spool.OPEN_INFERENCE_GRPC, spool.SELDON_GRPC)
    return text if spoken else str(json.loads(text).get("error", text))


def _seldon_columns(entry: LogEntry, inputs: Sequence[Field]) -> dict[str, list[object]]:
    return seldon.columns(seldon.message(entry.body, {}), inputs)


def _open_inference_columns(entry: LogEntry, inputs: Sequence[Field]) -> dict[str, list[object]]:
    headers = {} if entry.json < 0 else {LENGTH: str(entry.json).encode()}
    return open_inference.columns(open_inference.message(entry.body, headers), inputs)


def _grpc_columns(entry: LogEntry, inputs: Sequence[Field]) -> dict[str, list[object]]:
    # Imported only if used: it takes 15 MB.
    from sailplane.serving.open_inference.grpc import request_columns

    return request_columns(entry.body, inputs)


def _seldon_grpc_columns(entry: LogEntry, inputs: Sequence[Field]) -> dict[str, list[object]]:
    from sailplane.serving.seldon.grpc import request_columns

    return request_columns(entry.body, inputs)


_COLUMNS: Final[Mapping[int, Callable[[LogEntry, Sequence[Field]], dict[str, list[object]]]]] = {
    spool.SELDON: _seldon_columns,
    spool.OPEN_INFERENCE: _open_inference_columns,
    spool.OPEN_INFERENCE_GRPC: _grpc_columns,
    spool.SELDON_GRPC: _seldon_grpc_columns,
}
