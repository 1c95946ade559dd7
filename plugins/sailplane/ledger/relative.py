"""Keeps URIs of the store relative to it (`store:///models/churn/0`), so that the store can be moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from sailplane.storage.roots import RELATIVE

_roots: Final[WeakKeyDictionary[sa.Dialect, str]] = WeakKeyDictionary()


def resolve_against(engine: sa.Engine, root: str) -> None:
    """From now on, records that this engine reads have URIs of the store at `root`."""
    _roots[engine.dialect] = root


def replaced(value: Any, old: str, new: str) -> Any:
    """A copy of a JSON value in which every URI below the root `old` is below `new`."""
    if isinstance(value, str):
        return new + value[len(old) :] if value.startswith(f"{old}/") else value
    if isinstance(value, Mapping):
        return {key: replaced(item, old, new) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replaced(item, old, new) for item in value]
    return value


class StoreRecord(sa.TypeDecorator[Any]):
    """JSON with URIs of the store: absolute in the code, relative in the database."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        root = _roots.get(dialect)
        return replaced(value, root, RELATIVE) if root else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        root = _roots.get(dialect)
        return replaced(value, RELATIVE, root) if root else value
