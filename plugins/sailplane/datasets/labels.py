"""Labels as numbers: one definition for training, the gate, and late labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sailplane.errors import LabelError, SchemaError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def labelled(
    frame: pd.DataFrame, target: str, outputs: Sequence[str], where: object
) -> tuple[pd.DataFrame, NDArray[np.generic]]:
    """The rows that have a label, and their labels [n].

    With one output the labels are float32, 1 if the target is true and 0 otherwise. With several they are int64, the
    index of the class in `outputs`.
    Raises LabelError, naming `where`, if no row has a label or a label is not a known class.
    """
    if target not in frame:
        raise SchemaError(
            "read labels of",
            where,
            got=f"no column {target!r}",
            expected=f"one of {', '.join(map(str, frame.columns))}",
        )
    rows = frame[frame[target].notna()].reset_index(drop=True)
    if rows.empty:
        raise LabelError(
            "read labels of",
            where,
            got=f"all {len(frame)} rows have an empty {target!r}" if len(frame) else "no rows",
            expected="labelled rows",
            remedy="Check the rows that extract returns for these days. Once they have labels, read the days again: "
            "`sailplane datasets refresh`, or IngestDatasetOperator(revise_days=...) for every run.",
        )
    indices = _indices(outputs)
    values, inverse = np.unique(rows[target].astype(object).map(_name).to_numpy(dtype=str), return_inverse=True)
    unknown = [value for value in values.tolist() if value not in indices]
    if unknown:
        got = f"{target!r} is {', '.join(map(repr, unknown[:5]))}"
        raise LabelError("read labels of", where, got=got, expected=f"one of {', '.join(indices)}")
    kind = np.float32 if len(outputs) == 1 else np.int64
    return rows, np.asarray([indices[value] for value in values.tolist()], dtype=kind)[inverse]


def _indices(outputs: Sequence[str]) -> dict[str, int]:
    if len(outputs) == 1:
        return {"0": 0, "1": 1}
    return {_name(output): index for index, output in enumerate(outputs)}


def _name(value: Any) -> str:
    """The label as text. 1, 1.0 and true are equal labels, because an integer column with nulls arrives as floats."""
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
