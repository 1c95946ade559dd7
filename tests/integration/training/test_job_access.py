"""A training whose store is an S3 bucket; only an Airflow connection has its keys."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sailplane import code, pairing
from sailplane.datasets import ingest
from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.operators import TrainModelOperator
from sailplane.records import Interval, Run
from sailplane.storage import Access
from sailplane.training.jobs import Job
from sailplane.training.specs import TrainSpec
from tests.integration.training.conftest import AS_OF
from tests.integration.training.test_jobs import wait
from tests.s3 import s3_server


def access() -> dict[str, Access]:
    """Returns the access that a train task hands to its process."""
    named = {"features": "include.toy.features", "train": "include.toy.model:train"}
    return TrainModelOperator(task_id="train", model="toy", dataset={}, **named)._access()


@pytest.fixture
def secret(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The store is in a bucket. `aws_default` has the key, and the environment has none."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with s3_server(tmp_path / "s3") as server:
        aws = {"endpoint_url": server.endpoint, "region_name": server.access.region}
        told = {"conn_type": "aws", "login": server.access.key, "password": server.access.secret, "extra": aws}
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(told))
        monkeypatch.setenv("SAILPLANE_STORE", f"s3://lake@{server.bucket}/ours")
        # The home was made with another store.
        (home.root / pairing.MEMORY).unlink()
        yield str(server.access.secret)


@pytest.fixture
def job(home: Home) -> Iterator[Job]:
    job = Job(home.jobs / "toy" / "train")
    yield job
    job.stop(grace=5)


@pytest.fixture
def spec(secret: str) -> Callable[[str], TrainSpec]:
    data: Any = code.load("include.toy.data")
    store = SailplaneStorageHook().get_conn()
    interval = Interval.trailing(AS_OF, 28)
    made = ingest(store, name="toy", extract=data.extract, schema=data.SCHEMA, time="time", interval=interval)

    def make(train: str) -> TrainSpec:
        return TrainSpec(
            run=f"toy/{train}",
            model="toy",
            dataset=made,
            as_of=AS_OF,
            features="include.toy.features",
            train=f"include.toy.model:{train}",
        )

    return make


def test_a_training_reaches_a_store_that_only_a_connection_knows(
    job: Job, spec: Callable[[str], TrainSpec], secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = access()
    wanted = spec("train")
    # The process inherits the environment, but must not ask Airflow.
    monkeypatch.delenv("AIRFLOW_CONN_LAKE")
    job.start(wanted, given)
    private = job.folder / "access.json"
    assert private.stat().st_mode & 0o777 == 0o600
    assert secret in private.read_text()
    job.grant(given)
    wait(job, lambda: job.state() != "running")
    assert job.state() == "succeeded", job.read_log()[0]
    assert not private.exists()
    assert Run.from_dict(job.result()).metrics["validation_auc"] > 0.5
    left = [file.read_text(errors="replace") for file in job.folder.rglob("*") if file.is_file()]
    assert left
    assert not any(secret in text for text in left)


def test_a_training_that_is_stopped_leaves_no_access(job: Job, spec: Callable[[str], TrainSpec]) -> None:
    job.start(spec("train"), access())
    assert (job.folder / "access.json").exists()
    job.stop()
    assert not (job.folder / "access.json").exists()
