"""A real S3 on loopback: the embedded one, in a separate home."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from sailplane.home import EMBEDDED_S3, Home
from sailplane.services import object_store
from sailplane.storage import Access
from tests.platform import until
from tests.ports import is_free

BOOT_SECONDS = 60
GRPC = 10_000


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """The server. `client` is boto3's. Our own client: `Storage(f"s3://{server.bucket}", lambda: server.access)`."""

    access: Access
    bucket: str
    client: Any
    pid: int

    @property
    def endpoint(self) -> str:
        return str(self.access.endpoint)


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Starts a server whose state is in `folder`: another start there finds the objects."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"SAILPLANE_PROJECT": str(folder), "SAILPLANE_HOME": str(folder), "SAILPLANE_S3_PORT": str(free_row())}
    home = Home.find({**settings, "SAILPLANE_STORE": f"s3://{EMBEDDED_S3}"})
    object_store.prepare(home)
    command = [sys.executable, "-P", "-m", "sailplane.cli", "run", object_store.NAME]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        until(lambda: _ready(home, process), BOOT_SECONDS, f"S3, which says: {(folder / 'weed.log').read_text()}")
        access = object_store.credentials(home)()
        yield S3Server(access=access, bucket=EMBEDDED_S3, client=_client(access), pid=process.pid)
    finally:
        process.terminate()
        process.wait(30)


def free_row() -> int:
    """Returns the first of the consecutive free ports that the server needs, below those that the kernel gives to
    clients."""
    while True:
        first = random.randrange(12_000, 22_000)
        row = range(first, first + len(object_store.COMPONENTS))
        if all(is_free(port) and is_free(port + GRPC) for port in row):
            return first


def _ready(home: Home, process: subprocess.Popen[bytes]) -> bool | None:
    assert process.poll() is None, f"S3 ended: {(home.root / 'weed.log').read_text()[-4000:]}"
    return True if object_store.healthy(home) else None


def _client(access: Access) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.key,
        aws_secret_access_key=access.secret,
    )
