from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sailplane.filesystems.connected import ConnectedData

schemes = ["data"]


def get_fs(conn_id: str | None, storage_options: Mapping[str, Any] | None = None) -> ConnectedData:
    """Airflow calls it by this name."""
    return ConnectedData(conn_id, **(storage_options or {}))
