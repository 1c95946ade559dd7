"""A short rollout as an engine drives it, and a process that is killed at one of its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes.client import ApiClient

from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.target import TrafficSplit
from sailplane.records import Model

Target = CoreV1Target | CoreV2Target


class Killed(BaseException):
    """Stands for kill -9: no code catches it."""


def rollout(target: Target, model: Model, settle: Callable[[], None]) -> str:
    """Begins, waits, shadows, moves the traffic in two steps, and stops the replaced version. Restores the old state if
    the version fails."""
    version, before = model.version, target.split()
    others = {other: weight for other, weight in before.weights.items() if other != version}
    target.begin(model)
    settle()
    seen = target.progress(version)
    if seen.state != "ready":
        target.move(TrafficSplit(dict.fromkeys(list(others)[:1], 100)))
        target.stop(version)
        settle()
        return seen.reason
    for old in list(others)[:1]:
        target.move(TrafficSplit({old: 100}, shadow=version))
        target.move(TrafficSplit({old: 50, version: 50}))
    target.move(TrafficSplit({version: 100}))
    for other in target.versions():
        if other != version:
            target.stop(other)
    settle()
    return "served"


@contextmanager
def killed(client: ApiClient, at: int, after: bool) -> Iterator[None]:
    """Ends the block at its request with this number: before it is sent, or after it is answered and before the answer
    is read. Nothing is sent after that."""
    request, seen = client.rest_client.request, 0

    def counted(*arguments: Any, **how: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen > at or (seen == at and not after):
            raise Killed
        try:
            return request(*arguments, **how)
        finally:
            if seen == at:
                raise Killed

    client.rest_client.request = counted
    try:
        yield
    finally:
        client.rest_client.request = request
