"""Compares champion and challenger for each value of a column: a model may be better overall but worse on a slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sailplane.errors import ConfigurationError
from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.details import Slice
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.intervals import Intervals
from sailplane.evaluation.metrics import metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A column with more values is refused.
MOST_VALUES: Final = 200
MISSING: Final = "missing"
# The parts of a timestamp, in UTC, for `column:part`.
_PARTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "hour": lambda times: times.dt.hour,
    "weekday": lambda times: times.dt.day_name(),
}
_WEEK: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Group:
    """The indices of the rows where the column has the value."""

    column: str
    value: str
    indices: NDArray[np.intp]


def groups(gate: Gate, rows: pd.DataFrame) -> list[Group]:
    """The groups of each column that the gate names, by value. Raises ConfigurationError for a column that is missing
    or has too many values."""
    return [group for column in gate.slices for group in _groups(column, rows)]


def judged(
    gate: Gate,
    found: list[Group],
    target: NDArray[np.generic],
    scores: Mapping[str, NDArray[np.floating]],
    clusters: Clusters,
) -> Iterator[Slice]:
    """Judges each group. `scores` are those of the challenger and of the champion, if there is one. The level of the
    rule is divided by the number of judged slices of all columns (Bonferroni)."""
    skipped = [_skipped(gate, target[group.indices], clusters.at(group.indices).count) for group in found]
    level = gate.level / max(1, skipped.count(None))
    for group, reason in zip(found, skipped, strict=True):
        labels, here = target[group.indices], {name: scores[name][group.indices] for name in scores}
        known: dict[str, Any] = {"column": group.column, "value": group.value, "rows": len(labels)}
        if reason:
            yield Slice(**known, skipped=reason)
        else:
            intervals = Intervals.of(clusters.at(group.indices), labels, here)
            yield Slice(**known, **_figures(gate, group, labels, here, intervals, level))


def _groups(column: str, rows: pd.DataFrame) -> Iterator[Group]:
    values = _values(column, rows)
    codes, names = pd.factorize(values, sort=True)
    if len(names) > MOST_VALUES:
        expected = f"at most {MOST_VALUES}"
        remedy = "Name a categorical column, or let extract add one."
        raise ConfigurationError("slice by", column, got=f"{len(names)} values", expected=expected, remedy=remedy)
    order = (
        sorted(range(len(names)), key=lambda code: _WEEK.index(names[code])) if _is_week(names) else range(len(names))
    )
    for code in order:
        yield Group(column, str(names[code]), np.flatnonzero(codes == code))
    if (codes < 0).any():
        yield Group(column, MISSING, np.flatnonzero(codes < 0))


def _values(column: str, rows: pd.DataFrame) -> pd.Series[Any]:
    if column in rows:
        return rows[column]
    name, _, part = column.partition(":")
    if name not in rows:
        expected = f"one of {', '.join(map(str, rows.columns))}"
        raise ConfigurationError("slice by", column, got="no such column", expected=expected)
    if part not in _PARTS or not isinstance(rows[name].dtype, pd.DatetimeTZDtype):
        got = f"{part!r} of a column of type {rows[name].dtype}"
        expected = " or ".join(_PARTS)
        raise ConfigurationError("slice by", column, got=got, expected=f"{expected} of a timestamp")
    taken: pd.Series[Any] = _PARTS[part](rows[name])
    return taken


def _is_week(names: Any) -> bool:
    return len(names) > 0 and set(names) <= set(_WEEK)


def _skipped(gate: Gate, labels: NDArray[np.generic], clusters: int) -> str | None:
    if len(labels) < gate.min_slice_rows:
        return f"fewer than {gate.min_slice_rows} rows"
    if clusters == 1:
        return f"a single {gate.cluster}"
    return "one class only" if len(np.unique(labels)) < 2 else None


def _figures(
    gate: Gate,
    group: Group,
    labels: NDArray[np.generic],
    scores: Mapping[str, NDArray[np.floating]],
    intervals: Intervals,
    level: float,
) -> dict[str, Any]:
    name, allowed = gate.metric, gate.slices[group.column]
    values = {contender: metric(name, labels, score) for contender, score in scores.items()}
    figures: dict[str, Any] = {
        contender: intervals.estimate(contender, name, value) for contender, value in values.items()
    }
    if "champion" in scores:
        difference = values["challenger"] - values["champion"]
        gain, detectable = gate.gain(difference), intervals.detectable("champion", name, level)
        at_most = intervals.gain("champion", name, gain, 1 - level, sign=gate.sign)
        figures |= {"difference": intervals.difference("challenger", "champion", name, difference), "gain": gain}
        figures["worse"] = at_most is not None and at_most < -allowed
        figures["fails_at"] = None if at_most is None else allowed + at_most - gain
        figures["detectable"] = None if detectable is None else allowed + detectable
        figures["clusters"] = intervals.clusters.count
    return figures
