"""The endpoint of a model, reached through Airflow's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane.deployment.endpoints import endpoint_of, location_of
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.hooks.kubernetes import KubernetesHook
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.ledger import Ledger

if TYPE_CHECKING:
    from sailplane.deployment.kubernetes.cluster import Cluster

# Short, because a driver looks every second.
_PATIENCE: Final = 5.0


def serving(
    ledger: Ledger, name: str, location: ClusterLocation | None, *, patience: float = _PATIENCE
) -> ModelEndpoint:
    """The endpoint on the cluster at `location`, or on this machine without one.

    :param patience: seconds for which a call is repeated while the cluster does not answer
    """

    def reach(there: ClusterLocation) -> Cluster:
        return KubernetesHook(there.connection).cluster(there.namespace, patience=patience)

    storage = SailplaneStorageHook().get_conn
    return endpoint_of(name, location, home=Home.find(), ledger=ledger, storage=storage, reach=reach)


def where_it_serves(ledger: Ledger, name: str, doing: str) -> ModelEndpoint:
    """The endpoint for a command. Raises ServiceError if Airflow does not know the cluster's connection."""
    try:
        return serving(ledger, name, location_of(ledger, name))
    except AirflowNotFoundException as error:
        remedy = "Add it, or run this on Airflow's machine with its settings."
        raise ServiceError(doing, name, got=error, remedy=remedy) from error
