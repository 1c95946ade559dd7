from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandera.pandas import Column, DataFrameSchema

from sailplane.datasets import ingest
from sailplane.errors import ConfigurationError, DataError, LabelError
from sailplane.records import Dataset, Interval
from sailplane.storage import Storage
from sailplane.training.data import prepare

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "height": Column(float),
        "good": Column("boolean", nullable=True),
        "kind": Column(int),
    }
)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "store").as_uri())


def dataset(storage: Storage, good: list[Any]) -> Dataset:
    """Makes 28 days of 4 rows. `height` is the day's number, and `kind` counts 0, 1, 2, 0, ..."""

    def extract(start: datetime, end: datetime) -> pd.DataFrame:
        time = pd.date_range(start, end, freq="6h", inclusive="left").astype(pd.DatetimeTZDtype("us", "UTC"))
        day = time.day.to_numpy("float64")
        labels = pd.array(np.resize(np.array(good, dtype=object), len(time)), dtype="boolean")
        return pd.DataFrame({"time": time, "height": day, "good": labels, "kind": np.arange(len(time)) % 3})

    interval = Interval.trailing(AS_OF, 28)
    return ingest(storage, name="toy", extract=extract, schema=SCHEMA, time="time", interval=interval)


def features(**changes: Any) -> ModuleType:
    def transform(frame: pd.DataFrame, state: dict[str, Any]) -> dict[str, Any]:
        assert "good" not in frame
        return {"numbers": (frame[["height"]] - state["mean"]).to_numpy("float32")}

    module = ModuleType("toy_features")
    module.TARGET = "good"  # type: ignore[attr-defined]
    module.fit = lambda frame: {"mean": float(frame["height"].mean())}  # type: ignore[attr-defined]
    module.transform = transform  # type: ignore[attr-defined]
    vars(module).update(changes)
    return module


def test_the_windows_are_split_in_time_and_fitted_on_train_rows_only(storage: Storage) -> None:
    data = prepare(storage, dataset(storage, [True, False]), features())
    assert (len(data.train), len(data.validation)) == (14 * 4, 7 * 4)
    assert data.state == {"mean": 7.5}
    assert data.validation.features["numbers"][0, 0] == 15 - 7.5
    assert (data.outputs, data.train.target.dtype) == (("good",), np.float32)
    assert data.train.target[:2].tolist() == [1, 0]


def test_rows_without_a_label_are_left_out(storage: Storage) -> None:
    data = prepare(storage, dataset(storage, [True, False, None, True]), features())
    assert len(data.train) == 14 * 3
    assert data.train.target[:3].tolist() == [1, 0, 1]


def test_labels_that_are_all_empty_are_refused(storage: Storage) -> None:
    with pytest.raises(LabelError, match=r"toy 2026-02-01..2026-02-15: all 56 rows have an empty 'good'"):
        prepare(storage, dataset(storage, [None]), features())


def test_classes_become_their_place_among_the_outputs(storage: Storage) -> None:
    def transform(frame: pd.DataFrame, state: dict[str, Any]) -> dict[str, Any]:
        return {"numbers": frame[["height"]].to_numpy("float32") * state["mean"]}

    module = features(TARGET="kind", OUTPUTS=(2, 1, 0), transform=transform)
    data = prepare(storage, dataset(storage, [True]), module)
    assert (data.outputs, data.train.target.dtype) == (("2", "1", "0"), np.int64)
    assert data.train.target[:4].tolist() == [2, 1, 0, 2]


def test_a_label_that_is_none_of_the_classes_is_named(storage: Storage) -> None:
    module = features(TARGET="kind", OUTPUTS=(0, 1), transform=lambda frame, _: {"x": frame[["height"]].to_numpy()})
    with pytest.raises(LabelError, match="'kind' is '2'; expected one of 0, 1"):
        prepare(storage, dataset(storage, [True]), module)


def test_a_transform_that_loses_rows_is_refused(storage: Storage) -> None:
    module = features(transform=lambda frame, _: {"x": frame[["height"]].to_numpy()[1:]})
    with pytest.raises(DataError, match="array 'x': 55 rows; expected 56"):
        prepare(storage, dataset(storage, [True]), module)


def test_features_without_a_target_are_refused(storage: Storage) -> None:
    module = features()
    del module.TARGET
    with pytest.raises(ConfigurationError, match="toy_features: no 'TARGET'"):
        prepare(storage, dataset(storage, [True]), module)
