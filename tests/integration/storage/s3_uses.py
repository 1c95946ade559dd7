"""Uses of an S3 behind the proxy that makes it fail."""

from __future__ import annotations

import random
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sailplane.errors import StorageError
from sailplane.storage import Storage
from tests.integration.storage.faulty_s3 import FaultyS3
from tests.s3 import S3Server

LARGE = random.Random(1).randbytes(40 * 2**20)
# Each use is correct if "a" holds "old" and "large" holds LARGE.
USES: dict[str, tuple[str, Callable[[Storage], object]]] = {
    "get": ("^GET .*/a ", lambda store: store.get("a") == b"old"),
    "get large": ("^GET .*/large bytes=16777216", lambda store: store.get("large") == LARGE),
    "download": ("^GET .*/large bytes=(?!0-)", lambda store: downloaded(store) == LARGE),
    "stream": ("^GET .*/large ", lambda store: b"".join(store.stream("large")) == LARGE),
    "head": ("^HEAD .*/a", lambda store: store.head("a").size == 3),
    "list": (r"^GET .*list-type", lambda store: store.list() == ["a", "large"]),
    "put": ("^PUT .*/a", lambda store: store.put("a", b"new") and store.get("a") == b"new"),
    "put large": ("^(PUT|POST) .*/b", lambda store: store.put("b", LARGE) and store.get("b") == LARGE),
    "put pieces": ("^(PUT|POST) .*/b", lambda store: store.put("b", pieces()) and store.get("b") == LARGE),
    "put_new": ("^PUT .*/b", lambda store: store.put_new("b", b"new") and store.get("b") == b"new"),
    "replace": (
        "^PUT .*/a",
        lambda store: store.replace("a", b"new", store.head("a").etag) and store.get("a") == b"new",
    ),
    "delete": ("^(DELETE|POST) .*", lambda store: store.delete("a") is None and not store.exists("a")),
}
IMPATIENT = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(0.02 / 86400)},
}


def pieces() -> Iterator[bytes]:
    for start in range(0, len(LARGE), 3_000_000):
        yield LARGE[start : start + 3_000_000]


def downloaded(store: Storage) -> bytes:
    """Any file besides the object itself would be unfinished."""
    with tempfile.TemporaryDirectory() as name:
        try:
            Storage(Path(name).as_uri()).sync(store)
            return Path(name, "large").read_bytes()
        finally:
            assert {path.name for path in Path(name).iterdir()} <= {"a", "large"}


def replaced(store: Storage) -> str:
    return store.replace("a", b"new", store.head("a").etag)


def opened(s3: S3Server, proxy: FaultyS3, bucket: str = "", **access: str) -> Storage:
    known = replace(s3.access, endpoint=proxy.url, **access)
    return Storage(f"s3://{bucket or s3.bucket}/{uuid.uuid4()}", lambda: known)


def error_of(use: Callable[[], object]) -> str:
    try:
        use()
    except StorageError as error:
        return str(error)
    return ""


def again(store: Storage, s3: S3Server, proxy: FaultyS3) -> Storage:
    """Opens the same place again, with the current values of the constants."""
    return Storage(store.root, lambda: replace(s3.access, endpoint=proxy.url))


def unfinished(s3: S3Server, store: Storage) -> list[str]:
    """Returns the keys of multipart uploads that were started and are neither complete nor aborted."""
    found = s3.client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", [])
    prefix = store.root.removeprefix(f"s3://{s3.bucket}/")
    return [upload["Key"] for upload in found if upload["Key"].startswith(prefix)]
