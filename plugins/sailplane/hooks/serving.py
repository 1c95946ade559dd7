"""Where a model is served, reached with what Airflow's connections say."""

from __future__ import annotations

from typing import Final

from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.hooks.kubernetes import KubernetesHook
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.ledger import Ledger
from sailplane.serving.kubernetes import workloads
from sailplane.serving.kubernetes.place import Place
from sailplane.serving.rollout.back import place_of
from sailplane.serving.rollout.run import Serving

# A driver looks again each second: it waits for no cluster for long.
_PATIENCE: Final = 5.0


def serving(ledger: Ledger, name: str, place: Place | None) -> Serving:
    """On this machine, where there is no place on a cluster."""
    storage = SailplaneStorageHook().get_conn()
    if place is None:
        return Serving.local(Home.find(), ledger, storage, name)
    from sailplane.serving.kubernetes.serving import serving as there

    cluster = KubernetesHook(place.connection).cluster(place.namespace, patience=_PATIENCE)
    return there(cluster, name, workloads.from_dict(place.workload), ledger, storage)


def where_it_serves(ledger: Ledger, name: str, doing: str) -> Serving:
    """For a command of a person. Raises ServiceError if Airflow does not know the cluster's connection."""
    try:
        return serving(ledger, name, place_of(ledger, name))
    except AirflowNotFoundException as error:
        remedy = "Add it, or run this where Airflow runs, with its settings."
        raise ServiceError(doing, name, got=error, remedy=remedy) from error
