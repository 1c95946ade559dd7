"""`sailplane sweep check | list | show | stop`: a function a command, (home, arguments) -> exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Trial
from sailplane.sweeps import queue, results
from sailplane.sweeps.parameters import Parameter
from sailplane.sweeps.space import SweepConfig, read_sweep

LEADERS: Final = 10


def _check(_home: Home, arguments: argparse.Namespace) -> int:
    config = read_sweep(arguments.file)
    size = "without an end" if config.size is None else f"{config.size} trials"
    sys.stdout.write(f"{arguments.file} is valid: {config.method}, {size}, to {config.goal} {config.metric}\n")
    for parameter in config.parameters:
        sys.stdout.write(f"  {parameter.name}: {_described(parameter)}\n")
    return 0


def _list(home: Home, _arguments: argparse.Namespace) -> int:
    ledger = Ledger.at(home)
    for name in results.names(ledger):
        sys.stdout.write(f"{name}: {_state(ledger, name, results.trials(ledger, name))}\n")
    return 0


def _show(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.sweeps.importance import importances

    ledger = Ledger.at(home)
    name = arguments.sweep or _newest(ledger)
    sweep, found = results.read(ledger, name), results.trials(ledger, name)
    leaders, shares = results.ranked(sweep.config, found), importances(sweep.config, found)
    if arguments.json:
        told = {"sweep": name, "state": _state(ledger, name, found), "best": [trial.number for trial in leaders]}
        told |= {"importances": shares, "trials": [_plain(trial) for trial in found]}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return 0
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{name}: {_state(ledger, name, found)}; to {sweep.config.goal} {sweep.config.metric}")
    console.print(_leaderboard(sweep.config, leaders[:LEADERS]))
    if shares:
        console.print("Importance: " + ", ".join(f"{key} {share:.0%}" for key, share in shares.items()))
    for number, reason in results.failures(ledger, name).items():
        console.print(f"trial {number} failed: {reason}")
    return 0


def _stop(home: Home, arguments: argparse.Namespace) -> int:
    queue.stop(Ledger.at(home), arguments.sweep, "`sailplane sweep stop`")
    sys.stdout.write(f"{arguments.sweep} gives no more trials; those that run end with what they reached.\n")
    return 0


COMMANDS: Final = {"check": _check, "list": _list, "show": _show, "stop": _stop}


def _newest(ledger: Ledger) -> str:
    found = results.names(ledger)
    if not found:
        raise ConfigurationError("find sweep", got="the ledger has none", remedy="Trigger a DAG that has one.")
    return found[0]


def _state(ledger: Ledger, name: str, found: Sequence[Trial]) -> str:
    counted = Counter(trial.state for trial in found)
    size = results.read(ledger, name).config.size
    of_all = f" of {size}" if size else ""
    parts = [f"{counted['finished']}{of_all} trials finished"]
    parts += [f"{counted[state]} {state}" for state in ("running", "failed") if counted[state]]
    if reason := results.stopped(ledger, name):
        parts.append(f"stopped: {reason}")
    return ", ".join(parts)


def _leaderboard(config: SweepConfig, leaders: Sequence[Trial]) -> Table:
    table = Table(box=None, pad_edge=False)
    free = [parameter for parameter in config.parameters if parameter.distribution != "constant"]
    for title in ("trial", config.metric, *(parameter.name for parameter in free), "values"):
        table.add_column(title, justify="right")
    for trial in leaders:
        cells = (_short(parameter.of(trial.config)) for parameter in free)
        table.add_row(str(trial.number), f"{trial.score:.5g}", *cells, str(len(trial.values)))
    return table


def _plain(trial: Trial) -> dict[str, Any]:
    return {key: trial.to_dict()[key] for key in ("number", "state", "score", "config", "values")}


def _described(parameter: Parameter) -> str:
    if parameter.values:
        return ", ".join(map(_short, parameter.values))
    numbers = {"normal": ("mu", "sigma"), "beta": ("a", "b")}
    kind = next((kind for kind in numbers if parameter.distribution.endswith(kind)), "")
    names = [*numbers.get(kind, ("min", "max")), *(["q"] if parameter.distribution.startswith("q_") else [])]
    told = f"{parameter.distribution}, " + ", ".join(f"{name} {getattr(parameter, name):g}" for name in names)
    # Its min and max are exponents, which is not what many expect.
    exponents = parameter.distribution.endswith("log_uniform")
    return f"{told}: from {parameter.at(0):.4g} to {parameter.at(1):.4g}" if exponents else told


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
