"""What the pods of a SeldonDeployment count, read from each of them through the API server: `SeldonModel` counts the
requests that it was given, those that it was only mirrored too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sailplane.errors import ServiceError
from sailplane.serving.exposition import observations
from sailplane.serving.kubernetes.cluster import Cluster, Object
from sailplane.serving.kubernetes.golden import told
from sailplane.serving.kubernetes.names import CONTAINER, service_name
from sailplane.serving.kubernetes.seldon_deployment import HTTP_PORT
from sailplane.serving.rollout.observations import Observations

# What is not looked at for longer counts from 0 again: another driver may have counted it meanwhile.
LONGEST_GAP: Final = 10.0


@dataclass(frozen=True)
class _Followed:
    """A version: what its pods did since `total.started`, and what each of them said last."""

    total: Observations
    looked: float
    pods: Mapping[str, Observations] = field(default_factory=dict)


class CoreV1Source:
    """The `Source` of the model `name`. Totals begin with its first look at a version. A pod that comes is counted from
    the first look at it, one whose server was started again from that start; one that went keeps what it had counted.

    :param clock: seconds since 1970
    """

    def __init__(self, cluster: Cluster, name: str, clock: Callable[[], float] = time.time) -> None:
        self._cluster, self._name, self._clock = cluster, name, clock
        self._followed: dict[str, _Followed] = {}

    def observed(self, version: str) -> Observations:
        now, read = self._clock(), self._read(version)
        before = self._followed.get(version)
        if before is None or not 0 <= now - before.looked <= LONGEST_GAP:
            before = _Followed(Observations(started=now), now, read)
        total = before.total
        for pod, seen in read.items():
            total += seen.since(before.pods.get(pod, seen))
        total = replace(total, started=before.total.started)
        self._followed[version] = _Followed(total, now, {**before.pods, **read})
        return total

    def _read(self, version: str) -> dict[str, Observations]:
        """Of each pod that is ready. Raises ServiceError where one does not answer."""
        pods = self._cluster.pods(f"seldon-app={service_name(self._name, version)}")
        return {pod["metadata"]["uid"]: self._asked(pod["metadata"]["name"], version) for pod in pods if _is_ready(pod)}

    def _asked(self, pod: str, version: str) -> Observations:
        reply = self._cluster.read(pod, HTTP_PORT, "/metrics")
        if reply.status == 200:
            return observations(reply.body.decode(), version)
        remedy = "" if reply.status in (0, 503) else _REMEDY
        raise ServiceError("read the metrics of pod", pod, got=told(reply), remedy=remedy)


_REMEDY: Final = "It takes the image of docker/seldon of this version, and docker/kubernetes/access.yaml as it is now."


def _is_ready(pod: Object) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(one["name"] == CONTAINER and one["ready"] for one in statuses)
