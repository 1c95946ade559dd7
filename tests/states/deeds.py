"""The actions of users and of their DAGs, as functions that a test can run in its own process or in a process that it
kills.

Each deed opens the home, the ledger and the store itself, as a task or a command does. Training is a tiny fit. The rest
is the platform's own code: datasets, sweep queue, bundles, registry, serving, rollouts, garbage collection."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from pandera.pandas import Column, DataFrameSchema

from sailplane import pairing
from sailplane.bundles import writing
from sailplane.datasets import ingest as ingest_days
from sailplane.datasets import load
from sailplane.datasets.files import Files
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.check_specs import ErrorRate
from sailplane.deployment.rollout.drive import Driver
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.repository import refuse_while_active
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.errors import HeldError, ServiceError
from sailplane.evaluation import history
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Approval, Dataset, Evaluation, Field, Interval, Model, Run, Trial, Windows
from sailplane.registry import holds
from sailplane.registry.holds import Hold
from sailplane.registry.models import register
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, queue
from sailplane.sweeps.results import trials
from sailplane.sweeps.space import parse
from sailplane.triggers.rollout import MOST_FAILED
from tests.states.clock import Clock

NAME = "toy"
DAY = timedelta(days=1)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW_DAYS = 4
WINDOWS = partial(Windows.of, validation_days=1, test_days=1)
SCHEMA = DataFrameSchema(
    {"time": Column(pd.DatetimeTZDtype("us", "UTC")), "distance": Column(float), "late": Column(bool)}
)
INPUTS = (Field(name="distance", kind="number"),)
FEATURES = """
import numpy as np

def transform(columns, state):
    return {"numbers": (np.asarray(columns["distance"]).reshape(-1, 1) / 1000).astype("float32")}
"""
SWEEP = """
method: random
run_cap: {trials}
metric: {{name: auc, goal: maximize}}
parameters: {{bias: {{min: 0.0, max: 1.0}}}}
"""
PLAN = Rollout(
    steps=[50, 100], bake="200ms", min_requests=3, extend="2s", too_few="pass", checks=[ErrorRate(maximum=0.5)]
)


def day_of(number: int) -> datetime:
    return BEGIN + number * DAY


def rows_of(day: datetime, value: int) -> pd.DataFrame:
    """Returns a day of the source; `value` determines its content."""
    distance = [100.0 * (hour + 1) + value for hour in range(6)]
    times = [day + timedelta(hours=hour) for hour in range(6)]
    late = [(hour + value) % 3 == 0 for hour in range(6)]
    return pd.DataFrame({"time": [time.isoformat() for time in times], "distance": distance, "late": late})


def ingest(home: Home, source: Path, today: int) -> Dataset:
    """Ingests the last days before `today` from CSV files, one for each day."""
    extract = Files(f"{source.as_uri()}/{{data_interval_start:%Y-%m-%d}}.csv", schema=SCHEMA, time="time")
    interval = Interval.trailing(day_of(today), WINDOW_DAYS)
    return ingest_days(pairing.store(home), name="toy", extract=extract, schema=SCHEMA, time="time", interval=interval)


def train(home: Home, run: str, dataset: Dataset, config: dict[str, Any], **of_run: Any) -> Run:
    """Fits a logistic curve to two moments of the rows. The same data and configuration give the same bytes."""
    storage = pairing.store(home)
    rows = load(storage, dataset, WINDOWS(dataset.interval).train)
    slope = float(np.cov(rows["distance"] / 1000, rows["late"])[0, 1])
    with tempfile.TemporaryDirectory(prefix="sailplane-") as scratch:
        features = Path(scratch) / "features.py"
        features.write_text(FEATURES)
        made = writing.write(
            Path(scratch) / "bundle",
            model=NAME,
            target="late",
            outputs=("late",),
            inputs=INPUTS,
            onnx=_curve(slope, config["bias"]),
            features=features,
            state={},
            golden=pd.DataFrame({"distance": [50.0, 700.0, 2500.0]}),
            run=run,
            dataset=dataset.version,
            as_of=dataset.interval.end,
        )
        storage.upload(made.folder, f"runs/{run}/bundle")
    score = float(np.mean(rows["late"])) + config["bias"]
    return Run(
        id=run,
        model=NAME,
        config=config,
        seed=0,
        dataset=dataset,
        as_of=dataset.interval.end,
        metrics={"auc": score},
        bundle=storage.uri(f"runs/{run}/bundle"),
        seconds=0.0,
        **of_run,
    )


def sweep(home: Home, name: str, dataset: Dataset, count: int, worker: str) -> Run:
    """Returns the best trial of a sweep. A second call after the worker died continues the sweep."""
    ledger = pairing.ledger(home)
    lifecycle.create(ledger, name, parse(SWEEP.format(trials=count)), seed=1)
    while (trial := _next_trial(ledger, name, worker)) is not None:
        run = train(home, f"{name}/{trial.number}", dataset, dict(trial.config), sweep=name, trial=trial.number)
        queue.finish(ledger, trial, worker, run.metrics["auc"], run)
    found = [one for one in trials(ledger, name) if one.run is not None and one.score is not None]
    best = max(found, key=lambda one: one.score or 0.0).run
    assert best is not None
    return best


def _next_trial(ledger: Ledger, name: str, worker: str) -> Trial | None:
    """Takes the next trial, and waits for the end of the lease of a killed worker."""
    while (trial := queue.ask(ledger, name, worker, lease_seconds=0.2)) is None:
        if all(one.state != "running" for one in trials(ledger, name)):
            return None
        time.sleep(0.05)
    return trial


def judge(home: Home, run: Run) -> Evaluation:
    verdict = Evaluation(
        model=NAME,
        run=run,
        window=WINDOWS(run.dataset.interval).test,
        rows=run.dataset.rows,
        metrics={"challenger": dict(run.metrics)},
        champion=None,
        passed=True,
        reasons=("passed: minimum: auc",),
    )
    judged = history.Judged(dag="toy", dag_run=run.id, kind="manual", day=run.as_of - DAY, evaluation=verdict)
    history.keep(pairing.ledger(home), judged, pairing.store(home))
    return verdict


def answer(home: Home, evaluation: Evaluation, approved: bool) -> Evaluation:
    """A person approves or rejects a model that waits for approval."""
    said = Approval(approved=approved, by="ada", note="", at=datetime.now(UTC))
    answered = replace(evaluation, approval=said)
    history.amend(pairing.ledger(home), "toy", evaluation.run.id, answered, pairing.store(home))
    return answered


def deploy(home: Home, clock: Clock, evaluation: Evaluation, owner: str) -> str:
    """Deploys the model as the operator does. Returns the version that serves."""
    ledger, storage = pairing.opened(home)
    _refuse_while_held(ledger, evaluation)
    refuse_while_active(ledger, NAME, owner, clock())
    model = _registered(ledger, storage, evaluation)
    return _serving(home, clock).deploy(model, owner, approval=evaluation.approval).version


def roll_out(home: Home, clock: Clock, evaluation: Evaluation, owner: str) -> str:
    """Begins a rollout and returns its version."""
    ledger, storage = pairing.opened(home)
    _refuse_while_held(ledger, evaluation)
    model = _registered(ledger, storage, evaluation)
    _serving(home, clock).begin(PLAN, model, owner, approval=evaluation.approval)
    return model.version


def look(home: Home, clock: Clock) -> bool:
    """Lets the triggerer look once at the running rollout. Returns whether it is still running."""
    ledger = pairing.ledger(home)
    entry = records.active(ledger, NAME)
    if entry is None:
        return False
    clock.pass_a_look()
    driver = _serving(home, clock).driver(entry.subject.version)
    try:
        _tick(driver)
    finally:
        driver.release()
    return records.active(ledger, NAME) is not None


def _tick(driver: Driver) -> None:
    """Ticks the driver. A killed server is back within a second or two, and the triggerer tries that long."""
    for failed in range(MOST_FAILED):
        try:
            driver.tick()
            return
        except ServiceError:
            if failed == MOST_FAILED - 1:
                raise
            time.sleep(0.2)


def go_back(home: Home, clock: Clock, to: str | None = None, hold: bool = True) -> str:
    return roll_back(_serving(home, clock), "ada", to=to, hold=hold)


def release(home: Home) -> Hold:
    return holds.release(pairing.ledger(home), NAME)


def _refuse_while_held(ledger: Ledger, evaluation: Evaluation) -> None:
    if hold := holds.refusing(ledger, evaluation):
        raise HeldError(NAME, got=str(hold), remedy=hold.remedy, message=hold.message)


def _serving(home: Home, clock: Clock) -> ModelEndpoint:
    local = ModelEndpoint.local(home, *pairing.opened(home), NAME)
    return replace(local, clock=clock, sleep=clock.sleep)


def _registered(ledger: Ledger, storage: Storage, evaluation: Evaluation) -> Model:
    return register(ledger, storage, evaluation.run, evaluation.metrics["challenger"], evaluation)


def _curve(slope: float, bias: float) -> bytes:
    """Returns sigmoid(numbers * slope + bias)."""
    constants = {"slope": np.array([[slope]], "float32"), "bias": np.array([bias], "float32")}
    nodes = [
        helper.make_node("MatMul", ["numbers", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
    ]
    described = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(described, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
