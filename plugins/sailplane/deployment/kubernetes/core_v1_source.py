"""The counts of a SeldonDeployment's pods. `SeldonModel` counts its requests, including mirrored ones."""

from __future__ import annotations

from sailplane.deployment.kubernetes.names import CONTAINER, service_name
from sailplane.deployment.kubernetes.pod_source import PodSource
from sailplane.deployment.kubernetes.seldon_deployment import HTTP_PORT
from sailplane.deployment.prometheus import observations
from sailplane.serving.observations import Observations


class CoreV1Source(PodSource):
    container, port = CONTAINER, HTTP_PORT
    remedy = "Use this version's docker/seldon image and docker/kubernetes/access.yaml."

    def selector(self, version: str) -> str:
        return f"seldon-app={service_name(self.name, version)}"

    def counted(self, text: str, version: str) -> Observations:
        return observations(text, version)
