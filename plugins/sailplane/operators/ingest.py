from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from sailplane import code
from sailplane.home import Home
from sailplane.operators.as_of import as_of
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.records import Interval
from sailplane.storage import Storage


class IngestDatasetOperator(BaseOperator):
    """The days before the as-of, as one partition a day; returns a `Dataset`.

    A retry, or another run over the same days, ingests only what is missing and yields the same version.

    :param dataset: name of the dataset
    :param extract: path of `extract(start, end) -> DataFrame`; called once for all the missing days
    :param schema: path of the pandera schema; rows that fail it go to quarantine with the reason
    :param time: the column that says to which day a row belongs
    :param days: length of the trailing window
    """

    template_fields: Sequence[str] = ("days",)

    def __init__(
        self, *, dataset: str, extract: str, schema: str, time: str, days: int | str = 196, **kwargs: Any
    ) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.dataset = dataset
        self.extract = extract
        self.schema = schema
        self.time = time
        self.days = days

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.datasets import ingest

        dataset = ingest(
            Storage(Home.find().store),
            name=self.dataset,
            extract=code.load(self.extract),
            schema=code.load(self.schema),
            time=self.time,
            interval=Interval.trailing(as_of(context), int(self.days)),
        )
        self.log.info(
            "%s %s: %d rows, %d quarantined", dataset.name, dataset.interval, dataset.rows, dataset.quarantined
        )
        return dataset.to_dict()
