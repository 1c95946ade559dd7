"""`sailplane backtest DAG --from DAY --to DAY`: runs a backfill to its end, and shows the scores of the pipeline day by
day."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from sailplane import pairing
from sailplane.errors import ConfigurationError
from sailplane.files import replace_file
from sailplane.home import Home
from sailplane.records import Interval
from sailplane.services.airflow_api import AirflowApi
from sailplane.services.backfill import Backfill

if TYPE_CHECKING:
    from sailplane.evaluation.backtested import Backtest, BacktestedDay
    from sailplane.evaluation.history import Judged

DAY = timedelta(days=1)
# The number of corrections that the summary lists.
REVISED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dag", help="a DAG with a schedule")
    parser.add_argument("--from", dest="first", required=True, metavar="DAY", help="the first day, like 2026-10-01")
    parser.add_argument("--to", dest="last", required=True, metavar="DAY", help="the last day")
    parser.add_argument("--no-run", action="store_true", help="start no runs; show the results of earlier runs")
    parser.add_argument("--again", action="store_true", help="repeat successful runs too")
    parser.add_argument("--max-active", type=int, default=2, metavar="N", help="the number of concurrent runs (2)")
    parser.add_argument("--model", help="the model, if the DAG evaluates several")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also write curves to an HTML page")
    parser.set_defaults(command=run)


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Returns the exit code: 0, or 1 if a run failed. Writes progress to stderr and results to stdout."""
    from sailplane.evaluation.backtest import backtest

    _check(arguments)
    period, console = _period(arguments), Console(stderr=True, highlight=False)
    failed = [] if arguments.no_run else _backfilled(home, arguments, period, console)
    judged = _judged(home, arguments, period)
    with console.status("") as status:
        found = backtest(pairing.store(home), judged, lambda day: status.update(f"evaluating again: {day:%Y-%m-%d}"))
    _show(found, arguments)
    if old := _outdated(home, judged):
        console.print(f"The rows of {old} of {len(judged)} runs were corrected since they ran: --again repeats these.")
    if failed:
        days = ", ".join(f"{day:%Y-%m-%d}" for day in failed)
        console.print(f"Failed, and left out: {days}. See http://localhost:{home.ui_port}/dags/{arguments.dag}/runs")
    return 1 if failed else 0


def summary(backtest: Backtest) -> str:
    """The results in a few sentences."""
    means = ", ".join(f"{name} {value:.4f}" for name, value in backtest.means.items()) or "no model"
    count = len(backtest.days)
    shipped = f"the gate would have shipped {backtest.shipped} of {count}."
    return f"Mean {backtest.metric} of {count} days: {means}; {shipped} {_limit(backtest)}{_corrected(backtest)}"


def _limit(backtest: Backtest) -> str:
    """The expected number of wrong promotions, and the evidence that a model needs."""
    sentence = f"{backtest.limit[:1].upper()}{backtest.limit[1:]}."
    if backtest.needed is None:
        return sentence
    return f"{sentence} `e` is the evidence of the counted `days`: a champion is replaced at {backtest.needed:.4g}."


def _corrected(backtest: Backtest) -> str:
    """A sentence about days whose rows were corrected later, so that the runs may use rows that were unknown at the
    time."""
    days = [day for day in backtest.days if day.revised]
    if not days:
        return ""
    latest = days[-1]
    listed = "; ".join(latest.revised[:REVISED]) + ("; ..." if len(latest.revised) > REVISED else "")
    used = f"{len(days)} of {len(backtest.days)} runs used days that were corrected after they were first ingested"
    return f" {used} ({latest.day:%Y-%m-%d}: {listed}); --json lists them all."


def rows(backtest: Backtest) -> list[list[str]]:
    """The rows of the table, starting with the titles."""
    titles = ["day", "rows", "pipeline", "frozen", "baseline", "champion", "of", "e", "days", "ships", "data"]
    return [titles, *(_row(day, backtest.metric) for day in backtest.days)]


def _row(day: BacktestedDay, metric: str) -> list[str]:
    from sailplane.evaluation.daily import shown

    measured = [day.pipeline, day.frozen, day.baseline, day.champion]
    numbers = ["" if metrics is None else f"{metrics[metric]:.4f}" for metrics in measured]
    champion = f"{day.champion_day:%Y-%m-%d}" if day.champion_day else ""
    looks = ["", ""] if day.evidence is None else [shown(day.evidence), f"{day.counted:,}"]
    ships = "yes" if day.ships else "no"
    return [f"{day.day:%Y-%m-%d}", f"{day.rows:,}", *numbers, champion, *looks, ships, day.dataset[:8]]


def _backfilled(home: Home, arguments: argparse.Namespace, period: Interval, console: Console) -> list[datetime]:
    with AirflowApi(home) as api:
        backfill = Backfill(api, arguments.dag, period)
        backfill.create(at_a_time=arguments.max_active, again=arguments.again)
        return backfill.follow(console)


def _judged(home: Home, arguments: argparse.Namespace, period: Interval) -> list[Judged]:
    from sailplane.evaluation.history import verdicts

    judged = verdicts(pairing.ledger(home), arguments.dag, period)
    models = sorted({run.evaluation.model for run in judged})
    name = arguments.model or (models[0] if len(models) == 1 else None)
    if len(models) > 1 and name is None:
        raise ConfigurationError(
            "backtest", arguments.dag, got="several models", expected=f"--model {' or '.join(models)}"
        )
    if name not in models:
        raise ConfigurationError(
            "backtest",
            arguments.dag,
            got=f"no verdict on {name or 'a model'} from the days {arguments.first} to {arguments.last}",
            remedy="Run it without --no-run, or see why its runs failed.",
        )
    return [run for run in judged if run.evaluation.model == name]


def _outdated(home: Home, judged: Sequence[Judged]) -> int:
    """The number of runs that used rows which were corrected later."""
    from sailplane.datasets.catalogue import superseded

    used = [run.evaluation.run.dataset for run in judged]
    names = {dataset.name for dataset in used}
    return sum(
        sum(superseded(pairing.store(home), [dataset for dataset in used if dataset.name == name])) for name in names
    )


def _period(arguments: argparse.Namespace) -> Interval:
    first, last = (
        _midnight(option, getattr(arguments, name)) for option, name in (("--from", "first"), ("--to", "last"))
    )
    if first > last:
        got = f"--from {arguments.first} is after --to {arguments.last}"
        raise ConfigurationError("backtest", arguments.dag, got=got, remedy="Swap them.")
    if last > datetime.now(UTC) - DAY:
        got = f"--to {arguments.last} is a day that has not ended yet (in UTC)"
        raise ConfigurationError("backtest", arguments.dag, got=got, remedy="Name a day in the past.")
    return Interval(start=first, end=last + DAY)


def _midnight(option: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ConfigurationError("read", option, got=repr(text), expected="a day like 2026-10-01") from error


def _show(found: Backtest, arguments: argparse.Namespace) -> None:
    if arguments.plot:
        _plot(found, arguments.plot)
    if arguments.json:
        values = {**found.content(), "means": found.means, "shipped": found.shipped}
        sys.stdout.write(json.dumps(values, indent=2) + "\n")
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{found.model}: {found.metric} of each model on the days of its evaluation")
    console.print(_table(_narrow(found)))
    console.print(summary(found))


def _narrow(found: Backtest) -> list[list[str]]:
    """The columns that fit a terminal of 80 characters; the page and --json have all of them."""
    titles, *lines = rows(found)
    left_out = {"data", "rows"} if any(day.evidence is not None for day in found.days) else {"data", "e", "days"}
    shown = [index for index, title in enumerate(titles) if title not in left_out]
    return [[line[index] for index in shown] for line in (titles, *lines)]


def _table(lines: Sequence[Sequence[str]]) -> Table:
    table = Table(*lines[0], box=None, pad_edge=False)
    for column in table.columns:
        column.justify = "right"
    for line in lines[1:]:
        table.add_row(*line)
    return table


def _check(arguments: argparse.Namespace) -> None:
    if arguments.plot and arguments.plot.suffix not in (".html", ".htm"):
        raise ConfigurationError("write plot", arguments.plot, expected="a file name that ends in .html")
    if arguments.max_active < 1:
        raise ConfigurationError("read", "--max-active", got=arguments.max_active, expected="1 or more")


def _plot(found: Backtest, path: Path) -> None:
    from sailplane.evaluation.curves import page

    try:
        replace_file(path, page(found, summary(found), rows(found)))
    except OSError as error:
        remedy = "Name a file in an existing folder that you can write to."
        raise ConfigurationError("write plot", path, got=error.strerror, remedy=remedy) from error
    sys.stderr.write(f"{path.resolve()}: open it in a browser; it needs no network.\n")
