"""The kinds that the server knows: some of Kubernetes' own as plain objects, and those of the CRDs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CRDS = Path(__file__).parent / "crds"
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Kind:
    """A kind. `schema` is None for Kubernetes' own kinds, which are not checked."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    schema: dict[str, Any] | None = None

    # A dict cannot be hashed, and the other fields identify the kind.
    def __hash__(self) -> int:
        return hash((self.group, self.plural))

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def long_name(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


def _defined(path: Path) -> Kind:
    spec = json.loads(path.read_text())["spec"]
    names, (stored,) = spec["names"], spec["versions"]
    short, schema = tuple(names["shortNames"]), stored["schema"]["openAPIV3Schema"]
    return Kind(spec["group"], stored["name"], names["plural"], names["kind"], short, schema=schema)


KINDS = (
    Kind("", "v1", "namespaces", "Namespace", ("ns",), namespaced=False),
    Kind("", "v1", "pods", "Pod", ("po",)),
    Kind("", "v1", "secrets", "Secret"),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", ("sa",)),
    Kind("", "v1", "services", "Service", ("svc",)),
    Kind("apps", "v1", "deployments", "Deployment", ("deploy",)),
    Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    Kind("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    *(_defined(path) for path in sorted(CRDS.glob("*.json"))),
)


def find(group: str, plural: str) -> Kind | None:
    return next((kind for kind in KINDS if (kind.group, kind.plural) == (group, plural)), None)


def discovery(path: str) -> dict[str, Any] | None:
    """Answers the discovery requests that kubectl sends first; None for any other path."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    groups = {kind.group: kind.version for kind in KINDS if kind.group}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*each) for each in groups.items()]}
    if path == "/version":
        return {"major": "1", "minor": "32", "gitVersion": "v1.32.0", "platform": "linux/amd64"}
    if path == "/openapi/v3":
        roots = {kind.root for kind in KINDS}
        return {"paths": {root[1:]: {"serverRelativeURL": f"/openapi/v3{root}"} for root in roots}}
    if path.startswith("/openapi/v3/"):
        return _openapi([kind for kind in KINDS if kind.root == path.removeprefix("/openapi/v3")])
    if found := [kind for kind in KINDS if kind.root == path]:
        resources = [entry for kind in found for entry in _resources(kind)]
        listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": found[0].api_version}
        return {**listed, "resources": resources}
    return _group(path[6:], groups[path[6:]]) if path[6:] in groups else None


def _group(name: str, version: str) -> dict[str, Any]:
    known = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [known], "preferredVersion": known}


def _resources(kind: Kind) -> list[dict[str, Any]]:
    entry = {"kind": kind.kind, "namespaced": kind.namespaced, "singularName": kind.kind.lower()}
    main = {**entry, "name": kind.plural, "verbs": list(VERBS), "shortNames": list(kind.short)}
    return [main, {**entry, "name": f"{kind.plural}/status", "verbs": ["get", "patch", "update"]}]


def _openapi(kinds: list[Kind]) -> dict[str, Any]:
    """Returns a schema by which kubectl sees that the server checks fields, and which `kubectl explain` can read."""
    schemas, paths = {}, {}
    for kind in kinds:
        named = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        schema = {"type": "object", **(kind.schema or {}), "x-kubernetes-group-version-kind": [named]}
        schemas[f"{kind.group or 'core'}.{kind.version}.{kind.kind}"] = schema
        strict = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
        verb = {"parameters": strict, "responses": {}, "x-kubernetes-group-version-kind": named}
        place = f"{kind.root}/namespaces/{{namespace}}/{kind.plural}"
        paths[place] = {"post": {**verb, "x-kubernetes-action": "post"}}
        paths[f"{place}/{{name}}"] = {"patch": {**verb, "x-kubernetes-action": "patch"}}
    info = {"title": "Kubernetes", "version": "v1.32.0"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
