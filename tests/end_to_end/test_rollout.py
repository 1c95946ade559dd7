"""A rollout through Airflow: the task waits in the triggerer, which may die. The store is the embedded S3.

It takes five minutes: each rollout takes its steps in real time, the first one while the triggerer is killed and
restarts. The tests run in the order of the file."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.rollout import records
from sailplane.ledger import Ledger
from sailplane.records import Deployment
from sailplane.registry.models import alias, versions
from sailplane.services import object_store
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.background_load import asked_all_the_time
from tests.end_to_end.faults import FAULTY, RECORDS, ask, instance, spoil
from tests.integration.deployment.kubernetes.conftest import answering
from tests.integration.deployment.kubernetes.mesh import Mesh
from tests.kubernetes.seldon import SELDON_DEPLOYMENTS
from tests.kubernetes.working import Working
from tests.kubernetes_server import NAMESPACE, KubernetesServer
from tests.platform import Platform, started, until
from tests.ports import free_port
from tests.s3 import free_row
from tests.unit.bundles import tiny

FIRST, SECOND = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("rollout")
    shutil.copytree(FAULTY, folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "project" / "faults").mkdir()
    # Pods could read this file.
    store = {
        "SAILPLANE_STORE": "s3://sailplane",
        "SAILPLANE_S3_PORT": str(free_row()),
        "SAILPLANE_TWINS": "algorithmia",
        "SAILPLANE_ALGORITHMIA_PORT": str(free_port()),
    }
    with started(folder / "home", folder / "project", **store) as running:
        yield running


@pytest.fixture(scope="module")
def served(platform: Platform) -> Deployment:
    """Deploys the first model, which has no champion to compare with and gets all the traffic. A better model is
    possible."""
    spoil(platform, FIRST, "sees half")
    run = platform.trigger("rolled", {"as_of": f"{FIRST:%Y-%m-%d}"})
    assert platform.wait(run) == "success"
    return Deployment.from_dict(platform.xcom(run, "deploy"))


def test_all_is_in_the_object_store_and_no_key_is_left(platform: Platform, served: Deployment) -> None:
    (model,) = versions(Ledger.at(platform.home))
    assert model.model.uri.startswith("s3://sailplane/")
    assert model.model.lineage
    assert model.model.lineage.dataset.uri.startswith("s3://sailplane/")
    assert not (platform.home.root / "store").exists()
    assert not list(platform.home.jobs.rglob("access.json")), "no key is left where a training was"
    assert ask(served)
    listed = json.loads(platform.sailplane("status", "--json").stdout)["services"]
    assert [service["state"] for service in listed if service["name"] == "algorithmia"] == ["running"]


@contextmanager
def answered(served: Deployment) -> Iterator[Counter[int]]:
    """Counts the answers to requests that are sent meanwhile, by status."""
    answers: Counter[int] = Counter()

    def ask(client: httpx.Client) -> None:
        answers[client.post(served.endpoint, json={"jsonData": RECORDS}).status_code] += 1

    with asked_all_the_time(ask, pause=0.01):
        yield answers


def test_a_rollout_holds_no_worker_and_goes_on_at_its_step_when_the_triggerer_was_killed(
    platform: Platform, served: Deployment
) -> None:
    """It takes more than a minute: a run of the DAG, and a rollout in real time while the triggerer is killed and
    restarts."""
    ledger = Ledger.at(platform.home)

    def stage() -> str | None:
        entry = records.active(ledger, "rolled")
        return entry.state.stage if entry else None

    with answered(served) as answers:
        run = platform.trigger("rolled", {"as_of": f"{SECOND:%Y-%m-%d}"})
        until(lambda: stage() == "baking 0" or None, 180, "the first step")
        pool = platform.api("GET", "/pools/default_pool")
        assert (pool["occupied_slots"], pool["running_slots"], pool["deferred_slots"]) == (0, 0, 1)
        assert instance(platform, run, "deploy")["state"] == "deferred"
        os.kill(Supervisor(platform.home).states()["triggerer"].pid, signal.SIGKILL)
        assert platform.wait(run) == "success"
    assert set(answers) == {200}
    deployed = Deployment.from_dict(platform.xcom(run, "deploy"))
    assert deployed.version != served.version
    champion, previous = (alias(ledger, "rolled", name) for name in ("champion", "previous"))
    assert champion
    assert previous
    assert (champion.version, previous.version) == (deployed.version, served.version)
    assert ask(deployed)
    decided = records.decisions(ledger, "rolled", deployed.version)
    assert [one.after for one in decided] == ["starting", "shadowing", "baking 0", "promoting", "succeeded"]
    assert len({one.by for one in decided[2:4]}) == 2, "another triggerer's driver ended the step"
    assert all(finding.outcome == "passed" for one in decided[2:4] for finding in one.findings)


@pytest.fixture
def cluster(platform: Platform) -> Iterator[KubernetesServer]:
    """Starts a cluster with Seldon's operator, to which Airflow's connection leads."""
    server = KubernetesServer()
    connection = {"connection_id": "kubernetes_default", "conn_type": "kubernetes"}
    extra = json.dumps({"kube_config": server.config()})
    platform.api("POST", "/connections", {**connection, "extra": extra})
    try:
        with Working(server.seldon):
            yield server
    finally:
        server.stop()


def judged(platform: Platform, bundle: Bundle, champion: str | None) -> dict[str, Any]:
    storage = Storage(platform.home.store, object_store.credentials(platform.home))
    evaluation = tiny.evaluation_of(tiny.run_of(bundle, storage)).to_dict()
    return {"evaluation": evaluation | {"champion": champion}}


def test_a_rollout_on_a_cluster_is_driven_by_the_triggerer_and_taken_back_by_one_command(
    platform: Platform, cluster: KubernetesServer, tmp_path: Path
) -> None:
    """It takes about two minutes: a run of the DAG, a rollout in real time, and its rollback."""
    one, two = (tiny.bundle(tmp_path / str(number), bias=number / 2, run=f"r-{number}") for number in range(2))
    cluster.service = answering([one, two])
    first = platform.trigger("clustered", judged(platform, one, None))
    assert platform.wait(first) == "success", platform.service_logs()
    mesh, ledger = Mesh(cluster, "flights"), Ledger.at(platform.home)

    def stage() -> str | None:
        entry = records.active(ledger, "flights")
        return entry.state.stage if entry else None

    with mesh.asking():
        run = platform.trigger("clustered", judged(platform, two, one.version))
        until(lambda: stage() == "baking 0" or None, 120, "the first step")
        assert instance(platform, run, "deploy")["state"] == "deferred"
        assert platform.wait(run) == "success", platform.service_logs()
        assert platform.xcom(run, "deploy")["weights"] == {two.version: 100}
        decided = records.decisions(ledger, "flights", two.version)
        assert [one.after for one in decided] == ["starting", "shadowing", "baking 0", "promoting", "succeeded"]
        shown = json.loads(platform.sailplane("status", "--json").stdout)["cluster_models"]
        assert [(model["version"], model["namespace"]) for model in shown] == [(two.version, NAMESPACE)]
        ended = platform.sailplane("rollback", "flights")
    told = f"flights: {one.version} serves at kubernetes_default/{NAMESPACE}\nAutomatic deployments of flights have "
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(told)
    [hold] = json.loads(platform.sailplane("status", "--json").stdout)["holds"]
    assert (hold["model"], hold["version"], hold["serves"]) == ("flights", two.version, one.version)
    assert platform.sailplane("release", "flights").returncode == 0
    assert {status for status, _ in mesh.answers} == {200}
    (left,) = cluster.objects.list(SELDON_DEPLOYMENTS)
    assert [predictor["name"] for predictor in left["spec"]["predictors"]] == [f"v{one.version}"]
    assert "kubectl -n models port-forward" in platform.sailplane("predict", "flights").stderr


def test_rollback_is_one_command(platform: Platform, served: Deployment) -> None:
    ended = platform.sailplane("rollback", "rolled")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(
        f"rolled: {served.version} serves\nAutomatic deployments of rolled have been on hold"
    )
    assert ask(served)["names"] is not None
    champion = alias(Ledger.at(platform.home), "rolled", "champion")
    assert champion
    assert champion.version == served.version
    again = platform.sailplane("rollback", "nothing")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "no version served before this one" in again.stderr
