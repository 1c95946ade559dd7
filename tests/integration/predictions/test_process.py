"""Scoring in real processes, on a folder and in an S3."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sailplane.bundles.bundle import TOLERANCE, Bundle
from sailplane.datasets import load as load_rows
from sailplane.errors import JobError, SchemaError
from sailplane.ledger import Ledger
from sailplane.operators import BatchPredictOperator
from sailplane.predictions import load, rejected, score
from sailplane.records import Predictions, Run
from sailplane.registry.models import promote, register
from sailplane.training.jobs import Job
from sailplane.training.specs import ScoreSpec
from tests.integration.predictions.conftest import Place
from tests.unit.predictions import parcels
from tests.unit.predictions.parcels import AS_OF, DAYS, files, ingested, trained

DEADLINE = 90.0
# With the last row of the third day, the model waits until a file exists.
WAITS = """
    if (frame["weight"] == 77).any():
        import pathlib, time
        pathlib.Path({folder!r}, "waiting").touch()
        while not pathlib.Path({folder!r}, "go").exists():
            time.sleep(0.02)
"""


@pytest.fixture
def run(place: Place, tmp_path: Path) -> Run:
    """Makes a run of a model that waits."""
    begins = "def transform(frame, state):"
    waits = begins + WAITS.format(folder=str(tmp_path))
    return trained(place.storage, tmp_path / "scratch", features=parcels.FEATURES.replace(begins, waits))


@pytest.fixture
def spec(place: Place, run: Run) -> ScoreSpec:
    return ScoreSpec(bundle=run.bundle, dataset=ingested(place.storage, spoil=spoil), interval=DAYS, keep=("parcel",))


@pytest.fixture
def job(place: Place) -> Iterator[Job]:
    job = Job(place.home.jobs / "parcels" / "score")
    yield job
    job.stop(grace=5)


def spoil(frame: Any) -> Any:
    frame.loc[71, "weight"] = 77.0
    frame.loc[[2, 50], "weight"] = np.nan
    return frame


def wait(job: Job, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, job.read_log()[0]
        time.sleep(0.02)


def drafts(place: Place, *folders: Path) -> list[str]:
    """Returns files that are neither complete nor removed; S3 never lists any."""
    if place.storage.root.startswith("file:"):
        folders += (Path(place.storage.root.removeprefix("file://")),)
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in found if path.name.startswith((".", "tmp", "sailplane-")) or "#" in path.name]


def test_what_kill_9_left_is_whole_days_and_the_next_try_ends_in_the_files_of_one_that_was_left_alone(
    place: Place, job: Job, spec: ScoreSpec, tmp_path: Path
) -> None:
    handle = job.start(spec, place.accesses)
    wait(job, (tmp_path / "waiting").exists)
    os.kill(handle["pid"], signal.SIGKILL)
    wait(job, lambda: job.state() != "running")
    with pytest.raises(JobError, match=r"killed by SIGKILL.*a retry resumes from what it kept"):
        job.result()
    left = files(place.storage)
    folders = Counter(path.split("/parcels/")[2].rpartition("/")[0] for path in left)
    assert folders == {"rejected/2026-02-25": 1, "scores/2026-02-25": 2, "scores/2026-02-26": 2}
    assert drafts(place) == []

    (tmp_path / "go").touch()
    job.start(spec, place.accesses)
    wait(job, lambda: job.state() != "running")
    made = Predictions.from_dict(job.result())
    assert (made.rows, made.rejected) == (94, 2)
    log = job.read_log()[0]
    assert "2 of 4 days done" in log
    assert "2026-02-26:" not in log
    assert "2026-02-27: 23 rows, 1 rejected, first reason: field 'weight': null" in log
    assert {path.name for path in job.folder.iterdir()} == {"job.json", "process.json", "log.txt", "result.json"}

    there = files(place.storage)
    assert {path: there[path] for path in left} == left
    for path in there:
        place.storage.delete(path)
    alone = score(place.storage, bundle=spec.bundle, dataset=spec.dataset, interval=spec.interval, keep=spec.keep)
    assert alone == made
    assert files(place.storage) == there
    assert drafts(place) == []


class StateStore(dict[str, Any]):
    """The values that Airflow keeps for a task between its tries."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def context(store: StateStore) -> Any:
    ti = SimpleNamespace(dag_id="parcels", run_id="r", task_id="score", map_index=-1, stats_tags={})
    run = SimpleNamespace(run_after=AS_OF, run_type="manual", partition_key=None)
    return {"ti": ti, "params": {}, "dag_run": run, "task_state_store": store}


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_retry_takes_the_scores_of_the_process_that_outlived_the_task_before(
    place: Place, run: Run, tmp_path: Path
) -> None:
    model = register(Ledger.create(place.home.ledger), place.storage, run)
    promote(Ledger.create(place.home.ledger), "parcels", model.version)
    dataset, store = ingested(place.storage, spoil=spoil), StateStore()
    operator = BatchPredictOperator(task_id="score", model="parcels", dataset=dataset.to_dict(), keep=["parcel"])
    # A killed task whose process continued leaves this state.
    handle = store["job"] = operator.submit_job(context(store))
    job = Job(Path(handle["folder"]))
    wait(job, (tmp_path / "waiting").exists)
    (tmp_path / "go").touch()
    returned = operator.execute(context(store))
    assert json.loads((job.folder / "process.json").read_text())["pid"] == handle["pid"] != os.getpid()
    made = Predictions.from_dict(json.loads(json.dumps(returned)))
    assert (made.model, made.version, made.dataset, made.interval) == ("parcels", model.version, dataset, DAYS)
    assert (made.rows, made.rejected) == (94, 2)

    scores, rows = load(place.storage, made), load_rows(place.storage, dataset)
    known = rows.drop(index=[2, 50]).reset_index(drop=True)
    place.storage.download(place.storage.path(model.uri), tmp_path / "model")
    expected = Bundle.open(tmp_path / "model").predict(known[["weight", "colour", "pieces"]])
    np.testing.assert_allclose(scores["late"], expected[:, 0], rtol=0, atol=TOLERANCE)
    assert scores["parcel"].tolist() == known["parcel"].tolist()
    assert rejected(place.storage, made)["parcel"].tolist() == rows["parcel"].iloc[[2, 50]].tolist()

    before = files(place.storage)
    assert operator.execute(context(store)) == returned, "a retry after the end takes the result"
    assert operator.execute(context(StateStore())) == returned, "a clear looks, and finds all days"
    assert files(place.storage) == before


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_column_that_is_missing_fails_the_task_before_anything_is_scored(place: Place, run: Run) -> None:
    schema = parcels.DataFrameSchema({name: parcels.SCHEMA.columns[name] for name in ("time", "colour", "pieces")})
    dataset = ingested(place.storage, schema=schema)
    operator = BatchPredictOperator(task_id="score", model=run.to_dict(), dataset=dataset.to_dict())
    with pytest.raises(SchemaError, match="no column 'weight'; expected the inputs of parcels: weight, colour, pieces"):
        operator.execute(context(StateStore()))
    assert files(place.storage) == {}
