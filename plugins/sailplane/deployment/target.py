"""The interface of whatever serves the versions of a model and splits its traffic: this machine, or a cluster. A
rollout drives both by the same verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from sailplane.records import Model


@dataclass(frozen=True)
class VersionProgress:
    """The progress of a version. `reason` says why it failed, or what it waits for."""

    state: Literal["starting", "ready", "failed"]
    reason: str = ""


@dataclass(frozen=True)
class TrafficSplit:
    """How a model's traffic is split among its versions.

    :param weights: percent of the traffic by version, 100 in all; empty if nothing is served
    :param shadow: the version that gets a copy of each request; its answers reach no client
    :param sticky: the field by which requests stay with their version; only on this machine
    """

    weights: Mapping[str, int]
    shadow: str | None = None
    sticky: str | None = None


class Target(Protocol):
    """The target of one model. Each verb may be repeated after a crash, and ends in the same state.

    Raises DeploymentError for a failure that a retry does not fix, ServiceError if there is no answer."""

    def prepare(self, model: Model) -> None:
        """Checks that the version can be served here: the services run, and the bundle is complete and reproduces the
        recorded scores of its golden rows. Raises DeploymentError or ModelError before anything has started."""

    def begin(self, model: Model) -> None:
        """Starts the version without traffic, and does not wait for it."""

    def progress(self, version: str) -> VersionProgress:
        """`ready` once the version has reproduced the recorded scores of its golden rows."""

    def versions(self) -> list[str]:
        """All running versions, with or without traffic."""

    def split(self) -> TrafficSplit:
        """The present split, without weights if nothing is served."""

    def move(self, split: TrafficSplit) -> None:
        """Changes the whole split at once, without a failed request."""

    def stop(self, version: str) -> None:
        """Stops a version without traffic, once it has answered its open requests."""
