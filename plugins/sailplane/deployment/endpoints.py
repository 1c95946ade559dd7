"""Where a model is served: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sailplane.deployment.kubernetes import workloads
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.kubernetes.recorded import latest
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage import Storage

if TYPE_CHECKING:
    from sailplane.deployment.kubernetes.cluster import Cluster


def endpoint_of(
    name: str,
    location: ClusterLocation | None,
    *,
    home: Home,
    ledger: Ledger,
    storage: Callable[[], Storage],
    reach: Callable[[ClusterLocation], Cluster],
) -> ModelEndpoint:
    """The model's endpoint on the cluster at `location`, or on this machine without one.

    :param storage: opens the store
    :param reach: connects to the cluster, and is not called for this machine
    """
    if location is None:
        return ModelEndpoint.local(home, ledger, storage(), name)
    from sailplane.deployment.kubernetes.endpoint import serving

    return serving(reach(location), name, workloads.from_dict(location.workload), ledger, storage())


def location_of(ledger: Ledger, name: str) -> ClusterLocation | None:
    """The cluster of the model's active rollout, else of its last change; None for this machine."""
    if (entry := records.active(ledger, name)) is not None:
        return entry.subject.place
    recorded = latest(ledger, name)
    return recorded.location if recorded else None
