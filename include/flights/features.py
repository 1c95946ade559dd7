"""What a flight looks like to the models. `fit` on training rows; the same `transform` runs in training and in serving.

`transform` gives `numbers`, float32 [n, 15], standardised and clipped, a missing value being the training mean; and
`categories`, int64 [n, 8], where 0 stands for a value that training did not see.

The day of the year is left out on purpose: a window of half a year shows each day once, and the days to predict never.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

TARGET = "late"

PLAIN = ["distance", "plane_age", "plane_seats", "temp", "dewp", "humid", "wind_speed", "wind_gust", "pressure"]
# These crowd near zero: the logarithm of value + offset spreads them.
CROWDED = {"precip": 0.01, "visib": 1.0}
# That these are missing says something: a calm hour, a plane of a small fleet.
MISSABLE = ["plane_age", "wind_gust", "pressure"]
# In standard deviations: a storm or a broken sensor beyond what training saw stays within what the model knows.
LIMIT = 3.0


def fit(frame: pd.DataFrame) -> dict[str, Any]:
    """{"means": {number: float}, "deviations": {number: float}, "vocabularies": {category: [values]}}, JSON-able."""
    means, deviations = {}, {}
    for name, column in _numbers(frame).items():
        known = column[~np.isnan(column)]
        means[name] = float(known.mean()) if known.size else 0.0
        deviations[name] = (float(known.std()) if known.size else 0.0) or 1.0
    vocabularies = {name: np.sort(pd.unique(column)).tolist() for name, column in _categories(frame).items()}
    return {"means": means, "deviations": deviations, "vocabularies": vocabularies}


def transform(frame: pd.DataFrame, state: dict[str, Any]) -> dict[str, np.ndarray]:
    """Row by row: one row gives the same numbers alone as among others. Does not look at the target."""
    numbers = [
        np.nan_to_num((column - state["means"][name]) / state["deviations"][name], nan=0.0).clip(-LIMIT, LIMIT)
        for name, column in _numbers(frame).items()
    ]
    categories = [
        pd.Index(state["vocabularies"][name]).get_indexer(pd.Index(column)) + 1
        for name, column in _categories(frame).items()
    ]
    return {
        "numbers": np.stack(numbers, axis=1).astype("float32"),
        "categories": np.stack(categories, axis=1).astype("int64"),
    }


def _numbers(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """By name, float64 [n], NaN where missing."""
    departure = frame["scheduled_departure"].dt
    east, north = _circle(_number(frame, "wind_dir") / 360)
    return {
        **{name: _number(frame, name) for name in PLAIN},
        **{name: np.log(np.maximum(_number(frame, name), 0) + offset) for name, offset in CROWDED.items()},
        "departure": (departure.hour * 60 + departure.minute).to_numpy("float64"),
        "arrival": _number(frame, "scheduled_arrival_minute"),
        "wind_east": east * _number(frame, "wind_speed"),
        "wind_north": north * _number(frame, "wind_speed"),
    }


def _number(frame: pd.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy("float64", na_value=np.nan)


def _circle(turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)


def _categories(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """By name, [n]: strings as objects, or int64."""
    return {
        **{name: frame[name].to_numpy("object") for name in ["carrier", "origin", "dest"]},
        "weekday": frame["weekday"].to_numpy("int64"),
        "hour": frame["scheduled_departure"].dt.hour.to_numpy("int64"),
        **{f"no_{name}": frame[name].isna().to_numpy("int64") for name in MISSABLE},
    }
