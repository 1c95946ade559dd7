"""`sailplane sweep check | list | show | stop | restart | share | unshare`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from sailplane import pairing
from sailplane.errors import ConfigurationError
from sailplane.files import replace_file
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Trial
from sailplane.services.sharing import share, unshare
from sailplane.sweeps import lifecycle, results
from sailplane.sweeps.file import SweepFile
from sailplane.sweeps.importance import ParameterImportance, importances, no_importance
from sailplane.sweeps.names import newest, only
from sailplane.sweeps.parameters import Parameter
from sailplane.sweeps.rungs import warning
from sailplane.sweeps.space import SweepConfig

LEADERS: Final = 10
_WHICH: Final = "the sweep's name, or a DAG or a model that has only one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="check a W&B sweep file; print the line and the reason if it is invalid")
    check.add_argument("file", type=Path)
    commands.add_parser("list", help="list all sweeps, newest first")
    show = commands.add_parser("show", help="show the best trials, and which parameters matter")
    show.add_argument("sweep", nargs="?", help="a sweep, or the DAG or the model of one; by default the newest")
    forms = show.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print one JSON object with all trials")
    forms.add_argument("--plot", type=Path, nargs="?", const=Path(), metavar="FILE", help="draw charts on an HTML page")
    stop = commands.add_parser("stop", help="start no more trials, and end running ones with their current scores")
    stop.add_argument("sweep", help=_WHICH)
    for name, text in {
        "restart": "forget its trials, so that its task group starts over when it is cleared",
        "share": "let workers on other machines join with a token; a new token replaces the old one",
        "unshare": "revoke its token",
    }.items():
        commands.add_parser(name, help=text).add_argument("sweep", help=_WHICH)
    for name, command in commands.choices.items():
        command.set_defaults(command=COMMANDS[name])


def _check(_home: Home, arguments: argparse.Namespace) -> int:
    file = SweepFile.read(arguments.file)
    config = file.config
    size = "unlimited" if config.size is None else f"{config.size} trials"
    sys.stdout.write(f"{arguments.file} is valid: {config.method}, {size}, to {config.goal} {config.metric}\n")
    for parameter in config.parameters:
        sys.stdout.write(f"  {parameter.name}: {_described(parameter)}\n")
    for note in file.notes():
        sys.stdout.write(f"{note}\n")
    return 0


def _list(home: Home, _arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    for name in results.names(ledger):
        sys.stdout.write(f"{name}: {_state(ledger, name, results.trials(ledger, name))}\n")
    return 0


def _show(home: Home, arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    name = newest(ledger, arguments.sweep)
    sweep, found = results.read(ledger, name), results.trials(ledger, name)
    leaders, known = results.ranked(sweep.config, found), importances(sweep.config, found)
    if arguments.json:
        document: dict[str, Any] = {
            "sweep": name,
            "state": _state(ledger, name, found),
            "best": [trial.number for trial in leaders],
        }
        document |= {"importances": {key: importance.to_dict() for key, importance in known.items()}}
        document |= {"trials": [_plain(trial) for trial in found]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0
    if arguments.plot is not None:
        file = home.root / "sweep.html" if arguments.plot == Path() else arguments.plot
        return _plot(file, ledger, name, found, known)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{name}: {_state(ledger, name, found)}; to {sweep.config.goal} {sweep.config.metric}")
    console.print(_leaderboard(_rows(sweep.config, leaders[:LEADERS])))
    console.print(f"Importance: {_importance(sweep.config, found, known)}")
    if doubt := warning(sweep.config, found):
        console.print(doubt)
    for number, reason in results.failures(ledger, name).items():
        console.print(f"trial {number} failed: {reason}")
    return 0


def _plot(
    path: Path, ledger: Ledger, name: str, found: tuple[Trial, ...], known: dict[str, ParameterImportance]
) -> int:
    """Raises ConfigurationError if the page cannot be written."""
    from sailplane.sweeps.plots import page

    if path.suffix not in (".html", ".htm"):
        remedy = "The sweep's name goes before --plot."
        raise ConfigurationError("write plot", path, expected="a file name that ends in .html", remedy=remedy)
    config, failures = results.read(ledger, name).config, results.failures(ledger, name)
    rows = _rows(config, results.ranked(config, found))
    drawn = page(
        name, _state(ledger, name, found), config, found, leaderboard=rows, importances=known, failures=failures
    )
    try:
        replace_file(path, drawn)
    except OSError as error:
        remedy = "Name a file in an existing folder that you can write to."
        raise ConfigurationError("write plot", path, got=error.strerror, remedy=remedy) from error
    sys.stdout.write(f"{path.resolve()}: open it in a browser; it needs no network.\n")
    return 0


def _restart(home: Home, arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    name = only(ledger, arguments.sweep)
    count = lifecycle.restart(ledger, name)
    sys.stdout.write(f"Forgot {name} and its {count} trials. Clear its task group in Airflow to start over.\n")
    return 0


def _stop(home: Home, arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    name = only(ledger, arguments.sweep, among=partial(_is_open, ledger))
    lifecycle.stop(ledger, name, "`sailplane sweep stop`")
    sys.stdout.write(f"{name} starts no more trials; running ones end with their current scores.\n")
    return 0


def _is_open(ledger: Ledger, sweep: str) -> bool:
    """Whether the sweep may start more trials, or has a running one."""
    return results.is_open(ledger, sweep) or (
        not lifecycle.is_over(ledger, sweep) and results.ended(ledger, sweep) != results.read(ledger, sweep).config.size
    )


COMMANDS: Final = {
    "check": _check,
    "list": _list,
    "show": _show,
    "stop": _stop,
    "restart": _restart,
    "share": share,
    "unshare": unshare,
}


def _state(ledger: Ledger, name: str, found: Sequence[Trial]) -> str:
    counted = Counter(trial.state for trial in found)
    size = results.read(ledger, name).config.size
    of_all = f" of {size}" if size else ""
    parts = [f"{counted['finished']}{of_all} trials finished"]
    parts += [f"{counted[state]} {state}" for state in ("running", "failed") if counted[state]]
    if reason := results.stopped(ledger, name):
        parts.append(f"stopped: {reason}")
    return ", ".join(parts)


def _leaderboard(rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*rows[0], box=None, pad_edge=False)
    for column in table.columns:
        column.justify = "right"
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _rows(config: SweepConfig, leaders: Sequence[Trial]) -> list[list[str]]:
    """The rows of the leaderboard, starting with the titles."""
    free = [parameter for parameter in config.parameters if parameter.distribution != "constant"]
    rows = [["trial", config.metric, *(parameter.name for parameter in free), "values"]]
    for trial in leaders:
        cells = [_short(parameter.of(trial.config)) for parameter in free]
        rows.append([str(trial.number), f"{trial.score:.5g}", *cells, str(len(trial.values))])
    return rows


def _importance(config: SweepConfig, found: Sequence[Trial], known: Mapping[str, ParameterImportance]) -> str:
    if not known:
        return no_importance(config, found) or ""
    listed = "; ".join(f"{name} {importance.described}" for name, importance in known.items())
    return f"{listed}. Chance alone gives up to {next(iter(known.values())).chance:.0%}."


def _plain(trial: Trial) -> dict[str, Any]:
    return {key: trial.to_dict()[key] for key in ("number", "state", "score", "config", "values")}


def _described(parameter: Parameter) -> str:
    if parameter.values:
        return ", ".join(map(_short, parameter.values))
    numbers = {"normal": ("mu", "sigma"), "beta": ("a", "b")}
    kind = next((kind for kind in numbers if parameter.distribution.endswith(kind)), "")
    names = [*numbers.get(kind, ("min", "max")), *(["q"] if parameter.distribution.startswith("q_") else [])]
    described = f"{parameter.distribution}, " + ", ".join(f"{name} {getattr(parameter, name):g}" for name in names)
    # Here min and max are exponents, which many do not expect.
    exponents = parameter.distribution.endswith("log_uniform")
    return f"{described}: from {parameter.at(0):.4g} to {parameter.at(1):.4g}" if exponents else described


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
