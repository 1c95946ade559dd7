"""S3 and compatible services. Requests are retried with backoff and jitter if that can help.

A large object is read in ranges (ranged.py) and written in parts. The parts of a killed process are invisible but fill
the bucket: set the lifecycle rule AbortIncompleteMultipartUpload on it. Conditional writes send the object from memory
in one request, because obstore has no conditions for parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import S3Store

from sailplane.errors import ConflictError
from sailplane.storage.access import Access, CredentialProvider, from_boto3
from sailplane.storage.backend import Content
from sailplane.storage.failures import attempts, tried
from sailplane.storage.objects import ObjectBackend, there
from sailplane.storage.ranged import RangedObject
from sailplane.storage.roots import Root

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

# Limits stalls, not whole transfers, which may be of any size.
CLIENT: Final[ClientConfig] = {"connect_timeout": "10s", "read_timeout": "60s", "timeout": "1day"}
RETRIES: Final[RetryConfig] = {"max_retries": 8, "retry_timeout": timedelta(seconds=90)}
NO_RETRIES: Final[RetryConfig] = {"max_retries": 0}
# How often reading a large object restarts if it is replaced meanwhile.
VERSIONS: Final = 3


def open_backend(root: Root, access: CredentialProvider | None = None) -> S3Backend:
    return S3Backend(root.host, root.prefix, access or from_boto3())


class S3Backend(ObjectBackend):
    """Objects under `prefix` of a bucket. `ask` gives the credentials, again when a token expires."""

    def __init__(self, bucket: str, prefix: str, ask: CredentialProvider) -> None:
        self._s3 = _opened(bucket, prefix, ask, RETRIES)
        # After a failed precondition we must know whether the request was retried.
        self._once = _opened(bucket, prefix, ask, NO_RETRIES)
        super().__init__(self._s3, "/".join(filter(None, (f"s3://{bucket}", prefix))))

    def get(self, path: str) -> bytes:
        for _ in range(VERSIONS):
            try:
                return b"".join(self.content(path))
            except ConflictError:
                continue
        return super().get(path)

    def stream(self, path: str) -> Iterator[bytes]:
        return map(bytes, self.content(path))

    def content(self, path: str) -> RangedObject:
        return RangedObject(self._once, path, f"{self._where}/{path}", partial(self._translated, "get", path))

    def put(self, path: str, content: Content) -> str:
        there(content)
        with self._translated("put", path):
            try:
                return self._put(path, content)
            except FileNotFoundError as error:
                # The answer to the request that joins the parts was lost, and the retry found no parts to join.
                if "NoSuchUpload" not in str(error) or not isinstance(content, (bytes, Path)):
                    raise
                return self._put(path, content)

    def put_new(self, path: str, content: Content) -> bool:
        given = _at_hand(content)
        with self._translated("put", path):
            try:
                self._put_if(path, given, "create")
            except exceptions.AlreadyExistsError:
                return False
            return True

    def replace(self, path: str, content: Content, etag: str) -> str:
        given = _at_hand(content)
        with self._translated("replace", path):
            try:
                return self._put_if(path, given, {"e_tag": etag})
            except (exceptions.AlreadyExistsError, FileNotFoundError) as error:
                if "NoSuchBucket" in str(error):
                    raise
                raise exceptions.PreconditionError(str(error)) from error

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError), self._translated("delete", path):
            # obstore sends a POST here, which it does not retry without an answer.
            tried("delete", f"{self._where}/{path}", partial(obstore.delete, self._once, path))

    def sign(self, path: str, seconds: int) -> str:
        with self._translated("sign a URL of", path):
            return str(obstore.sign(self._s3, "GET", path, timedelta(seconds=seconds)))

    def _put_if(self, path: str, content: bytes, mode: Any) -> str:
        """If an answer was lost and the retry fails the precondition, the object's content decides whether the first
        request succeeded."""
        tries = attempts()

        def put() -> str:
            return obstore.put(self._once, path, content, mode=mode, use_multipart=False)["e_tag"] or ""

        try:
            return tried("put", f"{self._where}/{path}", put, tries)
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            if not tries.failures or not self._holds(path, content):
                raise
            return self.head(path).etag

    def _holds(self, path: str, content: bytes) -> bool:
        try:
            return self.head(path).size == len(content) and self.get(path) == content
        except FileNotFoundError:
            return False


def _opened(bucket: str, prefix: str, ask: CredentialProvider, retries: RetryConfig) -> S3Store:
    access = ask()
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=_config(access),
        client_options={**CLIENT, "allow_http": (access.endpoint or "").startswith("http://")},
        retry_config=retries,
        credential_provider=(lambda: _credential(ask())) if access.key else None,
    )


def _at_hand(content: Content) -> bytes:
    if isinstance(content, Path):
        return content.read_bytes()
    return content if isinstance(content, bytes) else b"".join(content)


def _config(access: Access) -> S3Config:
    # The loopback network needs no signed payload, which would take half of a put's CPU.
    config: S3Config = {"skip_signature": not access.key, "unsigned_payload": _is_here(access.endpoint)}
    if access.endpoint:
        config["endpoint"] = access.endpoint
    if access.region:
        config["region"] = access.region
    return config


def _is_here(endpoint: str | None) -> bool:
    return urlsplit(endpoint or "").hostname in ("127.0.0.1", "::1", "localhost")


def _credential(access: Access) -> S3Credential:
    credential: S3Credential = {
        "access_key_id": access.key or "",
        "secret_access_key": access.secret or "",
        "expires_at": access.expires,
    }
    return {**credential, "token": access.token} if access.token else credential
