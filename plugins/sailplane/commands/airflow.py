"""`sailplane airflow ...`: Airflow's own command, with the database and the settings of the services."""

from __future__ import annotations

import argparse

from sailplane.home import Home
from sailplane.services.launch import airflow


def run(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: arguments, all of them for Airflow."""
    if arguments.arguments[:2] == ["backfill", "create"]:
        from sailplane.services.backfill import create

        return create(home, arguments.arguments)
    airflow(home, arguments.arguments)
    return 0
