"""The HTTP client of a shared sweep, written with Python's standard library."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from sailplane.errors import AccessError, ConfigurationError, ServiceError

# How long to retry an unreachable server: a laptop may sleep, or a tunnel restart.
AWAY_SECONDS: Final = 300.0
TIMEOUT_SECONDS: Final = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
_BUSY: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class Client:
    """Repeats each call while the server is unreachable. Raises AccessError for an unknown or revoked token;
    ServiceError if the server stays unreachable or refuses."""

    def __init__(self, url: str, token: str, *, away_seconds: float = AWAY_SECONDS) -> None:
        if not url.startswith(("http://", "https://")):
            expected = "http://... or https://..., as shown by `sailplane sweep share`"
            raise ConfigurationError("join sweep", url, got="an invalid address", expected=expected)
        self.url = url.rstrip("/")
        self._token, self._away_seconds = token.strip(), away_seconds
        self._opener = urllib.request.build_opener(_NoRedirect)

    def get(self, path: str = "") -> dict[str, Any]:
        return self._json(self._request("GET", path))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(body).encode()
        return self._json(self._request("POST", path, data, {"Content-Type": "application/json"}))

    def upload(self, path: str, file: Path) -> dict[str, Any]:
        return self._json(self._request("PUT", path, file, {"Content-Type": "application/octet-stream"}))

    def download(self, path: str, file: Path) -> None:
        """Downloads the whole file or nothing."""
        half = file.with_suffix(".half")
        half.write_bytes(self._request("GET", path))
        half.replace(file)

    def _json(self, response: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(response))
        except ValueError as error:
            remedy = "Check for a proxy or a tunnel's page between this machine and Airflow."
            raise ServiceError("join sweep", self.url, got="a response other than JSON", remedy=remedy) from error

    def _request(
        self, method: str, path: str, data: bytes | Path | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        deadline, pause = time.monotonic() + self._away_seconds, FIRST_PAUSE
        while True:
            try:
                return self._once(method, path, data, headers or {})
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                self._check(error)
                if time.monotonic() + pause > deadline:
                    raise self._unreachable(error) from error
                if pause == FIRST_PAUSE:
                    print(f"{self.url} is unreachable ({_reason(error)}); retrying.", flush=True)  # noqa: T201
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _once(self, method: str, path: str, data: bytes | Path | None, headers: Mapping[str, str]) -> bytes:
        about = {"Authorization": f"Bearer {self._token}", "User-Agent": "sailplane-sweep-worker", **headers}
        if not isinstance(data, Path):
            return self._open(urllib.request.Request(self.url + path, data, about, method=method))  # noqa: S310
        with data.open("rb") as file:
            about["Content-Length"] = str(data.stat().st_size)
            return self._open(urllib.request.Request(self.url + path, file, about, method=method))  # noqa: S310

    def _open(self, request: urllib.request.Request) -> bytes:
        with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return bytes(response.read())

    def _check(self, error: Exception) -> None:
        """Raises the error if a retry would not fix it."""
        if not isinstance(error, urllib.error.HTTPError) or error.code >= 500 or error.code in _BUSY:
            return
        if error.code == HTTPStatus.UNAUTHORIZED:
            got, remedy = "its token is unknown or revoked", "`sailplane sweep share` makes a new one."
            raise AccessError("join sweep", self.url, got=got, remedy=remedy) from error
        raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ServiceError:
        if isinstance(error, urllib.error.HTTPError) and error.headers.get("Location"):
            remedy = f"Use the redirect address: {error.headers['Location']}"
            return ServiceError("join sweep", self.url, got=_reason(error), remedy=remedy)
        remedy = "Restart this worker when the server is back; another worker may take its trial."
        return ServiceError("join sweep", self.url, got=_reason(error), remedy=remedy)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: they would forward the token, and turn a POST into a GET."""

    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}: {_detail(error)}"
    return str(getattr(error, "reason", error) or type(error).__name__)


def _detail(error: urllib.error.HTTPError) -> str:
    text = error.read(2000).decode(errors="replace")
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())[:200] or error.reason
