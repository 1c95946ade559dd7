"""A client of Airflow's REST API on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from tenacity import retry, retry_if_result, stop_after_attempt, wait_fixed

from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.services import accounts, logins

T = TypeVar("T")
BUSY_TRIES = 5


class RefusedError(ServiceError):
    """A 4xx answer: its `status`, and `detail` in Airflow's words."""

    def __init__(self, answer: httpx.Response) -> None:
        got = f"{answer.status_code} {answer.text.strip()[:500]}"
        super().__init__(answer.request.method, answer.request.url, got=got)
        self.status = answer.status_code
        self.detail = _detail(answer)


class _Login(httpx.Auth):
    """Logs in as the first admin when the server answers 401, and again when that login has expired. RefusedError if
    the server refuses the login."""

    requires_response_body = True

    def __init__(self, home: Home, url: str) -> None:
        self._home, self._url, self._token = home, url, ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if (yield self._with_token(request)).status_code != httpx.codes.UNAUTHORIZED:
            return
        secret = logins.issue(self._home, accounts.first_admin())
        answer = yield httpx.Request("POST", f"{self._url}{logins.PAGE}/token", json={"secret": secret})
        self._token = str(_decoded(answer)["access_token"])
        yield self._with_token(request)

    def _with_token(self, request: httpx.Request) -> httpx.Request:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _found_busy(answer: httpx.Response) -> bool:
    return answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR and "Database error" in answer.text


class AirflowApi:
    """Paths are relative to `/api/v2`; answers are decoded JSON. ServiceError if there is no answer and on 5xx,
    RefusedError on 4xx."""

    def __init__(self, home: Home, timeout: float = 30) -> None:
        self.url = _url(home, os.environ)
        # trust_env: requests to this machine must not go through a proxy that is set for the internet.
        self._client = httpx.Client(
            base_url=f"{self.url}/api/v2", timeout=timeout, trust_env=False, auth=_Login(home, self.url)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, method: str, path: str, json: Any = None, **query: Any) -> Any:
        return _decoded(self._send(method, path, json, query))

    def find(self, path: str, **query: Any) -> Any:
        """GET; None on 404."""
        answer = self._send("GET", path, None, query)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _decoded(answer)

    # A request that found SQLite busy was undone as a whole: it is sent again.
    @retry(
        retry=retry_if_result(_found_busy),
        stop=stop_after_attempt(1 + BUSY_TRIES),
        wait=wait_fixed(0.5),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    def _send(self, method: str, path: str, json: Any, query: dict[str, Any]) -> httpx.Response:
        try:
            return self._client.request(method, path, json=json, params=query or None)
        except httpx.HTTPError as error:
            raise ServiceError("reach", self.url, got=str(error), remedy="Run `sailplane up`.") from error

    def health(self) -> dict[str, Any] | None:
        """None while the api-server does not answer."""
        try:
            return dict(self.call("GET", "/monitor/health"))
        except ServiceError:
            return None

    def xcom(self, run: DagRun, task: str, map_index: int = -1, key: str = "return_value") -> Any:
        """The value that a task returned, or left under `key`; None if there is none."""
        path = f"{run.path}/taskInstances/{task}/xcomEntries/{key}"
        entry = self.find(path, map_index=map_index)
        return entry["value"] if entry else None


def _url(home: Home, env: Mapping[str, str]) -> str:
    """The api-server's URL. In containers its host name comes from the URL by which tasks reach it."""
    execution = urlsplit(env.get("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", ""))
    return f"{execution.scheme}://{execution.netloc}" if execution.netloc else f"http://127.0.0.1:{home.ui_port}"


class DagRun:
    """A run of a DAG, identified by its two ids."""

    def __init__(self, dag: str, run: str) -> None:
        self.dag, self.id = dag, run

    @property
    def path(self) -> str:
        return f"/dags/{self.dag}/dagRuns/{quote(self.id, safe='')}"

    def page(self, home: Home) -> str:
        return f"http://localhost:{home.ui_port}/dags/{self.dag}/runs/{quote(self.id, safe=':+')}"


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip()[:500]


def _decoded(answer: httpx.Response) -> Any:
    if answer.is_client_error:
        raise RefusedError(answer)
    if answer.is_error:
        raise ServiceError(
            answer.request.method, answer.request.url, got=f"{answer.status_code} {answer.text.strip()[:500]}"
        )
    return answer.json() if answer.content else None


def poll(read: Callable[[], T | None], seconds: float, every: float = 0.3) -> T | None:
    """The first result that is not None, or None after `seconds`."""
    deadline = time.monotonic() + seconds
    while (found := read()) is None and time.monotonic() < deadline:
        time.sleep(every)
    return found
