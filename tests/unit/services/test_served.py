"""The status names the version that the router serves."""

from __future__ import annotations

import sqlalchemy as sa

from sailplane import pairing
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.target import TrafficSplit
from sailplane.home import Home
from sailplane.ledger.tables import deployments
from sailplane.services.served import all_served


def test_the_router_is_believed_when_a_crash_kept_a_deployment_from_the_ledger(made: Home) -> None:
    router = Router(made)
    [(name, weights)] = router.weights().items()
    [before] = weights
    [recorded] = all_served(made)
    with pairing.ledger(made).begin() as connection:
        connection.execute(sa.insert(deployments).values(name=name, record=recorded.to_dict(), changed=0.0))
    router.add(name, "another", 20_000)
    router.split(name, TrafficSplit({before: 90, "another": 10}))
    [said] = all_served(made)
    assert (said.version, said.weights) == (before, {before: 90, "another": 10})
    router.split(name, TrafficSplit({"another": 100}))
    [said] = all_served(made)
    assert (said.version, said.weights) == ("another", {"another": 100})
