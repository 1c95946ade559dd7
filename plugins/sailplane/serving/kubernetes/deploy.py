"""A version on a cluster without a rollout: all of the traffic at once, when it is ready, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from sailplane.errors import DeploymentError, ServiceError
from sailplane.ledger import Ledger, persistent
from sailplane.records import Deployment, Model
from sailplane.registry.models import promote_within
from sailplane.serving.kubernetes.recorded import record_within
from sailplane.serving.kubernetes.serving import KubernetesTarget, place
from sailplane.serving.target import Split

Tell = Callable[[str], None]

# A look at the cluster: soon at first, then every so often.
_FIRST_SECONDS: Final = 0.1
_LAST_SECONDS: Final = 5.0


def deploy(target: KubernetesTarget, ledger: Ledger, model: Model, tell: Tell) -> Deployment:
    """Waits until the version is ready, gives it the traffic, and deletes what it replaced. A second call goes on where
    the first one was.

    Raises DeploymentError, with the reason, after it has removed the version; what was served before never stopped.
    ServiceError where the cluster does not answer."""
    before = target.split()
    with _undone_on_failure(target, model, before):
        target.begin(model)
        _wait(target, model, tell)
        target.move(Split({model.version: 100}))
        deployment = _recorded(target, ledger, model)
    for other in target.versions():
        if other != model.version:
            target.stop(other)
    return deployment


@persistent
def _recorded(target: KubernetesTarget, ledger: Ledger, model: Model) -> Deployment:
    weights = {model.version: 100}
    deployment = Deployment(name=model.name, version=model.version, weights=weights, endpoint=target.endpoint)
    with ledger.begin() as connection:
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
def _undone_on_failure(target: KubernetesTarget, model: Model, before: Split) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Of a cluster that does not answer the next try finds what is left, and goes on with it.
        with suppress(ServiceError):
            # A version that had traffic before stays: it is what this call was to bring about.
            if model.version not in before.weights:
                target.move(before)
                target.stop(model.version)
        raise
