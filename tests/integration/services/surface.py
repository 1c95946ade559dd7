"""The calls that the UI's server answers, read from the application's routes, so that new routes are covered."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

import httpx

from tests.platform import Platform

# The reasons why these paths need no login. A path that ends with * stands for all paths with this prefix.
OPEN: Final = {
    "/api/v2/monitor/health": "whether it runs, for containers and for `up`",
    "/api/v2/version": "Airflow's version",
    "/api/v2/auth/*": "leads to the login page, or ends a login",
    "/auth/*": "the login page, and what takes its password",
    "/sailplane/login/*": "takes a one-time secret",
    "/static/*": "the UI's scripts, which are Airflow's",
    "/{rest_of_path:path}": "the UI's page, which has no data of its own",
    "/health": "says that it moved",
    "/api/{_:path}": "says that there is no such route",
    "/api/v1/{_:path}": "says that it was removed",
    "/openapi.json": "the description of Airflow's API",
    "/docs*": "the same as a page",
    "/redoc": "the same as a page",
    "/execution/docs*": "the description of the API of tasks",
    "/execution/redoc": "the same as a page",
    "/execution/openapi.json": "the same",
    "/execution/changelog": "its versions",
    "/execution/health*": "whether it runs",
}
ANY_ACCOUNT: Final = {
    "/ui/auth/*": "the account itself, and a token for it",
    "/ui/config": "the settings of the page",
}
TOKENS: Final = {"/sailplane/sweeps/*": "a sweep's own token", "/execution/*": "a task's own token"}
# Airflow looks up the objects in the path, or reads the body, before it checks the account's rights.
LOOKS_FIRST: Final = (404, 422)

_LIST: Final = """
import json
from fastapi import FastAPI
from starlette.routing import Mount
from airflow.api_fastapi.app import create_app
from airflow.api_fastapi.execution_api.routes import execution_api_router

def calls(routes, prefix):
    for route in routes:
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            yield from calls(route.app.routes, prefix + route.path)
        elif isinstance(route, Mount):
            yield "GET", f"{prefix}{route.path}/{{file}}"
        else:
            yield from ((method, prefix + route.path) for method in sorted(route.methods or ()))

# The server derives the other versions of the tasks' API from this version when it starts.
print(json.dumps([*calls(create_app().routes, ""), *calls(execution_api_router.routes, "/execution")]))
"""


class Call(NamedTuple):
    method: str
    path: str

    @property
    def changes(self) -> bool:
        return self.method not in ("GET", "HEAD")

    def declared(self, exceptions: Mapping[str, str]) -> bool:
        return any(self.path == path or (path[-1] == "*" and self.path.startswith(path[:-1])) for path in exceptions)

    def ask(self, client: httpx.Client, headers: Mapping[str, str] | None = None) -> int:
        """Returns the status of the answer. The objects in the path do not exist."""
        return client.request(self.method, re.sub(r"\{[^}]*\}", "1", self.path), headers=headers).status_code

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def calls(platform: Platform) -> list[Call]:
    """Reads the calls in a process with the services' settings, because an application reads its settings only once."""
    from sailplane.services.environment import environment

    command = [sys.executable, "-W", "ignore", "-c", _LIST]
    env = environment(platform.home, platform.env)
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return [Call(*call) for call in json.loads(ended.stdout.splitlines()[-1])]
