"""What the served models did: the log of their requests on the store, and what came late, by the requests' ids."""

from __future__ import annotations

from sailplane.monitoring.log_export import Exported, export
from sailplane.monitoring.reading import Asked, Counts, requests, scan

__all__ = ["Asked", "Counts", "Exported", "export", "requests", "scan"]
