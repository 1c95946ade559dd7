"""Monitoring of served models: their request logs in the store, joined with late labels by request id."""

from __future__ import annotations

from sailplane.monitoring.log_export import Exported, export
from sailplane.monitoring.reading import Counts, RequestSelection, requests, scan

__all__ = ["Counts", "Exported", "RequestSelection", "export", "requests", "scan"]
