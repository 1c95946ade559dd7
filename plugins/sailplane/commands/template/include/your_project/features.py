"""What a row looks like to the model. `fit` learns from the training rows; `transform` runs in training and in serving.

The model's bundle carries this file, so it imports installed packages only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TARGET = "cancels"

PLANS = ["basic", "plus", "pro"]
NUMBERS = ["months", "support_calls", "hours_a_week"]

Columns = Mapping[str, np.ndarray]


def fit(columns: Columns) -> dict[str, Any]:
    """{"means": [float], "deviations": [float]} of NUMBERS; JSON-able."""
    numbers = _numbers(columns)
    return {"means": np.nanmean(numbers, axis=0).tolist(), "deviations": np.nanstd(numbers, axis=0).tolist()}


def transform(columns: Columns, state: dict[str, Any]) -> dict[str, np.ndarray]:
    """{"inputs": float32 [n, 6]}: NUMBERS, standardised, with the mean for a null; and a column for each plan."""
    numbers = (_numbers(columns) - state["means"]) / state["deviations"]
    plans = columns["plan"][:, None] == np.array(PLANS, dtype=object)
    return {"inputs": np.hstack([np.nan_to_num(numbers), plans]).astype("float32")}


def _numbers(columns: Columns) -> np.ndarray:
    return np.stack([columns[name].astype("float64") for name in NUMBERS], axis=1)
