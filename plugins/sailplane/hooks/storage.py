from __future__ import annotations

import os
from typing import Any, Final

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane import pairing
from sailplane.errors import SailplaneError
from sailplane.home import EMBEDDED_S3, Home
from sailplane.ledger import Ledger
from sailplane.storage import Access, CredentialProvider, Storage
from sailplane.storage.access import ENDPOINT, find, from_boto3
from sailplane.storage.http_logging import hush
from sailplane.storage.roots import DEFAULTS, Root

# The region if the connection, the environment and ~/.aws have none.
REGION: Final = "us-east-1"


class SailplaneStorageHook(BaseHook):
    """The project's store, or another one, reached through Airflow's connections.

    :param uri: the root of the store; by default the project's own store
    :param storage_conn_id: the connection. By default the one in the URI (`s3://connection@bucket`); else, if it
        exists, `aws_default` for s3, `algorithmia_default` for data, `huggingface_default` for hf; else the
        environment.
    """

    conn_name_attr = "storage_conn_id"

    def __init__(self, uri: str | None = None, *, storage_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Root.parse(uri or Home.find().store)
        self.storage_conn_id = storage_conn_id or self.root.connection

    def get_conn(self) -> Storage:
        """The store. Raises LedgerError if the project's own store belongs to another ledger."""
        home, storage = Home.find(), self.reading()
        if storage.root == Root.parse(home.store).uri:
            pairing.opened(home, storage)
        return storage

    def reading(self) -> Storage:
        """The store for a caller that only reads. Needs no ledger."""
        hush()
        return Storage(self.root.uri, self.access())

    def access(self) -> CredentialProvider | None:
        """The provider of the store's credentials; None if they come from the environment."""
        if self.root.scheme == "file":
            return None
        # This process may hold the key of the embedded S3.
        if self.storage_conn_id is None and (given := find(self.root.uri)):
            return given
        if self.root.scheme == "s3":
            return self._aws()
        return self._by_password()

    def test_connection(self) -> tuple[bool, str]:
        try:
            next(iter(self.reading().entries()), None)
        except (SailplaneError, AirflowNotFoundException) as error:
            return False, str(error)
        return True, f"{self.root.uri} can be listed"

    def _aws(self) -> CredentialProvider:
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        # S3Hook itself only warns about a missing connection and continues without it.
        connection = self._existing()
        conn_id = connection.conn_id if connection else None
        hook = S3Hook(aws_conn_id=conn_id)
        # The hook's own client would assume a role a second time.
        session = hook.get_session()
        endpoint = hook.conn_config.get_service_endpoint_url(service_name="s3")
        # Without a region, boto3 uses aws-global, which is invalid in a signature.
        region = session.region_name or REGION
        config = _without_embedded(hook.config) if connection else hook.config
        return from_boto3(session, session.client("s3", region, endpoint_url=endpoint, config=config))

    def _by_password(self) -> CredentialProvider | None:
        """Reads the endpoint from the host, and the key or token from the password."""
        connection = self._existing()
        if connection is None:
            return None
        access = Access(endpoint=connection.host or None, key=connection.login or None, secret=connection.password)
        return lambda: access

    def _existing(self) -> Connection | None:
        """The connection; None if it is the scheme's default and does not exist."""
        try:
            return self.get_connection(self.storage_conn_id or DEFAULTS[self.root.scheme])
        except AirflowNotFoundException:
            if self.storage_conn_id:
                raise
            return None


def opened() -> tuple[Ledger, Storage]:
    """The project's ledger and store. Raises LedgerError if they do not belong together."""
    return pairing.opened(Home.find(), SailplaneStorageHook().reading())


def _without_embedded(config: Any) -> Any:
    """The config for a connection without an endpoint, which means AWS even if the environment points to the embedded
    S3."""
    from botocore.config import Config

    embedded = find(f"s3://{EMBEDDED_S3}")
    if embedded is None or os.environ.get(ENDPOINT) != embedded().endpoint:
        return config
    ignoring = Config(ignore_configured_endpoint_urls=True)
    return config.merge(ignoring) if config else ignoring
