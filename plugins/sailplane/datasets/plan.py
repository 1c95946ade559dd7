"""The days of a window to extract, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sailplane.datasets.fingerprints import Fingerprint, Fingerprinted, difference, lost, newer
from sailplane.datasets.markers import Marker
from sailplane.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of an ingestion. `known` are the ingested days. `reasons` are the days to extract, with the reason
    (empty for a new day). `sources` are the current fingerprints. `adopted` are days without a recorded source whose
    source seems unchanged since they were ingested."""

    known: Mapping[datetime, Marker]
    reasons: Mapping[datetime, str]
    sources: Mapping[datetime, Fingerprint]
    adopted: tuple[datetime, ...] = field(default=())


def planned(extract: object, found: Mapping[datetime, Marker | None], again: Mapping[datetime, str]) -> Plan:
    """Compares each day's marker in `found` with the current fingerprint of its source. `again` has reasons to extract
    ingested days. Raises DataError if an expiring source has changed and lost a part."""
    sources = extract.fingerprints(tuple(found)) if isinstance(extract, Fingerprinted) else {}
    known = {day: marker for day, marker in found.items() if marker}
    reasons, adopted = {}, []
    for day in found:
        if day not in known:
            reasons[day] = ""
        elif reason := again.get(day) or _reason(known[day], sources.get(day)):
            reasons[day] = reason
        elif known[day].source is None and day in sources:
            adopted.append(day)
    return Plan(known=known, reasons=reasons, sources=sources, adopted=tuple(adopted))


def _reason(marker: Marker, source: Fingerprint | None) -> str:
    if marker.refresh:
        return marker.refresh
    if source is None:
        return ""
    changed = difference(marker.source, source) if marker.source else newer(source, marker.made)
    if changed and marker.source and (gone := lost(marker.source, source)):
        raise DataError(
            "ingest again",
            marker.partition.day,
            got=f"{gone} is gone, and the rest has changed: {changed}",
            expected="all files of the day, because the source expires",
            remedy="Restore them, or accept the rows of the remaining files with `sailplane datasets refresh`.",
        )
    return f"source changed: {changed}" if changed else ""
