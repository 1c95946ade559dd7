"""A deadline of our own: the operator may never say that a version failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sailplane.deployment.target import VersionProgress


def by_deadline(seen: VersionProgress, begun: str | None, deadline: timedelta) -> VersionProgress:
    """`failed` for what was begun longer ago, which its object says."""
    if begun is None or datetime.now(UTC) - datetime.fromisoformat(begun) <= deadline:
        return seen
    return VersionProgress("failed", f"not ready {deadline.total_seconds():.0f} s after it was begun: {seen.reason}")
