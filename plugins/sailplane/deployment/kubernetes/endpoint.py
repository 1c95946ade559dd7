"""The endpoint of a model on a cluster."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from sailplane.deployment.kubernetes import workloads
from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v1_source import CoreV1Source
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.kubernetes.core_v2_source import CoreV2Source
from sailplane.deployment.kubernetes.golden import registered
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.deployment.rollout.run import AT_ONCE, ModelEndpoint
from sailplane.ledger import Ledger
from sailplane.serving.observations import Source
from sailplane.storage import Storage

KubernetesTarget = CoreV1Target | CoreV2Target
# The target's own deadline must end first, because its error names the reason.
_GRACE_SECONDS: Final = 60


def serving(cluster: Cluster, model: str, workload: CoreV1 | CoreV2, ledger: Ledger, storage: Storage) -> ModelEndpoint:
    """The model's endpoint with the target and the source of its workload."""
    bundle = registered(ledger, storage, model)
    if isinstance(workload, CoreV1):
        return endpoint(ledger, CoreV1Target(cluster, model, workload, bundle), CoreV1Source(cluster, model))
    return endpoint(ledger, CoreV2Target(cluster, model, workload, bundle), CoreV2Source(cluster, model))


def endpoint(ledger: Ledger, target: KubernetesTarget, source: Source) -> ModelEndpoint:
    start = math.ceil(target.workload.deadline.total_seconds()) + _GRACE_SECONDS
    return ModelEndpoint(
        ledger,
        target,
        source,
        name=target.model,
        endpoint=target.endpoint,
        location=_location(target),
        at_once=replace(AT_ONCE, start=f"{start}s"),
    )


def _location(target: KubernetesTarget) -> ClusterLocation:
    cluster, workload = target.cluster, workloads.to_dict(target.workload)
    return ClusterLocation(connection=cluster.connection, namespace=cluster.namespace, workload=workload)
