"""The deployments on clusters, as last recorded on the ledger. No cluster is read here."""

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
    """A deployment on a cluster. `changed`: when its version or weights last changed, in seconds since 1970."""

    deployment: Deployment
    location: ClusterLocation
    changed: float


@persistent
def on_clusters(ledger: Ledger) -> list[OnCluster]:
    """All deployments, sorted by model. A model may have several locations; the one that changed last comes first."""
    query = sa.select(table).order_by(table.c.name, table.c.changed.desc())
    with ledger.begin() as connection:
        return [_of(row) for row in connection.execute(query)]


@persistent
def latest(ledger: Ledger, name: str) -> OnCluster | None:
    """The model's deployment that changed last. None if no cluster serves the model, or if it changed later on this
    machine."""
    with ledger.begin() as connection:
        here = connection.execute(sa.select(deployments.c.changed).where(deployments.c.name == name)).scalar() or 0.0
        query = sa.select(table).where(table.c.name == name, table.c.changed > here).order_by(table.c.changed.desc())
        row = connection.execute(query).first()
    return _of(row) if row else None


def record_within(connection: sa.Connection, location: ClusterLocation, deployment: Deployment, now: float) -> None:
    key = {"name": deployment.name, "connection": location.connection, "namespace": location.namespace}
    here = sa.and_(*(table.c[name] == value for name, value in key.items()))
    connection.execute(sa.delete(table).where(here))
    values = {"workload": location.workload, "record": deployment.to_dict(), "changed": now}
    connection.execute(sa.insert(table).values(**key, **values))


def _of(row: sa.Row[Any]) -> OnCluster:
    location = ClusterLocation(connection=row.connection, namespace=row.namespace, workload=row.workload)
    return OnCluster(Deployment.from_dict(row.record), location, row.changed)
