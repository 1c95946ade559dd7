"""What is served on clusters, as it was recorded last: the ledger asks no cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import cluster_deployments as table
from sailplane.ledger.tables import deployments
from sailplane.records import Deployment


@dataclass(frozen=True)
class OnCluster:
    """`changed`: when its version or its weights did, in seconds since 1970."""

    deployment: Deployment
    place: ClusterLocation
    changed: float


@persistent
def on_clusters(ledger: Ledger) -> list[OnCluster]:
    """By model; of one that is served in several places, the one that was changed last comes first."""
    query = sa.select(table).order_by(table.c.name, table.c.changed.desc())
    with ledger.begin() as connection:
        return [_of(row) for row in connection.execute(query)]


@persistent
def latest(ledger: Ledger, name: str) -> OnCluster | None:
    """None for a model that is served nowhere, or was changed on this machine after that."""
    with ledger.begin() as connection:
        here = connection.execute(sa.select(deployments.c.changed).where(deployments.c.name == name)).scalar() or 0.0
        query = sa.select(table).where(table.c.name == name, table.c.changed > here).order_by(table.c.changed.desc())
        row = connection.execute(query).first()
    return _of(row) if row else None


def record_within(connection: sa.Connection, place: ClusterLocation, deployment: Deployment, now: float) -> None:
    key = {"name": deployment.name, "connection": place.connection, "namespace": place.namespace}
    here = sa.and_(*(table.c[name] == value for name, value in key.items()))
    connection.execute(sa.delete(table).where(here))
    values = {"workload": place.workload, "record": deployment.to_dict(), "changed": now}
    connection.execute(sa.insert(table).values(**key, **values))


def _of(row: sa.Row[Any]) -> OnCluster:
    place = ClusterLocation(connection=row.connection, namespace=row.namespace, workload=row.workload)
    return OnCluster(Deployment.from_dict(row.record), place, row.changed)
