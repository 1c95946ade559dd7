from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.ledger import Ledger
from sailplane.operators.as_of import is_backfill
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.records import Evaluation


class DeployModelOperator(BaseOperator):
    """Registers the model that passed and gives it the traffic of the local serving service; returns a `Deployment`.

    Skipped, with the reasons in the log and in the XCom `reasons`, if the verdict is against the model or the run is a
    backfill. A retry goes on where the last try stopped; what was served before serves until the new one answers.

    :param evaluation: the `Evaluation` that `evaluate` returned
    """

    template_fields: Sequence[str] = ("evaluation",)

    def __init__(self, *, evaluation: Any, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.evaluation: Mapping[str, Any] = evaluation

    def execute(self, context: Context) -> dict[str, Any]:
        evaluation = Evaluation.from_dict(self.evaluation)
        if is_backfill(context):
            self._skip(context, "a backfill never changes what is served", *evaluation.reasons)
        if not evaluation.passed:
            self._skip(context, *evaluation.reasons)
        return self._deploy(evaluation)

    def _skip(self, context: Context, *reasons: str) -> None:
        context["ti"].xcom_push(key="reasons", value=list(reasons))
        raise AirflowSkipException(f"Nothing is deployed: {'; '.join(reasons)}")

    def _deploy(self, evaluation: Evaluation) -> dict[str, Any]:
        from sailplane.registry.models import register
        from sailplane.serving.local import deploy

        home = Home.find()
        ledger, storage = Ledger.at(home), SailplaneStorageHook().get_conn()
        model = register(ledger, storage, evaluation.run, evaluation.metrics["challenger"], evaluation)
        deployment = deploy(home, ledger, storage, model)
        self.log.info("%s %s is served at %s", deployment.name, deployment.version, deployment.endpoint)
        return deployment.to_dict()
