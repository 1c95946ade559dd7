from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

from sailplane import code
from sailplane.errors import ConfigurationError
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.operators.as_of import as_of
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.records import Interval

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

    from sailplane.datasets.ingestion import Extract


class IngestDatasetOperator(BaseOperator):
    """The days before the as-of, as one partition a day; returns a `Dataset`.

    A retry, or another run over the same days, ingests only what is missing and yields the same version.

    :param dataset: name of the dataset
    :param extract: path of `extract(start, end) -> DataFrame`; called once for all the missing days
    :param files: in its place, a pattern of URIs of CSV, Parquet or JSON-lines files, with the day in it, like
        `s3://bucket/sales/{data_interval_start:%Y-%m-%d}/*.csv` (sailplane/datasets/patterns.py); times without a
        zone are UTC
    :param schema: path of the pandera schema; rows that fail it go to quarantine with the reason
    :param time: the column that says to which day a row belongs
    :param days: length of the trailing window
    """

    template_fields: Sequence[str] = ("days",)

    def __init__(
        self,
        *,
        dataset: str,
        extract: str | None = None,
        files: str | None = None,
        schema: str,
        time: str,
        days: int | str = 196,
        **kwargs: Any,
    ) -> None:
        if bool(extract) == bool(files):
            raise ConfigurationError(
                "make the task",
                repr(kwargs.get("task_id", dataset)),
                got="extract and files" if extract else "neither extract nor files",
                expected='one of them: extract="include.x.data:extract" or files="s3://bucket/..."',
            )
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.dataset = dataset
        self.extract = extract
        self.files = files
        self.schema = schema
        self.time = time
        self.days = days

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.datasets import ingest

        schema = code.load(self.schema)
        dataset = ingest(
            SailplaneStorageHook().get_conn(),
            name=self.dataset,
            extract=self._extract(schema),
            schema=schema,
            time=self.time,
            interval=Interval.trailing(as_of(context), int(self.days)),
        )
        self.log.info(
            "%s %s: %d rows, %d quarantined", dataset.name, dataset.interval, dataset.rows, dataset.quarantined
        )
        return dataset.to_dict()

    def _extract(self, schema: DataFrameSchema) -> Extract:
        if self.files:
            from sailplane.datasets.files import extract_files

            open_storage = lambda uri: SailplaneStorageHook(uri).get_conn()  # noqa: E731
            return extract_files(self.files, schema=schema, time=self.time, open_storage=open_storage)
        extract: Extract = code.load(str(self.extract))
        return extract
