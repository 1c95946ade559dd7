from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sailplane.filesystems.connected import ConnectedS3

schemes = ["s3"]


def _is_other_message(record: logging.LogRecord) -> bool:
    """Hides the message that this filesystem replaces the Amazon provider's, which needs s3fs and thus a pinned
    botocore."""
    return record.args != ("s3", __name__)


logging.getLogger("airflow.sdk.io.fs").addFilter(_is_other_message)


def get_fs(conn_id: str | None, storage_options: Mapping[str, Any] | None = None) -> ConnectedS3:
    """Airflow calls it by this name."""
    return ConnectedS3(conn_id, **(storage_options or {}))
