"""The endpoint of a model, reached through Airflow's connections."""

from __future__ import annotations

from typing import Final

from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane.deployment.kubernetes import workloads
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.rollout.rollback import place_of
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.hooks.kubernetes import KubernetesHook
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.ledger import Ledger

# Short, because a driver looks every second.
_PATIENCE: Final = 5.0


def serving(ledger: Ledger, name: str, place: ClusterLocation | None) -> ModelEndpoint:
    """The endpoint on the cluster at `place`, or on this machine without one."""
    storage = SailplaneStorageHook().get_conn()
    if place is None:
        return ModelEndpoint.local(Home.find(), ledger, storage, name)
    from sailplane.deployment.kubernetes.endpoint import serving as on_cluster

    cluster = KubernetesHook(place.connection).cluster(place.namespace, patience=_PATIENCE)
    return on_cluster(cluster, name, workloads.from_dict(place.workload), ledger, storage)


def where_it_serves(ledger: Ledger, name: str, doing: str) -> ModelEndpoint:
    """The endpoint for a command. Raises ServiceError if Airflow does not know the cluster's connection."""
    try:
        return serving(ledger, name, place_of(ledger, name))
    except AirflowNotFoundException as error:
        remedy = "Add it, or run this on Airflow's machine with its settings."
        raise ServiceError(doing, name, got=error, remedy=remedy) from error
