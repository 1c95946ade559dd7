"""Credentials of a store, from the file that an operator wrote for this process, or from boto3.

The platform's processes get a file, because only tasks can read Airflow's connections. It is private, and read again
before its token expires: training may last longer than a token.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sailplane.files import replace_file
from sailplane.records import Record

SETTING: Final = "SAILPLANE_STORE_ACCESS"
# The variables in which boto3 and pyarrow look for S3's endpoint.
ENDPOINT: Final = "AWS_ENDPOINT_URL_S3"
# How long to reuse a session token; boto3 renews it long before it expires.
TOKEN_SECONDS: Final = 900


@dataclass(frozen=True, kw_only=True)
class Access(Record):
    """`key` is an S3 access key's id; `secret` its secret, an Algorithmia API key, or a Hugging Face token."""

    endpoint: str | None = None
    region: str | None = None
    key: str | None = None
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    expires: datetime | None = None


CredentialProvider = Callable[[], Access]


def write(file: Path, accesses: Mapping[str, Access]) -> None:
    """Writes the file for a process. `accesses`: by root URI."""
    replace_file(file, json.dumps({root: access.to_dict() for root, access in accesses.items()}))


def find(root: str, env: Mapping[str, str] = os.environ) -> CredentialProvider | None:
    """The credentials of `root`, or of a folder above it, from this process's file; None if it has neither."""
    file = env.get(SETTING)
    known = next((known for known in _read(Path(file)) if f"{root}/".startswith(f"{known}/")), None) if file else None
    return from_file(Path(file), known) if file and known else None


def from_file(file: Path, root: str) -> CredentialProvider:
    """Reads the file on each call."""
    return lambda: Access.from_dict(_read(file)[root])


def _read(file: Path) -> dict[str, dict[str, Any]]:
    return dict(json.loads(file.read_text()))


def from_boto3(session: Any = None, client: Any = None) -> CredentialProvider:
    """From a boto3 session and its S3 client; by default from the environment, ~/.aws or the machine's role."""
    import boto3

    session = session or boto3.session.Session()
    client = client or session.client("s3", region_name=session.region_name or "us-east-1")
    credentials = session.get_credentials()

    def ask() -> Access:
        frozen = credentials.get_frozen_credentials() if credentials else None
        return Access(
            endpoint=client.meta.endpoint_url,
            region=client.meta.region_name,
            key=frozen.access_key if frozen else None,
            secret=frozen.secret_key if frozen else None,
            token=frozen.token if frozen else None,
            expires=datetime.now(UTC) + timedelta(seconds=TOKEN_SECONDS) if frozen and frozen.token else None,
        )

    return ask
