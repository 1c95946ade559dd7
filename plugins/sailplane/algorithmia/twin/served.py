"""The project's served models as algorithms of the owner `local`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from sailplane.algorithmia.twin.execution import Input, Output
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.deployment.http_client import Reply, call
from sailplane.deployment.local.endpoint import endpoint
from sailplane.deployment.token import authorization
from sailplane.home import Home
from sailplane.records import Deployment

OWNER: Final = "local"
_EXPECTED: Final = 'a record {field: value}, a list of records, or {"data": {"names": [...], "ndarray": [[...]]}}'


def answer(home: Home, model: str, version: str | None, given: Input, seconds: float) -> Output:
    """Scores by output: a record for a record, a list for a list, and a Seldon response for a request in Seldon's form.

    Raises Refusal with the model's or the router's own reason, and for a version that is not served.
    """
    value = records(given)
    path = urlsplit(endpoint(home, model)).path
    reply = call(home.router_port, "POST", path, message(value), headers=authorization(home), seconds=seconds)
    _check(reply, model, home)
    if version not in (None, reply.version):
        found = f"No such algorithm: {OWNER}/{model} serves version {reply.version}, not {version}."
        raise Refusal(404, found, error_type="NotFoundError")
    return Output("json", scores(value, orjson.loads(reply.body)))


def records(given: Input) -> Any:
    """The input's value. Text is read as JSON, because the client's command line sends JSON as text. Raises Refusal."""
    value = given.value
    if given.content_type == "text":
        try:
            value = orjson.loads(given.value)
        except orjson.JSONDecodeError as error:
            raise _no_record(f"text that is not JSON ({error})") from error
    if given.content_type == "binary":
        raise _no_record("binary input")
    if not isinstance(value, (dict, list)):
        raise _no_record(type(value).__name__)
    return value


def message(value: Any) -> dict[str, Any]:
    """The request in Seldon's protocol."""
    return dict(value) if _is_message(value) else {"jsonData": value}


def scores(value: Any, reply: Mapping[str, Any]) -> Any:
    """The scores in the form of the request."""
    if _is_message(value):
        return reply
    rows = [dict(zip(reply["data"]["names"], row, strict=True)) for row in reply["data"]["ndarray"]]
    return rows if isinstance(value, list) else rows[0]


def shown(deployment: Deployment) -> dict[str, Any]:
    """A served model in the management API's form of an algorithm."""
    name = f"{OWNER}/{deployment.name}"
    return {
        "id": name,
        "name": deployment.name,
        "details": {"label": deployment.name},
        "settings": {"algorithm_callability": "public"},
        "version_info": {"git_hash": deployment.version},
        "self_link": f"/v1/algorithms/{name}/versions/{deployment.version}",
        "resource_type": "algorithm",
    }


def _is_message(value: Any) -> bool:
    """A record's values are scalars, so it cannot hold an object or a list under these names."""
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("data"), dict) or isinstance(value.get("jsonData"), (dict, list))


def _check(reply: Reply, model: str, home: Home) -> None:
    if reply.status == 200:
        return
    if reply.status == 0:
        reason = f"The router on port {home.router_port} does not answer: {reply.body.decode(errors='replace')}."
        raise Refusal(503, f"{reason} Run `sailplane up`.", error_type="SystemError")
    reason = _reason(reply)
    if reply.status == 404 and reply.version is None:
        raise Refusal(404, f"No such algorithm: {OWNER}/{model} is not served. {reason}", error_type="NotFoundError")
    kind = "InputError" if reply.status < 500 else "SystemError"
    raise Refusal(reply.status, f"{OWNER}/{model}: {reason}", error_type=kind)


def _reason(reply: Reply) -> str:
    try:
        return str(orjson.loads(reply.body)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"status {reply.status}: {reply.body[:200].decode(errors='replace')}"


def _no_record(got: str) -> Refusal:
    return Refusal(400, f"read input: {got}; expected {_EXPECTED}.", error_type="InputError")
