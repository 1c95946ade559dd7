"""Scores rows of a dataset with a bundle. Rows without a score get a reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import EXPECTED, LARGEST_NUMBER
from sailplane.datasets.schema import PANDAS
from sailplane.errors import SailplaneError
from sailplane.records import Field, FieldKind

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Scored:
    """The results for a frame. `indices` [n] are the positions of the rows with `scores`, float32 [n, outputs];
    `reasons` has the reason for each other row, by position."""

    indices: NDArray[np.integer[Any]]
    scores: NDArray[np.float32]
    reasons: dict[int, str]


def scored(bundle: Bundle, frame: pd.DataFrame) -> Scored:
    """Scores a frame. It has the model's inputs with the dataset's kinds, except inputs that the model does not read.
    Its index counts from 0."""
    inputs = [field for field in bundle.manifest.inputs if field.name in frame]
    reasons = refusals(frame, inputs)
    reasons |= failures(bundle, frame, _others(frame, reasons))
    taken = _others(frame, reasons)
    held = [field for field in inputs if field.nullable or not frame[field.name].isna().iloc[taken].any()]
    rows = pd.DataFrame({field.name: frame[field.name].iloc[taken].astype(_dtype(field)) for field in held})
    scores, refused = _score(bundle, rows.reset_index(drop=True))
    good = np.setdiff1d(np.arange(len(taken)), list(refused))
    reasons |= {int(taken[position]): reason for position, reason in refused.items()}
    return Scored(taken[good], scores[good], reasons)


def refusals(frame: pd.DataFrame, inputs: Sequence[Field]) -> dict[int, str]:
    """The model server's errors for the rows that it would refuse."""
    reasons: dict[int, list[str]] = {}
    for field in inputs:
        column = frame[field.name]
        null = column.isna().to_numpy()
        wrong = ~null & ~_fits(column, field.kind)
        expected = f"{EXPECTED[field.kind]}{' or null' if field.optional else ''}"
        for row in np.flatnonzero(wrong if field.optional else wrong | null):
            got = "null" if null[row] else column.iloc[row]
            reasons.setdefault(int(row), []).append(f"field {field.name!r}: {got}; expected {expected}")
    return {row: ". ".join(errors) for row, errors in reasons.items()}


def failures(bundle: Bundle, frame: pd.DataFrame, indices: NDArray[np.integer[Any]]) -> dict[int, str]:
    """Descriptions of the failed schema checks, for the rows at these positions."""
    rows = frame.iloc[indices]
    values = {field.name: _plain(rows, field) for field in bundle.manifest.inputs if field.checks}
    reasons: dict[int, list[str]] = {}
    for violation in bundle.checks.violations(values):
        reason = f"field {violation.field!r}: {violation.got}; expected {violation.check.says}"
        reasons.setdefault(int(indices[violation.row]), []).append(reason)
    return {row: ". ".join(found) for row, found in reasons.items()}


def _plain(rows: pd.DataFrame, field: Field) -> list[Any]:
    """The field's values as Python values; None for a null."""
    if field.name not in rows:
        return [None] * len(rows)
    column = rows[field.name]
    values: list[Any] = column.astype("object").where(column.notna(), None).tolist()
    if field.kind not in ("integer", "number"):
        return values
    number = int if field.kind == "integer" else float
    return [None if value is None else number(value) for value in values]


def _others(frame: pd.DataFrame, reasons: Collection[int]) -> NDArray[np.integer[Any]]:
    return np.setdiff1d(np.arange(len(frame)), list(reasons))


def _fits(column: pd.Series[Any], kind: FieldKind) -> NDArray[np.bool_]:
    if kind not in ("number", "integer") or (kind == "integer" and pd.api.types.is_integer_dtype(column.dtype)):
        return np.ones(len(column), dtype=bool)
    numbers: NDArray[np.float64] = column.to_numpy("float64", na_value=np.nan)
    fits = np.abs(numbers) <= LARGEST_NUMBER
    if kind == "integer":
        fits = (np.floor(numbers) == numbers) & (numbers >= -(2.0**63)) & (numbers < 2.0**63)
    return np.asarray(fits)


def _score(bundle: Bundle, rows: pd.DataFrame) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Scores the rows. If features.py raises, halves them until the failing rows are found."""
    scores = np.zeros((len(rows), len(bundle.manifest.outputs)), dtype="float32")
    reasons: dict[int, str] = {}
    parts = [(0, len(rows))] if len(rows) else []
    while parts:
        start, stop = parts.pop()
        try:
            scores[start:stop] = bundle.scores(rows.iloc[start:stop].reset_index(drop=True))
        except MemoryError:
            raise
        except Exception as error:
            if stop - start == 1:
                reasons[start] = str(error) if isinstance(error, SailplaneError) else f"{type(error).__name__}: {error}"
            else:
                middle = (start + stop) // 2
                parts += [(middle, stop), (start, middle)]
    for row in np.flatnonzero(~np.isfinite(scores).all(axis=1)):
        reasons[int(row)] = "the score is NaN or infinite"
    return scores, reasons


def _dtype(field: Field) -> Any:
    return PANDAS[field.kind][field.nullable]
