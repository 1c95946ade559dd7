"""A disk that fills up under running processes: trainings and served models."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sailplane import code
from sailplane.datasets import ingest
from sailplane.deployment.envoy.router import Router, router_program
from sailplane.deployment.http_client import call
from sailplane.errors import SailplaneError, StorageError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval, Model, Run
from sailplane.registry.models import alias, register
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from sailplane.training.fit import fit
from sailplane.training.jobs import Job
from sailplane.training.specs import TrainSpec
from tests.homes import new_home
from tests.integration.deployment.routed import deploy
from tests.integration.training.conftest import AS_OF, PROJECT
from tests.ports import free_port
from tests.small_disk import SmallDisk, disks
from tests.unit.bundles import tiny

RECORD = {"jsonData": tiny.RECORD}


@pytest.fixture(params=disks(), ids=lambda way: way.__name__)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with request.param(tmp_path / "disk") as small:
        yield small


@pytest.fixture
def served(disk: SmallDisk, tmp_path: Path) -> Iterator[Home]:
    """A running supervisor and router."""
    settings = {"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_HOME": str(disk.folder / "home")}
    home = new_home(Home.find({**settings, "SAILPLANE_ROUTER_PORT": str(free_port())}))
    supervisor = Supervisor(home)
    supervisor.boot()
    try:
        supervisor.put(router_program(home))
        supervisor.update()
        yield home
    finally:
        supervisor.shutdown()


def served_version(home: Home) -> str | None:
    return call(home.router_port, "POST", "/seldon/local/flights/api/v1.0/predictions", RECORD).version


def test_a_deployment_without_room_leaves_what_was_served_and_the_next_one_goes_well(
    disk: SmallDisk, served: Home, tmp_path: Path
) -> None:
    ledger, storage = Ledger.create(served.ledger), Storage(served.store)

    def registered(run: str, bias: float) -> Model:
        bundle = tiny.bundle(tmp_path / run, run=run, bias=bias)
        return register(ledger, storage, tiny.run_of(bundle, storage))

    old, new = registered("run-1", 0.0), registered("run-2", 0.2)
    deploy(served, ledger, storage, old)
    bundles = served.serving / "models" / "flights"
    with disk.full(leave=0):
        with pytest.raises(SailplaneError, match=r"Free some space|Raise that limit"):
            deploy(served, ledger, storage, new)
        assert served_version(served) == old.version
        assert [path.name for path in bundles.iterdir()] == [old.version]
        assert list(Router(served).ports()) == [("flights", old.version)]
    assert alias(ledger, "flights", "champion") == old
    deploy(served, ledger, storage, new)
    assert served_version(served) == new.version
    assert [path.name for path in bundles.iterdir()] == [new.version]


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A project with `include.toy`."""
    monkeypatch.setenv("SAILPLANE_PROJECT", str(PROJECT))
    monkeypatch.syspath_prepend(str(PROJECT))
    yield
    for name in [name for name in sys.modules if name.startswith("include.toy")]:
        del sys.modules[name]


def training(home: Home, train: str) -> TrainSpec:
    """A training whose data is ingested."""
    data, interval = code.load("include.toy.data"), Interval.trailing(AS_OF, 28)
    dataset = ingest(
        Storage(home.store), name="toy", extract=data.extract, schema=data.SCHEMA, time="time", interval=interval
    )
    return TrainSpec(
        run="toy/train",
        model="toy",
        dataset=dataset,
        as_of=AS_OF,
        features="include.toy.features",
        train=f"include.toy.model:{train}",
        config={"epochs": 2},
    )


@pytest.mark.usefixtures("project")
def test_a_training_without_room_says_so_at_once_and_the_next_one_goes_well(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAILPLANE_HOME", str(disk.folder / "home"))
    home = new_home()
    spec = training(home, "train")
    job = Job(home.jobs / "toy" / "train")
    with disk.full(leave=0), pytest.raises(StorageError, match=r"Free some space|Raise that limit"):
        job.start(spec)
    assert job.state() == "failed"
    job.start(spec)
    try:
        deadline = time.monotonic() + 90
        while job.state() == "running":
            assert time.monotonic() < deadline, job.read_log()[0]
            time.sleep(0.05)
    finally:
        job.stop()
    assert Run.from_dict(job.result()).metrics["validation_auc"] > 0.5


@pytest.mark.usefixtures("project")
def test_a_checkpoint_without_room_leaves_the_one_before_from_which_the_next_try_goes_on(
    disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SAILPLANE_STORE", (disk.folder / "store").as_uri())
    home = new_home()
    spec, storage = training(home, "keeps_more_than_at_first"), Storage(home.store)
    with disk.full(leave=1_000_000), pytest.raises(StorageError, match=r"Free some space|Raise that limit") as refused:
        fit(spec)
    assert "\n" not in str(refused.value)
    kept = [path.removeprefix(f"{spec.shelf}/")[:14] for path in storage.list("runs")]
    assert kept == ["best-000000000", "last-000000000"]
    fit(spec)
    history = json.loads(storage.get(f"runs/{spec.run}/history.json"))
    assert [row["resumed"] for row in history] == [0, 1, 1]
