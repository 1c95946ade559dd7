"""A request to the API server, and the answer of the objects behind it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from tests.kubernetes import patches
from tests.kubernetes.kinds import Kind, find
from tests.kubernetes.objects import Objects
from tests.kubernetes.ownership import Writer
from tests.kubernetes.refusals import Refused
from tests.kubernetes.selectors import selects

Answer = tuple[int, Any, list[str]]

_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>status))?"
)


@dataclass(frozen=True)
class Asked:
    method: str
    kind: Kind
    namespace: str
    name: str
    part: str
    query: dict[str, str]
    content_type: str
    agent: str
    body: Any

    @property
    def watched(self) -> bool:
        return self.method == "GET" and self.query.get("watch", "") in ("1", "true", "True")

    @property
    def labels(self) -> str:
        return self.query.get("labelSelector", "")

    @property
    def fields(self) -> str:
        by_name = f"metadata.name={self.name}" if self.name else ""
        return ",".join(filter(None, (self.query.get("fieldSelector", ""), by_name)))

    @property
    def seconds(self) -> float:
        return float(self.query.get("timeoutSeconds") or 60)

    @property
    def by(self) -> Writer:
        manager = self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"
        how = {"apply": "apply" in self.content_type, "force": self.query.get("force") in ("true", "True")}
        return Writer(manager, self.query.get("fieldValidation") or "Warn", self.query.get("dryRun") == "All", **how)


def asked(method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Asked:
    """Reads the request. Raises Refused for a path or body that cannot be read."""
    found = _PATH.fullmatch(path)
    kind = find(found["group"] or "", found["plural"]) if found else None
    if found is None or kind is None or kind.version != (found["version"] or "v1"):
        raise _NoSuchPath(path)
    named = {name.lower(): value for name, value in headers.items()}
    content_type = named.get("content-type", "").partition(";")[0]
    try:
        value = yaml.safe_load(body) if "yaml" in content_type else json.loads(body or "null")
    except (ValueError, yaml.YAMLError) as error:
        raise Refused(400, f"the body cannot be read: {error}") from error
    place = (found["namespace"] or "", found["name"] or "", found["part"] or "")
    return Asked(method, kind, *place, query, content_type, named.get("user-agent", ""), value)


def answer(objects: Objects, what: Asked) -> Answer:
    """Returns the status, the object or list, and the warnings."""
    kind, space, name = what.kind, what.namespace, what.name
    if not name:
        return _collection(objects, what)
    match what.method:
        case "GET":
            return 200, objects.get(kind, space, name), []
        case "PUT":
            return 200, *objects.update(kind, space, name, lambda _found: what.body, what.by, what.part)
        case "PATCH":
            return _patch(objects, what)
        case "DELETE":
            left = objects.delete(kind, space, name, {**what.query, **(what.body or {})})
            gone = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            details = {"name": name, "kind": kind.plural, "group": kind.group, "uid": left["metadata"]["uid"]}
            return 200, left if left["metadata"].get("finalizers") else {**gone, "details": details}, []
    raise Refused(405, "the server does not allow this method on the requested resource")


def _collection(objects: Objects, what: Asked) -> Answer:
    kind, space = what.kind, what.namespace
    if what.method == "POST":
        return 201, *objects.create(kind, space, what.body, what.by)
    if what.method not in ("GET", "DELETE"):
        raise Refused(405, "the server does not allow this method on the requested resource")
    with objects.lock:
        found = [one for one in objects.list(kind, space) if selects(what.labels, what.fields, one)]
        if what.method == "DELETE":
            for one in found:
                objects.delete(kind, one["metadata"].get("namespace", ""), one["metadata"]["name"], {})
        listed = {"apiVersion": kind.api_version, "kind": f"{kind.kind}List", "items": found}
        return 200, {**listed, "metadata": {"resourceVersion": str(objects.version)}}, []


def _patch(objects: Objects, what: Asked) -> Answer:
    kind, space, name, patch = what.kind, what.namespace, what.name, what.body
    match what.content_type.removeprefix("application/"):
        case "apply-patch+yaml":
            return 200, *objects.apply(kind, space, name, patch, what.by)
        case "merge-patch+json":
            if not isinstance(patch, dict):
                raise Refused(400, "json: cannot unmarshal array into Go value of type map[string]interface {}")
            return 200, *objects.update(kind, space, name, lambda old: patches.merged(old, patch), what.by, what.part)
        case "json-patch+json":
            edit = lambda old: patches.json_patched(old, patch)  # noqa: E731
            return 200, *objects.update(kind, space, name, edit, what.by, what.part)
        case "strategic-merge-patch+json" if kind.schema is None:
            edit = lambda old: patches.strategic(old, patch)  # noqa: E731
            return 200, *objects.update(kind, space, name, edit, what.by, what.part)
    told = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    raise Refused(415, f"the body of the request was in an unknown format - accepted media types include: {told}")


class _NoSuchPath(Refused):
    """The server answers an unknown path with a line of text instead of a Status."""

    def __init__(self, path: str) -> None:
        super().__init__(404, "the server could not find the requested resource")
        self.path = path

    def status(self) -> dict[str, Any]:
        return {name: value for name, value in super().status().items() if name != "details"}
