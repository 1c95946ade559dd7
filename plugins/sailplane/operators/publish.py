from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from sailplane import pairing
from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.hooks.wandb import tracking_settings
from sailplane.operators.as_of import as_of, is_backfill
from sailplane.operators.named import registered
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.operators.xcom import XComOf
from sailplane.records import Deployment, Model, Run


class PublishModelOperator(BaseOperator):
    """Publishes a registered version on the Hugging Face Hub: bundle and model card in one commit, with the version as
    the tag. With a W&B key, an artifact at W&B refers to it.

    The task is skipped if the run is a backfill, or no model was deployed. A retry completes what is missing; a version
    that is already published is left as it is.

    :param model: `name`, `name@version` or `name@alias`; or the `Deployment` or `Model` that a task returned. A name
        means the champion, or, for a run before the champion's as-of, the newest version that has seen no later days
    :param repo: the repository, `owner/name`; created if it does not exist
    :param private: whether a new repository is private
    :param hub_conn_id: the connection; None for `huggingface_default` if it exists, else HF_TOKEN
    :returns: a `Publication`
    :raises ConfigurationError: for a repository that is not `owner/name`
    :raises ModelError: if there is no such version
    :raises AccessError: if the Hub refuses the token

    Example::

        PublishModelOperator(task_id="publish", model=deploy(evaluate), repo="you/churn")
    """

    template_fields: Sequence[str] = ("model", "repo")

    def __init__(
        self,
        *,
        model: str | XComOf[Model | Deployment | Run],
        repo: str,
        private: bool = True,
        hub_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.model: Any = model
        self.repo = repo
        self.private = private
        self.hub_conn_id = hub_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.registry.publication import publish
        from sailplane.tracking.artifacts import link

        if is_backfill(context):
            raise AirflowSkipException("Nothing is published: a backfill changes nothing that others can see.")
        if not self.model:
            raise AirflowSkipException("Nothing is published: no model was deployed.")
        storage = SailplaneStorageHook().get_conn()
        model = registered(pairing.ledger(Home.find()), self.model, lambda: as_of(context), task=self.task_id)
        access = SailplaneStorageHook(f"hf://models/{self.repo}", storage_conn_id=self.hub_conn_id).access()
        published = publish(storage, model, self.repo, private=self.private, ask=access)
        self.log.info("%s %s is at %s", published.model, published.version, published.url)
        if note := link(model, published.url, Home.find().root, tracking_settings()):
            self.log.info("%s", note)
        return published.to_dict()
