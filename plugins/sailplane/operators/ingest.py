from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator, Context

from sailplane import code
from sailplane.errors import ConfigurationError
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.operators.as_of import NO_DELAY, as_of, delay_of, waits_until
from sailplane.operators.pins import pin_code, use_pinned
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.records import SOURCE_DELAY, Dataset, Interval

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

    from sailplane.datasets.ingestion import Extract


class IngestDatasetOperator(BaseOperator):
    """Ingests the days before the as-of, one Parquet partition a day.

    A retry, or another run over the same days, ingests only missing days and returns the same version of the dataset.
    If the source of a day has changed (a changed, added or removed file, or the code of `extract`), the day is ingested
    again, as a new version of that day. The log and the XCom `ingested_again` list these days with the reasons.

    :param dataset: name of the dataset
    :param extract: path of `extract(start, end) -> DataFrame`; called once for each series of consecutive missing days
    :param files: a URI pattern of CSV, TSV, Parquet or JSON-lines files, instead of `extract`. The pattern has a
        placeholder for the day; times without a zone are in UTC
    :param schema: path of the pandera schema; rows that violate it go to quarantine with the reason
    :param time: the time column, which assigns each row to a day
    :param days: length of the trailing window, in days
    :param delay: how long after midnight UTC the last rows of a day arrive, such as `"6h"` or a timedelta. Until then
        the day is incomplete: a scheduled run waits without a worker; other runs that name the day are refused
    :param revise_days: the number of last days that every run reads again, for sources that do not reveal late or
        corrected rows, such as a database
    :param source_expires: whether the source deletes old files: a day that has lost files keeps its rows
    :returns: a `Dataset`
    :raises ConfigurationError: for both or neither of `extract` and `files`, or for an incomplete day
    :raises SchemaError: if a column is missing or has the wrong type
    :raises DataError: if a file cannot be read, or a day has lost all of its files

    Example::

        IngestDatasetOperator(
            task_id="ingest",
            dataset="churn",
            extract="include.churn.data:extract",
            schema="include.churn.data:SCHEMA",
            time="created_at",
            days=56,
        )
    """

    template_fields: Sequence[str] = ("days",)
    source_delay: timedelta = NO_DELAY

    def __init__(
        self,
        *,
        dataset: str,
        extract: str | None = None,
        files: str | None = None,
        schema: str,
        time: str,
        days: int | str = 196,
        delay: str | timedelta | None = None,
        revise_days: int = 0,
        source_expires: bool = False,
        **kwargs: Any,
    ) -> None:
        if bool(extract) == bool(files):
            raise ConfigurationError(
                "create the task",
                repr(kwargs.get("task_id", dataset)),
                got="extract and files" if extract else "neither extract nor files",
                expected='either extract="include.x.data:extract" or files="s3://bucket/..."',
            )
        if not isinstance(revise_days, int) or revise_days < 0:
            got = repr(revise_days)
            raise ConfigurationError("read", "revise_days", got=got, expected="a number of days, 0 for none")
        self.source_delay = delay_of(delay)
        if self.source_delay:
            # `sailplane backtest` reads the delay from the task's params through Airflow's API.
            kwargs["params"] = {**(kwargs.get("params") or {}), SOURCE_DELAY: self.source_delay.total_seconds()}
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.dataset = dataset
        self.extract = extract
        self.files = files
        self.schema = schema
        self.time = time
        self.days = days
        self.revise_days = revise_days
        self.source_expires = source_expires

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.datasets import ingest

        if moment := waits_until(context):
            self.log.info("Waiting until %s for the last rows of the day", moment.isoformat())
            self.defer(trigger=DateTimeTrigger(moment=moment), method_name="resume")
        use_pinned(self, pin_code(self, context))
        sentences: list[str] = []

        def report(sentence: str) -> None:
            self.log.info("%s", sentence)
            sentences.append(sentence)

        # This must come before the schema is loaded, which may run the same module; see Code.
        extract = None if self.files else self._function()
        schema = code.load(self.schema)
        interval = Interval.trailing(as_of(context), int(self.days))
        dataset = ingest(
            SailplaneStorageHook().get_conn(),
            name=self.dataset,
            extract=extract or self._files(schema),
            schema=schema,
            time=self.time,
            interval=interval,
            again=self._again(context, interval),
            tell=report,
        )
        self._report(context, dataset, sentences)
        return dataset.to_dict()

    def resume(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Called when the day is complete."""
        return self.execute(context)

    def _function(self) -> Extract:
        from sailplane.datasets.extract_code import Code

        path = str(self.extract)
        return Code(path, project=code.root(), time=self.time, load=lambda: code.load(path))

    def _files(self, schema: DataFrameSchema) -> Extract:
        from sailplane.datasets.files import Files

        open_storage = lambda uri: SailplaneStorageHook(uri).get_conn()  # noqa: E731
        expires = self.source_expires
        return Files(str(self.files), schema=schema, time=self.time, open_storage=open_storage, expires=expires)

    def _again(self, context: Context, interval: Interval) -> dict[datetime, str]:
        """The days to read again even if their source has not changed, and why."""
        from sailplane.datasets.catalogue import days_of, last_days

        revised = last_days(self.revise_days, interval)
        reason = f"revise_days={self.revise_days}"
        refresh = context.get("params", {}).get("refresh")
        try:
            refreshed = days_of(str(refresh), interval) if refresh else ()
        except ValueError as error:
            expected = f"a number of days, a day, or a range like 2026-10-01..2026-10-07, within {interval}"
            raise ConfigurationError("read", "the parameter refresh", got=repr(refresh), expected=expected) from error
        return {**dict.fromkeys(revised, reason), **dict.fromkeys(refreshed, f"refresh={refresh}")}

    def _report(self, context: Context, dataset: Dataset, sentences: Sequence[str]) -> None:
        if sentences and (ti := context.get("ti")):
            ti.xcom_push(key="ingested_again", value=list(sentences))
        rows, quarantined = dataset.rows, dataset.quarantined
        self.log.info("%s %s: %d rows, %d quarantined", dataset.name, dataset.interval, rows, quarantined)
        revised = "; ".join(dataset.revised) or "every day in its first version"
        self.log.info("%s is version %s of the dataset: %s", dataset.name, dataset.version, revised)
