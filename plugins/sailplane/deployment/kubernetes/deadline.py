"""The deadline of a version that starts, because the operator may never report that it failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sailplane.deployment.target import VersionProgress


def by_deadline(progress: VersionProgress, started: str | None, deadline: timedelta) -> VersionProgress:
    """The progress, or `failed` if the version was started longer ago than the deadline.

    :param started: the time that the version's object records, in ISO 8601
    """
    if started is None or datetime.now(UTC) - datetime.fromisoformat(started) <= deadline:
        return progress
    reason = f"not ready {deadline.total_seconds():.0f} s after it was started: {progress.reason}"
    return VersionProgress("failed", reason)
