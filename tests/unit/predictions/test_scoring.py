from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sailplane.datasets import ingest
from sailplane.datasets import load as load_rows
from sailplane.errors import ConfigurationError, DataError, ModelError, SchemaError
from sailplane.predictions import load, rejected, scan, score, scoring
from sailplane.records import Dataset, Interval, Predictions, Run
from sailplane.registry.bundle import TOLERANCE, Bundle
from sailplane.registry.columns import plain_records
from sailplane.storage import Storage
from tests.unit.predictions import parcels
from tests.unit.predictions.parcels import DAY, DAYS, files, ingested, trained
from tests.unit.registry import tiny
from tests.unit.serving.test_app import ask


def scored(storage: Storage, run: Run, dataset: Dataset, interval: Interval | None = None, **how: Any) -> Predictions:
    return score(storage, bundle=run.bundle, dataset=dataset, interval=interval or dataset.interval, **how)


def opened(storage: Storage, run: Run, folder: Path) -> Bundle:
    storage.download(storage.path(run.bundle), folder / "opened")
    return Bundle.open(folder / "opened")


def taken(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["weight", "colour", "pieces"]]


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


class Counted:
    """How many rows a bundle was asked to score, its golden ones not counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows, real = 0, scoring.scored

        def scored_and_counted(bundle: Bundle, frame: pd.DataFrame) -> Any:
            self.rows += len(frame)
            return real(bundle, frame)

        monkeypatch.setattr(scoring, "scored", scored_and_counted)


def test_what_is_there_is_not_scored_again(
    storage: Storage, run: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    made = scored(storage, run, dataset)
    before = files(storage)
    assert counted.rows == 96
    assert scored(storage, run, dataset) == made
    assert (counted.rows, files(storage)) == (96, before)


def test_of_a_window_that_moved_on_only_the_new_day_is_scored(
    storage: Storage, run: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(storage, run, dataset)
    counted = Counted(monkeypatch)
    later = ingested(storage, Interval(start=DAYS.start + DAY, end=DAYS.end + DAY))
    made = scored(storage, run, later)
    assert counted.rows == 24
    assert (made.rows, made.interval) == (96, later.interval)
    assert load(storage, made)["partition"].nunique() == 4


def test_a_day_with_other_contents_is_scored_anew_and_the_old_scores_stay(
    storage: Storage, run: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, counted = scored(storage, run, dataset), Counted(monkeypatch)
    old = load(storage, made)
    storage.delete(next(path for path in storage.list("datasets/parcels/partitions/2026-02-27") if "json" in path))
    changed = ingested(storage, spoil=lambda frame: frame.assign(weight=0.0))
    new = load(storage, scored(storage, run, changed))
    assert counted.rows == 24
    assert (new["late"] != old["late"]).groupby(new["partition"]).any().to_dict() == {
        "2026-02-25": False,
        "2026-02-26": False,
        "2026-02-27": True,
        "2026-02-28": False,
    }
    pd.testing.assert_frame_equal(load(storage, made), old)


def test_another_version_and_other_columns_have_files_of_their_own(
    storage: Storage, run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    first = scored(storage, run, dataset)
    other = scored(storage, trained(storage, tmp_path / "scratch", [[2.0], [0.0]], name="run-2"), dataset)
    kept = scored(storage, run, dataset, keep=("parcel",))
    assert len({first.uri, other.uri, kept.uri}) == 3
    assert first.version == kept.version != other.version
    scores = [load(storage, made) for made in (first, other, kept)]
    assert not np.allclose(scores[0]["late"], scores[1]["late"])
    pd.testing.assert_frame_equal(scores[0], scores[2].drop(columns="parcel"))


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


def test_a_column_that_the_model_takes_and_the_dataset_lacks_is_one_error_before_anything_is_scored(
    storage: Storage, run: Run, dataset: Dataset
) -> None:
    lacking = replace(
        dataset, schema=tuple(field for field in dataset.schema if field.name not in ("weight", "pieces"))
    )
    with pytest.raises(
        SchemaError, match=r"score parcels \w+: no column 'weight', 'pieces'; expected what parcels takes"
    ):
        scored(storage, run, lacking)
    assert files(storage) == {}


def test_a_column_of_another_kind_is_one_error(storage: Storage, run: Run, dataset: Dataset) -> None:
    fields = [replace(field, kind="string") if field.name == "weight" else field for field in dataset.schema]
    with pytest.raises(SchemaError, match="'weight' is of kind string, not number"):
        scored(storage, run, replace(dataset, schema=tuple(fields)))
    assert files(storage) == {}


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
    places = [3, 30, 40, 41, 95]
    assert refused["parcel"].tolist() == frame["parcel"].iloc[places].tolist()
    fields = [field for field in dataset.schema if field.name in ("weight", "colour", "pieces")]
    assert [json.loads(one) for one in refused["inputs"]] == plain_records(frame.iloc[places], fields)

    scores = load(storage, made)
    whole = opened(storage, run, tmp_path).predict(taken(frame.drop(index=places)).reset_index(drop=True))
    np.testing.assert_allclose(scores["late"], whole[:, 0], rtol=0, atol=TOLERANCE)
    assert scores["parcel"].tolist() == frame["parcel"].drop(index=places).tolist()


def test_of_a_day_without_one_good_row_the_other_days_have_scores(storage: Storage, run: Run) -> None:
    dataset = ingested(storage, spoil=lambda frame: frame.assign(weight=frame["weight"].mask(frame.index < 24)))
    made = scored(storage, run, dataset)
    assert (made.rows, made.rejected, len(load(storage, made))) == (72, 24, 72)


def test_it_is_an_error_if_all_rows_are_refused(storage: Storage, run: Run) -> None:
    dataset = ingested(storage, spoil=lambda frame: frame.assign(weight=np.nan))
    with pytest.raises(
        DataError, match=r"not one of 96 rows gets a score, the first for: field 'weight': null.*/rejected"
    ):
        scored(storage, run, dataset)
    there = files(storage)
    assert len([path for path in there if "/rejected/" in path]) == 4
    assert not [path for path in there if path.count("/") == 4], "no manifest says that there are scores"


@pytest.mark.parametrize("broken", range(4))
def test_what_breaks_off_leaves_whole_days_and_goes_on_to_the_same_files(
    storage: Storage, run: Run, dataset: Dataset, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, days = scoring.scored, []

    def breaks(bundle: Bundle, frame: pd.DataFrame) -> Any:
        days.append(frame)
        if len(days) == broken + 1:
            raise MemoryError
        return real(bundle, frame)

    monkeypatch.setattr(scoring, "scored", breaks)
    with pytest.raises(MemoryError):
        scored(storage, run, dataset)
    assert len(files(storage)) == 2 * broken, "a file and its marker for each day"
    made = scored(storage, run, dataset)
    assert len(days) == 5
    there = files(storage)
    for path in there:
        storage.delete(path)
    assert scored(storage, run, dataset) == made
    assert files(storage) == there


@pytest.mark.parametrize("left", range(9))
def test_whatever_a_kill_left_the_next_try_ends_in_the_same_files(storage: Storage, run: Run, left: int) -> None:
    """One by one, in the order in which they are put: rejected rows, scores, marker, and last the manifest."""
    dataset = ingested(
        storage,
        DAYS.trailing(DAYS.end, 3),
        spoil=lambda frame: frame.assign(weight=frame["weight"].mask(frame["time"].dt.hour == 3)),
    )
    made = scored(storage, run, dataset)
    whole = files(storage)
    order = {"rejected": 0, "parquet": 1, "json": 2}
    put = sorted(
        (path for path in whole if path.count("/") > 4),
        key=lambda path: (path.split("/")[5], order["rejected" if "/rejected/" in path else path.rpartition(".")[2]]),
    )
    for path in set(whole) - set(put[:left]):
        storage.delete(path)
    assert scored(storage, run, dataset) == made
    assert files(storage) == whole


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
    with pytest.raises(ConfigurationError, match="keep columns of parcels: no 'parcle'; expected of time, parcel"):
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
    storage.delete(storage.path(made.uri))
    with pytest.raises(DataError, match="they are gone"):
        load(storage, made)
