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
    """Makes `target` hold what `source` holds: any URI to any URI, several objects at a time.

    An object that is there already, with the same size and not older, is not copied again: a retry goes on where the
    last try stopped. No object is ever there in part.

    :param source: URI of a folder: `file://`, `s3://`, `data://` (Algorithmia) or `hf://`
    :param target: URI of a folder; created if it does not exist
    :param delete: remove from `target` what `source` does not hold
    :param source_conn_id: the connection for `source`; None for the scheme's default connection
    :param target_conn_id: the connection for `target`; None for the scheme's default connection
    :returns: a `Progress`: objects and bytes, copied and in all
    :raises ConfigurationError: for a URI that is not valid
    :raises AccessError: if a store refuses the credentials
    :raises StorageError: if a store cannot be reached or is full; a retry may mend it

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
        self._told = 0.0

    def execute(self, context: Context) -> dict[str, Any]:
        source = SailplaneStorageHook(self.source, storage_conn_id=self.source_conn_id).get_conn()
        target = SailplaneStorageHook(self.target, storage_conn_id=self.target_conn_id).get_conn()
        moved = target.sync(source, delete=self.delete, tell=self._tell)
        self.log.info("%s holds what %s holds; %d objects were moved", target.root, source.root, moved.objects)
        return moved.content()

    def _tell(self, progress: TransferProgress) -> None:
        if progress.objects < progress.all_objects and time.monotonic() < self._told + LOG_SECONDS:
            return
        self._told = time.monotonic()
        moved, total = progress.bytes / 1e6, progress.all_bytes / 1e6
        self.log.info("%d of %d objects, %.1f of %.1f MB", progress.objects, progress.all_objects, moved, total)
