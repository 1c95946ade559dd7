from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator, Context

from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.operators.retries import USER_ERRORS_FAIL


class ShipRequestsOperator(BaseOperator):
    """Puts the log of the served models' requests on the store; returns how much it was.

    The services do that by themselves, every minute. This is for a store whose key only Airflow knows, because it is in
    a connection. A retry goes on where the last try stopped. It has to run on the machine that serves the models.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})

    def execute(self, context: Context) -> dict[str, int]:
        from sailplane.monitoring.log_export import export

        return vars(export(Home.find().requests, SailplaneStorageHook().get_conn()))
