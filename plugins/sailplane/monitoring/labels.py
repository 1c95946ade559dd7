"""Late labels and feedback, joined by request id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import pandas as pd

from sailplane.errors import LabelError

TRUTH: Final = "truth"
# The row number of a label for all rows of a request. Most requests have one row.
_EVERY_ROW: Final = -1
Labels = pd.DataFrame | Path | str


def read_labels(labels: Labels) -> pd.DataFrame:
    """Reads labels from a frame or from a Parquet or CSV file, with the columns `id` and `truth`, `row` if requests
    have several rows, and `time` if the newest label is not the last. Raises LabelError."""
    frame = labels if isinstance(labels, pd.DataFrame) else _read(Path(labels))
    if missing := [name for name in ("id", TRUTH) if name not in frame]:
        expected = "id and truth, optionally row and time"
        raise LabelError("read labels", got=f"no column {missing[0]!r} of {list(frame)[:8]}", expected=expected)
    if "time" in frame:
        # A label without a time is older than all labels with one.
        frame = frame.sort_values("time", key=_times, kind="stable", na_position="first")
    columns = {name: frame[name] for name in ("id", "row", TRUTH) if name in frame}
    if "row" in columns:
        columns["row"] = _rows(columns["row"])
    return pd.DataFrame(columns).dropna(subset=TRUTH).astype({"id": "str"})


def _times(times: pd.Series[Any]) -> pd.Series[Any]:
    """Parses times: as text, 9:00 would sort after 10:00, and time zones would not compare."""
    if pd.api.types.is_numeric_dtype(times) or pd.api.types.is_datetime64_any_dtype(times):
        return times
    try:
        return pd.to_datetime(times.astype("string"), utc=True, format="ISO8601")
    except (TypeError, ValueError) as error:
        expected = "times in ISO 8601, like 2026-10-01T14:00:00Z, or numbers"
        got = str(error).partition("\n")[0]
        raise LabelError("read the times of labels", got=got, expected=expected) from error


def _rows(rows: pd.Series[Any]) -> pd.Series[Any]:
    try:
        return pd.to_numeric(rows).astype("Int64")
    except (TypeError, ValueError) as error:
        raise LabelError("read the rows of labels", got=error, expected="whole numbers from 0, or nothing") from error


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"id": "str"})
    except (OSError, ValueError) as error:
        raise LabelError("read labels", path, got=error, expected="Parquet (.parquet) or CSV") from error


@dataclass
class Late:
    """Late values by (id, row); the newest one counts. `matched` has the ids with a known request."""

    values: dict[tuple[str, int], Any]
    count: int
    ids: set[str]
    matched: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, frame: pd.DataFrame, column: str) -> Self:
        """Reads a column of a frame that has `id`, and `row` unless each value is for all rows."""
        rows = frame["row"].fillna(_EVERY_ROW).astype("int64").tolist() if "row" in frame else [_EVERY_ROW] * len(frame)
        keys = zip(frame["id"].tolist(), rows, strict=True)
        return cls(dict(zip(keys, frame[column].tolist(), strict=True)), len(frame), set(frame["id"]))

    @property
    def repeated(self) -> int:
        return self.count - len(self.values)

    @property
    def unknown(self) -> int:
        """The number of ids without a known request."""
        return len(self.ids - self.matched)

    def match(self, ids: Sequence[str]) -> None:
        self.matched.update(self.ids.intersection(ids))

    def for_rows(self, ids: Sequence[str], rows: Sequence[int]) -> list[Any]:
        self.match(ids)
        found, every = self.values, self.values.get
        keys = zip(ids, rows, strict=True)
        return [found.get(key, every((key[0], _EVERY_ROW))) for key in keys] if found else [None] * len(ids)


def truths(feedback: pd.DataFrame) -> Late:
    """The truths in feedback: one per row of the request, or one for all rows."""
    found = [
        {"id": name, "row": row, TRUTH: value}
        for name, text in zip(feedback["id"], feedback[TRUTH], strict=True)
        for row, value in _truths(text)
    ]
    # As objects: a missing row would turn integers into floats.
    return Late.of(pd.DataFrame(found, columns=["id", "row", TRUTH], dtype="object"), TRUTH)


def uniform(values: pd.Series[Any]) -> pd.Series[Any]:
    """The values, unchanged if they have one type, else as text."""
    found: pd.Series[Any] = values.convert_dtypes()
    if found.dtype != "object":
        return found
    plain = (type(None), str)
    return pd.Series([value if isinstance(value, plain) else json.dumps(value) for value in values], dtype="str")


def _truths(text: object) -> list[tuple[int, Any]]:
    truth = json.loads(text) if isinstance(text, str) else None
    if isinstance(truth, list):
        return [(row, _only_value(value)) for row, value in enumerate(truth)]
    return [] if truth is None else [(_EVERY_ROW, truth)]


def _only_value(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
