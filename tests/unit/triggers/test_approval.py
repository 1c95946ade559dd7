from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.api.datamodels._generated import HITLDetailResponse
from airflow.sdk.definitions.param import Param
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import comms, task_runner
from airflow.sdk.execution_time.comms import (
    DagRunStateResult,
    DRCount,
    ErrorResponse,
    TaskStatesResult,
    TICount,
)
from airflow.sdk.module_loading import import_string

from sailplane.triggers.approval import ApprovalTrigger

NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)


@dataclass
class Airflow:
    """Stands for the triggerer's end of Airflow's messages: the runs of one DAG with their states and the states of
    their questions, and the question of the run `mine`."""

    runs: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    by: dict[str, str] | None = None
    looks: int = 0

    def send(self, msg: Any) -> Any:
        match msg:
            case comms.GetHITLDetailResponse():
                return self._detail()
            case comms.UpdateHITLDetail():
                if self.chosen:
                    raise AirflowRuntimeError(ErrorResponse(detail={"status_code": 409}))
                self.chosen = msg.chosen_options
                return self._detail()
            case comms.GetDRCount():
                self.looks += 1
                return DRCount(count=sum(state in (msg.states or ()) for state, _ in self.runs.values()))
            case comms.GetTaskStates():
                return TaskStatesResult(task_states={run: {"approve": task} for run, (_, task) in self.runs.items()})
            case comms.GetDagRunState():
                return DagRunStateResult(state=self.runs[msg.run_id][0])
            case comms.GetTICount():
                return TICount(count=sum(task in (msg.states or ()) for _, task in self.runs.values()))
        raise AssertionError(msg)

    def _detail(self) -> HITLDetailResponse:
        return HITLDetailResponse(
            response_received=bool(self.chosen),
            chosen_options=self.chosen or None,
            responded_at=NOON,
            responded_by_user=self.by,
            params_input={},
        )


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    found = Airflow({"mine": ("running", "deferred")})
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", found, raising=False)
    return found


def trigger(*, deadline: timedelta = timedelta(hours=1)) -> ApprovalTrigger:
    """Returns the trigger as the triggerer makes it, from its serialized form."""
    question = {"dag_id": "asked", "task_id": "approve", "run_id": "mine", "earlier": ["older"]}
    path, arguments = ApprovalTrigger(
        question=question,
        rejection="Reject",
        ti_id=uuid4(),
        options=["Approve", "Reject"],
        defaults=["Approve"],
        params={"note": Param("").serialize()},
        timeout_datetime=datetime.now(UTC) + deadline,
        poke_interval=0.01,
    ).serialize()
    return import_string(path)(**arguments)


def event(waiting: ApprovalTrigger, seconds: float = 20) -> dict[str, Any]:
    async def first() -> Any:
        return await asyncio.wait_for(anext(waiting.run()), seconds)

    return dict(asyncio.run(first()).payload)


def stays(waiting: ApprovalTrigger, airflow: Airflow) -> bool:
    """Returns whether the question still exists after a few looks."""

    async def looked() -> bool:
        answer = asyncio.ensure_future(anext(waiting.run()))
        while airflow.looks < 6 and not answer.done():
            await asyncio.sleep(0.01)
        answer.cancel()
        return not answer.done()

    return asyncio.run(looked()) and not airflow.chosen


def test_a_run_that_is_queued_behind_this_one_takes_the_place_of_its_question(airflow: Airflow) -> None:
    """With max_active_runs=1 it could not start while the question is open."""
    airflow.runs["newer"] = ("queued", None)
    got = event(trigger())
    assert (got["chosen_options"], got["superseded_by"], got["responded_by_user"]) == (["Reject"], "newer", None)
    assert airflow.chosen == ["Reject"], "it is no longer among the required actions"


def test_a_newer_run_that_asks_takes_the_place_of_the_question(airflow: Airflow) -> None:
    airflow.runs["newer"] = ("running", "deferred")
    assert event(trigger())["superseded_by"] == "newer"


@pytest.mark.parametrize(
    "other",
    [
        ("backfill__2026-09-01", ("queued", None)),
        ("newer", ("running", None)),
        ("newer", ("success", "skipped")),
        ("older", ("running", "deferred")),
        ("older", ("queued", None)),
    ],
    ids=["a backfill", "one that may not ask", "one that has ended", "an older question", "an older run, cleared"],
)
def test_other_runs_leave_the_question_open(airflow: Airflow, other: tuple[str, tuple[str, str | None]]) -> None:
    airflow.runs[other[0]] = other[1]
    assert stays(trigger(), airflow)


def test_a_run_that_is_queued_for_a_moment_leaves_the_question_open(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = airflow.send

    def once(msg: Any) -> Any:
        if isinstance(msg, comms.GetDRCount):
            state = "queued" if airflow.looks % 2 == 0 else "running"
            airflow.runs["newer"] = (state, None)
        return send(msg)

    monkeypatch.setattr(airflow, "send", once)
    assert stays(trigger(), airflow)


def test_a_person_who_is_faster_is_heard(airflow: Airflow) -> None:
    airflow.chosen, airflow.by = ["Approve"], {"id": "1", "name": "Ada"}
    airflow.runs["newer"] = ("queued", None)
    got = event(trigger())
    assert (got["chosen_options"], got["responded_by_user"]["name"]) == (["Approve"], "Ada")
    assert "superseded_by" not in got


def test_the_deadline_answers_with_the_default(airflow: Airflow) -> None:
    got = event(trigger(deadline=timedelta(0)))
    assert (got["chosen_options"], got["timedout"]) == (["Approve"], True)
