"""A version on a cluster without a rollout: all of the traffic at once, when it is ready, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from sailplane.deployment.http_client import wait_until
from sailplane.deployment.kubernetes.endpoint import KubernetesTarget, place
from sailplane.deployment.kubernetes.recorded import latest, record_within
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.repository import refuse_while_active, refuse_while_active_within
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import DeploymentError, ServiceError
from sailplane.ledger import Ledger, persistent
from sailplane.records import Approval, Deployment, Model
from sailplane.registry import holds
from sailplane.registry.models import promote_within

Tell = Callable[[str], None]

# A look at the cluster: soon at first, then every so often.
_FIRST_SECONDS: Final = 0.1
_LAST_SECONDS: Final = 5.0
# The wait for a rollback that began in the meantime.
_ROLLBACK_SECONDS: Final = 60.0


def deploy(
    target: KubernetesTarget, ledger: Ledger, model: Model, tell: Tell, approval: Approval | None = None
) -> Deployment:
    """Waits until the version is ready, gives it the traffic, and deletes what it replaced. A second call goes on where
    the first one was. A person's `approval` lifts a hold.

    Raises DeploymentError, with the reason, after it has removed the version; what was served before never stopped.
    HeldError, which is one, while a rollback holds the model. ServiceError where the cluster does not answer."""
    holds.check(ledger, model.name, model.version, approval)
    before = target.split()
    with _undone_on_failure(target, ledger, model, before):
        target.begin(model)
        _wait(target, model, tell)
        # A rollback may have begun in the meantime. The cluster takes too long for one transaction with the ledger.
        refuse_while_active(ledger, model.name)
        holds.check(ledger, model.name, model.version, approval)
        target.move(TrafficSplit({model.version: 100}))
        deployment = _recorded(target, ledger, model, approval)
    for other in target.versions():
        if other != model.version:
            target.stop(other)
    return deployment


@persistent
def _recorded(target: KubernetesTarget, ledger: Ledger, model: Model, approval: Approval | None) -> Deployment:
    weights = {model.version: 100}
    deployment = Deployment(name=model.name, version=model.version, weights=weights, endpoint=target.endpoint)
    with ledger.begin() as connection:
        refuse_while_active_within(connection, model.name)
        holds.pass_within(connection, model.name, model.version, approval)
        promote_within(connection, model.name, model.version)
        record_within(connection, place(target), deployment, time.time())
    return deployment


def _wait(target: KubernetesTarget, model: Model, tell: Tell) -> None:
    """It ends: the target has a deadline."""
    told, pause = "", _FIRST_SECONDS
    while (seen := target.progress(model.version)).state == "starting":
        if seen.reason != told:
            tell(seen.reason)
        told = seen.reason
        time.sleep(pause)
        pause = min(1.5 * pause, _LAST_SECONDS)
    if seen.state == "failed":
        raise DeploymentError("deploy", f"{model.name} {model.version}", got=seen.reason)


@contextmanager
def _undone_on_failure(target: KubernetesTarget, ledger: Ledger, model: Model, before: TrafficSplit) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Of a cluster that does not answer the next try finds what is left, and goes on with it.
        with suppress(ServiceError):
            # A version that had traffic before stays: it is what this call was to bring about.
            if model.version not in before.weights:
                # Without traffic of its own it leaves the traffic to others, a rollback for one.
                if target.split().weights.get(model.version):
                    target.move(_after_rollback(ledger, target) or before)
                target.stop(model.version)
        raise


def _after_rollback(ledger: Ledger, target: KubernetesTarget) -> TrafficSplit | None:
    """The version that a rollback in between has served; None where none came."""
    wait_until(lambda: records.active(ledger, target.model) is None, seconds=_ROLLBACK_SECONDS)
    found = latest(ledger, target.model)
    if found is None or holds.find(ledger, target.model) is None or str(found.place) != str(place(target)):
        return None
    return TrafficSplit(found.deployment.weights)
