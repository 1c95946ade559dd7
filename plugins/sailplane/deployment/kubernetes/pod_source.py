"""What pods count of a version, read from each of them through the API server."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from sailplane.deployment.kubernetes.cluster import Cluster, Object
from sailplane.deployment.kubernetes.golden import told
from sailplane.errors import ServiceError
from sailplane.serving.observations import Observations

# What is not looked at for longer counts from 0 again: another driver may have counted it meanwhile.
LONGEST_GAP: Final = 10.0


@dataclass(frozen=True)
class _Followed:
    """A version: what its pods did since `total.started`, and what each of them said last."""

    total: Observations
    looked: float
    pods: Mapping[str, Observations] = field(default_factory=dict)


class PodSource(ABC):
    """The `Source` of the model `name`. Totals begin with its first look at a version. A pod that comes is counted from
    the first look at it, one whose server was started again from that start; one that went keeps what it had counted.

    `container` is the one that counts, and says so at `port`; `remedy` is for one that answers, and not with that.

    :param clock: seconds since 1970
    """

    container: ClassVar[str]
    port: ClassVar[int]
    remedy: ClassVar[str]

    def __init__(self, cluster: Cluster, name: str, clock: Callable[[], float] = time.time) -> None:
        self.cluster, self.name, self._clock = cluster, name, clock
        self._followed: dict[str, _Followed] = {}

    @abstractmethod
    def selector(self, version: str) -> str:
        """Of the pods, by their labels."""

    @abstractmethod
    def counted(self, text: str, version: str) -> Observations:
        """Of that version, by a pod's metrics in Prometheus' text form."""

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
        pods = self.cluster.pods(self.selector(version))
        ready = [pod["metadata"] for pod in pods if self._is_ready(pod)]
        return {metadata["uid"]: self._asked(metadata["name"], version) for metadata in ready}

    def _is_ready(self, pod: Object) -> bool:
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        return any(one["name"] == self.container and one["ready"] for one in statuses)

    def _asked(self, pod: str, version: str) -> Observations:
        reply = self.cluster.read(pod, self.port, "/metrics")
        if reply.status == 200:
            return self.counted(reply.body.decode(), version)
        remedy = "" if reply.status in (0, 503) else self.remedy
        raise ServiceError("read the metrics of pod", pod, got=told(reply), remedy=remedy)
