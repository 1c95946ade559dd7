"""A YAML mapping that knows the line of each of its keys, so that every complaint about a file can name it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import yaml

from sailplane.errors import SweepFileError


class Section:
    """One mapping of a file. Raises SweepFileError, with `<file>:<line>`, for whatever is not as asked for."""

    def __init__(self, node: yaml.Node, file: str, name: str) -> None:
        self.file = file
        self.name = name
        self.line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise SweepFileError(f"{file}:{self.line}", got=f"{name} is no mapping", expected="keys with values")
        self._values: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        for key, value in node.value:
            self._add(str(key.value), key.start_mark.line + 1, value)

    @classmethod
    def parse(cls, text: str, file: str) -> Section:
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{file}:{mark.line + 1}" if mark else file
            raise SweepFileError(where, got=f"not YAML ({error.problem})") from error
        if node is None:
            raise SweepFileError(
                f"{file}:1", got="the file is empty", expected="a W&B sweep: method, metric, parameters"
            )
        return cls(node, file, "the file")

    def _add(self, key: str, line: int, value: yaml.Node) -> None:
        if key in self._values:
            raise SweepFileError(f"{self.file}:{line}", got=f"{key!r} is given twice; first on line {self._lines[key]}")
        self._values[key], self._lines[key] = value, line

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def get(self, key: str, default: Any = None) -> Any:
        """The plain value (lists and mappings included)."""
        if key not in self._values:
            return default
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(self._values[key], deep=True)
        finally:
            loader.dispose()

    def section(self, key: str, name: str = "") -> Section:
        return Section(self._values[key], self.file, name or key)

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
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
            raise self.wrong(key, f"{key} is {value!r}", expected=f"a whole number of at least {at_least}")
        return value

    def wrong(self, key: str, got: str, *, expected: str | None = None, remedy: str = "") -> SweepFileError:
        return SweepFileError(
            f"{self.file}:{self._lines.get(key, self.line)}", got=got, expected=expected, remedy=remedy
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def _one_of(words: tuple[str, ...]) -> str:
    return f"one of {', '.join(words)}"
