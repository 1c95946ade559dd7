"""A deadline of our own: the operator may never say that a version failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sailplane.deployment.target import Progress


def by_deadline(seen: Progress, begun: str | None, deadline: timedelta) -> Progress:
    """`failed` for what was begun longer ago, which its object says."""
    if begun is None or datetime.now(UTC) - datetime.fromisoformat(begun) <= deadline:
        return seen
    return Progress("failed", f"not ready {deadline.total_seconds():.0f} s after it was begun: {seen.reason}")
