"""`sailplane rollout show MODEL`, and the rollouts that `sailplane status` lists."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from sailplane import pairing
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.engine import findings, least_seconds_left
from sailplane.deployment.rollout.records import Decision, RolloutRecord
from sailplane.deployment.rollout.state import split
from sailplane.errors import ModelError
from sailplane.home import Home
from sailplane.ledger import Ledger

# A driver checks once a second. Timeouts of a cluster, and restarts of the triggerer, are shorter than this.
STALLED_SECONDS: Final = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shown = commands.add_parser("show", help="show every decision of a model's newest rollout, with its figures")
    shown.add_argument("model")
    shown.add_argument("--version", help="show this version's rollout")
    shown.add_argument("--json", action="store_true", help="print one JSON object")
    shown.set_defaults(command=show)


def on_their_way(ledger: Ledger) -> list[dict[str, Any]]:
    """The active rollouts, each with its stage, traffic, time left and current checks."""
    return [_summary(entry) for entry in records.all_active(ledger)]


def print_on_their_way(rollouts: Sequence[dict[str, Any]]) -> None:
    for rollout in rollouts:
        sys.stdout.write("\n" + "\n".join(_lines(rollout)) + "\n")


def show(home: Home, arguments: argparse.Namespace) -> int:
    """Returns the exit code 0. Raises ModelError for a model that was never rolled out."""
    ledger, name, version = pairing.ledger(home), arguments.model, arguments.version
    entry = records.find(ledger, name, version) if version else records.newest(ledger, name)
    if entry is None:
        which, remedy = f"{name} {version}" if version else name, "`deploy(evaluate, rollout=Rollout(...))` starts one."
        raise ModelError("find a rollout of", which, got="no such rollout", remedy=remedy)
    made = records.decisions(ledger, name, entry.subject.version)
    if arguments.json:
        sys.stdout.write(json.dumps(_plain(entry, made), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_history(entry, made)) + "\n")
    return 0


def _summary(entry: RolloutRecord) -> dict[str, Any]:
    subject, state, plan = entry.subject, entry.state, entry.plan
    wanted, found = split(plan, subject, state), findings(plan, state)
    return {
        "model": subject.name,
        "version": subject.version,
        "champion": subject.champion,
        "stage": state.stage,
        "percent": wanted.weights.get(subject.version, 0) if wanted else 0,
        "shadow": bool(wanted and wanted.shadow),
        "watched_seconds": state.watched,
        "least_seconds_left": least_seconds_left(plan, state),
        "checks": [str(finding) for finding in found],
        "rules": [finding.explained() for finding in found],
        "reason": state.reason,
        "started_by": subject.owner,
        "place": str(subject.place) if subject.place else None,
        "stalled": _stalled(entry),
        "end": f"sailplane rollback {subject.name}",
    }


def _lines(rollout: dict[str, Any]) -> Iterator[str]:
    traffic = "a copy of each request" if rollout["shadow"] else f"{rollout['percent']} % of the traffic"
    left = rollout["least_seconds_left"]
    time = "" if left is None else f", {rollout['watched_seconds']:.0f} s into this step, at least {left:.0f} s left"
    where = f" at {rollout['place']}" if rollout["place"] else ""
    yield f"ROLLOUT of {rollout['model']} {rollout['version']}{where}: {rollout['stage']}, {traffic}{time}"
    if rollout["reason"]:
        yield f"  {rollout['reason']}"
    for check, rule in zip(rollout["checks"], rollout["rules"], strict=True):
        yield f"  {check}"
        if rule:
            yield f"    {rule}"
    if rollout["stalled"]:
        yield f"  STALLED: {rollout['stalled']}"
    yield f"  Started by {rollout['started_by']}. `{rollout['end']}` ends it."


def _stalled(entry: RolloutRecord) -> str | None:
    """Why the rollout does not continue by itself; None if a driver is active."""
    silent, name = time.time() - entry.changed, entry.subject.name
    if silent < STALLED_SECONDS:
        return None
    if entry.subject.at_once:
        interrupted = f"the deployment was interrupted {silent:.0f} s ago"
        return f"{interrupted}. The next one takes its place, or `sailplane rollback {name}` ends it."
    if entry.subject.back:
        return f"the rollback was interrupted {silent:.0f} s ago. Run `sailplane rollback {name}` again."
    return f"no check has succeeded for {silent:.0f} s. Is Airflow's triggerer running? `sailplane up` starts it."


def _history(entry: RolloutRecord, made: list[Decision]) -> Iterator[str]:
    for decision in made:
        way = f"{decision.before} -> {decision.after}" if decision.before else decision.after
        reason = f": {decision.reason}" if decision.reason else ""
        yield f"{_time(decision.time)}  attempt {decision.attempt}  {way}{reason}, by {decision.by}"
        for finding in decision.findings:
            yield f"    {finding.outcome}: {finding}; evidence {max(finding.evidence, 0):g} of 1"
            if explained := finding.explained():
                yield f"      {explained}"
    if not entry.state.ended:
        yield ""
        yield from _lines(_summary(entry))


def _plain(entry: RolloutRecord, made: list[Decision]) -> dict[str, Any]:
    decisions = [
        {**asdict(decision), "time": _time(decision.time), "findings": [found.content() for found in decision.findings]}
        for decision in made
    ]
    return {**_summary(entry), "decisions": decisions}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
