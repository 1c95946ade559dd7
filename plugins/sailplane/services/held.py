"""The holds that `sailplane status` lists."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sailplane.ledger import Ledger
from sailplane.registry.holds import all_holds


def held(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {
            "model": hold.name,
            "since": datetime.fromtimestamp(hold.since, UTC).isoformat(timespec="seconds"),
            "by": hold.by,
            "version": hold.version,
            "serves": hold.serves,
            "reason": hold.told,
            "end": hold.command,
        }
        for hold in all_holds(ledger)
    ]


def print_held(found: Sequence[dict[str, Any]]) -> None:
    for one in found:
        sys.stdout.write(f"\nHOLD on {one['model']}: {one['reason']}\n")
