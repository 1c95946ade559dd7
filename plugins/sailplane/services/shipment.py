"""`python -m sailplane.services.shipment`: what the model servers left of their requests, to the store. Once."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path

from sailplane.errors import AccessError, ConfigurationError, SailplaneError
from sailplane.files import replace_file
from sailplane.home import Home
from sailplane.serving.spool import FAILURE
from sailplane.storage.roots import Root

_log = logging.getLogger(__name__)


def main() -> int:
    """Exit code: 0, or 1 if the store does not take it now."""
    home = Home.find()
    try:
        ship(home)
    except (SailplaneError, OSError, MemoryError) as error:
        reason = "there is not enough memory" if isinstance(error, MemoryError) else str(error)
        _log.error("%s", reason)
        replace_file(home.requests / FAILURE, json.dumps({"time": time.time(), "reason": reason}))
        return 1
    return 0


def ship(home: Home) -> None:
    """Raises SailplaneError."""
    from sailplane.monitoring.shipping import ship
    from sailplane.pairing import store_without_ledger

    place, remedy = Root.parse(home.store), "Let a DAG's ShipRequestsOperator do it."
    if place.connection:
        got = "its key is in a connection, which only Airflow knows"
        raise ConfigurationError("ship requests to", place.uri, got=got, remedy=remedy)
    try:
        shipped = ship(home.requests, store_without_ledger(home))
    except AccessError as error:
        remedy = f"If Airflow has a connection for it: {remedy[0].lower()}{remedy[1:]}"
        raise ConfigurationError("ship requests to", place.uri, got=error, remedy=remedy) from error
    _log.info(
        "%d files: %d rows, %d feedback, %d dropped", shipped.files, shipped.rows, shipped.feedback, shipped.dropped
    )


def failure(folder: Path) -> str | None:
    """Why the last try failed, if it did."""
    try:
        return str(json.loads((folder / FAILURE).read_text())["reason"])
    except (FileNotFoundError, ValueError):
        return None


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Who is served comes first.
    os.nice(10)
    sys.exit(main())
