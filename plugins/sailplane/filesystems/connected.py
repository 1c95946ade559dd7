"""The store's filesystems, reached through an Airflow connection: the given one, the one in the path
(`s3://connection@bucket`), or the scheme's default."""

from __future__ import annotations

from functools import partial
from typing import Any

from sailplane.errors import ConfigurationError
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.storage import Storage
from sailplane.storage.filesystem import DataFileSystem, HubFileSystem, S3FileSystem, StorageFileSystem


class Connected(StorageFileSystem):
    def __init__(self, conn_id: str | None = None, **options: Any) -> None:
        super().__init__(partial(_opened, conn_id), **options)
        # fsspec recreates the filesystem from this in another process.
        self.storage_args = (conn_id,)


class ConnectedS3(Connected, S3FileSystem):
    pass


class ConnectedData(Connected, DataFileSystem):
    pass


class ConnectedHub(Connected, HubFileSystem):
    pass


def _opened(conn_id: str | None, uri: str) -> Storage:
    # Airflow takes the whole part before the @ as a connection's name.
    if conn_id and ":" in conn_id:
        got = "a key and its secret before the @"
        raise ConfigurationError("open", uri, got=got, expected="the name of a connection")
    return SailplaneStorageHook(uri, storage_conn_id=conn_id).get_conn()
