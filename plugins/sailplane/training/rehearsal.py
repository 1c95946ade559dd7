"""Runs a new bundle as the servers will, and compares it with the trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sailplane.bundles.bundle import TOLERANCE, Bundle
from sailplane.bundles.columns import plain_records, read, shown, typed_frame
from sailplane.errors import SailplaneError, TrainingError
from sailplane.records import Field
from sailplane.training.train_function import last_line

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# How many rows are scored alone: unchanged validation rows, and rows that were varied with a null or an unseen value.
MOST_ALONE: Final = {False: 8, True: 64}
_MOST_FIELDS: Final = 12
_LETTERS: Final = 26
_MOST_INTEGER: Final = 2**63

_EXPORTED: Final = (
    "The ONNX export changed the model: forward must not branch on the number of rows or on values, "
    "as with `if len(x) == 1` or `x.squeeze()`."
)
_BY_ROW: Final = (
    "Compute means, ranks and the like in fit, not in transform or forward: a server may score each row alone or with "
    "the rows of other requests."
)
_PLAIN: Final = "Requests with this row would fail in the same way: correct transform or the model's forward."
_NULL: Final = "Requests may have this null: fill it in transform, or make the column of the schema not nullable."
_UNSEEN: Final = (
    "Requests may have this value: map unknown values to a category of their own in transform, or state the allowed "
    "ones in the schema with Check.isin([...]) or Check.in_range(...)."
)

#: Probabilities [n, outputs] of rows, from the trained model and the project's own feature code.
Trained = Callable[["pd.DataFrame"], "NDArray[Any]"]


@dataclass(frozen=True)
class Case:
    """A row that a request may have; `says` names it, `varied` marks a changed validation row."""

    says: str
    record: Mapping[str, Any]
    remedy: str = _PLAIN
    varied: bool = False

    def __str__(self) -> str:
        fields = [f"{name}: {shown(value)}" for name, value in list(self.record.items())[:_MOST_FIELDS]]
        more = len(self.record) - len(fields)
        return f"{self.says} ({', '.join(fields)}{f' and {more} more' if more > 0 else ''})"


def rehearse(bundle: Bundle, trained: Trained, rows: pd.DataFrame, path: str) -> None:
    """Scores batches of 0, 1, 2 and all cases, each as request values and as a frame.

    Raises TrainingError, naming the train function's `path` and the row, if the bundle raises, or if a score is not a
    number, differs from the trained model's by more than 1e-5, or changes by more than that with the other rows.
    """
    found = list(cases(bundle, rows))
    _check(bundle, trained, [], path)
    alone = {number: _check(bundle, trained, [found[number]], path) for number in _alone(found)}
    _check(bundle, trained, found[:2], path)
    together = _check(bundle, trained, found, path)
    for number, scores in alone.items():
        _compare_alone(scores[0], together[number], found[number], len(found), path)


def cases(bundle: Bundle, rows: pd.DataFrame) -> Iterator[Case]:
    """The validation rows, and the first row with a null or an unseen value in each field for which the schema allows
    it."""
    inputs = bundle.manifest.inputs
    records = plain_records(rows, inputs)
    yield from (Case(f"validation row {number}", record) for number, record in enumerate(records))
    changed = [field for field in inputs if field.required]
    for field in changed:
        yield from _allowed(bundle, _changed(field, records))
    if nulls := {field.name: None for field in changed if field.nullable}:
        says = "validation row 0 with every nullable field null"
        yield from _allowed(bundle, [Case(says, {**records[0], **nulls}, _NULL, varied=True)])


def _changed(field: Field, records: Sequence[Mapping[str, Any]]) -> Iterator[Case]:
    row, name = records[0], field.name
    if field.nullable:
        yield Case(f"validation row 0 with {name} null", {**row, name: None}, _NULL, varied=True)
    if field.kind == "string":
        yield Case(f"validation row 0 with {name} empty", {**row, name: ""}, _UNSEEN, varied=True)
    known = [record[name] for record in records if record[name] is not None]
    for value in _UNSEEN_OF.get(field.kind, _no_category)(known):
        yield Case(f"validation row 0 with an unseen {name}", {**row, name: value}, _UNSEEN, varied=True)


def _unseen_strings(known: Sequence[str]) -> Iterator[str]:
    """Several candidates, because the schema's checks may require a length or a pattern."""
    yield "never seen"
    example = next(filter(None, known), "a")
    yield "~" * len(example)
    seen = set(known)
    for by in range(1, _LETTERS):
        if (value := "".join(_shifted(sign, by) for sign in example)) not in seen:
            yield value


def _unseen_integers(known: Sequence[int]) -> Iterator[int]:
    """Candidates outside the range first, then a gap in it: an integer may be the code of a category."""
    least, most = min(known, default=0), max(known, default=0)
    yield from (value for value in (most + 1, least - 1) if -_MOST_INTEGER <= value < _MOST_INTEGER)
    seen = set(known)
    # At least one of the first len(seen) + 1 integers is unseen, unless the range ends before.
    yield from (value for value in range(least, min(most, least + len(seen) + 1)) if value not in seen)


def _unseen_booleans(known: Sequence[bool]) -> Iterator[bool]:
    yield from (value for value in (False, True) if value not in known)


def _no_category(_known: Sequence[Any]) -> Iterator[Any]:
    """No candidates, because numbers and times may have any value."""
    return iter(())


_UNSEEN_OF: Final[Mapping[str, Callable[[Sequence[Any]], Iterator[Any]]]] = {
    "string": _unseen_strings,
    "integer": _unseen_integers,
    "boolean": _unseen_booleans,
}


def _shifted(sign: str, by: int) -> str:
    """Another character of the same kind: a letter for a letter, a digit for a digit."""
    for first, count in (("a", _LETTERS), ("A", _LETTERS), ("0", 10)):
        offset = ord(sign) - ord(first)
        if 0 <= offset < count:
            return chr(ord(first) + (offset + by) % count)
    return sign


def _allowed(bundle: Bundle, candidates: Sequence[Case] | Iterator[Case]) -> Iterator[Case]:
    """The cases that pass the schema's checks; only the first of each name."""
    named: set[str] = set()
    for case in candidates:
        if case.says not in named and not any(bundle.checks.violations(_values(bundle, [case]))):
            named.add(case.says)
            yield case


def _alone(found: Sequence[Case]) -> Iterator[int]:
    """The indices of the cases that are scored alone."""
    for varied, most in MOST_ALONE.items():
        yield from [number for number, case in enumerate(found) if case.varied == varied][:most]


def _check(bundle: Bundle, trained: Trained, batch: Sequence[Case], path: str) -> NDArray[Any]:
    """Returns the scores that a server gives."""
    try:
        expected, scored = _expected(bundle, trained, batch), _scored(bundle, batch)
    except Exception as error:
        if len(batch) > 1:
            # If no row fails alone, the number of rows is the cause.
            for case in batch:
                _check(bundle, trained, [case], path)
        raise _failed(batch, path, error) from error
    for got in scored:
        _compare(got, expected, batch, path)
    return scored[0]


def _expected(bundle: Bundle, trained: Trained, batch: Sequence[Case]) -> NDArray[Any]:
    if not batch:
        return np.empty((0, len(bundle.manifest.outputs)), "float32")
    return trained(typed_frame(_values(bundle, batch), bundle.manifest.inputs))


def _scored(bundle: Bundle, batch: Sequence[Case]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The scores that a server gives, and those of a batch prediction."""
    values = _values(bundle, batch)
    by_server = bundle.predict_values(values)
    return by_server, bundle.predict(typed_frame(values, bundle.manifest.inputs))


def _values(bundle: Bundle, batch: Sequence[Case]) -> dict[str, list[Any]]:
    inputs = bundle.manifest.inputs
    return read({field.name: [case.record[field.name] for case in batch] for field in inputs}, inputs)


def _compare(got: NDArray[Any], expected: NDArray[Any], batch: Sequence[Case], path: str) -> None:
    if got.shape != expected.shape:
        facts: dict[str, Any] = {"got": f"scores of shape {got.shape}", "expected": f"shape {expected.shape}"}
        raise TrainingError("check the bundle of", path, **facts, remedy=_EXPORTED)
    if not batch:
        return
    off = np.nan_to_num(np.abs(got - expected).max(axis=1), nan=np.inf)
    row = int(off.argmax())
    if off[row] > TOLERANCE:
        text = f"{_short(got[row])} for {batch[row]}, in {_counted(batch)}"
        wanted = f"{_short(expected[row])} from the trained model, within {TOLERANCE}"
        raise TrainingError("check the bundle of", path, got=text, expected=wanted, remedy=_EXPORTED)


def _compare_alone(alone: NDArray[Any], together: NDArray[Any], case: Case, rows: int, path: str) -> None:
    if np.abs(alone - together).max() > TOLERANCE:
        text = f"{_short(alone)} for {case} alone, and {_short(together)} in a batch of {rows} rows"
        wanted = f"the same score within {TOLERANCE}, whatever other rows a request has"
        raise TrainingError("check the bundle of", path, got=text, expected=wanted, remedy=_BY_ROW)


def _failed(batch: Sequence[Case], path: str, error: Exception) -> TrainingError:
    text = str(error) if isinstance(error, SailplaneError) else f"{type(error).__name__}: {error} ({last_line(error)})"
    which = f" for {batch[0]}" if len(batch) == 1 else ""
    remedy = batch[0].remedy if len(batch) == 1 else _EXPORTED
    got = f"{text.rstrip('.')}{which}, in {_counted(batch)}"
    return TrainingError("check the bundle of", path, got=got, expected="scores", remedy=remedy)


def _counted(batch: Sequence[Case]) -> str:
    return f"a batch of {len(batch)} row{'' if len(batch) == 1 else 's'}"


def _short(scores: NDArray[Any]) -> str:
    """The scores of one row, shortened for any number of outputs."""
    text = ", ".join(f"{score:.6g}" for score in scores[:5])
    return f"[{text}{', ...' if len(scores) > 5 else ''}]"
