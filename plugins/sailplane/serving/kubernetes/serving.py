"""A model's place on a cluster, for a rollout."""

from __future__ import annotations

from sailplane.ledger import Ledger
from sailplane.serving.kubernetes import workloads
from sailplane.serving.kubernetes.cluster import Cluster
from sailplane.serving.kubernetes.core_v1 import CoreV1Target
from sailplane.serving.kubernetes.core_v1_source import CoreV1Source
from sailplane.serving.kubernetes.core_v2 import CoreV2Target
from sailplane.serving.kubernetes.core_v2_source import CoreV2Source
from sailplane.serving.kubernetes.golden import registered
from sailplane.serving.kubernetes.place import Place
from sailplane.serving.kubernetes.workloads import CoreV1, CoreV2
from sailplane.serving.rollout.run import Serving
from sailplane.storage import Storage

KubernetesTarget = CoreV1Target | CoreV2Target


def target(
    cluster: Cluster, model: str, workload: CoreV1 | CoreV2, ledger: Ledger, storage: Storage
) -> KubernetesTarget:
    bundle = registered(ledger, storage, model)
    if isinstance(workload, CoreV1):
        return CoreV1Target(cluster, model, workload, bundle)
    return CoreV2Target(cluster, model, workload, bundle)


def serving(cluster: Cluster, model: str, workload: CoreV1 | CoreV2, ledger: Ledger, storage: Storage) -> Serving:
    there = target(cluster, model, workload, ledger, storage)
    source = CoreV1Source if isinstance(workload, CoreV1) else CoreV2Source
    return Serving(ledger, there, source(cluster, model), name=model, endpoint=there.endpoint, place=place(there))


def place(target: KubernetesTarget) -> Place:
    cluster, workload = target.cluster, workloads.to_dict(target.workload)
    return Place(connection=cluster.connection, namespace=cluster.namespace, workload=workload)
