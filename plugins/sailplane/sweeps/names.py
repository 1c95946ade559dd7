"""Finds a sweep by its full name, its DAG or its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sailplane.errors import ConfigurationError
from sailplane.ledger import Ledger
from sailplane.sweeps import results

MOST_SHOWN: Final = 10


def newest(ledger: Ledger, name: str | None) -> str:
    """The sweep with this name, otherwise the newest sweep of this DAG or model; without a name the newest of all."""
    return _matching(ledger, name)[0]


def only(ledger: Ledger, name: str, among: Callable[[str], bool] = lambda _sweep: True) -> str:
    """The sweep with this name, otherwise the only sweep of this DAG or model. If there are several, `among` must
    accept exactly one of them. Raises ConfigurationError, with the candidates, if several remain."""
    found = _matching(ledger, name)
    chosen = [sweep for sweep in found if among(sweep)] if len(found) > 1 else found
    if len(chosen) == 1:
        return chosen[0]
    shown = ", ".join((chosen or found)[:MOST_SHOWN])
    raise ConfigurationError("find sweep", name, got="the name has several sweeps", expected=f"one of {shown}")


def _matching(ledger: Ledger, name: str | None) -> list[str]:
    """The sweeps with this name, DAG or model, newest first."""
    known = results.names(ledger)
    if name is not None and name in known:
        return [name]
    found = [sweep for sweep in known if name is None or _belongs(ledger, sweep, name)]
    if found:
        return found
    got = "the ledger has no sweep" if name is None or not known else "no sweep has this name, DAG or model"
    remedy = "`sailplane sweep list` shows all." if known else "Trigger a DAG with a sweep."
    raise ConfigurationError("find sweep", name or "", got=got, remedy=remedy)


def _belongs(ledger: Ledger, sweep: str, name: str) -> bool:
    """Whether the sweep belongs to the DAG or model `name`. A sweep's name begins with its model's."""
    return sweep.partition("/")[0] == name or (results.job(ledger, sweep) or {}).get("dag") == name
