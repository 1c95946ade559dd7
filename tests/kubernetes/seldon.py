"""Seldon's operators and the cluster under them: Deployments that do or do not become available, and their status.

They behave as Core 1.17.1: `state` and `deploymentStatus` are those of the last look, `observedGeneration` is never
set, and a Deployment is listed once it has a pod. Traffic moves, and unwanted objects are deleted, only while every
predictor is available. A shadow that becomes a canary gets other pods.

https://github.com/SeldonIO/seldon-core/blob/v1.17.1/operator/controllers/seldondeployment_controller.go"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.kubernetes.kinds import Kind, find
from tests.kubernetes.objects import Objects
from tests.kubernetes.ownership import Writer
from tests.kubernetes.refusals import Refused

Object = dict[str, Any]
Behaviour = Literal["well", "stuck", "crashing", "failing"]

_US = Writer("manager", "Ignore")
_CRASHED = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}


def _kind(group: str, plural: str) -> Kind:
    kind = find(group, plural)
    assert kind
    return kind


SELDON_DEPLOYMENTS = _kind("machinelearning.seldon.io", "seldondeployments")
MODELS, EXPERIMENTS = _kind("mlops.seldon.io", "models"), _kind("mlops.seldon.io", "experiments")
DEPLOYMENTS, PODS, SERVICES = _kind("apps", "deployments"), _kind("", "pods"), _kind("", "services")


@dataclass
class Seldon:
    """Seldon's operators. `behaviour` is by the name of a predictor or Model. `routes` is the traffic that a mesh would
    give, by the name of the object: percent by predictor, with the mirror separate."""

    objects: Objects
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    routes: dict[str, dict[str, int]] = field(default_factory=dict)
    mirrors: dict[str, str | None] = field(default_factory=dict)

    def look(self, times: int = 1) -> None:
        """Looks once at everything, then advances the cluster by one step."""
        for _ in range(times):
            for found in self.objects.list(SELDON_DEPLOYMENTS):
                self._reconcile(found)
            for found in self.objects.list(MODELS):
                self._load(found)
            for found in self.objects.list(EXPERIMENTS):
                self._split(found)
            for found in self.objects.list(DEPLOYMENTS):
                self._run(found)
            self._collect()

    def answers(self, service: str) -> bool:
        """Whether a service has a ready pod."""
        return any(one["status"].get("availableReplicas") for one in self._deployments(**{"seldon-app": service}))

    def service_of(self, pod: str) -> str | None:
        """Returns the service of a running pod."""
        for one in self._named(PODS, pod):
            if one["status"]["containerStatuses"][0]["ready"]:
                labels = one["metadata"]["labels"]
                return str(labels.get("seldon-app") or labels["app"])
        return None

    def ready(self, model: str) -> bool:
        """Whether a Model of Core v2 is loaded."""
        conditions = [one.get("status", {}).get("conditions", []) for one in self._named(MODELS, model)]
        return any(one["status"] == "True" for conditions in conditions for one in conditions)

    def _reconcile(self, found: Object) -> None:
        name, space = found["metadata"]["name"], found["metadata"]["namespace"]
        if "deletionTimestamp" in found["metadata"]:
            return
        wanted = {self._ensured(name, space, one): one for one in found["spec"]["predictors"]}
        status = self._status(found, wanted)
        if status["state"] == "Available":
            self._complete(found, status, wanted)
        with suppress(Refused):  # It is gone or was changed meanwhile; the next look sees it.
            edit = lambda now: {**now, "status": status}  # noqa: E731
            self.objects.update(SELDON_DEPLOYMENTS, space, name, edit, _US, "status")

    def _status(self, found: Object, wanted: dict[str, Object]) -> Object:
        listed = dict((found.get("status") or {}).get("deploymentStatus") or {})
        ready, failed = True, False
        for name in wanted:
            seen = self.objects.get(DEPLOYMENTS, found["metadata"]["namespace"], name)["status"]
            if seen["replicas"]:
                counts = {"replicas": seen["replicas"], "availableReplicas": seen["availableReplicas"]}
                listed[name] = {key: count for key, count in counts.items() if count}
            ready &= 0 < seen["availableReplicas"] == seen["replicas"]
            failed |= not seen["progressing"] and not seen["availableReplicas"]
        state = "Available" if ready else "Failed" if failed else "Creating"
        told = {"description": "Deployment is no longer progressing and not available."} if state == "Failed" else {}
        first = found["spec"]["predictors"][0]["name"]
        address = f"http://{found['metadata']['name']}-{first}.{found['metadata']['namespace']}.svc.cluster.local:8000"
        url = {"url": f"{address}/api/v1.0/predictions"}
        return {"state": state, "deploymentStatus": listed, "address": url, "replicas": len(wanted), **told}

    def _complete(self, found: Object, status: Object, wanted: dict[str, Object]) -> None:
        name, space = found["metadata"]["name"], found["metadata"]["namespace"]
        predictors = list(wanted.values())
        served = {one["name"]: one.get("traffic", 0) for one in predictors if not one.get("shadow")}
        self.routes[name] = {each: weight for each, weight in served.items() if weight}
        self.mirrors[name] = next((one["name"] for one in predictors if one.get("shadow")), None)
        for old in self._deployments(**{"seldon-deployment-id": name}):
            if old["metadata"]["name"] not in wanted:
                self._delete(DEPLOYMENTS, space, old["metadata"]["name"])
                self._delete(SERVICES, space, old["metadata"]["labels"]["seldon-app"])
                for pod in self._pods(old["metadata"]["labels"]["seldon-app"]):
                    self._delete(PODS, space, pod["metadata"]["name"])
                status["deploymentStatus"].pop(old["metadata"]["name"], None)

    def _ensured(self, name: str, space: str, predictor: Object) -> str:
        """Creates the predictor's Deployment and its service if they are missing. Returns the Deployment's name."""
        containers = predictor["componentSpecs"][0]["spec"]["containers"]
        deployment = _short(f"{name}-{predictor['name']}-0-{'-'.join(one['name'] for one in containers)}")
        labels = {"seldon-deployment-id": name, "seldon-app": _short(f"{name}-{predictor['name']}")}
        replicas = predictor.get("replicas", 1)
        fresh = {"replicas": 0, "availableReplicas": 0, "progressing": True, "looks": 0}
        self._replace(deployment, space, shadow := str(predictor.get("shadow", False)))
        told = {"predictor": predictor["name"], "shadow": shadow}
        metadata = {"name": deployment, "labels": labels, "annotations": told}
        self._make(DEPLOYMENTS, space, {"metadata": metadata, "spec": {"replicas": replicas}, "status": fresh})
        service = {"metadata": {"name": labels["seldon-app"], "labels": labels}, "spec": {"ports": [{"port": 8000}]}}
        self._make(SERVICES, space, service)
        return deployment

    def _replace(self, deployment: str, space: str, shadow: str) -> None:
        """Replaces the pods. A shadow's pods have a separate label, so a change of the shadow replaces them."""
        for found in self._named(DEPLOYMENTS, deployment):
            told = found["metadata"]["annotations"]
            if told["shadow"] == shadow:
                continue
            metadata = {**found["metadata"], "annotations": {**told, "shadow": shadow}}
            self.objects.update(DEPLOYMENTS, space, deployment, lambda now: {**now, "metadata": metadata}, _US)  # noqa: B023
            for pod in self._pods(found["metadata"]["labels"]["seldon-app"]):
                self._delete(PODS, space, pod["metadata"]["name"])

    def _run(self, found: Object) -> None:
        """Starts the pods, and makes them available with the next look, unless their behaviour is another."""
        name, space = found["metadata"]["name"], found["metadata"]["namespace"]
        predictor, wanted = found["metadata"].get("annotations", {}).get("predictor"), found["spec"].get("replicas", 1)
        if predictor is None:
            return
        behaviour, status = self.behaviour.get(predictor, "well"), dict(found["status"])
        if behaviour in ("crashing", "failing") and status["replicas"]:
            self._pod(found, 0, "waiting", _CRASHED)
        if behaviour == "well" and status["replicas"]:
            for number in range(wanted):
                self._pod(found, number, "running", {"startedAt": "2026-11-01T00:00:00Z"})
        available = wanted if behaviour == "well" and status["replicas"] else 0
        progressing = behaviour != "failing" or status["looks"] < 2
        pods = 0 if behaviour == "stuck" else wanted
        status = {"replicas": pods, "availableReplicas": available, "progressing": progressing}
        status["looks"] = min(found["status"]["looks"] + 1, 3)
        with suppress(Refused):
            self.objects.update(DEPLOYMENTS, space, name, lambda now: {**now, "status": status}, _US)

    def _pod(self, found: Object, number: int, state: str, told: Object) -> None:
        name, space = f"{found['metadata']['name']}-{number}", found["metadata"]["namespace"]
        container = {"name": "model", "ready": state == "running", "restartCount": 0, "image": "", "imageID": ""}
        status = {"containerStatuses": [{**container, "state": {state: told}}]}
        metadata = {"name": name, "labels": found["metadata"]["labels"]}
        self._make(PODS, space, {"metadata": metadata, "spec": {}, "status": status})
        with suppress(Refused):
            self.objects.update(PODS, space, name, lambda now: {**now, "status": status}, _US)

    def _pods(self, service: str) -> list[Object]:
        found = self.objects.list(PODS)
        return [one for one in found if one["metadata"].get("labels", {}).get("seldon-app") == service]

    def _collect(self) -> None:
        """Removes the objects of a SeldonDeployment that is gone."""
        left = {one["metadata"]["name"] for one in self.objects.list(SELDON_DEPLOYMENTS)}
        for kind in (DEPLOYMENTS, SERVICES, PODS):
            for one in self.objects.list(kind):
                owner = one["metadata"].get("labels", {}).get("seldon-deployment-id")
                if owner and owner not in left:
                    self._delete(kind, one["metadata"]["namespace"], one["metadata"]["name"])
        self.routes = {name: routes for name, routes in self.routes.items() if name in left | self._experiments()}

    def _load(self, found: Object) -> None:
        """Advances a Model of Core v2: first seen, then ready, unless its behaviour is another."""
        name = found["metadata"]["name"]
        behaviour, seen = self.behaviour.get(name, "well"), bool(found.get("status"))
        if seen and behaviour == "well":
            self._say(MODELS, found, "ModelReady", "True", "ModelAvailable")
        elif seen and behaviour in ("crashing", "failing"):
            self._say(MODELS, found, "ModelReady", "False", "ModelFailed", "rpc error: load of the model failed")
        elif behaviour != "stuck":
            self._say(MODELS, found, "ModelReady", "False", "ModelProgressing")

    def _split(self, found: Object) -> None:
        spec = found["spec"]
        mirror = spec.get("mirror", {}).get("name")
        ready = all(self.ready(one["name"]) for one in [*spec["candidates"], *([{"name": mirror}] if mirror else [])])
        self._say(EXPERIMENTS, found, "ExperimentReady", str(ready), "" if ready else "CandidatesNotReady")
        if ready:
            name = found["metadata"]["name"]
            self.routes[name] = {one["name"]: one["weight"] for one in spec["candidates"]}
            self.mirrors[name] = mirror

    def _say(self, kind: Kind, found: Object, condition: str, status: str, reason: str, message: str = "") -> None:
        told = {"status": status, "reason": reason, "message": message}
        conditions = [{"type": each, **told} for each in (condition, "Ready")]
        edit = lambda now: {**now, "status": {"conditions": conditions}}  # noqa: E731
        with suppress(Refused):
            self.objects.update(kind, found["metadata"]["namespace"], found["metadata"]["name"], edit, _US, "status")

    def _experiments(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.objects.list(EXPERIMENTS)}

    def _deployments(self, **labels: str) -> list[Object]:
        found = self.objects.list(DEPLOYMENTS)
        return [one for one in found if labels.items() <= one["metadata"].get("labels", {}).items()]

    def _named(self, kind: Kind, name: str) -> list[Object]:
        return [one for one in self.objects.list(kind) if one["metadata"]["name"] == name]

    def _make(self, kind: Kind, space: str, value: Object) -> None:
        with suppress(Refused):  # It exists already.
            self.objects.create(kind, space, value, _US)

    def _delete(self, kind: Kind, space: str, name: str) -> None:
        with suppress(Refused):
            self.objects.delete(kind, space, name, {})


def _short(name: str) -> str:
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return name if len(name) <= 63 else f"seldon-{digest}"
