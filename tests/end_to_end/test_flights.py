"""The whole pipeline with the real scheduler, api-server, router and model server. The tests run in the order of the
file.

It takes five to ten minutes: each of the five runs of the DAG trains two models. `make soak` (LONG=1) backfills ten
days."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import onnxruntime
import psutil
import pytest

from include.flights import features
from sailplane.bundles.arrays import arrays_of_frame
from sailplane.bundles.columns import plain_records
from sailplane.datasets import load
from sailplane.deployment.local.endpoint import deployments
from sailplane.ledger import Ledger
from sailplane.records import Dataset, Deployment, Evaluation
from sailplane.records import Run as TrainingRun
from sailplane.registry.models import alias
from sailplane.services.airflow_api import DagRun
from sailplane.services.orphans import marked
from sailplane.storage import Storage
from tests.platform import Platform, until

AS_OF = datetime(2026, 11, 21, tzinfo=UTC)
SMALL = {"window": 28, "trials": 2, "workers": 2}
BACKFILLED = 10 if "LONG" in os.environ else 2
DAYS = [f"2026-10-{day:02}" for day in range(1, BACKFILLED + 1)]


@dataclass(frozen=True)
class Flight:
    """A successful run, and what its tasks returned."""

    run: DagRun
    dataset: Dataset
    best: TrainingRun
    evaluation: Evaluation
    deployment: Deployment
    tracked: int


@pytest.fixture(scope="module")
def flight(platform: Platform) -> Flight:
    before = tracked_runs(platform)
    run = platform.trigger("flights", SMALL | {"as_of": f"{AS_OF:%Y-%m-%d}"})
    assert platform.wait(run) == "success"
    return Flight(
        run,
        Dataset.from_dict(platform.xcom(run, "ingest")),
        TrainingRun.from_dict(platform.xcom(run, "sweep.best")),
        Evaluation.from_dict(platform.xcom(run, "evaluate")),
        Deployment.from_dict(platform.xcom(run, "deploy")),
        tracked_runs(platform) - before,
    )


def tracked_runs(platform: Platform) -> int:
    return len(list((platform.home.root / "wandb").glob("offline-run-*/run-*.wandb")))


def deployed(platform: Platform) -> list[Deployment]:
    return [deployment for deployment in deployments(Ledger.at(platform.home)) if deployment.name == "flights"]


@pytest.fixture(scope="module")
def records(platform: Platform, flight: Flight) -> list[dict[str, Any]]:
    """Returns the rows of the test window as a client would send them."""
    inputs = tuple(field for field in flight.dataset.schema if field.name != "late")
    return plain_records(judged(platform, flight), inputs)[:500]


def judged(platform: Platform, flight: Flight) -> Any:
    return load(Storage(platform.home.store), flight.dataset, flight.dataset.windows.test)


def post(deployment: Deployment, body: Any) -> httpx.Response:
    return httpx.post(deployment.endpoint, json=body, trust_env=False, timeout=30)


def test_a_first_run_ends_with_a_served_model(platform: Platform, flight: Flight) -> None:
    assert {state for states in platform.tasks(flight.run).values() for state in states} == {"success"}
    assert flight.dataset.rows > 20_000
    assert len(flight.dataset.interval.days) == 28
    assert flight.evaluation.passed
    assert flight.evaluation.champion is None
    assert {"challenger", "baseline"} <= flight.evaluation.metrics.keys()
    assert 0.55 <= flight.evaluation.metrics["challenger"]["auc"] <= 0.8, "much more means a leak"


def test_the_served_scores_are_those_of_the_training_code_row_by_row(
    platform: Platform, flight: Flight, records: list[dict[str, Any]]
) -> None:
    bundle = platform.store / Storage(platform.home.store).path(flight.best.bundle)
    state = json.loads((bundle / "state.json").read_text())
    columns = arrays_of_frame(judged(platform, flight).head(len(records)), flight.dataset.schema)
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    expected = session.run(["probability"], features.transform(columns, state))[0][:, 0]

    as_rows = {"data": {"names": list(records[0]), "ndarray": [list(record.values()) for record in records]}}
    by_rows = post(flight.deployment, as_rows).json()["data"]["ndarray"]
    by_record = post(flight.deployment, {"jsonData": records}).json()
    np.testing.assert_allclose(np.ravel(by_rows), expected, atol=1e-6)
    assert by_record["data"]["ndarray"] == by_rows
    one_by_one = [post(flight.deployment, {"jsonData": [r]}).json()["data"]["ndarray"][0] for r in records[:20]]
    np.testing.assert_allclose(np.ravel(one_by_one), expected[:20], atol=1e-6)


def test_the_open_inference_protocol_gives_the_same_scores(
    platform: Platform, flight: Flight, records: list[dict[str, Any]]
) -> None:
    described = httpx.get(f"http://127.0.0.1:{platform.home.router_port}/v2/models/flights", trust_env=False).json()
    tensors = [
        {
            "name": tensor["name"],
            "datatype": tensor["datatype"],
            "shape": [5],
            "data": [r[tensor["name"]] for r in records[:5]],
        }
        for tensor in described["inputs"]
    ]
    answer = httpx.post(
        f"http://127.0.0.1:{platform.home.router_port}/v2/models/flights/infer",
        json={"inputs": tensors},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    seldon = post(flight.deployment, {"jsonData": records[:5]}).json()["data"]["ndarray"]
    np.testing.assert_allclose(answer.json()["outputs"][0]["data"], np.ravel(seldon), atol=1e-6)


def test_a_bad_request_is_answered_with_the_field_and_the_reason(flight: Flight, records: list[dict[str, Any]]) -> None:
    missing = {name: value for name, value in records[0].items() if name != "carrier"}
    for bad, said in [
        (missing, "'carrier' is missing"),
        (records[0] | {"distance": "far"}, "'distance' of row 0"),
        (records[0] | {"dep_delay": 3}, "'dep_delay' is unknown"),
    ]:
        answer = post(flight.deployment, {"jsonData": [bad]})
        assert 400 <= answer.status_code < 500
        assert said in answer.text


def test_status_lists_the_served_model_with_its_endpoint(platform: Platform, flight: Flight) -> None:
    models = json.loads(platform.sailplane("status", "--json").stdout)["models"]
    assert flight.deployment.content() in models


def test_status_names_the_port_of_each_model_server(platform: Platform, flight: Flight) -> None:
    server = status(platform)[f"model-flights-{flight.deployment.version}"]
    ready = httpx.get(f"{server['url']}/v2/health/ready", trust_env=False)
    assert (server["state"], ready.status_code) == ("running", 200)


def test_with_a_model_served_every_socket_still_listens_on_loopback_only(platform: Platform, flight: Flight) -> None:
    # gRPC's sockets are IPv6 and write the address in this form.
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in marked(platform.home)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_every_training_and_every_trial_is_a_wandb_run(flight: Flight) -> None:
    assert flight.tracked == 1 + SMALL["trials"]


def test_a_model_that_is_not_better_is_not_deployed_and_the_ui_says_why(platform: Platform, flight: Flight) -> None:
    """It takes half a minute: a run of the DAG with a sweep."""
    run = platform.trigger("flights", SMALL | {"as_of": f"{AS_OF:%Y-%m-%d}", "trials": 1, "workers": 1})
    assert platform.wait(run) == "success"
    assert platform.tasks(run)["deploy"] == ["skipped"]
    reasons = platform.api("GET", f"{run.path}/taskInstances/deploy/xcomEntries/reasons")["value"]
    assert any("champion" in reason for reason in reasons)
    assert deployed(platform) == [flight.deployment]
    assert platform.xcom(run, "ingest") == flight.dataset.to_dict(), "the same data are the same version"


def test_a_backfill_trains_and_judges_and_deploys_nothing(platform: Platform, flight: Flight) -> None:
    """It takes two minutes: the DAG runs once for each day of the backfill."""
    scheduler = status(platform)["scheduler"]["pid"]
    days = ("--from-date", DAYS[0], "--to-date", DAYS[-1], "--max-active-runs", "2")
    conf = json.dumps({"window": 21, "trials": 1, "workers": 1})
    create = ("airflow", "backfill", "create", "--dag-id", "flights", *days, "--dag-run-conf", conf)
    created = platform.sailplane(*create)
    assert created.returncode == 0, created.stderr

    runs = until(lambda: ended_backfills(platform), 900, "the backfilled runs")
    assert [run["state"] for run in runs] == ["success"] * BACKFILLED
    for entry in runs:
        run = DagRun("flights", entry["dag_run_id"])
        assert platform.tasks(run)["deploy"] == ["skipped"]
        end = datetime.fromisoformat(entry["data_interval_end"])
        assert Evaluation.from_dict(platform.xcom(run, "evaluate")).window.end == end, "judged as of its own date"
    assert deployed(platform) == [flight.deployment]
    champion = alias(Ledger.at(platform.home), "flights", "champion")
    assert champion is not None
    assert champion.version == flight.deployment.version, "no alias moved"
    assert status(platform)["scheduler"]["pid"] == scheduler, "SQLite did not crash the scheduler"


def test_the_days_that_were_backfilled_are_a_backtest(platform: Platform, flight: Flight) -> None:
    """The champion, which knows later days and beats all of these runs, does not appear in it."""
    days = ("--from", DAYS[0], "--to", DAYS[-1])
    ended = platform.sailplane("backtest", "flights", *days, "--no-run", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert len(found["days"]) == BACKFILLED
    assert 0.55 <= found["means"]["pipeline"] <= 0.8, "much more means a leak"
    first = found["days"][0]
    assert (first["frozen"], first["champion"]) == (first["pipeline"], None)
    known = [(day["champion_day"], day["day"]) for day in found["days"] if day["champion_day"]]
    assert known, "the gate would have shipped something"
    assert all(champion < day for champion, day in known)


def ended_backfills(platform: Platform) -> list[dict[str, Any]] | None:
    runs = platform.api("GET", "/dags/flights/dagRuns", run_type="backfill", limit=100)["dag_runs"]
    ended = [run for run in runs if run["state"] in ("success", "failed")]
    return ended if len(ended) == BACKFILLED else None


def status(platform: Platform) -> dict[str, dict[str, Any]]:
    return {s["name"]: s for s in json.loads(platform.sailplane("status", "--json").stdout)["services"]}


def test_what_was_served_is_served_again_after_down_and_up(
    platform: Platform, flight: Flight, records: list[dict[str, Any]]
) -> None:
    """It takes half a minute: all services stop and start again."""
    before = post(flight.deployment, {"jsonData": records[:3]}).json()["data"]
    assert platform.sailplane("down").returncode == 0
    with pytest.raises(httpx.ConnectError):
        post(flight.deployment, {"jsonData": records[:3]})
    assert platform.sailplane("up", "--no-run").returncode == 0
    answer = post(flight.deployment, {"jsonData": records[:3]})
    assert answer.json()["data"] == before
    assert answer.headers["x-sailplane-version"] == flight.deployment.version
