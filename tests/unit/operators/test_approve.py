from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, GetTaskStates, TaskStatesResult
from airflow.serialization.serialized_objects import DagSerialization

from sailplane.errors import ConfigurationError
from sailplane.evaluation.history import keep, verdicts
from sailplane.home import Home
from sailplane.operators import ApproveModelOperator, EvaluateModelOperator, deploy, trigger_form
from sailplane.records import Approval, Evaluation, Interval, Offer, Rule
from sailplane.registry import holds
from sailplane.triggers.approval import ApprovalTrigger
from tests.homes import new_home, new_ledger
from tests.unit.evaluation.test_history import judged

ANSWERED = datetime(2026, 10, 2, 12, tzinfo=UTC)
JUDGED = judged(0, model="asked")
BASELINE = replace(
    JUDGED.evaluation,
    run=replace(JUDGED.evaluation.run, bundle="file:///plain"),
    rules=(Rule(name="minimum", passed=True, got="auc 0.8", expected="0.55"),),
)
OFFERING = replace(
    JUDGED.evaluation,
    passed=False,
    rules=(Rule(name="baseline", passed=False, got="auc 0.7", expected="0.8"),),
    offer=Offer(reason="The baseline is better: auc 0.8000 against 0.7000.", evaluation=BASELINE),
)


class TaskInstance:
    def __init__(self) -> None:
        self.id, self.dag_id, self.run_id = str(uuid4()), JUDGED.dag, JUDGED.dag_run
        self.task_id = "approve"
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


def context(run_type: str = "scheduled") -> dict[str, Any]:
    ti = TaskInstance()
    return {"ti": ti, "task_instance": ti, "dag_run": SimpleNamespace(run_type=run_type)}


@pytest.fixture(autouse=True)
def _with_a_ledger() -> None:
    new_home()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[CreateHITLDetailPayload]:
    """Returns the question that the task gave Airflow. Another run has asked before."""
    sent: list[CreateHITLDetailPayload] = []

    def send(msg: Any) -> TaskStatesResult | None:
        if isinstance(msg, GetTaskStates):
            return TaskStatesResult(task_states={"older": {"approve": "deferred"}, "later": {"approve": None}})
        return sent.append(msg)

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
    return sent


def operator(evaluation: Evaluation = JUDGED.evaluation, **arguments: Any) -> ApproveModelOperator:
    return ApproveModelOperator(task_id="approve", evaluation=evaluation.to_dict(), **arguments)


def due_in(deferred: TaskDeferred) -> float:
    """Returns the seconds until the deadline of the wait."""
    trigger = deferred.trigger
    assert isinstance(trigger, ApprovalTrigger)
    assert (trigger.question["run_id"], trigger.question["earlier"]) == (JUDGED.dag_run, ["older"])
    assert trigger.timeout_datetime
    return (trigger.timeout_datetime - datetime.now(UTC)).total_seconds()


def answer(chosen: str, *, note: Any = "", user: str | None = "Ada", **arguments: Any) -> Evaluation:
    """Returns the event as Airflow makes it; without a user it is the deadline's."""
    event = {
        "chosen_options": [chosen],
        "params_input": {"note": note},
        "responded_at": ANSWERED,
        "responded_by_user": user and {"id": "1", "name": user},
        "timedout": user is None,
    }
    return Evaluation.from_dict(operator(**arguments).execute_complete(context(), event))


@pytest.mark.parametrize(
    ("approve", "tasks"), [(False, ["evaluate", "deploy"]), (True, ["evaluate", "approve", "deploy"])]
)
def test_approve_adds_one_step_before_the_deployment(approve: bool, tasks: list[str]) -> None:
    with DAG("wired", schedule=None, params=trigger_form(window=21, trials=1, workers=1)) as dag:
        deploy(EvaluateModelOperator(task_id="evaluate", challenger={}, baseline={}), approve=approve)
    assert [task.task_id for task in dag.topological_sort()] == tasks
    assert dag.get_task("deploy").upstream_task_ids == {tasks[-2]}
    assert DagSerialization.to_dict(dag)
    if approve:
        assert list(dag.get_task("approve").serialized_params) == ["note"], "the form of the run is not asked again"


def test_a_person_sees_the_figures_and_what_no_answer_means(asked: list[CreateHITLDetailPayload]) -> None:
    with pytest.raises(TaskDeferred) as parked:
        operator().execute(context())
    (shown,) = asked
    assert shown.subject == "May asked of 2026-10-02 serve?"
    assert (shown.options, shown.defaults) == (["Approve", "Reject"], ["Reject"])
    assert "| challenger | 0.7000 |" in str(shown.body)
    newer = "A newer run of this DAG supersedes this question."
    assert str(shown.body).endswith(f"{newer} Without an answer within 24 h, it does not serve.")
    assert list(shown.params or {}) == ["note"]
    assert due_in(parked.value) == pytest.approx(24 * 3600, abs=60)


@pytest.mark.parametrize("default", ["approve", "reject"])
def test_a_person_sees_that_the_model_is_held_and_what_an_approval_does(
    asked: list[CreateHITLDetailPayload], default: str
) -> None:
    with new_ledger(Home.find().ledger).begin() as connection:
        holds.hold_within(connection, holds.Hold("on-hold", 0.0, "ada@host", "v2", "v1"))
    with pytest.raises(TaskDeferred):
        operator(replace(JUDGED.evaluation, model="on-hold"), default=default).execute(context())
    body = str(asked[0].body)
    assert (
        "**Automatic deployments of on-hold have been on hold since 1970-01-01 00:00 UTC, when ada@host rolled back v2"
        " to v1.** Your approval lifts the hold."
    ) in body
    assert body.endswith("Without an answer within 24 h, it does not serve."), "a default answer lifts no hold"


def test_deadline_and_default_can_be_set(asked: list[CreateHITLDetailPayload]) -> None:
    with pytest.raises(TaskDeferred) as parked:
        operator(deadline=timedelta(minutes=90), default="approve").execute(context())
    assert asked[0].defaults == ["Approve"]
    assert str(asked[0].body).endswith("Without an answer within 1.5 h, it serves.")
    assert due_in(parked.value) == pytest.approx(90 * 60, abs=60)


@pytest.mark.parametrize(
    ("evaluation", "run_type", "reason"),
    [
        (replace(JUDGED.evaluation, passed=False, reasons=("failed: minimum",)), "scheduled", "failed: minimum"),
        (JUDGED.evaluation, "backfill", "a backfill never changes what is served"),
    ],
)
def test_nobody_is_asked_about_what_would_not_be_deployed(
    asked: list[CreateHITLDetailPayload], evaluation: Evaluation, run_type: str, reason: str
) -> None:
    told = context(run_type)
    with pytest.raises(AirflowSkipException, match="Nothing is deployed"):
        operator(evaluation).execute(told)
    assert told["ti"].pushed["reasons"][0] == reason
    assert asked == []


def test_a_person_is_asked_about_the_baseline_that_is_offered(asked: list[CreateHITLDetailPayload]) -> None:
    with pytest.raises(TaskDeferred):
        operator(OFFERING).execute(context())
    (shown,) = asked
    assert shown.subject == "May the baseline of asked of 2026-10-02 serve?"
    body = str(shown.body)
    assert "**The baseline is better: auc 0.8000 against 0.7000.**" in body
    assert "| failed | baseline | auc 0.7 | 0.8 |" in body, "the verdict on the model"
    assert "| passed | minimum | auc 0.8 | 0.55 |" in body, "and on the baseline"
    assert "If approved, the baseline replaces the version that serves now." in body
    with pytest.raises(AirflowSkipException, match="a backfill never"):
        operator(OFFERING).execute(context("backfill"))


def test_an_approved_baseline_goes_on_to_be_deployed_and_the_verdict_on_the_model_stays() -> None:
    ledger = new_ledger(Home.find().ledger)
    keep(ledger, replace(JUDGED, evaluation=OFFERING))
    got = answer("Approve", note="it is", evaluation=OFFERING)
    approval = Approval(approved=True, by="Ada", note="it is", at=ANSWERED)
    assert OFFERING.offer
    assert got == replace(OFFERING.offer.evaluation, approval=approval)
    assert (got.passed, got.run.bundle) == (True, "file:///plain")
    days = Interval(start=JUDGED.day, end=JUDGED.day + timedelta(days=1))
    [kept] = [one.evaluation for one in verdicts(ledger, JUDGED.dag, days) if one.evaluation.model == "asked"]
    assert kept == replace(OFFERING, offer=OFFERING.offer.answered(approval))
    assert str(answer("Reject", evaluation=OFFERING).approval) == "rejected by Ada"


@pytest.mark.slow
def test_who_answered_and_why_goes_on_with_the_evaluation_and_into_the_ledger() -> None:
    ledger = new_ledger(Home.find().ledger)
    keep(ledger, JUDGED)
    got = answer("Approve", note=" looks right ")
    assert got.approval == Approval(approved=True, by="Ada", note="looks right", at=ANSWERED)
    assert replace(got, approval=None) == JUDGED.evaluation
    days = Interval(start=JUDGED.day, end=JUDGED.day + timedelta(days=1))
    assert [one.evaluation for one in verdicts(ledger, JUDGED.dag, days) if one.evaluation.model == "asked"] == [got]


def test_a_rejection_is_an_answer_too() -> None:
    assert str(answer("Reject", note="too small").approval) == "rejected by Ada: too small"


def test_a_newer_run_rejects_what_is_still_open() -> None:
    event = {"chosen_options": ["Reject"], "params_input": {}, "responded_at": ANSWERED, "responded_by_user": None}
    got = operator(default="approve").execute_complete(context(), {**event, "superseded_by": "scheduled__2026-10-03"})
    approval = Evaluation.from_dict(got).approval
    assert str(approval) == "rejected by a newer run: scheduled__2026-10-03"
    assert approval
    assert not approval.by_person


@pytest.mark.parametrize("note", ["", None, "  "])
def test_a_note_may_be_left_out(note: str | None) -> None:
    assert str(answer("Approve", note=note).approval) == "approved by Ada"


@pytest.mark.parametrize(
    ("default", "told"),
    [
        ("reject", "rejected by the deadline: nobody answered within 24 h"),
        ("approve", "approved by the deadline: nobody answered within 24 h"),
    ],
)
def test_when_nobody_answers_the_deadline_does(default: str, told: str) -> None:
    got = answer(default.capitalize(), user=None, default=default).approval
    assert str(got) == told
    assert got
    assert not got.by_person


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"default": "accept"}, 'default=\'accept\'; expected "approve" or "reject"'),
        ({"deadline": timedelta(0)}, r"deadline=datetime.timedelta\(0\); expected a positive duration"),
        ({"deadline": 24}, "deadline=24; expected a positive duration, such as"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_the_dag_is_parsed(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"create the task 'approve': {reason}"):
        operator(**arguments)
