"""The retention of files and records that accumulate: every kind, its default and its setting."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sailplane.errors import ConfigurationError

FOREVER: Final = "forever"


@dataclass(frozen=True)
class Kind:
    """A kind of files or records. `sailplane clean` deletes those that have not changed for `days`; None keeps them for
    ever. Kinds without a setting are of no use to users."""

    name: str
    description: str
    days: int | None
    setting: str | None = None

    def kept(self, env: Mapping[str, str] = os.environ) -> int | None:
        """The retention in days; None means forever. ConfigurationError for a setting that is neither a number of days
        nor `forever`."""
        value = env.get(self.setting, "") if self.setting else ""
        if not value:
            return self.days
        if value == FOREVER:
            return None
        # No earlier date exists.
        if not re.fullmatch("[1-9][0-9]{0,4}", value):
            expected = f"a number of days from 1 to 99999, or {FOREVER}"
            raise ConfigurationError("read", self.setting, got=repr(value), expected=expected)
        return int(value)


_LOGS: Final = "SAILPLANE_KEEP_LOGS_DAYS"
JOBS: Final = Kind("jobs", "working files of trainings, sweep workers and batch scoring", 60, _LOGS)
TASK_LOGS: Final = Kind("task logs", "the logs of Airflow's tasks, by DAG run", 60, _LOGS)
MODEL_LOGS: Final = Kind("model logs", "the logs of model servers that no longer serve", 60, _LOGS)
PARSER_LOGS: Final = Kind("parser logs", "logs of Airflow's DAG processor, by day", 7)
WANDB: Final = Kind("W&B runs", "local records of W&B runs, including unsynced ones", 90, "SAILPLANE_KEEP_WANDB_DAYS")
RUNS: Final = Kind(
    "Airflow's history", "DAG runs, their tasks, XComs and the audit log", 365, "SAILPLANE_KEEP_RUNS_DAYS"
)
REQUESTS: Final = Kind(
    "request log", "requests and feedback of served models, by day", None, "SAILPLANE_KEEP_REQUESTS_DAYS"
)
BUNDLES: Final = Kind("unpacked bundles", "copies of bundles that no model server uses", 1)
LEFTOVERS: Final = Kind("left-overs", "temporary files of processes that were killed", 7)
REPORTS: Final = Kind("old reports", "the copies of plotly.js in reports of earlier releases", 0)
