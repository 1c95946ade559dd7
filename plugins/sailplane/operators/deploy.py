from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context

from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.ledger import Ledger
from sailplane.operators.approve import DEADLINE, ApproveModelOperator, Default
from sailplane.operators.evaluate import EvaluateModelOperator
from sailplane.operators.refusals import skip, skip_unless_good
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.records import Evaluation


def deploy(
    evaluate: EvaluateModelOperator,
    *,
    approve: bool = False,
    deadline: timedelta = DEADLINE,
    default: Default = "reject",
) -> Any:
    """The task `deploy`, which serves the model that passed.

    :param evaluate: the step that judged it
    :param approve: a person must have agreed: adds the task `approve`, which asks in Airflow's UI and holds no worker
    :param deadline: how long an answer is waited for
    :param default: what counts as the answer then, `"approve"` or `"reject"`
    :returns: the `Deployment`, as XCom
    """
    evaluation = evaluate.output
    if approve:
        asked = ApproveModelOperator(task_id="approve", evaluation=evaluation, deadline=deadline, default=default)
        evaluation = asked.output
    return DeployModelOperator(task_id="deploy", evaluation=evaluation).output


class DeployModelOperator(BaseOperator):
    """Registers the model that passed and gives it the traffic of the local serving service; returns a `Deployment`.

    Skipped, with the reasons in the log and in the XCom `reasons`, if the verdict or a person is against the model, the
    champion is another one than it was compared with, or the run is a backfill. A retry goes on where the last try
    stopped; what was served before serves until the new one answers.

    :param evaluation: the `Evaluation` that `evaluate` or `approve` returned
    """

    template_fields: Sequence[str] = ("evaluation",)

    def __init__(self, *, evaluation: Any, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.evaluation: Mapping[str, Any] = evaluation

    def execute(self, context: Context) -> dict[str, Any]:
        evaluation = Evaluation.from_dict(self.evaluation)
        skip_unless_good(context, evaluation)
        self._skip_if_outdated(context, evaluation)
        return self._deploy(evaluation)

    def _skip_if_outdated(self, context: Context, evaluation: Evaluation) -> None:
        """While a person was waited for, say, another run may have deployed a better one."""
        from sailplane.registry.models import alias

        champion = alias(Ledger.at(Home.find()), evaluation.model, "champion")
        if champion is None or champion.version == evaluation.champion or champion.run == evaluation.run.id:
            return
        compared = f"compared with {evaluation.champion}" if evaluation.champion else "judged while there was none"
        remedy = "clear `evaluate` to compare it with that one"
        skip(context, f"the champion is {champion.version} now, and this model was {compared}: {remedy}")

    def _deploy(self, evaluation: Evaluation) -> dict[str, Any]:
        from sailplane.registry.models import register
        from sailplane.serving.local import deploy as serve

        home = Home.find()
        ledger, storage = Ledger.at(home), SailplaneStorageHook().get_conn()
        model = register(ledger, storage, evaluation.run, evaluation.metrics["challenger"], evaluation)
        deployment = serve(home, ledger, storage, model)
        self.log.info("%s %s is served at %s", deployment.name, deployment.version, deployment.endpoint)
        return deployment.to_dict()
