"""The counts of a version's pods, read from each pod through the API server."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from sailplane.deployment.kubernetes.cluster import Cluster, Object
from sailplane.deployment.kubernetes.golden import summary
from sailplane.errors import ServiceError
from sailplane.serving.observations import Observations

# After a longer gap the counts begin at 0 again: another driver may have counted meanwhile.
LONGEST_GAP: Final = 10.0


@dataclass(frozen=True)
class _Followed:
    """A version's counts since `total.started`, and the last reading of each of its pods."""

    total: Observations
    looked: float
    pods: Mapping[str, Observations] = field(default_factory=dict)


class PodSource(ABC):
    """The `Source` of the model `name`. Totals begin with the first reading of a version. A new pod counts from its
    first reading, a restarted server from its start, and the counts of a pod that is gone stay.

    Subclasses set the `container` that counts, the `port` of its metrics, and a `remedy` for unexpected answers.

    :param clock: gives seconds since 1970
    """

    container: ClassVar[str]
    port: ClassVar[int]
    remedy: ClassVar[str]

    def __init__(self, cluster: Cluster, name: str, clock: Callable[[], float] = time.time) -> None:
        self.cluster, self.name, self._clock = cluster, name, clock
        self._followed: dict[str, _Followed] = {}

    @abstractmethod
    def selector(self, version: str) -> str:
        """The labels of the version's pods."""

    @abstractmethod
    def counted(self, text: str, version: str) -> Observations:
        """The version's counts in a pod's metrics, which are in Prometheus' text format."""

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
        """The counts of each ready pod. Raises ServiceError if one does not answer."""
        pods = self.cluster.pods(self.selector(version))
        ready = [pod["metadata"] for pod in pods if self._is_ready(pod)]
        return {metadata["uid"]: self._counted(metadata["name"], version) for metadata in ready}

    def _is_ready(self, pod: Object) -> bool:
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        return any(status["name"] == self.container and status["ready"] for status in statuses)

    def _counted(self, pod: str, version: str) -> Observations:
        reply = self.cluster.read(pod, self.port, "/metrics")
        if reply.status == 200:
            return self.counted(reply.body.decode(), version)
        remedy = "" if reply.status in (0, 503) else self.remedy
        raise ServiceError("read the metrics of pod", pod, got=summary(reply), remedy=remedy)
