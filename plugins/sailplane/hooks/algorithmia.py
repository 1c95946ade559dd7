from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook

from sailplane.algorithmia.client import DataApi
from sailplane.errors import SailplaneError
from sailplane.storage import Access
from sailplane.storage.http_logging import hush


class AlgorithmiaHook(BaseHook):
    """A client of an Algorithmia Data API: a private installation, or the project's twin of the service.

    :param algorithmia_conn_id: the connection, with the endpoint as host and the API key as password
    """

    conn_name_attr = "algorithmia_conn_id"
    default_conn_name = "algorithmia_default"
    conn_type = "algorithmia"
    hook_name = "Algorithmia"

    def __init__(self, algorithmia_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.algorithmia_conn_id = algorithmia_conn_id

    def get_conn(self) -> DataApi:
        hush()
        connection = self.get_connection(self.algorithmia_conn_id)
        return DataApi(Access(endpoint=connection.host, secret=connection.password))

    def test_connection(self) -> tuple[bool, str]:
        try:
            self.get_conn().directories.list(".my")
        except SailplaneError as error:
            return False, str(error)
        return True, "The key is accepted."
