from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

TARGET = "good"


def fit(frame: pd.DataFrame) -> dict[str, Any]:
    return {"means": frame[["height", "width"]].mean().tolist()}


def transform(frame: pd.DataFrame, state: dict[str, Any]) -> dict[str, np.ndarray]:
    return {"numbers": (frame[["height", "width"]].to_numpy("float64") - state["means"]).astype("float32")}
