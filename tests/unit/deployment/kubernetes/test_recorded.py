from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from sailplane.deployment.kubernetes import workloads
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.kubernetes.recorded import OnCluster, latest, on_clusters, record_within
from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.ledger import Ledger, tables
from sailplane.records import Deployment
from tests.homes import new_ledger

SERVED = Deployment(name="flights", version="v2", weights={"v1": 90, "v2": 10}, endpoint="/seldon/models/flights")
WORKLOADS = (
    CoreV1(image="x:1", replicas=2, environment={"A": "b"}, secret="s", deadline=timedelta(minutes=3)),
    CoreV2(requirements=["sailplane", "big"], memory="1Gi", ingress="https://models.test"),
)
TESTS = ClusterLocation(connection="tests", namespace="models", workload=workloads.to_dict(WORKLOADS[0]))
LIVE = replace(TESTS, connection="live")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def record(ledger: Ledger, place: ClusterLocation, now: float, deployment: Deployment = SERVED) -> None:
    with ledger.begin() as connection:
        record_within(connection, place, deployment, now)


@pytest.mark.parametrize("workload", WORKLOADS, ids=["v1", "v2"])
def test_a_workload_is_the_same_when_it_is_read_again(workload: CoreV1 | CoreV2) -> None:
    assert workloads.from_dict(workloads.to_dict(workload)) == workload


def test_of_each_place_the_last_word_counts_and_the_newest_place_comes_first(ledger: Ledger) -> None:
    record(ledger, TESTS, 1.0)
    record(ledger, LIVE, 2.0)
    whole = replace(SERVED, weights={"v2": 100})
    record(ledger, TESTS, 3.0, whole)
    record(ledger, TESTS, 1.0, replace(SERVED, name="digits"))
    assert [(one.deployment.name, str(one.location), one.changed) for one in on_clusters(ledger)] == [
        ("digits", "tests/models", 1.0),
        ("flights", "tests/models", 3.0),
        ("flights", "live/models", 2.0),
    ]
    assert latest(ledger, "flights") == OnCluster(whole, TESTS, 3.0)


@pytest.mark.slow
def test_a_model_that_was_changed_on_this_machine_later_is_there(ledger: Ledger) -> None:
    assert latest(ledger, "flights") is None
    record(ledger, TESTS, 1.0)
    with ledger.begin() as connection:
        row = {"name": "flights", "record": SERVED.to_dict(), "changed": 2.0}
        connection.execute(sa.insert(tables.deployments).values(row))
    assert latest(ledger, "flights") is None
    record(ledger, TESTS, 3.0)
    assert latest(ledger, "flights") is not None
