"""A model's place on a cluster, for a rollout."""

from __future__ import annotations

from sailplane.ledger import Ledger
from sailplane.serving.kubernetes import workloads
from sailplane.serving.kubernetes.cluster import Cluster
from sailplane.serving.kubernetes.core_v1 import CoreV1Target
from sailplane.serving.kubernetes.core_v1_source import CoreV1Source
from sailplane.serving.kubernetes.core_v2 import CoreV2Target
from sailplane.serving.kubernetes.golden import registered
from sailplane.serving.kubernetes.place import Place
from sailplane.serving.kubernetes.workloads import CoreV1, CoreV2
from sailplane.serving.rollout.observations import Observations
from sailplane.serving.rollout.run import Serving
from sailplane.storage import Storage

KubernetesTarget = CoreV1Target | CoreV2Target


class Uncounted:
    """The `Source` of Core v2: what a Server counts, and of which Model, depends on who brought it."""

    def observed(self, _version: str) -> Observations:
        return Observations()


def target(
    cluster: Cluster, model: str, workload: CoreV1 | CoreV2, ledger: Ledger, storage: Storage
) -> KubernetesTarget:
    bundle = registered(ledger, storage, model)
    if isinstance(workload, CoreV1):
        return CoreV1Target(cluster, model, workload, bundle)
    return CoreV2Target(cluster, model, workload, bundle)


def serving(cluster: Cluster, model: str, workload: CoreV1 | CoreV2, ledger: Ledger, storage: Storage) -> Serving:
    there = target(cluster, model, workload, ledger, storage)
    source = CoreV1Source(cluster, model) if isinstance(workload, CoreV1) else Uncounted()
    return Serving(ledger, there, source, name=model, endpoint=there.endpoint, place=place(there))


def place(target: KubernetesTarget) -> Place:
    cluster, workload = target.cluster, workloads.to_dict(target.workload)
    return Place(connection=cluster.connection, namespace=cluster.namespace, workload=workload)
