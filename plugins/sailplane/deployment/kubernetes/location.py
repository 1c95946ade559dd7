"""Where on a cluster a model is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sailplane.records import Record


@dataclass(frozen=True, kw_only=True)
class ClusterLocation(Record):
    """:param connection: Airflow's, of the type kubernetes
    :param namespace: empty for the connection's
    :param workload: how its versions run there, a `CoreV1` or a `CoreV2` as JSON
    """

    connection: str
    namespace: str
    workload: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.connection}/{self.namespace}"
