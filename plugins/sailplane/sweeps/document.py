"""A YAML mapping with the line of each key, so that errors can name it."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from sailplane.errors import SweepFileError

_MERGE: Final = "tag:yaml.org,2002:merge"


class Section:
    """One mapping of a file. Methods raise SweepFileError with `<file>:<line>` for an unexpected value."""

    def __init__(self, node: yaml.Node, file: str, name: str) -> None:
        self.file = file
        self.name = name
        self.line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise SweepFileError(f"{file}:{self.line}", got=f"{name} is not a mapping", expected="keys with values")
        self._values: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        for key, value in node.value:
            if key.tag != _MERGE:
                self._add(str(key.value), key.start_mark.line + 1, value)
        for key, value in _merged(node):
            self._values.setdefault(str(key.value), value)
            self._lines.setdefault(str(key.value), key.start_mark.line + 1)

    @classmethod
    def read(cls, path: Path) -> Section:
        """The mapping of a whole file."""
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError) as error:
            raise SweepFileError("read sweep file", path, got="no such file") from error
        except UnicodeDecodeError as error:
            raise SweepFileError("read sweep file", path, got=error, expected="text in UTF-8") from error
        return cls.parse(text, path.name)

    @classmethod
    def parse(cls, text: str, file: str) -> Section:
        """The mapping of a file with this text."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{file}:{mark.line + 1}" if mark else file
            raise SweepFileError(where, got=f"not YAML ({error.problem})") from error
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise SweepFileError(f"{file}:{line}", got=f"not YAML ({error.reason})") from error
        if node is None:
            raise SweepFileError(
                f"{file}:1", got="the file is empty", expected="a W&B sweep: method, metric, parameters"
            )
        return cls(node, file, "the file")

    def _add(self, key: str, line: int, value: yaml.Node) -> None:
        if key in self._values:
            raise SweepFileError(f"{self.file}:{line}", got=f"{key!r} occurs twice, first on line {self._lines[key]}")
        self._values[key], self._lines[key] = value, line

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def get(self, key: str, default: Any = None) -> Any:
        """The plain value, including lists and mappings."""
        if key not in self._values:
            return default
        loader = yaml.SafeLoader("")
        try:
            # A copy, because the loader writes merged keys into the nodes.
            return loader.construct_object(copy.deepcopy(self._values[key]), deep=True)
        except (yaml.MarkedYAMLError, ValueError) as error:
            problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
            raise self.wrong(key, f"{key} cannot be read ({problem})", remedy="Write texts in quotes.") from error
        finally:
            loader.dispose()

    def section(self, key: str, name: str = "") -> Section:
        return Section(self._values[key], self.file, name or key)

    def sections(self, key: str) -> list[Section]:
        """The mappings of a list."""
        node = self._values[key]
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(key, f"{key} is {self.get(key)!r}", expected="a list")
        return [Section(item, self.file, key) for item in node.value]

    def line_of(self, key: str) -> int:
        return self._lines[key]

    def json(self, key: str) -> Any:
        """The plain value. Raises SweepFileError if JSON, the form of a trial's configuration, cannot hold it."""
        value = self.get(key)
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            got, expected = f"{key} is {value!r}", "strings, finite numbers, booleans, null, lists and mappings"
            raise self.wrong(key, got, expected=expected, remedy="Write dates in quotes.") from error
        return value

    def require(self, *keys: str) -> None:
        for key in keys:
            if key not in self._values:
                raise SweepFileError(
                    f"{self.file}:{self.line}", got=f"{self.name} has no {key!r}", expected=f"a {key!r}"
                )

    def allow(self, known: Iterable[str]) -> None:
        known = tuple(known)
        for key in self._values:
            if key not in known:
                raise self.wrong(key, f"unknown key {key!r}", expected=_one_of(known), remedy=did_you_mean(key, known))

    def choice(self, key: str, allowed: Iterable[str], default: str | None = None) -> str:
        allowed = tuple(allowed)
        value = self.get(key, default)
        if value not in allowed:
            remedy = did_you_mean(str(value), allowed)
            raise self.wrong(key, f"{key} is {value!r}", expected=_one_of(allowed), remedy=remedy)
        return str(value)

    def whole(self, key: str, *, at_least: int) -> int:
        """An integer, or a float without a fraction, as in JSON Schema."""
        value = self.get(key)
        is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not is_whole or value < at_least:
            raise self.wrong(key, f"{key} is {value!r}", expected=f"a whole number of at least {at_least}")
        return int(value)

    def wrong(self, key: str, got: str, *, expected: str | None = None, remedy: str = "") -> SweepFileError:
        return SweepFileError(
            f"{self.file}:{self._lines.get(key, self.line)}", got=got, expected=expected, remedy=remedy
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def _merged(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """The keys and values of the mapping with those that `<<:` merges into it, the last value first."""
    if not any(key.tag == _MERGE for key, _ in node.value):
        return []
    flat, loader = copy.deepcopy(node), yaml.SafeLoader("")
    try:
        loader.flatten_mapping(flat)
    finally:
        loader.dispose()
    return list(reversed(flat.value))


def _one_of(words: tuple[str, ...]) -> str:
    return f"one of {', '.join(words)}"
