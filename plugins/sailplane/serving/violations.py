"""Handles requests with values that fail the checks of the training schema."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sailplane.bundles.checks import Violation
from sailplane.errors import ConfigurationError, RequestError
from sailplane.files import private_folder, replace_file

OnViolation = Literal["refuse", "flag", "answer"]
CHOICES: Final[tuple[OnViolation, ...]] = get_args(OnViolation)
DEFAULT: Final[OnViolation] = "refuse"
# The counter in /metrics, by field and check.
VIOLATIONS: Final = "sailplane_schema_violations"
# The most violations in a reply, because each holds a value of its row. The request log has the rows.
MOST_LISTED: Final = 100
_LOOK_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


def chosen(value: object, where: str = "") -> OnViolation:
    """Validates a choice. Raises ConfigurationError for an invalid one."""
    for choice in CHOICES:
        if value == choice:
            return choice
    raise ConfigurationError("read on_violation", where, got=repr(value), expected=" or ".join(map(repr, CHOICES)))


class Violations:
    """The first violations of one request, for its reply, and the total number."""

    def __init__(self, found: Sequence[Violation] = ()) -> None:
        self.first: list[Violation] = []
        self.count = 0
        self.add(found)

    def add(self, found: Sequence[Violation]) -> None:
        self.first += found[: MOST_LISTED - len(self.first)]
        self.count += len(found)


class Policy:
    """The current choice, read from a file so that it can change while the server runs. Without the file, the fixed
    choice applies."""

    def __init__(self, choice: OnViolation = DEFAULT, file: Path | None = None) -> None:
        self._fixed = self._choice = choice
        self._file, self._next = file, 0.0

    def __call__(self) -> OnViolation:
        if self._file is not None and time.monotonic() >= self._next:
            self._choice = self._read(self._file)
            self._next = time.monotonic() + _LOOK_SECONDS
        return self._choice

    def _read(self, file: Path) -> OnViolation:
        try:
            return declared(file, self._fixed)
        except ConfigurationError as error:
            _log.warning("on_violation stays %r: %s", self._choice, error)
            return self._choice


def declare(file: Path, choice: OnViolation) -> None:
    """Writes the choice. Servers started with this file apply it within a second."""
    private_folder(file.parent)
    replace_file(file, json.dumps({"on_violation": choice}))


def declared(file: Path, missing: OnViolation = DEFAULT) -> OnViolation:
    """The choice in the file; `missing` without the file. Raises ConfigurationError for an invalid file."""
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        return missing
    except (OSError, ValueError) as error:
        raise ConfigurationError("read on_violation in", file, got=error, remedy="Deploy the model again.") from error
    return chosen(values.get("on_violation") if isinstance(values, dict) else values, f"in {file}")


def judged(
    found: Iterator[Violation], policy: Policy, count: Callable[[Sequence[Violation]], None]
) -> tuple[Violation, ...]:
    """The violations that the reply lists. Raises RequestError for the first one if the policy refuses the request.
    Calls `count` with all examined violations."""
    first = next(found, None)
    if first is None:
        return ()
    choice = policy()
    violations = (first,) if choice == "refuse" else (first, *found)
    count(violations)
    if choice == "refuse":
        raise RequestError(f"check field {first.field!r} of row {first.row}", got=first.got, expected=first.check.says)
    return violations if choice == "flag" else ()


def counted(violations: Sequence[Violation]) -> Counter[tuple[str, str]]:
    """Counts by field and check name."""
    return Counter((violation.field, violation.check.name) for violation in violations)


def described(violations: Violations | None) -> dict[str, Any]:
    """The violations as members of a reply; empty without violations."""
    if violations is None or not violations.count:
        return {}
    listed = [violation.to_dict() for violation in violations.first]
    return {"violations": listed, "violation_count": violations.count}
