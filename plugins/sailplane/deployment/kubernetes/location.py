"""The location of a model on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sailplane.records import Record


@dataclass(frozen=True, kw_only=True)
class ClusterLocation(Record):
    """The location of a model on a cluster.

    :param connection: the Airflow connection, of type kubernetes
    :param namespace: the namespace; empty for the connection's own
    :param workload: the `CoreV1` or `CoreV2` of its versions, as JSON
    """

    connection: str
    namespace: str
    workload: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.connection}/{self.namespace}"
