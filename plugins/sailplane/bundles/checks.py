"""Applies the checks of the training rows to the values of a request. Does not use pandas, because most requests have
one row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from sailplane.bundles.columns import shown
from sailplane.errors import ModelError
from sailplane.records import Check, Field, FieldKind

Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Violation:
    """`row` counts from 0."""

    row: int
    field: str
    check: Check
    value: Any

    def __str__(self) -> str:
        return f"{self.field}: {self.check.says}: {self.got}"

    @property
    def got(self) -> str:
        return shown(self.value.isoformat() if isinstance(self.value, datetime) else self.value)

    def to_dict(self) -> dict[str, Any]:
        return {"row": self.row, "field": self.field, "check": self.check.says, "value": self.got}


class Checks:
    """Raises ModelError for a check unknown to this release."""

    def __init__(self, inputs: Sequence[Field]) -> None:
        self._checks = [(field, check, _passing(field, check)) for field in inputs for check in field.checks]

    @property
    def known(self) -> list[tuple[str, str]]:
        """Each pair of field and check name, once."""
        return list(dict.fromkeys((field.name, check.name) for field, check, _ in self._checks))

    def violations(self, values: Mapping[str, Sequence[Any]]) -> Iterator[Violation]:
        """The violations in the values from `columns.read`, field by field."""
        for field, check, passes in self._checks:
            column = values[field.name]
            # Most requests have one row, for which the loop costs more than the check.
            if not (passes(column[0]) if len(column) == 1 else all(map(passes, column))):
                rows = (row for row, value in enumerate(column) if not passes(value))
                yield from (Violation(row, field.name, check, column[row]) for row in rows)


def _passing(field: Field, check: Check) -> Predicate:
    try:
        passes = _PREDICATES[check.name](check.arguments, field.kind)
    except (LookupError, TypeError, ValueError, re.error) as error:
        remedy = "Upgrade Sailplane to the release that made the bundle."
        raise ModelError("read check", f"{check.name} of {field.name!r}", got=error, remedy=remedy) from error
    if not field.optional:
        return passes
    null = check.null or not field.nullable
    return lambda value: null if value is None else passes(value)


def _value(value: Any, kind: FieldKind) -> Any:
    if kind == "timestamp":
        return datetime.fromisoformat(value)
    return float(value) if kind in ("number", "integer") and isinstance(value, str) else value


def _compared(value: Any, kind: FieldKind) -> tuple[Any, bool]:
    """The bound, and whether integers are compared with it as floats, as in pandas."""
    bound = _value(value, kind)
    return bound, kind == "integer" and isinstance(bound, float)


def _comparison(key: str, compare: Callable[[Any, Any], bool]) -> Callable[[Mapping[str, Any], FieldKind], Predicate]:
    def made(arguments: Mapping[str, Any], kind: FieldKind) -> Predicate:
        bound, as_float = _compared(arguments[key], kind)
        passes = partial(compare, bound)
        return (lambda value: passes(float(value))) if as_float else passes

    return made


def _in_range(arguments: Mapping[str, Any], kind: FieldKind) -> Predicate:
    include_min, include_max = arguments.get("include_min", True), arguments.get("include_max", True)
    low, high = (_compared(arguments[key], kind) for key in ("min_value", "max_value"))
    if include_min and include_max and not low[1] and not high[1]:
        return lambda value, least=low[0], most=high[0]: least <= value <= most  # type: ignore[misc]
    above = _PREDICATES["greater_than_or_equal_to" if include_min else "greater_than"](arguments, kind)
    below = _PREDICATES["less_than_or_equal_to" if include_max else "less_than"](arguments, kind)
    return lambda value: above(value) and below(value)


def _isin(arguments: Mapping[str, Any], kind: FieldKind) -> Predicate:
    return frozenset(_value(value, kind) for value in arguments["allowed_values"]).__contains__


def _notin(arguments: Mapping[str, Any], kind: FieldKind) -> Predicate:
    forbidden = frozenset(_value(value, kind) for value in arguments["forbidden_values"])
    return lambda value: value not in forbidden


def _regex(search: bool) -> Callable[[Mapping[str, Any], FieldKind], Predicate]:
    def made(arguments: Mapping[str, Any], _kind: FieldKind) -> Predicate:
        pattern = re.compile(arguments["pattern"]["regex"], arguments["pattern"]["flags"])
        find = pattern.search if search else pattern.match
        return lambda value: find(value) is not None

    return made


def _affix(method: Callable[..., bool]) -> Callable[[Mapping[str, Any], FieldKind], Predicate]:
    def made(arguments: Mapping[str, Any], _kind: FieldKind) -> Predicate:
        given = arguments["string"]
        affix = given if isinstance(given, str) else tuple(given)
        return lambda value: method(value, affix)

    return made


def _str_length(arguments: Mapping[str, Any], _kind: FieldKind) -> Predicate:
    exact = arguments.get("exact_value")
    if exact is not None:
        return lambda value: len(value) == exact
    least, most = arguments.get("min_value"), arguments.get("max_value")
    low, high = 0 if least is None else least, float("inf") if most is None else most
    return lambda value: low <= len(value) <= high


# An operator's first operand is the bound.
_PREDICATES: Final[Mapping[str, Callable[[Mapping[str, Any], FieldKind], Predicate]]] = {
    "equal_to": _comparison("value", eq),
    "not_equal_to": _comparison("value", ne),
    "greater_than": _comparison("min_value", lt),
    "greater_than_or_equal_to": _comparison("min_value", le),
    "less_than": _comparison("max_value", gt),
    "less_than_or_equal_to": _comparison("max_value", ge),
    "in_range": _in_range,
    "isin": _isin,
    "notin": _notin,
    "str_matches": _regex(search=False),
    "str_contains": _regex(search=True),
    "str_startswith": _affix(str.startswith),
    "str_endswith": _affix(str.endswith),
    "str_length": _str_length,
}
