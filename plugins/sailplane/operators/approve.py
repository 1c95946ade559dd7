from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context, Param
from airflow.sdk.exceptions import TaskAwaitingInput

from sailplane.errors import ConfigurationError
from sailplane.hooks.storage import opened
from sailplane.operators.links import link_of
from sailplane.operators.refusals import skip_unless_good
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.operators.xcom import XComOf
from sailplane.records import Approval, Evaluation, Offer

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from sailplane.registry.holds import Hold

Default = Literal["approve", "reject"]
DEADLINE: Final = timedelta(hours=24)
# Airflow's UI recognises an approval by these words.
APPROVE, REJECT = "Approve", "Reject"
_UNITS: Final = (("h", 3600), ("min", 60), ("s", 1))


class ApproveModelOperator(HITLOperator):
    """Asks a person in Airflow's UI whether the model that passed may serve. If the verdict offers the baseline
    instead, the question is about the baseline.

    The person sees the evaluation's figures and may leave a note. The task occupies no worker while it waits. A newer
    run ends the wait with a rejection if it asks the same question, or is queued behind this run (`max_active_runs`).
    The task is skipped, with the reasons in the XCom `reasons`, if the gate rejected the model and offers nothing, or
    if the run is a backfill. A clear asks again; a retry of a later task does not.

    :param evaluation: the `Evaluation` that the evaluate task returned
    :param deadline: how long the task waits for an answer
    :param default: the answer after the deadline, `"approve"` or `"reject"`
    :returns: the `Evaluation`, with the answer, of the model or of the offered baseline
    :raises ConfigurationError: for another `default`, or a `deadline` that is not positive

    Example::

        ApproveModelOperator(task_id="approve", evaluation=evaluate.output, deadline=timedelta(hours=8))
    """

    template_fields: Sequence[str] = ("evaluation",)

    def __init__(
        self,
        *,
        evaluation: XComOf[Evaluation],
        deadline: timedelta = DEADLINE,
        default: Default = "reject",
        **kwargs: Any,
    ) -> None:
        _check(kwargs.get("task_id", "approve"), deadline, default)
        description = "The reason. It is stored with the model."
        note = Param("", type=["string", "null"], title="Note", description=description, source="task")
        # Replaces the DAG's parameters, which Airflow would add to the form.
        kwargs = {"retry_policy": USER_ERRORS_FAIL, **kwargs, "params": {"note": note}}
        super().__init__(
            **kwargs,
            subject="May this model serve?",
            options=[APPROVE, REJECT],
            defaults=default.capitalize(),
            response_timeout=deadline,
        )
        self.evaluation: Any = evaluation

    def execute(self, context: Context) -> Any:
        from sailplane.evaluation.markdown import figures
        from sailplane.registry import holds

        evaluation = Evaluation.from_dict(self.evaluation)
        skip_unless_good(context, evaluation, offer=evaluation.offer)
        which = f"the baseline of {evaluation.model}" if evaluation.offer else evaluation.model
        self.subject = f"May {which} of {evaluation.run.as_of:%Y-%m-%d} serve?"
        hold = holds.find(opened()[0], evaluation.model)
        self.body = f"{figures(evaluation, link_of(evaluation))}\n\n{self._consequence(hold, evaluation.offer)}"
        try:
            return super().execute(context)
        except TaskAwaitingInput:
            # With Airflow's own waiting state, the task would not notice a newer run and might keep it from starting.
            self.defer(trigger=self._trigger(context), method_name="execute_complete")

    def _trigger(self, context: Context) -> BaseTrigger:
        from sailplane.triggers.approval import ApprovalTrigger, states_by_run

        ti = context["ti"]
        earlier = sorted(
            run for run, state in states_by_run(ti.dag_id, ti.task_id).items() if state and run != ti.run_id
        )
        return ApprovalTrigger(
            question={"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "earlier": earlier},
            rejection=REJECT,
            ti_id=ti.id,
            options=self.options,
            defaults=self.defaults,
            params=self.serialized_params,
            timeout_datetime=datetime.now(UTC) + (self.response_timeout or DEADLINE),
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        from sailplane.evaluation.history import amend

        super().execute_complete(context, event)
        evaluation, approval = Evaluation.from_dict(self.evaluation), self._approval(event)
        if offer := evaluation.offer:
            judged = replace(evaluation, offer=(accepted := offer.answered(approval)))
            answered = accepted.evaluation
        else:
            judged = answered = replace(evaluation, approval=approval)
        ledger, storage = opened()
        amend(ledger, context["ti"].dag_id, context["ti"].run_id, judged, storage)
        self.log.info("The %s is %s", "baseline" if offer else "model", approval)
        return answered.to_dict()

    def _approval(self, event: Mapping[str, Any]) -> Approval:
        user, by, note = event["responded_by_user"], "the deadline", f"nobody answered within {self._wait()}"
        if newer := event.get("superseded_by"):
            by, note = "a newer run", newer
        elif user is not None:
            by, note = user["name"] or user["id"], str((event["params_input"] or {}).get("note") or "").strip()
        return Approval(
            approved=event["chosen_options"] == [APPROVE],
            by=by,
            note=note,
            at=event["responded_at"],
            by_person=user is not None,
        )

    def _consequence(self, hold: Hold | None, offer: Offer | None) -> str:
        does = "it serves" if self.defaults == [APPROVE] and hold is None else "it does not serve"
        what = "the baseline" if offer else "it"
        consequence = (
            f"If approved, {what} replaces the version that serves now. A newer run of this DAG supersedes "
            f"this question. "
            f"Without an answer within {self._wait()}, {does}."
        )
        if hold is None:
            return consequence
        return f"**Automatic deployments of {hold.name} have been {hold}.** Your approval lifts the hold. {consequence}"

    def _wait(self) -> str:
        seconds = self.response_timeout.total_seconds() if self.response_timeout else 0
        unit, length = next((unit, length) for unit, length in _UNITS if seconds >= length or length == 1)
        return f"{seconds / length:g} {unit}"


def _check(task_id: str, deadline: timedelta, default: str) -> None:
    if default not in ("approve", "reject"):
        got = f"default={default!r}"
        raise ConfigurationError("create the task", repr(task_id), got=got, expected='"approve" or "reject"')
    if not isinstance(deadline, timedelta) or deadline <= timedelta(0):
        got = f"deadline={deadline!r}"
        raise ConfigurationError(
            "create the task", repr(task_id), got=got, expected="a positive duration, such as timedelta(hours=24)"
        )
