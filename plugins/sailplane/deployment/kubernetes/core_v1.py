"""Serves a model as a SeldonDeployment (Seldon Core v1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sailplane.deployment.http_client import Reply, call
from sailplane.deployment.kubernetes import seldon_deployment as objects
from sailplane.deployment.kubernetes.cluster import SELDON_DEPLOYMENT, Cluster, Object
from sailplane.deployment.kubernetes.deadline import by_deadline
from sailplane.deployment.kubernetes.golden import SECONDS, OpenBundle, check_servable, judged
from sailplane.deployment.kubernetes.names import MODEL, STARTED, object_name, service_name
from sailplane.deployment.kubernetes.workloads import CoreV1
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError
from sailplane.records import Model

_PORT: Final = 8000
PATH: Final = "/api/v1.0/predictions"


class CoreV1Target:
    """A `Target`. The cluster holds all state, so a new instance continues where a killed one stopped.

    Istio or Ambassador's Mapping v2 applies the weights. The operator changes them only while every predictor is
    available, so an unavailable predictor must be stopped before the weights of the others change."""

    def __init__(self, cluster: Cluster, model: str, workload: CoreV1, bundle: OpenBundle) -> None:
        self.cluster, self.model, self.workload, self.bundle = cluster, model, workload, bundle
        self.name = object_name(model)

    @property
    def endpoint(self) -> str:
        """The address at the cluster's ingress; only the path if the ingress is not known."""
        return f"{self.workload.ingress.rstrip('/')}/seldon/{self.cluster.namespace}/{self.name}{PATH}"

    def prepare(self, model: Model) -> None:
        check_servable(model, self.bundle)

    def begin(self, model: Model) -> None:
        new = objects.predictor(model, self.workload, datetime.now(UTC))

        def edit(found: Object | None) -> Object:
            if found is None:
                return objects.seldon_deployment(model, [new])
            return _with(found, objects.with_version(self._predictors(found), new))

        self.cluster.change(SELDON_DEPLOYMENT, self.name, edit)

    def progress(self, version: str) -> VersionProgress:
        found = self._found()
        predictors = objects.predictors_by_version(found) if found else {}
        if found is None or version not in predictors:
            return VersionProgress("failed", f"there is no predictor of {version} in SeldonDeployment {self.name}")
        progress = objects.availability(found, self.model, version)
        # A version that gets requests has passed the check of its scores. The rollout decides how long it may be away.
        if not objects.is_routed(predictors[version]):
            progress = self._checked(progress, version, predictors[version])
        return progress if progress.state == "ready" else self._explained(progress, version)

    def split(self) -> TrafficSplit:
        found = self._found()
        return objects.split(found["spec"]["predictors"]) if found else TrafficSplit({})

    def move(self, split: TrafficSplit) -> None:
        def edit(found: Object | None) -> Object | None:
            if found is None:
                if not split.weights and not split.shadow:
                    return None
                got, expected = f"no SeldonDeployment {self.name}", "one with the started versions"
                raise DeploymentError("split the traffic of", self.model, got=got, expected=expected)
            return _with(found, objects.with_split(self._predictors(found), split, self.model))

        self.cluster.change(SELDON_DEPLOYMENT, self.name, edit)

    def stop(self, version: str) -> None:
        """Removes the version's predictor; with the last one, the SeldonDeployment."""

        def edit(found: Object | None) -> Object | None:
            left = objects.without_version(self._predictors(found), version, self.model) if found else []
            return _with(found, left) if found and left else None

        self.cluster.change(SELDON_DEPLOYMENT, self.name, edit)

    def versions(self) -> list[str]:
        found = self._found()
        return list(objects.predictors_by_version(found)) if found else []

    def _found(self) -> Object | None:
        found = self.cluster.get(SELDON_DEPLOYMENT, self.name)
        if found is not None:
            self._predictors(found)
        return found

    def _predictors(self, found: Mapping[str, Any]) -> list[Object]:
        """Its predictors. Raises DeploymentError if the object does not belong to the model."""
        metadata = found["metadata"]
        if (owner := metadata.get("annotations", {}).get(MODEL)) != self.model:
            got = f"it holds the model {owner}" if owner else "it was not made by Sailplane"
            remedy = "Delete it, or give the model another name or another namespace."
            raise DeploymentError("use SeldonDeployment", self.name, got=got, remedy=remedy)
        if "deletionTimestamp" in metadata:
            got, remedy = "it is being deleted", "Try again when it is gone."
            raise DeploymentError("use SeldonDeployment", self.name, got=got, remedy=remedy)
        return list(found["spec"]["predictors"])

    def _checked(self, progress: VersionProgress, version: str, predictor: Object) -> VersionProgress:
        if progress.state == "ready":
            progress = self._scored(version)
        started = predictor.get("annotations", {}).get(STARTED)
        return by_deadline(progress, started, self.workload.deadline) if progress.state == "starting" else progress

    def _scored(self, version: str) -> VersionProgress:
        with self.bundle(version) as bundle:
            reply = self._post(service_name(self.model, version), {"jsonData": bundle.golden_records})
            return judged(bundle, reply, lambda answer: answer["data"]["ndarray"])

    def _post(self, service: str, message: object) -> Reply:
        if self.workload.address is None:
            return self.cluster.post(service, _PORT, PATH, message)
        address = self.workload.address.format(service=service, namespace=self.cluster.namespace)
        return call(address, "POST", PATH, message, seconds=SECONDS)

    def _explained(self, progress: VersionProgress, version: str) -> VersionProgress:
        causes = self.cluster.waiting(f"seldon-app={service_name(self.model, version)}")
        return VersionProgress(progress.state, f"{progress.reason}; its pods say {causes}") if causes else progress


def _with(found: Object, predictors: list[Object]) -> Object:
    return {**found, "spec": {**found["spec"], "predictors": predictors}}
