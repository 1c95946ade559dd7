"""Finds the registered version that a DAG names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sailplane.errors import ConfigurationError
from sailplane.ledger import Ledger
from sailplane.records import Model


def registered(ledger: Ledger, model: Any, stands: Callable[[], datetime], *, task: str, others: str = "") -> Model:
    """The version that `model` names: `name`, `name@version`, `name@alias`, or a `Model` or `Deployment` that a task
    returned. A bare name means the champion, or, if the champion has seen days after the run's as-of, the newest
    version that has not. Raises ModelError if there is none, ConfigurationError for anything else. `others` adds to the
    expected values in the error."""
    from sailplane.registry.models import find, get, known_at

    if isinstance(model, str) and model.strip():
        return find(ledger, model) if "@" in model else known_at(ledger, model, stands())
    if isinstance(model, Mapping) and {"name", "version"} <= model.keys():
        return get(ledger, model["name"], model["version"])
    expected = f"a name, name@version, name@alias, a Model, a Deployment{others}"
    raise ConfigurationError("read the model of", task, got=repr(model)[:60], expected=expected)
