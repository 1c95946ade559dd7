from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.storage import TransferProgress

LOG_SECONDS = 2.0


class SyncStorageOperator(BaseOperator):
    """Copies the objects of `source` to `target`: from any URI to any URI, several objects at a time.

    An object that `target` already has, with the same size and not older, is not copied again, so a retry continues
    where the last try stopped. `target` never has a partial object.

    :param source: URI of a folder: `file://`, `s3://`, `data://` (Algorithmia) or `hf://`
    :param target: URI of a folder; created if it does not exist
    :param delete: delete objects from `target` that `source` does not have
    :param source_conn_id: the connection for `source`; None for the scheme's default connection
    :param target_conn_id: the connection for `target`; None for the scheme's default connection
    :returns: a `TransferProgress`: objects and bytes, copied and in total
    :raises ConfigurationError: for an invalid URI
    :raises AccessError: if a store refuses the credentials
    :raises StorageError: if a store cannot be reached or is full; a retry may help

    Example::

        SyncStorageOperator(task_id="copy", source="s3://bucket/raw", target="file:///data/raw")
    """

    template_fields: Sequence[str] = ("source", "target")

    def __init__(
        self,
        *,
        source: str,
        target: str,
        delete: bool = False,
        source_conn_id: str | None = None,
        target_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.source = source
        self.target = target
        self.delete = delete
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self._logged = 0.0

    def execute(self, context: Context) -> dict[str, Any]:
        source = SailplaneStorageHook(self.source, storage_conn_id=self.source_conn_id).get_conn()
        target = SailplaneStorageHook(self.target, storage_conn_id=self.target_conn_id).get_conn()
        moved = target.sync(source, delete=self.delete, tell=self._log_progress)
        self.log.info("%s has all objects of %s; %d objects were copied", target.root, source.root, moved.objects)
        return moved.content()

    def _log_progress(self, progress: TransferProgress) -> None:
        if progress.objects < progress.all_objects and time.monotonic() < self._logged + LOG_SECONDS:
            return
        self._logged = time.monotonic()
        moved, total = progress.bytes / 1e6, progress.all_bytes / 1e6
        self.log.info("%d of %d objects, %.1f of %.1f MB", progress.objects, progress.all_objects, moved, total)
