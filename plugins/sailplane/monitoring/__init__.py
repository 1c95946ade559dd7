"""Monitoring of served models: their request logs in the store, joined with late labels by request id."""

from __future__ import annotations

from sailplane.monitoring.log_export import Exported, export
from sailplane.monitoring.reading import Asked, Counts, requests, scan

__all__ = ["Asked", "Counts", "Exported", "export", "requests", "scan"]
