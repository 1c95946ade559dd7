"""What a scan looks like to the models. `fit` on training rows; the same `transform` runs in training and in serving.

`transform` gives `image`, float32 [n, 1, 8, 8]: about -0.8 is white and 1.9 is black.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

TARGET = "digit"
OUTPUTS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

PIXELS = [f"pixel_{place:02}" for place in range(64)]


def fit(frame: pd.DataFrame) -> dict[str, Any]:
    """{"mean": float, "deviation": float} of all pixels, JSON-able."""
    pixels = frame[PIXELS].to_numpy("float64")
    return {"mean": float(pixels.mean()), "deviation": float(pixels.std()) or 1.0}


def transform(frame: pd.DataFrame, state: dict[str, Any]) -> dict[str, np.ndarray]:
    """Row by row: one row gives the same numbers alone as among others. Does not look at the target."""
    pixels = (frame[PIXELS].to_numpy("float64") - state["mean"]) / state["deviation"]
    return {"image": pixels.reshape(-1, 1, 8, 8).astype("float32")}
