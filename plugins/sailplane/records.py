"""The nouns that cross tasks: small, frozen, JSON both ways. Never a frame or a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self, cast

import msgspec

from sailplane.errors import ConfigurationError, DataError

# The version of the JSON format of all records, and its key. A record without the key has version 1. Raise the version
# when an older release would misread a change.
VERSION: Final = 1
VERSION_KEY: Final = "record_version"
# The parameter of an ingest task that tells Airflow's API of the delay that the DAG declares, in seconds.
SOURCE_DELAY: Final = "source_delay_seconds"
# Metadata of a field that `to_dict` leaves out at its default: records from before the field keep their digests.
SPARSE: Final = {"sparse": True}


@dataclass(frozen=True, kw_only=True)
class Record:
    """JSON both ways: times are ISO 8601 strings in UTC, records nest, tuples become lists."""

    def to_dict(self) -> dict[str, Any]:
        """With the version of the format, which nested records leave out."""
        return {**self.content(), VERSION_KEY: VERSION}

    def content(self) -> dict[str, Any]:
        """The fields alone: for a digest, for a comparison, and as a part of another document."""
        values = ((f, getattr(self, f.name)) for f in fields(self))
        return {f.name: _plain(value) for f, value in values if not (f.metadata.get("sparse") and value == _default(f))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """DataError for a record of a newer release. ValueError for one that lacks a field or has another type in it,
        with its name; a field that this release does not know is left out."""
        if (version := values.get(VERSION_KEY, 1)) > VERSION:
            got, remedy = f"version {version}", "A newer sailplane wrote it: install that one."
            raise DataError("read record", cls.__name__, got=got, expected=f"version {VERSION} or older", remedy=remedy)
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"{cls.__name__}: {error}") from error


def _default(of: dataclasses.Field[Any]) -> Any:
    return of.default if of.default_factory is MISSING else of.default_factory()


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.content()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True, kw_only=True)
class Interval(Record):
    """Half open, [start, end), UTC."""

    start: datetime
    end: datetime

    @classmethod
    def trailing(cls, as_of: datetime, days: int) -> Self:
        """Raises ConfigurationError for more days than a calendar has."""
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
    """The three parts of a dataset's interval, in time: train, then validation (the sweep chooses on it), then test
    (the gate judges on it; nothing else may look at it)."""

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
    """A condition on each value of a column: pandera's name and arguments, in JSON's types, times in ISO 8601.

    `says` describes it to the sender of a refused request; `null`: whether a null passes."""

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
        """Whether a request may leave it out, or give null."""
        return self.nullable or not self.required


@dataclass(frozen=True, kw_only=True)
class Dataset(Record):
    """A window of partitions. `version` is the digest of the partitions' digests: equal data, equal version. `revised`
    says which days' rows are not the first that were ingested, like "2026-01-03 in version 2"; `unchecked` names
    the schema's checks that apply to its rows, and not to requests. `windows` are recorded with the dataset, so that a
    later default changes nothing about runs that used this one."""

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
            # So records from before the field keep their digests.
            del content["windows"]
        return content


def _unrecorded(interval: Interval) -> Windows:
    """The windows of a record without any, whatever the default is by now."""
    return Windows.of(interval, validation_days=7, test_days=7)


@dataclass(frozen=True, kw_only=True)
class Predictions(Record):
    """The scores of the rows of `interval` by one version of a model; `rejected` rows got none. `uri` is the manifest,
    by which sailplane.predictions reads them."""

    model: str
    version: str
    dataset: Dataset
    interval: Interval
    uri: str
    rows: int
    rejected: int


@dataclass(frozen=True, kw_only=True)
class Run(Record):
    """One training: what went in, what was measured, and where its bundle lies.

    `features` and `train` are code paths; `code` is the SHA-256 of the project's sources, at code/<code>.zip in the
    store, `environment` that of the list of installed packages, at environments/<environment>.txt. `steps` is the last
    step that was logged: a trial may be stopped before its end. With other `threads` sums are made in another
    order. `digest` is the bundle's: a run that is cleared puts another bundle in its place. `baseline` is the URI of
    the baseline's bundle, and `baseline_train` the code path of its train function."""

    id: str
    model: str
    config: Mapping[str, Any]
    seed: int
    dataset: Dataset
    as_of: datetime
    metrics: Mapping[str, float]
    bundle: str
    seconds: float
    baseline: str | None = None
    sweep: str | None = None
    trial: int | None = None
    features: str = ""
    train: str = ""
    code: str = ""
    environment: str = ""
    device: str = "cpu"
    threads: int = 1
    processes: int = 1
    precision: str = "float32"
    stream: bool = False
    steps: int | None = None
    digest: str | None = None
    baseline_train: str = field(default="", metadata=SPARSE)


@dataclass(frozen=True, kw_only=True)
class Trial(Record):
    """One configuration of a sweep. `score` is the sweep's metric, None until it finished; `values` are those that it
    reported of it on its way."""

    sweep: str
    number: int
    config: Mapping[str, Any]
    state: Literal["running", "finished", "failed"]
    score: float | None = None
    values: tuple[float, ...] = ()
    run: Run | None = None


@dataclass(frozen=True, kw_only=True)
class Model(Record):
    """A registered version. `version` is the start of the bundle's digest; `lineage` is the run that it was made by,
    None of a version that was registered before that was kept."""

    name: str
    version: str
    uri: str
    digest: str
    run: str
    dataset: str
    as_of: datetime
    metrics: Mapping[str, float] = field(default_factory=dict)
    lineage: Run | None = None
    evaluation: Evaluation | None = None


@dataclass(frozen=True, kw_only=True)
class Approval(Record):
    """A person's answer to whether a model may serve; not `by_person` is the default answer after the deadline."""

    approved: bool
    by: str
    note: str
    at: datetime
    by_person: bool = field(default=True, metadata=SPARSE)

    def __str__(self) -> str:
        told = f"{'approved' if self.approved else 'rejected'} by {self.by}"
        return f"{told}: {self.note}" if self.note else told


@dataclass(frozen=True, kw_only=True)
class Rule(Record):
    """One rule of a gate, in words and, where the rule judges a number, in numbers.

    :param estimate: what is judged: the metric, the gain, the gain of the slice that is nearest to the other verdict,
        or milliseconds
    :param bound: of the estimate's one-sided interval, where the rule has one
    :param level: the probability of a mistake that the interval may spend
    :param clusters: what the interval counts as independent, as `7 days`
    :param turns: the estimate from which on the verdict would be the other one, with an interval as wide as this one
    :param otherwise: what would have changed the verdict, in words
    """

    name: str
    passed: bool
    got: str
    expected: str
    estimate: float | None = field(default=None, metadata=SPARSE)
    bound: float | None = field(default=None, metadata=SPARSE)
    level: float | None = field(default=None, metadata=SPARSE)
    clusters: str = field(default="", metadata=SPARSE)
    turns: float | None = field(default=None, metadata=SPARSE)
    otherwise: str = field(default="", metadata=SPARSE)

    def __str__(self) -> str:
        """As `minimum: auc 0.5400, expected at least 0.5500; would pass at auc 0.5500 or above`."""
        otherwise = f"; {self.otherwise}" if self.otherwise else ""
        return f"{self.name}: {self.got}, expected {self.expected}{otherwise}"


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """The gate's verdict on a challenger. `metrics` by contender: challenger, baseline, champion.

    `reasons` are the rules as sentences, and what else a person should know; `details` and `report` the URIs of all
    that was measured, and of the page that shows it; `approval` is None where nobody was asked. `held` says why a
    rollback held deployments of the model when it was judged. `day_gains` says by ISO day how much better than the
    champion the model is on that day's rows, in the gate's metric, for the days that no earlier evaluation counted.
    `offer` is the baseline if it is the better model; `classes` are the rows of each class.
    """

    model: str
    run: Run
    window: Interval
    rows: int
    metrics: Mapping[str, Mapping[str, float]]
    champion: str | None
    passed: bool
    reasons: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    details: str | None = None
    report: str | None = None
    approval: Approval | None = None
    held: str | None = field(default=None, metadata=SPARSE)
    day_gains: Mapping[str, float] = field(default_factory=dict, metadata=SPARSE)
    offer: Offer | None = field(default=None, metadata=SPARSE)
    classes: Mapping[str, int] | None = field(default=None, metadata=SPARSE)

    @property
    def against(self) -> tuple[str, ...]:
        """The rules that failed, and a person's rejection, as sentences; empty for a model that may serve."""
        failed = [str(rule) for rule in self.rules if not rule.passed]
        rejected = [str(self.approval)] if self.approval and not self.approval.approved else []
        # Records from before there were rules have only the sentences.
        return (*(failed if self.passed or failed else self.reasons), *rejected)


@dataclass(frozen=True, kw_only=True)
class Offer(Record):
    """The baseline, which is better than the challenger and passes the gate. `reason` says how much better it is.
    `evaluation` is the verdict on the baseline as a challenger; its run has the baseline's bundle and train function.
    """

    reason: str
    evaluation: Evaluation

    @property
    def version(self) -> str:
        """The version of the baseline once it is registered."""
        return (self.evaluation.run.digest or "")[:12]

    @property
    def command(self) -> str:
        return f"sailplane deploy {self.evaluation.model}"

    @property
    def told(self) -> str:
        """For people, with the command that accepts it."""
        return f"{self.reason} Deploy it with `{self.command}`."

    def answered(self, approval: Approval) -> Offer:
        return replace(self, evaluation=replace(self.evaluation, approval=approval))


@dataclass(frozen=True, kw_only=True)
class Deployment(Record):
    """Versions behind an endpoint. `weights`: percent of the traffic by version. `on_violation`: "refuse", "flag" or
    "answer" requests with values that fail a check of the schema."""

    name: str
    version: str
    weights: Mapping[str, int]
    endpoint: str
    on_violation: str = field(default="refuse", metadata=SPARSE)
