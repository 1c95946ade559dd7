"""A backfill of days that are not complete yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.api_fastapi.core_api.datamodels.tasks import TaskResponse
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from sailplane.errors import ConfigurationError
from sailplane.operators import IngestDatasetOperator
from sailplane.records import Interval
from sailplane.services.backfill import Backfill

# Airflow's own, when it looks for plugins.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)


class Api:
    """What Airflow's API says of a DAG, in its own form."""

    def __init__(self, *delays: str | None) -> None:
        with DAG("sales", schedule=None) as dag:
            for number, delay in enumerate(delays):
                given = {"dataset": "d", "extract": "x:y", "schema": "x:z", "time": "t"}
                IngestDatasetOperator(task_id=f"ingest_{number}", delay=delay, **given)  # type: ignore[arg-type]
        kept = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        self._tasks = [TaskResponse.model_validate(task).model_dump(mode="json") for task in kept.tasks]

    def find(self, _path: str) -> dict[str, Any]:
        return {"is_paused": False}

    def call(self, _method: str, path: str, *_: Any, **__: Any) -> dict[str, Any]:
        return {"tasks": self._tasks} if path.endswith("/tasks") else {"backfills": []}


def backfill(last: datetime, *delays: str | None) -> Backfill:
    """A backfill of the day `last` and the day before it."""
    return Backfill(Api(*delays), "sales", Interval(start=last - DAY, end=last + DAY))  # type: ignore[arg-type]


def test_a_last_day_whose_rows_still_arrive_is_refused_with_the_moment_from_which_it_is_complete() -> None:
    said = f"{TODAY - DAY:%Y-%m-%d} is complete from {TODAY + timedelta(hours=30):%Y-%m-%d %H:%M} UTC on"
    with pytest.raises(ConfigurationError, match=f"--to {said}") as refused:
        backfill(TODAY - DAY, "1h", "30h", None).create(at_a_time=1, again=False)
    assert "name an earlier day" in str(refused.value)


def test_a_day_that_is_complete_is_run() -> None:
    backfill(TODAY - 2 * DAY, "24h").create(at_a_time=1, again=False)
    backfill(TODAY - DAY, None).create(at_a_time=1, again=False)
