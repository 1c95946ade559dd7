from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandera.pandas import Column, DataFrameSchema

from sailplane.bundles.bundle import TOLERANCE
from sailplane.bundles.columns import plain_records
from sailplane.datasets import load as load_rows
from sailplane.errors import ConfigurationError, DataError, ModelError, SchemaError
from sailplane.predictions import load, rejected, scan
from sailplane.records import Check, Dataset, Field, Run
from sailplane.storage import Storage
from tests.unit.predictions import parcels
from tests.unit.predictions.parcels import INPUTS, files, ingested, opened, scored, taken, trained


def test_a_column_that_the_model_takes_and_the_dataset_lacks_is_one_error_before_anything_is_scored(
    storage: Storage, run: Run, dataset: Dataset
) -> None:
    lacking = replace(
        dataset, schema=tuple(field for field in dataset.schema if field.name not in ("weight", "pieces"))
    )
    with pytest.raises(
        SchemaError, match=r"score parcels \w+: no column 'weight', 'pieces'; expected the inputs of parcels"
    ):
        scored(storage, run, lacking)
    assert files(storage) == {}


def test_a_column_of_another_kind_is_one_error(storage: Storage, run: Run, dataset: Dataset) -> None:
    fields = [replace(field, kind="string") if field.name == "weight" else field for field in dataset.schema]
    with pytest.raises(SchemaError, match="'weight' is of kind string, not number"):
        scored(storage, run, replace(dataset, schema=tuple(fields)))
    assert files(storage) == {}


def test_where_the_model_refuses_no_row_there_is_none_with_the_same_columns(
    storage: Storage, run: Run, dataset: Dataset
) -> None:
    refused = rejected(storage, scored(storage, run, dataset))
    assert list(refused) == ["partition", "row", "time", "model_version", "reason", "inputs"]
    assert refused["reason"].value_counts().empty


def test_rows_that_the_model_refuses_lie_beside_the_scores_with_the_reason(
    storage: Storage, run: Run, tmp_path: Path
) -> None:
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[3, "weight"], frame.loc[30, "weight"] = np.nan, 1e39
        frame.loc[[40, 41, 95], "colour"] = ["black", "clear", "black"]
        return frame

    dataset = ingested(storage, spoil=spoil)
    made = scored(storage, run, dataset, keep=("parcel",))
    assert (made.rows, made.rejected) == (91, 5)
    refused, frame = rejected(storage, made), load_rows(storage, dataset)
    assert refused["reason"].tolist() == [
        "field 'weight': null; expected a number between -3.4e38 and 3.4e38",
        "field 'weight': 1e+39; expected a number between -3.4e38 and 3.4e38",
        "KeyError: 'black'",
        "the score is NaN or infinite",
        "KeyError: 'black'",
    ]
    assert refused["partition"].tolist() == ["2026-02-25", "2026-02-26", "2026-02-26", "2026-02-26", "2026-02-28"]
    assert refused["row"].tolist() == [3, 6, 16, 17, 23]
    indices = [3, 30, 40, 41, 95]
    assert refused["parcel"].tolist() == frame["parcel"].iloc[indices].tolist()
    fields = [field for field in dataset.schema if field.name in ("weight", "colour", "pieces")]
    assert [json.loads(one) for one in refused["inputs"]] == plain_records(frame.iloc[indices], fields)

    scores = load(storage, made)
    whole = opened(storage, run, tmp_path).predict(taken(frame.drop(index=indices)).reset_index(drop=True))
    np.testing.assert_allclose(scores["late"], whole[:, 0], rtol=0, atol=TOLERANCE)
    assert scores["parcel"].tolist() == frame["parcel"].drop(index=indices).tolist()


def test_of_a_day_without_one_good_row_the_other_days_have_scores(storage: Storage, run: Run) -> None:
    dataset = ingested(storage, spoil=lambda frame: frame.assign(weight=frame["weight"].mask(frame.index < 24)))
    made = scored(storage, run, dataset)
    assert (made.rows, made.rejected, len(load(storage, made))) == (72, 24, 72)


def test_it_is_an_error_if_all_rows_are_refused(storage: Storage, run: Run) -> None:
    dataset = ingested(storage, spoil=lambda frame: frame.assign(weight=np.nan))
    with pytest.raises(DataError, match=r"none of 96 rows has a score, first reason: field 'weight': null.*/rejected"):
        scored(storage, run, dataset)
    there = files(storage)
    assert len([path for path in there if "/rejected/" in path]) == 4
    assert not [path for path in there if path.count("/") == 4], "no manifest says that there are scores"


def test_a_bundle_that_is_another_one_scores_nothing(storage: Storage, run: Run, dataset: Dataset) -> None:
    with pytest.raises(ModelError, match="expected abc"):
        scored(storage, run, dataset, digest="abc")
    assert files(storage) == {}


def test_a_bundle_whose_golden_rows_get_other_scores_here_scores_nothing(
    storage: Storage, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = FEATURES_BY_ENVIRONMENT
    monkeypatch.setenv("SCALE", "1")
    run = trained(storage, tmp_path / "scratch", features=features)
    monkeypatch.setenv("SCALE", "2")
    with pytest.raises(ModelError, match="compare golden scores of parcels"):
        scored(storage, run, dataset)
    assert files(storage) == {}


FEATURES_BY_ENVIRONMENT = parcels.FEATURES.replace(
    'weight = frame["weight"]', 'import os\n    weight = float(os.environ["SCALE"]) * frame["weight"]'
)


def test_a_column_to_keep_that_is_not_there_is_named(storage: Storage, run: Run, dataset: Dataset) -> None:
    with pytest.raises(ConfigurationError, match="keep columns of parcels: no 'parcle'; expected time, parcel"):
        scored(storage, run, dataset, keep=("parcle",))


def test_a_column_to_keep_cannot_have_the_name_of_the_score(storage: Storage, run: Run, dataset: Dataset) -> None:
    with pytest.raises(ConfigurationError, match="'late' twice"):
        scored(storage, run, dataset, keep=("late",))


def test_predictions_that_are_gone_or_damaged_are_named(storage: Storage, run: Run, dataset: Dataset) -> None:
    made = scored(storage, run, dataset)
    path = next(path for path in files(storage) if path.endswith(".parquet"))
    storage.put(path, storage.get(path)[:-1])
    with pytest.raises(DataError, match="its content has changed"):
        load(storage, made)
    storage.delete(path)
    with pytest.raises(DataError, match="it is gone"):
        list(scan(storage, made, 10))
    storage.put(storage.path(made.uri), b'{"carried": []}')
    with pytest.raises(DataError, match=r"it is damaged: no key 'partitions'.*rerun the scoring task"):
        load(storage, made)
    storage.delete(storage.path(made.uri))
    with pytest.raises(DataError, match="they are missing"):
        load(storage, made)


def test_rows_that_fail_a_check_of_the_schema_lie_beside_with_the_check(storage: Storage, tmp_path: Path) -> None:
    checks = {
        "weight": Check(name="less_than", arguments={"max_value": 10.0}, says="less_than(10)"),
        "pieces": Check(name="in_range", arguments={"min_value": 1, "max_value": 9}, says="in_range(1, 9)"),
    }
    inputs = tuple(replace(field, checks=(checks[field.name],) if field.name in checks else ()) for field in INPUTS)

    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[3, ["weight", "pieces"]] = [11.0, 0]
        return frame

    run = trained(storage, tmp_path / "scratch", inputs=inputs)
    made = scored(storage, run, ingested(storage, spoil=spoil))
    assert (made.rows, made.rejected) == (95, 1)
    [reason] = rejected(storage, made)["reason"]
    assert reason == "field 'weight': 11.0; expected less_than(10). field 'pieces': 0; expected in_range(1, 9)"


def test_a_dataset_may_lack_a_column_that_the_model_does_not_read(
    storage: Storage, dataset: Dataset, tmp_path: Path
) -> None:
    inputs = (*INPUTS, Field(name="code", kind="integer"))
    golden = parcels.GOLDEN.assign(code=1)
    features = parcels.FEATURES.replace('assert list(frame) == ["weight", "colour", "pieces"], list(frame)', "")
    features = features.replace('(frame["colour"] == "black")', '(frame["colour"].to_numpy() == "black")')
    run = trained(storage, tmp_path / "scratch", inputs=inputs, golden=golden, features=features)
    plain = scored(storage, trained(storage, tmp_path / "scratch", name="run-2"), dataset)
    made = load(storage, scored(storage, run, dataset))
    np.testing.assert_array_equal(made["late"], load(storage, plain)["late"])


def test_what_it_does_not_read_may_be_null_there(storage: Storage, tmp_path: Path) -> None:
    inputs = (*INPUTS, Field(name="hour", kind="integer"))
    features = parcels.FEATURES.replace('assert list(frame) == ["weight", "colour", "pieces"], list(frame)', "")
    schema = DataFrameSchema({**parcels.SCHEMA.columns, "hour": Column("Int64", nullable=True)})
    dataset = ingested(
        storage, schema=schema, spoil=lambda frame: frame.assign(hour=pd.array([None] * len(frame), "Int64"))
    )
    golden = parcels.GOLDEN.assign(hour=1)
    run = trained(storage, tmp_path / "scratch", inputs=inputs, golden=golden, features=features)
    made = scored(storage, run, dataset)
    assert (made.rows, made.rejected) == (96, 0)
