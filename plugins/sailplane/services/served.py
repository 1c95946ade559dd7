"""Lists the served models, and sends a request to one of them over HTTP."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace

import httpx

from sailplane.errors import LedgerError, RequestError, ServiceError
from sailplane.home import Home
from sailplane.records import Deployment


def served(home: Home, model: str) -> Deployment | None:
    return next((d for d in all_served(home) if d.name == model), None)


def all_served(home: Home) -> list[Deployment]:
    """The deployments in the ledger and those that only the router has, for example after the loss of a ledger, with
    their current endpoints and violation settings. If the two differ after a crash, the router's state is returned."""
    from sailplane.deployment.local.endpoint import deployments, endpoint, routed
    from sailplane.deployment.local.model_process import on_violation_file
    from sailplane.ledger import Ledger
    from sailplane.serving.violations import declared

    try:
        recorded = deployments(Ledger.at(home))
    except LedgerError:
        recorded = []
    found = {deployment.name: deployment for deployment in recorded}
    for deployment in routed(home):
        found[deployment.name] = _as_routed(found.get(deployment.name), deployment)
    return [
        replace(d, endpoint=endpoint(home, d.name), on_violation=declared(on_violation_file(home, d.name)))
        for _, d in sorted(found.items())
    ]


def _as_routed(recorded: Deployment | None, now: Deployment) -> Deployment:
    if recorded is None:
        return now
    version = recorded.version if now.weights.get(recorded.version) else now.version
    return replace(recorded, version=version, weights=now.weights)


def example(home: Home, deployment: Deployment) -> str:
    """A request body in Seldon's form, from a golden row of the served bundle."""
    from sailplane.bundles.bundle import Bundle

    folder = home.serving / "models" / deployment.name / deployment.version
    return json.dumps(Bundle.open(folder).example(), separators=(",", ":"))


def ask(
    deployment: Deployment, body: str, headers: Mapping[str, str] | None = None, *, remedy: str = "Run `sailplane up`."
) -> str:
    """The body of the answer, unchanged. `remedy` is for the error if there is no answer."""
    headers = {"Content-Type": "application/json", **(headers or {})}
    try:
        answer = httpx.post(deployment.endpoint, content=body, headers=headers, timeout=30, trust_env=False)
    except httpx.HTTPError as error:
        raise ServiceError("send a request to", deployment.endpoint, got=str(error), remedy=remedy) from error
    if answer.is_error:
        raise RequestError("send a request to", deployment.endpoint, status=answer.status_code, got=answer.text.strip())
    return answer.text.strip()


def curl(home: Home, deployment: Deployment, body: str) -> str:
    """The `curl` command for the request of `ask`. It reads the token when it runs, which keeps the token out of the
    shell's history."""
    from sailplane.deployment.token import token_file

    token = token_file(home)
    headers = "-H 'Content-Type: application/json'"
    headers += f' -H "Authorization: Bearer $(cat {shlex.quote(str(token))})"' if token else ""
    return f"curl -s {deployment.endpoint} {headers} -d {shlex.quote(body)}"
