from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sailplane.bundles.bundle import TOLERANCE
from sailplane.bundles.columns import plain_records
from sailplane.datasets import ingest
from sailplane.datasets import load as load_rows
from sailplane.predictions import load, scan, scoring
from sailplane.records import Dataset, Interval, Predictions, Run
from sailplane.storage import Storage
from tests.unit.bundles import tiny
from tests.unit.predictions import parcels
from tests.unit.predictions.parcels import DAY, DAYS, files, ingested, opened, scored, taken, trained
from tests.unit.serving.background_load import ask


def test_every_row_has_the_score_that_the_bundle_gives_the_whole_frame(
    storage: Storage, run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    made = scored(storage, run, dataset)
    assert (made.rows, made.rejected, made.interval, made.dataset) == (96, 0, DAYS, dataset)
    bundle = opened(storage, run, tmp_path)
    assert (made.model, made.version) == ("parcels", bundle.version)
    frame, scores = load_rows(storage, dataset), load(storage, made)
    assert list(scores) == ["partition", "row", "time", "late", "model_version"]
    assert scores["late"].dtype == "float32"
    np.testing.assert_allclose(scores["late"], bundle.predict(taken(frame))[:, 0], rtol=0, atol=TOLERANCE)
    assert set(scores["model_version"]) == {bundle.version}
    assert Predictions.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_every_row_has_the_score_that_the_model_server_answers(
    storage: Storage, run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    scores, bundle = load(storage, scored(storage, run, dataset)), opened(storage, run, tmp_path)
    records = plain_records(taken(load_rows(storage, dataset)), bundle.manifest.inputs)
    answer = ask(bundle, "POST", "/predict", {"jsonData": records}).json()
    served = np.float32(answer["data"]["ndarray"])[:, 0]
    np.testing.assert_allclose(scores["late"], served, rtol=0, atol=TOLERANCE)


def test_a_row_is_found_again_by_its_partition_and_its_place(storage: Storage, run: Run, dataset: Dataset) -> None:
    scores, frame = load(storage, scored(storage, run, dataset, keep=("parcel", "pieces"))), load_rows(storage, dataset)
    day = frame["time"].dt.strftime("%Y-%m-%d")
    frame = frame.assign(partition=day, row=frame.groupby(day).cumcount())
    joined = frame.merge(scores, on=["partition", "row"], suffixes=("", "_kept"), validate="one_to_one")
    assert len(joined) == len(frame) == len(scores)
    for name in ("time", "parcel", "pieces"):
        pd.testing.assert_series_equal(joined[name], joined[f"{name}_kept"], check_names=False)


@pytest.mark.slow
def test_a_model_may_take_every_kind_of_column_and_the_times_that_are_carried(storage: Storage, tmp_path: Path) -> None:
    frame = tiny.frame(500).sort_values("scheduled", kind="stable", ignore_index=True)
    frame["scheduled"] = frame["scheduled"].astype("datetime64[us, UTC]")
    kinds = {"distance": float, "wind": float, "seats": "Int64", "carrier": str, "weekend": bool}
    columns = {name: parcels.Column(kind, nullable=name in ("wind", "seats")) for name, kind in kinds.items()}
    dataset = ingest(
        storage,
        name="flights",
        extract=lambda start, end: frame[frame["scheduled"].between(start, end, inclusive="left")],
        schema=parcels.DataFrameSchema({**columns, "scheduled": parcels.SCHEMA.columns["time"]}),
        time="scheduled",
        interval=Interval(start=tiny.AS_OF, end=tiny.AS_OF + 10 * DAY),
    )
    bundle = tiny.bundle(tmp_path / "tiny")
    scores = load(storage, scored(storage, tiny.run_of(bundle, storage), dataset))
    pd.testing.assert_series_equal(scores["scheduled"], frame["scheduled"])
    np.testing.assert_allclose(scores["late"], bundle.predict(frame)[:, 0], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 7])
def test_few_rows_at_a_time_give_the_same_scores(
    storage: Storage, run: Run, dataset: Dataset, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(storage, scored(storage, run, dataset))
    for path in files(storage):
        storage.delete(path)
    monkeypatch.setattr(scoring, "ROWS", size)
    made = scored(storage, run, dataset)
    parts = load(storage, made)
    pd.testing.assert_frame_equal(parts.drop(columns="late"), whole.drop(columns="late"))
    np.testing.assert_allclose(parts["late"], whole["late"], rtol=0, atol=TOLERANCE)
    pd.testing.assert_frame_equal(pd.concat(scan(storage, made, 5), ignore_index=True), parts)


def test_several_outputs_are_a_column_each(storage: Storage, dataset: Dataset, tmp_path: Path) -> None:
    run = trained(storage, tmp_path / "scratch", np.eye(2, 3), outputs=("soon", "late", "lost"))
    scores = load(storage, scored(storage, run, dataset))
    assert list(scores) == ["partition", "row", "time", "soon", "late", "lost", "model_version"]
    np.testing.assert_allclose(scores[["soon", "late", "lost"]].sum(axis=1), 1, atol=1e-5)


BY_COLUMNS = """
import numpy as np

def transform(columns, state):
    pieces = np.nan_to_num(columns["pieces"])
    return {"numbers": np.column_stack([columns["weight"], pieces]).astype("float32")}
"""


def test_features_over_arrays_give_the_scores_of_those_over_a_frame(
    storage: Storage, run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    by_columns = trained(storage, tmp_path / "scratch", name="run-2", features=BY_COLUMNS)
    one, other = (load(storage, scored(storage, each, dataset)) for each in (run, by_columns))
    assert set(one["model_version"]) != set(other["model_version"])
    pd.testing.assert_series_equal(one["late"], other["late"])


def test_a_part_of_the_days_can_be_scored(storage: Storage, run: Run, dataset: Dataset) -> None:
    made = scored(storage, run, dataset, Interval(start=DAYS.start + DAY, end=DAYS.end - DAY))
    assert made.rows == 48
    assert sorted(set(load(storage, made)["partition"])) == ["2026-02-26", "2026-02-27"]


def test_the_dataset_need_not_have_the_target_nor_an_order_of_columns(
    storage: Storage, run: Run, dataset: Dataset
) -> None:
    schema = parcels.DataFrameSchema(
        {name: parcels.SCHEMA.columns[name] for name in ("pieces", "time", "colour", "weight")}
    )
    bare = ingested(storage, name="bare", schema=schema)
    one, other = (load(storage, scored(storage, run, each)) for each in (dataset, bare))
    pd.testing.assert_frame_equal(one, other)
