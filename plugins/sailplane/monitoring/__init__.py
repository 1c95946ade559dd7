"""What the served models did: the log of their requests on the store, and what came late, by the requests' ids."""

from __future__ import annotations

from sailplane.monitoring.reading import Asked, Counts, requests, scan
from sailplane.monitoring.shipping import Shipped, ship

__all__ = ["Asked", "Counts", "Shipped", "requests", "scan", "ship"]
