from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from include.flights import data, features
from sailplane.bundles.arrays import arrays_of_frame
from sailplane.datasets.schema import fields


def columns(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return arrays_of_frame(frame, fields(data.SCHEMA))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return data.extract(datetime(2025, 12, 20, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC))


@pytest.fixture(scope="module")
def state(frame: pd.DataFrame) -> dict:
    return features.fit(columns(frame))


def test_the_state_is_json(state):
    assert json.loads(json.dumps(state, allow_nan=False)) == state


def test_arrays_have_a_row_a_flight_and_no_gaps(frame, state):
    arrays = features.transform(columns(frame), state)
    assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == {
        "numbers": (np.dtype("float32"), (len(frame), 15)),
        "categories": (np.dtype("int64"), (len(frame), 8)),
    }
    assert np.isfinite(arrays["numbers"]).all()
    assert arrays["categories"].min() == 1
    assert np.abs(arrays["numbers"]).max() <= features.LIMIT
    # The mean is not quite 0, because values are clipped, and a month has long tails of rain and of low visibility.
    assert np.abs(arrays["numbers"].mean(axis=0)).max() < 0.1


@pytest.mark.slow
def test_one_row_gives_the_same_numbers_alone_as_among_others(frame, state):
    rows = frame.drop(columns="late")
    together = features.transform(columns(rows), state)
    for place in range(0, len(rows), 97):
        alone = features.transform(columns(rows.iloc[[place]]), state)
        for name, array in alone.items():
            assert array.tobytes() == together[name][[place]].tobytes()


def test_what_training_did_not_see_has_index_0(frame, state):
    odd = frame.head(2).assign(carrier=["ZZ", "UA"], dest="XXX", weekday=[9, 1])
    assert features.transform(columns(odd), state)["categories"][:, [0, 2, 3]].tolist()[0] == [0, 0, 0]


def test_a_missing_value_is_the_mean_and_says_so(frame, state):
    gone = frame.head(1).assign(**dict.fromkeys([*data.WEATHER, "plane_age", "plane_seats"], np.nan))
    arrays = features.transform(columns(gone), state)
    assert arrays["numbers"][0, 1:11].tolist() == [0.0] * 10
    assert arrays["categories"][0, 5:].tolist() == [2, 2, 2]


def test_columns_that_are_missing_in_all_of_training_are_no_error(frame):
    empty = frame.head(50).assign(pressure=np.nan, wind_gust=np.nan)
    state = features.fit(columns(empty))
    assert json.dumps(state, allow_nan=False)
    assert np.isfinite(features.transform(columns(frame), state)["numbers"]).all()


def test_a_number_far_outside_training_is_clipped(frame, state):
    odd = frame.head(2).assign(temp=[130.0, -40.0], precip=[10.0, 10.0], pressure=[850.0, 1100.0])
    numbers = features.transform(columns(odd), state)["numbers"]
    assert numbers[:, 3].tolist() == [features.LIMIT, -features.LIMIT]
    assert np.abs(numbers).max() == features.LIMIT
