"""Serves a model as Models and an Experiment (Seldon Core v2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sailplane.deployment.http_client import Reply, call
from sailplane.deployment.kubernetes import core_v2_objects as objects
from sailplane.deployment.kubernetes.cluster import EXPERIMENT, MODEL, Cluster, Object
from sailplane.deployment.kubernetes.deadline import by_deadline
from sailplane.deployment.kubernetes.golden import SECONDS, OpenBundle, check_servable, judged
from sailplane.deployment.kubernetes.names import DIGEST, STARTED, object_name
from sailplane.deployment.kubernetes.names import MODEL as OWNER
from sailplane.deployment.kubernetes.workloads import CoreV2
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError
from sailplane.records import Model

_PORT: Final = 80


class CoreV2Target:
    """A `Target`. The cluster holds all state, so a new instance continues where a killed one stopped.

    Clients send the header `seldon-model: NAME.experiment`."""

    def __init__(self, cluster: Cluster, model: str, workload: CoreV2, bundle: OpenBundle) -> None:
        self.cluster, self.model, self.workload, self.bundle = cluster, model, workload, bundle
        self.name = object_name(model)

    @property
    def endpoint(self) -> str:
        """The address at the cluster's ingress; only the path if the ingress is not known."""
        return f"{self.workload.ingress.rstrip('/')}/v2/models/{self.name}/infer"

    def prepare(self, model: Model) -> None:
        check_servable(model, self.bundle)

    def begin(self, model: Model) -> None:
        new = objects.model_object(model, self.workload, datetime.now(UTC))
        served = {*self.split().weights, self.split().shadow}

        def edit(found: Object | None) -> Object:
            if found is None:
                return new
            same = self._own(found)["metadata"]["annotations"].get(DIGEST) == new["metadata"]["annotations"][DIGEST]
            return found if same or model.version in served else _renewed(found, new)

        self.cluster.change(MODEL, new["metadata"]["name"], edit)

    def progress(self, version: str) -> VersionProgress:
        name = objects.version_name(self.model, version)
        found = self.cluster.get(MODEL, name)
        if found is None:
            return VersionProgress("failed", f"there is no Model {name}")
        progress = objects.readiness(self._own(found))
        if progress.state == "ready":
            progress = self._scored(name, version)
        if progress.state != "starting" or self._is_routed(version):
            # The rollout decides how long a version that gets requests may be away.
            return progress
        return by_deadline(progress, found["metadata"]["annotations"].get(STARTED), self.workload.deadline)

    def split(self) -> TrafficSplit:
        found = self.cluster.get(EXPERIMENT, self.name)
        return objects.split(self._own(found), self.model) if found else TrafficSplit({})

    def move(self, split: TrafficSplit) -> None:
        wanted = objects.experiment(self.model, split) if split.weights else None
        self._check_started({*split.weights, split.shadow} - {None})

        def edit(found: Object | None) -> Object | None:
            if found is None or wanted is None:
                return wanted
            return {**self._own(found), "spec": {**_without(found["spec"]), **wanted["spec"]}}

        self.cluster.change(EXPERIMENT, self.name, edit)

    def stop(self, version: str) -> None:
        now = self.split()
        if weight := now.weights.get(version):
            got, remedy = f"{weight} percent of the traffic", "Move its traffic first."
            raise DeploymentError("stop", f"{self.model} {version}", got=got, remedy=remedy)
        if now.shadow == version:
            self.move(TrafficSplit(now.weights))
        self.cluster.change(MODEL, objects.version_name(self.model, version), lambda _found: None)

    def versions(self) -> list[str]:
        selector = ",".join(f"{name}={value}" for name, value in objects.labels(self.model).items())
        start = len(objects.version_name(self.model, ""))
        return [found["metadata"]["name"][start:] for found in self.cluster.list(MODEL, selector)]

    def _is_routed(self, version: str) -> bool:
        """True if the version gets requests, or copies of them."""
        split = self.split()
        return version in split.weights or version == split.shadow

    def _check_started(self, versions: set[Any]) -> None:
        if missing := sorted(versions - set(self.versions())):
            got, expected = f"no Model of {missing[0]}", "started versions"
            raise DeploymentError("split the traffic of", self.model, got=got, expected=expected)

    def _own(self, found: Mapping[str, Any]) -> Object:
        """The object. Raises DeploymentError if it does not belong to the model."""
        metadata = found["metadata"]
        if (owner := metadata.get("annotations", {}).get(OWNER)) != self.model:
            got = f"it holds the model {owner}" if owner else "it was not made by Sailplane"
            remedy = "Delete it, or give the model another name or another namespace."
            raise DeploymentError(f"use {found['kind']}", metadata["name"], got=got, remedy=remedy)
        return dict(found)

    def _scored(self, name: str, version: str) -> VersionProgress:
        with self.bundle(version) as bundle:
            return judged(bundle, self._post(name, objects.request(bundle)), objects.scores)

    def _post(self, name: str, message: object) -> Reply:
        path, headers = f"/v2/models/{name}/infer", {"Seldon-Model": name}
        if self.workload.address is None:
            return self.cluster.post(self.workload.mesh, _PORT, path, message, headers)
        address = self.workload.address.format(service=self.workload.mesh, namespace=self.cluster.namespace)
        return call(address, "POST", path, message, headers=headers, seconds=SECONDS)


def _renewed(found: Object, new: Object) -> Object:
    return {**found, "metadata": {**found["metadata"], **new["metadata"]}, "spec": new["spec"]}


def _without(spec: Mapping[str, Any]) -> Object:
    return {name: value for name, value in spec.items() if name not in {"candidates", "mirror"}}
