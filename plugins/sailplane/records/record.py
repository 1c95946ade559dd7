"""The base class of all records, and their JSON format."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Any, Final, Self

import msgspec

from sailplane.errors import DataError

# The version of the JSON format of all records, and its key. A record without the key has version 1. Raise the version
# when an older release would misread a change.
VERSION: Final = 1
VERSION_KEY: Final = "record_version"
# Metadata of a field that `to_dict` omits at its default, so that records older than the field keep their digests.
SPARSE: Final = {"sparse": True}


@dataclass(frozen=True, kw_only=True)
class Record:
    """Converts to JSON and back. Times become ISO 8601 strings in UTC, and tuples lists; records may nest."""

    def to_dict(self) -> dict[str, Any]:
        """The fields, with the version of the format, which nested records omit."""
        return {**self.content(), VERSION_KEY: VERSION}

    def content(self) -> dict[str, Any]:
        """The fields without the version: for a digest, a comparison, or a part of another document."""
        values = ((f, getattr(self, f.name)) for f in fields(self))
        return {f.name: _plain(value) for f, value in values if not (f.metadata.get("sparse") and value == _default(f))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Ignores unknown fields. Raises DataError if a newer release wrote the record, and ValueError, naming the
        field, if one is missing or has the wrong type."""
        if (version := values.get(VERSION_KEY, 1)) > VERSION:
            got, remedy = f"version {version}", "A newer release of sailplane wrote it: install that release."
            raise DataError("read record", cls.__name__, got=got, expected=f"version {VERSION} or older", remedy=remedy)
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"{cls.__name__}: {error}") from error


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


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
