"""HTTP API requests, retried if that may help: with backoff and jitter, for a limited time."""

from __future__ import annotations

import json
import logging
import weakref
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypedDict, Unpack
from urllib.parse import urlsplit

import httpx

from sailplane.algorithmia.client.spool import Body
from sailplane.errors import AccessError, ConfigurationError, ConflictError, StorageError
from sailplane.storage.retries import Attempts, RetryPolicy

log = logging.getLogger(__name__)
RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
# No limit on a whole transfer, which may have any size; only on stalled transfers.
TIMEOUT: Final = httpx.Timeout(60, connect=10)
# More connections than threads: a request that waits for another's connection could wait for itself.
LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=32)
_HOPELESS: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_MOST_BODY_BYTES: Final = 65536
_MOST_MESSAGE: Final = 1000


class How(TypedDict, total=False):
    """`kind`: file or directory, if the path must be of that kind."""

    kind: str
    body: Body
    headers: Mapping[str, str]
    params: Mapping[str, str]


class Exchange:
    """`key` is sent with each request and never appears in a message. Safe to use from several threads."""

    def __init__(self, endpoint: str, key: str, patience: RetryPolicy) -> None:
        parts = urlsplit(endpoint)
        self.endpoint = _checked(endpoint).rstrip("/")
        self.patience = patience
        self._key = key
        self._client = httpx.Client(
            headers={"Authorization": f"Simple {key}", "Accept-Encoding": "identity"},
            timeout=TIMEOUT,
            limits=LIMITS,
            # A proxy for the internet must not be used for this machine.
            trust_env=parts.hostname not in ("127.0.0.1", "::1", "localhost"),
        )
        weakref.finalize(self, self._client.close)

    def __repr__(self) -> str:
        return f"Exchange({self.endpoint!r})"

    def call(
        self, what: str, method: str, path: str, attempts: Attempts | None = None, **how: Unpack[How]
    ) -> httpx.Response:
        """The whole response. Errors name `what`, as in "get data://a/b"."""
        attempts = attempts or Attempts(self.patience)
        while True:
            answer = self.open(what, method, path, attempts, **how)
            try:
                answer.read()
                return answer
            except httpx.TransportError as error:
                attempts.failed(self.broken(what, error))
            finally:
                answer.close()

    def open(
        self,
        what: str,
        method: str,
        path: str,
        attempts: Attempts,
        **how: Unpack[How],
    ) -> httpx.Response:
        """A response with status 2xx and an unread body; the caller must close it.

        FileNotFoundError for 404, AccessError for 401 and 403, ConflictError for 409, 412 and 416, StorageError for
        other statuses and for no response.
        """
        while True:
            try:
                answer = self._client.send(self._request(method, path, how), stream=True)
            except httpx.TransportError as error:
                attempts.failed(self.broken(what, error))
                continue
            if answer.is_success:
                return _of_kind(how.get("kind"), what, answer)
            refusal = self._refusal(what, answer)
            if answer.status_code not in RETRIED or not isinstance(refusal, StorageError):
                raise refusal
            attempts.failed(refusal, _seconds(answer.headers.get("Retry-After", "")))

    def _request(self, method: str, path: str, how: How) -> httpx.Request:
        url, params, headers = f"{self.endpoint}{path}", how.get("params"), dict(how.get("headers", {}))
        if body := how.get("body"):
            headers["Content-Length"] = str(body.size)
            return self._client.build_request(method, url, headers=headers, params=params, content=body.pieces())
        return self._client.build_request(method, url, headers=headers, params=params)

    def broken(self, what: str, error: httpx.TransportError) -> StorageError:
        """The error for a failed connection; raises it if a retry cannot help."""
        got = self._hidden(f"{type(error).__name__}: {error}")
        failure = StorageError(what, got=got, expected=f"a response from {self.endpoint}", remedy="Is it reachable?")
        if isinstance(error, _HOPELESS) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise failure from error
        failure.__cause__ = error
        return failure

    def _refusal(self, what: str, answer: httpx.Response) -> Exception:
        status = f"{answer.status_code} {answer.reason_phrase}".strip()
        got = self._hidden(": ".join(filter(None, (status, _message(answer)))))[:_MOST_MESSAGE]
        match answer.status_code:
            case 404:
                return FileNotFoundError(what)
            case 401 | 403:
                remedy = "Check the connection's key, or ALGORITHMIA_API_KEY, and its permissions."
                return AccessError(what, got=got, expected="access", remedy=remedy)
            case 409 | 412 | 416:
                return ConflictError(what, got=got, remedy="It has changed meanwhile. Read it again.")
        return StorageError(what, got=got)

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***")


def _checked(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    # The endpoint appears in errors.
    if "@" in endpoint or parts.query or parts.fragment:
        remedy = "Set the key separately."
        raise ConfigurationError(
            "use endpoint", got="more than an address", expected="no user, no query", remedy=remedy
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("use endpoint", repr(endpoint), expected="http://host or https://host")
    return endpoint


def _of_kind(kind: str | None, what: str, answer: httpx.Response) -> httpx.Response:
    if kind and answer.headers.get("X-Data-Type", kind) != kind:
        answer.close()
        raise FileNotFoundError(f"{what}: it is not a {kind}")
    return answer


def _message(answer: httpx.Response) -> str:
    """The server's message from JSON or its header; not from a page for people."""
    text = b""
    # Errors always name the status.
    with suppress(httpx.TransportError), closing(answer):
        for piece in answer.iter_raw(4096):
            text += piece
            if len(text) > _MOST_BODY_BYTES:
                break
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(text)["error"]["message"])
    return str(answer.headers.get("X-Error-Message", ""))


def _seconds(retry_after: str) -> float:
    """The delay of a Retry-After header, in seconds or as a date (RFC 9110, 10.2.3); 0 if unreadable."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except (TypeError, ValueError):
        return 0
    return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())
