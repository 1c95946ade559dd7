"""A model's place on a cluster, for a rollout."""

from __future__ import annotations

from sailplane.deployment.kubernetes import workloads
from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v1_source import CoreV1Source
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.kubernetes.core_v2_source import CoreV2Source
from sailplane.deployment.kubernetes.golden import registered
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.ledger import Ledger
from sailplane.storage import Storage

KubernetesTarget = CoreV1Target | CoreV2Target


def target(
    cluster: Cluster, model: str, workload: CoreV1 | CoreV2, ledger: Ledger, storage: Storage
) -> KubernetesTarget:
    bundle = registered(ledger, storage, model)
    if isinstance(workload, CoreV1):
        return CoreV1Target(cluster, model, workload, bundle)
    return CoreV2Target(cluster, model, workload, bundle)


def serving(cluster: Cluster, model: str, workload: CoreV1 | CoreV2, ledger: Ledger, storage: Storage) -> ModelEndpoint:
    there = target(cluster, model, workload, ledger, storage)
    source = CoreV1Source if isinstance(workload, CoreV1) else CoreV2Source
    return ModelEndpoint(ledger, there, source(cluster, model), name=model, endpoint=there.endpoint, place=place(there))


def place(target: KubernetesTarget) -> ClusterLocation:
    cluster, workload = target.cluster, workloads.to_dict(target.workload)
    return ClusterLocation(connection=cluster.connection, namespace=cluster.namespace, workload=workload)
