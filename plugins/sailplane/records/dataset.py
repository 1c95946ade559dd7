"""Datasets: their intervals, windows, columns and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self, cast

from sailplane.errors import ConfigurationError
from sailplane.records.record import SPARSE, Record

# The parameter of an ingest task in which Airflow's API shows the delay that the DAG declares, in seconds.
SOURCE_DELAY: Final = "source_delay_seconds"


@dataclass(frozen=True, kw_only=True)
class Interval(Record):
    """A half-open interval [start, end) in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def trailing(cls, as_of: datetime, days: int) -> Self:
        """The last `days` days before `as_of`. Raises ConfigurationError if it would start before year 1."""
        try:
            return cls(start=as_of - timedelta(days=days), end=as_of)
        except OverflowError as error:
            raise ConfigurationError("look back", f"from {as_of:%Y-%m-%d}", got=f"{days} days") from error

    @property
    def days(self) -> tuple[datetime, ...]:
        """The midnights of the days in the interval, oldest first."""
        return tuple(self.start + timedelta(days=n) for n in range((self.end - self.start).days))

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d}..{self.end:%Y-%m-%d}"


@dataclass(frozen=True, kw_only=True)
class Windows(Record):
    """The three parts of a dataset's interval, in order of time: train; validation, on which the sweep chooses; and
    test, on which the gate judges, and which nothing else may read."""

    train: Interval
    validation: Interval
    test: Interval

    @classmethod
    def of(cls, interval: Interval, *, validation_days: int = 7, test_days: int = 7) -> Self:
        test = interval.end - timedelta(days=test_days)
        validation = test - timedelta(days=validation_days)
        return cls(
            train=Interval(start=interval.start, end=validation),
            validation=Interval(start=validation, end=test),
            test=Interval(start=test, end=interval.end),
        )


FieldKind = Literal["number", "integer", "string", "boolean", "timestamp"]


@dataclass(frozen=True, kw_only=True)
class Check(Record):
    """A condition on each value of a column: pandera's name and arguments, in JSON's types, with times in ISO 8601.

    `says` describes the check to the sender of a refused request; `null` tells whether a null passes."""

    name: str
    arguments: Mapping[str, Any]
    says: str
    null: bool = True


@dataclass(frozen=True, kw_only=True)
class Field(Record):
    """One column of a dataset, or one input of a model. `checks` are the schema's checks that apply to requests;
    the model does not read inputs that are not `required`."""

    name: str
    kind: FieldKind
    nullable: bool = False
    checks: tuple[Check, ...] = field(default=(), metadata=SPARSE)
    required: bool = field(default=True, metadata=SPARSE)

    @property
    def optional(self) -> bool:
        """Whether a request may omit the field, or give null."""
        return self.nullable or not self.required


@dataclass(frozen=True, kw_only=True)
class Dataset(Record):
    """A window of partitions. `version` is the digest of the partitions' digests: equal data have equal versions.
    `revised` lists the days whose rows were corrected after the first ingestion, like "2026-01-03 in version 2".
    `unchecked` names the checks of the schema that apply to the dataset's rows but not to requests. `windows` are
    recorded, so that runs that used the dataset do not change with a later default."""

    name: str
    version: str
    uri: str
    interval: Interval
    rows: int
    quarantined: int
    schema: tuple[Field, ...]
    revised: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = field(default=(), metadata=SPARSE)
    windows: Windows = field(default=cast(Windows, None))

    def __post_init__(self) -> None:
        if self.windows is None:
            object.__setattr__(self, "windows", _unrecorded(self.interval))

    def content(self) -> dict[str, Any]:
        content = super().content()
        if self.windows == _unrecorded(self.interval):
            # Records older than the field keep their digests.
            del content["windows"]
        return content


def _unrecorded(interval: Interval) -> Windows:
    """The windows of a record without recorded ones; independent of the current default."""
    return Windows.of(interval, validation_days=7, test_days=7)
