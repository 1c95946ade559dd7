from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from sailplane import pairing
from sailplane.deployment.kubernetes import workloads
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.kubernetes.supported_checks import check_counted
from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.deployment.rollout.plan import Rollout
from sailplane.errors import ConfigurationError, HeldError, ServiceError
from sailplane.home import Home
from sailplane.hooks.storage import opened
from sailplane.ledger import Ledger
from sailplane.operators.refusals import skip, skip_unless_good
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.operators.xcom import XComOf
from sailplane.records import Deployment, Evaluation, Model
from sailplane.serving.violations import DEFAULT, OnViolation, chosen

if TYPE_CHECKING:
    from sailplane.deployment.rollout.records import RolloutRecord
    from sailplane.deployment.rollout.run import ModelEndpoint
    from sailplane.storage import Storage

# Added to the longest duration of the steps, because Airflow itself may be down for some of the time.
_DEADLINE: Final = timedelta(days=1)
# Seconds for which a call is repeated while a cluster does not answer.
_PATIENCE: Final = 30.0


class DeployModelOperator(BaseOperator):
    """Registers the model that passed and gives it the traffic of the local router, or of a Kubernetes cluster.

    A baseline that the verdict offers needs a person's decision: `approve=True`, or `sailplane deploy NAME`.

    The task is skipped, with the reasons in the log and in the XCom `reasons`, if the gate or a person rejected the
    model, the champion has changed since the comparison, the run is a backfill, or a rollback holds the model. A
    person's approval after the rollback, or `sailplane release NAME`, lifts the hold. A retry continues where the last
    try stopped; the old version serves until the new version answers.

    With a `rollout`, the task is deferred while the traffic moves, so it occupies no worker. After a retry, or a
    restart of the triggerer or of all of Airflow, the rollout continues at the same step. A rollback fails the task,
    with the reasons in the XCom `reasons`. No retry repeats the rollout; a clear starts a new one. Clearing or marking
    the task during a rollout gives all the traffic back to the champion.

    :param evaluation: the `Evaluation` that `evaluate` or `approve` returned
    :param rollout: the steps in which the model takes over; None for all traffic at once
    :param target: `"local"`, or `"kubernetes"`, where the task waits until the version is available and gives the
        golden rows the expected scores. A version that fails, or is not available by the deadline, is removed
    :param seldon: how the version runs on Kubernetes: `CoreV1(image=...)` or `CoreV2(...)`
    :param conn_id: the cluster's connection, of type `kubernetes`
    :param on_violation: the reply to values that fail a check of the dataset's schema: `"refuse"` the request, `"flag"`
        the values in the reply, or only `"answer"`; all are counted. To change it for a model that already serves,
        clear this task; on a cluster it applies from the next version on
    :returns: a `Deployment`
    :raises ConfigurationError: if `target` and `seldon` do not fit, or the target does not support the rollout's checks
    :raises DeploymentError: while another rollout of the model is active, or if the version failed and was removed
    :raises ServiceError: if the router or the cluster does not answer; a retry may help

    Example::

        DeployModelOperator(task_id="deploy", evaluation=evaluate.output, on_violation="flag")
    """

    template_fields: Sequence[str] = ("evaluation", "conn_id")

    def __init__(
        self,
        *,
        evaluation: XComOf[Evaluation],
        rollout: Rollout | None = None,
        target: Literal["local", "kubernetes"] = "local",
        seldon: CoreV1 | CoreV2 | None = None,
        conn_id: str = "kubernetes_default",
        on_violation: OnViolation = DEFAULT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.evaluation: Any = evaluation
        self.on_violation = chosen(on_violation, f"of {self.task_id}")
        if seldon is not None and self.on_violation != DEFAULT:
            seldon = replace(seldon, on_violation=self.on_violation)
        self.rollout, self.seldon, self.conn_id = rollout, seldon, conn_id
        if target not in ("local", "kubernetes") or (target == "kubernetes") != (seldon is not None):
            got, expected = f"target={target!r} with seldon={seldon!r}", 'target="kubernetes" with CoreV1(image=...)'
            raise ConfigurationError("read the target of", self.task_id, got=got, expected=f"{expected}, or neither")
        if rollout is not None and not isinstance(rollout, Rollout):
            raise ConfigurationError("read the rollout of", self.task_id, got=repr(rollout), expected="Rollout(...)")
        if rollout is not None and seldon is not None:
            check_counted(rollout, seldon)
        if rollout is not None and rollout.sticky and seldon is not None:
            expected = "none on a cluster, whose routing does not inspect requests"
            raise ConfigurationError("read the rollout's", "sticky", got=repr(rollout.sticky), expected=expected)

    def execute(self, context: Context) -> dict[str, Any]:
        evaluation = Evaluation.from_dict(self.evaluation)
        skip_unless_good(context, evaluation)
        self._skip_if_held(context, evaluation)
        self._skip_if_outdated(context, evaluation)
        try:
            if self.rollout is None:
                return self._deploy(context, evaluation)
            return self._roll_out(context, evaluation, self.rollout)
        except HeldError as held:
            # A person rolled back while this task ran.
            skip(context, held.message)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        from sailplane.deployment.rollout import records

        if "error" in event:
            remedy = "A retry continues where it stopped."
            raise ServiceError("roll out", self.evaluation["model"], got=event["error"], remedy=remedy)
        ledger, (name, version) = pairing.ledger(Home.find()), (event["model"], event["version"])
        entry = records.find(ledger, name, version)
        if entry is None:
            raise ServiceError("find the rollout of", f"{name} {version}", got="there is none")
        return self._ended(context, entry)

    def _skip_if_outdated(self, context: Context, evaluation: Evaluation) -> None:
        """Skips if the champion has changed, for example because another run deployed a model during the approval."""
        from sailplane.evaluation.outdated import outdated

        if reason := outdated(pairing.ledger(Home.find()), evaluation):
            skip(context, reason)

    def _skip_if_held(self, context: Context, evaluation: Evaluation) -> None:
        """Skips if a hold refuses the model, before anything is registered. A retry still reports its own rollout."""
        from sailplane.deployment.rollout import records
        from sailplane.registry import holds

        ledger = pairing.ledger(Home.find())
        hold = holds.refusing(ledger, evaluation)
        if hold is None:
            return
        entry = records.newest(ledger, evaluation.model) if self.rollout is not None else None
        if entry is None or not entry.subject.started_by(**_turn(context)):
            skip(context, hold.message)

    def _deploy(self, context: Context, evaluation: Evaluation) -> dict[str, Any]:
        from sailplane.deployment.rollout.repository import refuse_while_active

        owner = _turn(context)["owner"]
        ledger, storage = opened()
        refuse_while_active(ledger, evaluation.model, owner)
        model = self._registered(ledger, storage, evaluation)
        deployment = self._endpoint(ledger, model.name).deploy(model, owner, approval=evaluation.approval)
        self._declare(model.name)
        return self._served(deployment)

    def _roll_out(self, context: Context, evaluation: Evaluation, rollout: Rollout) -> dict[str, Any]:
        ledger, storage = opened()
        model = self._registered(ledger, storage, evaluation)
        self._declare(model.name)
        endpoint = self._endpoint(ledger, model.name)
        entry = endpoint.begin(rollout, model, **_turn(context), approval=evaluation.approval)
        return self._ended(context, entry) if entry.state.ended else self._wait(entry)

    def _endpoint(self, ledger: Ledger, name: str) -> ModelEndpoint:
        from sailplane.connections.endpoint import serving

        location = None
        if self.seldon is not None:
            workload = workloads.to_dict(self.seldon)
            location = ClusterLocation(connection=self.conn_id, namespace="", workload=workload)
        return serving(ledger, name, location, patience=_PATIENCE)

    def _declare(self, model: str) -> None:
        """A cluster has the choice in the workload."""
        if self.seldon is None:
            from sailplane.deployment.local.endpoint import declare

            declare(Home.find(), model, self.on_violation)

    def _wait(self, entry: RolloutRecord) -> NoReturn:
        from sailplane.triggers.rollout import RolloutTrigger

        deadline = datetime.now(UTC) + timedelta(seconds=entry.plan.longest_seconds) + _DEADLINE
        subject = entry.subject
        trigger = RolloutTrigger(subject=subject.to_dict(), deadline=deadline.isoformat())
        self.defer(trigger=trigger, method_name="execute_complete")

    def _ended(self, context: Context, entry: RolloutRecord) -> dict[str, Any]:
        subject = entry.subject
        if entry.state.phase == "failed":
            context["ti"].xcom_push(key="reasons", value=[entry.state.reason])
            raise AirflowFailException(f"{subject.name} {subject.version} was rolled back: {entry.state.reason}")
        return self._served(subject.deployment(subject.version, {subject.version: 100}))

    def _served(self, deployment: Deployment) -> dict[str, Any]:
        self.log.info("%s %s is served at %s", deployment.name, deployment.version, deployment.endpoint)
        return replace(deployment, on_violation=self.on_violation).to_dict()

    def _registered(self, ledger: Ledger, storage: Storage, evaluation: Evaluation) -> Model:
        from sailplane.registry.models import register

        return register(ledger, storage, evaluation.run, evaluation.metrics["challenger"], evaluation)


def _turn(context: Context) -> dict[str, str]:
    """The owner and the turn of a rollout. A retry has the same turn; a clear raises the number of tries and so starts
    a new turn."""
    ti = context["ti"]
    return {"owner": f"{ti.dag_id} {ti.run_id} {ti.task_id}", "turn": str(ti.max_tries)}
