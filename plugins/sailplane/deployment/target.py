"""Where the versions of a model are served, and how its traffic is split among them: on this machine, or on a cluster.
A rollout drives either by the same verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from sailplane.records import Model


@dataclass(frozen=True)
class VersionProgress:
    """How far a version is. `reason`: why it failed, or what it waits for."""

    state: Literal["starting", "ready", "failed"]
    reason: str = ""


@dataclass(frozen=True)
class TrafficSplit:
    """`weights`: percent of the traffic by version, 100 in all. `shadow`: the version that gets a copy of each request,
    and whose answers nobody sees. `sticky`: the field by which requests stay with their version, on this machine."""

    weights: Mapping[str, int]
    shadow: str | None = None
    sticky: str | None = None


class Target(Protocol):
    """Of one model. Each verb may be repeated after a crash at any moment: it ends in the same state.

    Raises DeploymentError for what a retry does not mend, ServiceError where nobody answers."""

    def prepare(self, model: Model) -> None:
        """Makes sure that the version can be served here: the services run, and the bundle is whole and gives its
        golden rows their scores. Raises DeploymentError or ModelError, and nothing has begun."""

    def begin(self, model: Model) -> None:
        """Has the version started, without traffic; does not wait for it."""

    def progress(self, version: str) -> VersionProgress:
        """`ready` means that it gave the golden rows their scores."""

    def versions(self) -> list[str]:
        """Those that are there, with traffic or without."""

    def split(self) -> TrafficSplit:
        """As it is now; no weights where nothing is served."""

    def move(self, split: TrafficSplit) -> None:
        """All at once. No request fails for it."""

    def stop(self, version: str) -> None:
        """Ends a version without traffic, after the requests that it is answering."""
