from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator, Context

from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.operators.retries import USER_ERRORS_FAIL


class ShipRequestsOperator(BaseOperator):
    """Ships the request logs of the served models to the store.

    The services do this every minute by themselves. This task is for a store whose key is only in an Airflow
    connection. It must run on the machine that serves the models. A retry continues where the last try stopped.

    :returns: the numbers of shipped files, requests and bytes
    :raises AccessError: if the store refuses the credentials
    :raises StorageError: if the store cannot be reached or is full; a retry may help

    Example::

        ShipRequestsOperator(task_id="ship")
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})

    def execute(self, context: Context) -> dict[str, int]:
        from sailplane.monitoring.log_export import export

        return vars(export(Home.find().requests, SailplaneStorageHook().get_conn()))
