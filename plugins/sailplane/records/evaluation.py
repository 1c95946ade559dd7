"""Evaluations: the gate's rules and verdict, a person's approval, and the offer of a better baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sailplane.records.dataset import Interval
from sailplane.records.record import SPARSE, Record
from sailplane.records.training import Run


@dataclass(frozen=True, kw_only=True)
class Approval(Record):
    """The decision whether a model may serve. `by_person` is False for the default decision after the deadline."""

    approved: bool
    by: str
    note: str
    at: datetime
    by_person: bool = field(default=True, metadata=SPARSE)

    def __str__(self) -> str:
        decision = f"{'approved' if self.approved else 'rejected'} by {self.by}"
        return f"{decision}: {self.note}" if self.note else decision


@dataclass(frozen=True, kw_only=True)
class Rule(Record):
    """One rule of a gate, in words and, where the rule judges a number, in numbers.

    :param estimate: the judged number: the metric, the gain, the gain of the slice whose verdict is closest to
        changing, or milliseconds
    :param bound: the bound of the estimate's one-sided interval, if the rule has one
    :param level: the error probability of that interval
    :param clusters: the units that the interval counts as independent, like `7 days`
    :param turns: the estimate at which the verdict would change, with an interval of the same width
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
        """Like `minimum: auc 0.5400, expected at least 0.5500; would pass at auc 0.5500 or above`."""
        otherwise = f"; {self.otherwise}" if self.otherwise else ""
        return f"{self.name}: {self.got}, expected {self.expected}{otherwise}"


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """The gate's verdict on a challenger. `metrics` by contender: challenger, baseline, champion.

    `reasons` are the rules as sentences, and anything else that a person should know. `details` and `report` are the
    URIs of all measurements and of the page that shows them. `approval` is None if no approval was requested. `held`
    says why a rollback held deployments of the model when it was judged. `day_gains` is the gain over the champion on
    each day's rows, in the gate's metric, by ISO day, for the days that no earlier evaluation counted. `offer` is the
    baseline if it is the better model. `classes` is the number of rows of each class.
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
        """The failed rules, and a rejection by a person, as sentences; empty for a model that may serve."""
        failed = [str(rule) for rule in self.rules if not rule.passed]
        rejected = [str(self.approval)] if self.approval and not self.approval.approved else []
        # Records older than the rules have only the sentences.
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
        """The version that the baseline gets when it is registered."""
        return (self.evaluation.run.digest or "")[:12]

    @property
    def command(self) -> str:
        return f"sailplane deploy {self.evaluation.model}"

    @property
    def message(self) -> str:
        """The offer as a sentence, with the command that accepts it."""
        return f"{self.reason} Deploy it with `{self.command}`."

    def answered(self, approval: Approval) -> Offer:
        return replace(self, evaluation=replace(self.evaluation, approval=approval))
