from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import hitl
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import TriggerEvent

_BACKFILL: Final = "backfill"
# States of a task whose question a person can still answer.
_ANSWERABLE: Final = ("deferred", "awaiting_input")


class ApprovalTrigger(HITLTrigger):
    """Waits for a person's answer, the deadline, or a newer run that supersedes this question.

    A newer run supersedes this question if it asks the same question, or is queued at two polls in a row, because this
    run may occupy the only slot (`max_active_runs`). The answer is then `rejection`, and the event names the newer run
    as `superseded_by`. Backfill runs neither ask nor supersede.

    :param question: `dag_id`, `task_id`, `run_id`, and `earlier`, the runs that asked before
    :param rejection: the answer to a superseded question
    """

    def __init__(self, *, question: Mapping[str, Any], rejection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.question, self.rejection = dict(question), rejection
        self._seen: set[str] = set()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        _, arguments = super().serialize()
        own = {"question": self.question, "rejection": self.rejection}
        return f"{__name__}.{type(self).__name__}", {**arguments, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        answered = asyncio.ensure_future(anext(super().run()))
        try:
            while not answered.done():
                await asyncio.wait({answered}, timeout=self.poke_interval)
                event = None if answered.done() else await asyncio.to_thread(self._superseded)
                if event:
                    yield event
                    return
            yield answered.result()
        finally:
            answered.cancel()

    def _superseded(self) -> TriggerEvent | None:
        """Answers the question if a newer run supersedes it; None if a person was faster."""
        newer = self._newer()
        if newer is None:
            return None
        with suppress(AirflowRuntimeError):
            answer = hitl.update_hitl_detail_response(UUID(str(self.ti_id)), [self.rejection], self.params.dump())
            payload: dict[str, Any] = {
                "chosen_options": [self.rejection],
                "params_input": {},
                "responded_by_user": None,
                "responded_at": answer.responded_at,
                "timedout": False,
                "superseded_by": newer,
            }
            return TriggerEvent(payload)  # type: ignore[no-untyped-call]
        return None

    def _newer(self) -> str | None:
        """The run that supersedes this one."""
        waiting = self._waiting()
        found, self._seen = waiting & self._seen, waiting
        return min(found | self._asking(), default=None)

    def _waiting(self) -> set[str]:
        """The newer runs that are queued. A cleared run is older, although it runs after this one."""
        dag = self.question["dag_id"]
        if not RuntimeTaskInstance.get_dr_count(dag, states=["queued"]):
            return set()
        runs = [run for run, state in states_by_run(dag, self.question["task_id"]).items() if state is None]
        return {
            run
            for run in runs
            if run not in self.question["earlier"]
            and not run.startswith(_BACKFILL)
            and RuntimeTaskInstance.get_dagrun_state(dag, run) == "queued"
        }

    def _asking(self) -> set[str]:
        """The runs that asked the same question after this one."""
        dag, task = self.question["dag_id"], self.question["task_id"]
        if RuntimeTaskInstance.get_ti_count(dag, task_ids=[task], states=list(_ANSWERABLE)) < 2:
            return set()
        asking = {run for run, state in states_by_run(dag, task).items() if state in _ANSWERABLE}
        return asking - {self.question["run_id"], *self.question["earlier"]}


def states_by_run(dag_id: str, task_id: str) -> dict[str, str | None]:
    """The state of the task, by run; None before it starts."""
    states = RuntimeTaskInstance.get_task_states(dag_id, task_ids=[task_id])
    return {run: tasks.get(task_id) for run, tasks in states.items()}
