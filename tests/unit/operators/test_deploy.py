from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowSkipException

from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.ledger.tables import models
from sailplane.operators import CoreV1, CoreV2, DeployModelOperator, ErrorRate, Latency, Metric, Rollout
from sailplane.records import Approval, Dataset, Evaluation, Interval, Model, Run
from sailplane.registry import holds
from sailplane.registry.models import alias, promote, versions
from tests.homes import new_ledger

AS_OF = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = Interval.trailing(AS_OF, 28)


def evaluation(*, passed: bool, model: str = "quiet", **changes: object) -> dict:
    dataset = Dataset(name="d", version="v", uri="file:///d", interval=WINDOW, rows=1, quarantined=0, schema=())
    run = Run(
        id="r",
        model=model,
        config={},
        seed=0,
        dataset=dataset,
        as_of=AS_OF,
        metrics={},
        bundle="file:///b",
        seconds=1.0,
    )
    found = Evaluation(
        model=model,
        run=run,
        window=WINDOW,
        rows=7,
        metrics={"challenger": {"auc": 0.5}},
        champion=None,
        passed=passed,
        reasons=("auc 0.5; expected at least 0.55",),
    )
    return replace(found, **changes).to_dict()


class TaskInstance:
    def __init__(self) -> None:
        self.pushed: dict[str, object] = {}

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


def execute(values: dict, run_type: str) -> TaskInstance:
    ti = TaskInstance()
    operator = DeployModelOperator(task_id="deploy", evaluation=values)
    with pytest.raises(AirflowSkipException, match="Nothing is deployed"):
        operator.execute({"ti": ti, "dag_run": SimpleNamespace(run_type=run_type)})
    return ti


def test_a_verdict_against_the_model_deploys_nothing_and_says_why():
    ti = execute(evaluation(passed=False), "scheduled")
    assert ti.pushed["reasons"] == ["auc 0.5; expected at least 0.55"]
    assert alias(new_ledger(Home.find().ledger), "quiet", "champion") is None


def test_a_backfill_deploys_nothing_however_good_the_model_is():
    ti = execute(evaluation(passed=True), "backfill")
    assert ti.pushed["reasons"][0] == "a backfill never changes what is served"
    assert alias(new_ledger(Home.find().ledger), "quiet", "champion") is None


def test_what_a_person_rejected_is_not_deployed_and_their_note_comes_first():
    answer = Approval(approved=False, by="Ada", note="too small", at=AS_OF)
    ti = execute(evaluation(passed=True, approval=answer), "scheduled")
    assert ti.pushed["reasons"][0] == "rejected by Ada: too small"
    assert alias(new_ledger(Home.find().ledger), "quiet", "champion") is None


@pytest.mark.parametrize(
    ("compared", "told"), [(None, "judged while there was none"), ("v1", "compared with v1")], ids=["none", "another"]
)
def test_a_model_that_was_compared_with_another_champion_than_todays_is_not_deployed(compared, told):
    ledger, name = new_ledger(Home.find().ledger), f"changed-{compared}"
    champion = Model(name=name, version="v2", uri="file:///m", digest="d", run="other", dataset="v", as_of=AS_OF)
    with ledger.begin() as connection:
        row = {"name": name, "version": "v2", "record": champion.to_dict(), "created": 0.0}
        connection.execute(sa.insert(models).values(row))
    promote(ledger, name, "v2")
    ti = execute(evaluation(passed=True, model=name, champion=compared), "scheduled")
    (reason,) = ti.pushed["reasons"]
    assert reason.startswith(f"the champion is v2 now, and this model was {told}: clear `evaluate`")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Approval(approved=True, by="Ada", note="before the rollback", at=AS_OF),
        Approval(approved=True, by="the deadline", note="", at=datetime(2126, 1, 1, tzinfo=UTC), by_person=False),
    ],
    ids=["nobody asked", "an older approval", "the deadline"],
)
def test_a_held_model_is_not_deployed_and_the_task_says_who_held_it_and_how_to_go_on(answer):
    ledger = new_ledger(Home.find().ledger)
    with ledger.begin() as connection:
        since = datetime(2026, 11, 24, 8, 50, tzinfo=UTC).timestamp()
        holds.hold_within(connection, holds.Hold("held", since, "ada@host", "v2", "v1"))
    ti = execute(evaluation(passed=True, model="held", approval=answer), "scheduled")
    assert ti.pushed["reasons"] == [
        "Automatic deployments of held have been on hold since 2026-11-24 08:50 UTC, when ada@host rolled back v2 to"
        " v1. `sailplane release held`, or the approval of a model, lifts the hold."
    ]
    assert alias(ledger, "held", "champion") is None
    assert versions(ledger, "held") == [], "nothing was registered"
    assert holds.find(ledger, "held")


@pytest.mark.parametrize(
    "how", [{"target": "kubernetes"}, {"seldon": CoreV1(image="x")}, {"target": "cloud"}], ids=["bare", "local", "none"]
)
def test_a_target_without_what_it_needs_is_refused_where_the_dag_is_parsed(how: dict):
    with pytest.raises(
        ConfigurationError, match=r'read the target of deploy: .* expected target="kubernetes" with CoreV1'
    ):
        DeployModelOperator(task_id="deploy", evaluation={}, **how)


def test_what_no_cluster_counts_or_reads_is_refused_where_the_dag_is_parsed():
    how = {"task_id": "deploy", "evaluation": {}, "target": "kubernetes"}
    with pytest.raises(ConfigurationError, match=r"latency with CoreV2; expected ErrorRate: .*CoreV1\(image"):
        DeployModelOperator(**how, seldon=CoreV2(), rollout=Rollout(checks=[Latency(p99="1s")]))
    rewarded = Rollout(checks=[ErrorRate(), Metric(metric="reward", worse_by=0.1)])
    with pytest.raises(ConfigurationError, match="metric reward with CoreV1; expected ErrorRate, Latency"):
        DeployModelOperator(**how, seldon=CoreV1(image="x"), rollout=rewarded)
    with pytest.raises(ConfigurationError, match="sticky: 'customer'; expected none on a cluster"):
        DeployModelOperator(**how, seldon=CoreV1(image="x"), rollout=Rollout(sticky="customer"))
    DeployModelOperator(**how, seldon=CoreV2(), rollout=Rollout())
    DeployModelOperator(**how, seldon=CoreV1(image="x"), rollout=Rollout())


def test_a_choice_that_is_none_is_refused_where_the_dag_is_parsed():
    with pytest.raises(ConfigurationError, match=r"read on_violation of deploy: 'warn'; expected 'refuse' or"):
        DeployModelOperator(task_id="deploy", evaluation={}, on_violation="warn")


def test_a_cluster_gets_the_choice_with_the_workload():
    how = {"task_id": "deploy", "evaluation": {}, "target": "kubernetes", "on_violation": "flag"}
    assert DeployModelOperator(**how, seldon=CoreV1(image="x")).seldon == CoreV1(image="x", on_violation="flag")
    assert DeployModelOperator(**how, seldon=CoreV2()).seldon == CoreV2(on_violation="flag")
