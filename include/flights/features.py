"""What a flight looks like to the models. `fit` on training rows; the same `transform` runs in training and in serving.

`transform` gives `numbers`, float32 [n, 15], standardised and clipped, a missing value being the training mean; and
`categories`, int64 [n, 8], where 0 stands for a value that training did not see.

The day of the year is left out on purpose: a window of half a year shows each day once, and the days to predict never.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TARGET = "late"

PLAIN = ["distance", "plane_age", "plane_seats", "temp", "dewp", "humid", "wind_speed", "wind_gust", "pressure"]
# These crowd near zero: the logarithm of value + offset spreads them.
CROWDED = {"precip": 0.01, "visib": 1.0}
# That these are missing says something: a calm hour, a plane of a small fleet.
MISSABLE = ["plane_age", "wind_gust", "pressure"]
# In standard deviations: a storm or a broken sensor beyond what training saw stays within what the model knows.
LIMIT = 3.0
HOUR, MINUTE = np.timedelta64(1, "h"), np.timedelta64(1, "m")

Columns = Mapping[str, np.ndarray]


def fit(columns: Columns) -> dict[str, Any]:
    """{"means": {number: float}, "deviations": {number: float}, "vocabularies": {category: [values]}}, JSON-able."""
    means, deviations = {}, {}
    for name, column in _numbers(columns).items():
        known = column[~np.isnan(column)]
        means[name] = float(known.mean()) if known.size else 0.0
        deviations[name] = (float(known.std()) if known.size else 0.0) or 1.0
    vocabularies = {name: sorted(set(column.tolist())) for name, column in _categories(columns).items()}
    return {"means": means, "deviations": deviations, "vocabularies": vocabularies}


def transform(columns: Columns, state: dict[str, Any]) -> dict[str, np.ndarray]:
    """Row by row: one row gives the same numbers alone as among others. Does not look at the target."""
    known = _numbers(columns)
    means, deviations = (np.array([state[part][name] for name in known]) for part in ("means", "deviations"))
    numbers = (np.stack(list(known.values()), axis=1) - means) / deviations
    numbers[np.isnan(numbers)] = 0.0
    categories = [_codes(column, state["vocabularies"][name]) for name, column in _categories(columns).items()]
    return {
        "numbers": np.minimum(np.maximum(numbers, -LIMIT), LIMIT).astype("float32"),
        "categories": np.array(categories, dtype="int64").T,
    }


def _codes(column: np.ndarray, vocabulary: list[Any]) -> list[int]:
    places = {value: place for place, value in enumerate(vocabulary, start=1)}
    return [places.get(value, 0) for value in column.tolist()]


def _numbers(columns: Columns) -> dict[str, np.ndarray]:
    """By name, float64 [n], NaN where missing."""
    departure = columns["scheduled_departure"]
    turns = columns["wind_dir"] * (2 * np.pi / 360)
    return {
        **{name: columns[name] for name in PLAIN},
        **{name: np.log(np.maximum(columns[name], 0) + offset) for name, offset in CROWDED.items()},
        "departure": (departure - departure.astype("datetime64[D]")) // MINUTE * 1.0,
        "arrival": columns["scheduled_arrival_minute"] * 1.0,
        "wind_east": np.sin(turns) * columns["wind_speed"],
        "wind_north": np.cos(turns) * columns["wind_speed"],
    }


def _categories(columns: Columns) -> dict[str, np.ndarray]:
    """By name, [n]: strings, or whole numbers."""
    departure = columns["scheduled_departure"]
    return {
        **{name: columns[name] for name in ["carrier", "origin", "dest", "weekday"]},
        "hour": (departure - departure.astype("datetime64[D]")) // HOUR,
        **{f"no_{name}": np.isnan(columns[name]) * 1 for name in MISSABLE},
    }
