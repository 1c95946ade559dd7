"""What serves the versions of a model and splits its traffic: this machine, or a cluster. A rollout drives both by the
same verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from sailplane.records import Model


@dataclass(frozen=True)
class VersionProgress:
    """The progress of a version. `reason`: why it failed, or what it waits for."""

    state: Literal["starting", "ready", "failed"]
    reason: str = ""


@dataclass(frozen=True)
class TrafficSplit:
    """`weights`: percent of the traffic by version, 100 in all. `shadow`: the version that gets a copy of each request,
    without its answers reaching a client. `sticky`: the field by which requests stay with their version; only on this
    machine."""

    weights: Mapping[str, int]
    shadow: str | None = None
    sticky: str | None = None


class Target(Protocol):
    """The target of one model. Each verb may be repeated after a crash, and ends in the same state.

    Raises DeploymentError for what a retry does not mend, ServiceError if there is no answer."""

    def prepare(self, model: Model) -> None:
        """Makes sure that the version can be served here: the services run, and the bundle is whole and gives its
        golden rows their scores. Raises DeploymentError or ModelError, and nothing has begun."""

    def begin(self, model: Model) -> None:
        """Starts the version without traffic, and does not wait for it."""

    def progress(self, version: str) -> VersionProgress:
        """`ready` if the version gave the golden rows their scores."""

    def versions(self) -> list[str]:
        """All versions that run, with traffic or without."""

    def split(self) -> TrafficSplit:
        """The present split, without weights if nothing is served."""

    def move(self, split: TrafficSplit) -> None:
        """Changes the whole split at once, without a failed request."""

    def stop(self, version: str) -> None:
        """Ends a version without traffic, after the requests that it is answering."""
