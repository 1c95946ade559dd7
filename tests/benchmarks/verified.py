"""Proves that a benchmark's client or server did its work. Only then does a figure count, ours or a peer's."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

# The difference between float32 and float64 arithmetic on the same model.
TOLERANCE = 1e-5


class UnverifiedError(Exception):
    """The figure would be that of other work, or of none."""


@dataclass(frozen=True)
class Question:
    """A request's body, and the scores that it must get."""

    body: Any
    scores: Sequence[float]


def scores(peer: str, url: str, questions: Sequence[Question], read: Callable[[Any], Any]) -> None:
    """Checks scores; `read` finds them in an answer. Raises UnverifiedError unless each question gets its own
    scores."""
    for number, question in enumerate(questions):
        answer = httpx.post(url, json=question.body, trust_env=False, timeout=60)
        if answer.status_code != 200:
            raise UnverifiedError(f"{peer}: status {answer.status_code} for body {number}: {answer.text[:200]}")
        same_numbers(f"{peer}, body {number}", _flat(read(answer.json())), question.scores)


def same_numbers(what: str, got: Sequence[float], expected: Sequence[float], tolerance: float = TOLERANCE) -> None:
    if len(got) != len(expected):
        raise UnverifiedError(f"{what}: {len(got)} numbers; expected {len(expected)}")
    for ours, theirs in zip(expected, got, strict=True):
        if not math.isclose(ours, theirs, rel_tol=0, abs_tol=tolerance):
            raise UnverifiedError(f"{what}: {theirs!r}; expected {ours!r} within {tolerance:g}")


@dataclass(frozen=True)
class Loaded:
    requests: int
    rate: float


def load(peer: str, said: str) -> Loaded:
    """Returns the rate that `wrk` measured. Raises UnverifiedError if a request failed, or none was answered."""
    if failed := re.findall(r"^\s*(Socket errors: .*|Non-2xx or 3xx responses: .*)$", said, re.M):
        raise UnverifiedError(f"{peer}: {'; '.join(failed)}")
    [count], [rate] = re.findall(r"(\d+) requests in", said), re.findall(r"Requests/sec:\s+([\d.]+)", said)
    if not int(count):
        raise UnverifiedError(f"{peer}: no request was answered")
    return Loaded(int(count), float(rate))


def trials(peer: str, told: Mapping[str, Any], count: int, extra: int = 0) -> float:
    """Returns the seconds of `count` trials. `told` has `seconds`, and for each trial its `x` and its score, which is
    that `x`, or null if it failed. Up to `extra` more trials are allowed."""
    made = told["trials"]
    failed = [pair for pair in made if pair[1] is None]
    if failed:
        raise UnverifiedError(f"{peer}: {len(failed)} of {len(made)} trials failed")
    if not count <= len(made) <= count + extra:
        raise UnverifiedError(f"{peer}: {len(made)} trials; expected {count}")
    same_numbers(f"{peer}, scores", [score for _, score in made], [x for x, _ in made], tolerance=0)
    if len({x for x, _ in made}) < count:
        raise UnverifiedError(f"{peer}: trials with equal configurations")
    return float(told["seconds"])


def searches(peer: str, told: Sequence[Mapping[str, Any]], count: int, each: int) -> list[float]:
    """Returns the regrets of `count` searches of `each` trials. None can be negative."""
    if [one["trials"] for one in told] != [each] * count:
        raise UnverifiedError(f"{peer}: {[one['trials'] for one in told]} trials; expected {count} times {each}")
    regrets = [float(one["regret"]) for one in told]
    if not all(-TOLERANCE < regret < math.inf for regret in regrets):
        raise UnverifiedError(f"{peer}: regrets {regrets}; expected none below 0")
    return regrets


def tasks(peer: str, found: Mapping[str, Sequence[str]], expected: Mapping[str, Sequence[str]]) -> None:
    """Checks the states of each task's instances, by task id. Raises UnverifiedError unless as many succeeded as
    expected."""
    counts, ours = ({task: len(states) for task, states in run.items()} for run in (found, expected))
    if counts != ours:
        raise UnverifiedError(f"{peer}: its tasks are {counts}; expected {ours}")
    if failed := [task for task, states in found.items() if set(states) != {"success"}]:
        raise UnverifiedError(f"{peer}: {', '.join(failed)} did not succeed")


def files(peer: str, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Compares digests by name. Raises UnverifiedError for missing, additional or changed files."""
    missing, more = expected.keys() - found.keys(), found.keys() - expected.keys()
    if missing or more:
        raise UnverifiedError(f"{peer}: {len(missing)} files are missing, {len(more)} are not of the set")
    if changed := sorted(name for name in expected if found[name] != expected[name]):
        raise UnverifiedError(f"{peer}: {len(changed)} files have other bytes, {changed[0]} among them")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: digest(_chunks(path)) for path in folder.iterdir()}


def digest(chunks: Iterable[bytes]) -> str:
    made = hashlib.blake2b()
    for chunk in chunks:
        made.update(chunk)
    return made.hexdigest()


def _chunks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(2**22):
            yield chunk


def _flat(found: Any) -> list[float]:
    return [number for one in found for number in _flat(one)] if isinstance(found, list) else [float(found)]
