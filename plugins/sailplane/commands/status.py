"""`sailplane status`: shows services, served models, and whatever needs attention."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sailplane import pairing
from sailplane.commands.rollout import on_their_way, print_on_their_way
from sailplane.deployment.kubernetes.recorded import OnCluster, on_clusters
from sailplane.errors import LedgerError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.registry.holds import all_holds
from sailplane.services import daily, object_store
from sailplane.services.airflow_api import AirflowApi
from sailplane.services.attention import InAirflow, in_airflow, print_in_airflow, print_rejected, rejected
from sailplane.services.health import unhealthy
from sailplane.services.log_exporter import failure
from sailplane.services.programs import programs
from sailplane.services.served import all_served
from sailplane.services.terminal import print_columns
from sailplane.serving.spool import held_bytes
from sailplane.supervisor import Supervisor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=lambda home, arguments: show(home, as_json=arguments.json))


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """`state` is running, starting, stopped, or another state of supervisord."""

    name: str
    state: str
    pid: int | None = None
    port: int | None = None
    url: str | None = None


def services(home: Home) -> list[ServiceStatus]:
    supervisor, ports = Supervisor(home), _ports(home)
    known = supervisor.states() if supervisor.running() else {}
    with AirflowApi(home, timeout=5) as api:
        waiting = unhealthy(known, api) if known else {}
    names = dict.fromkeys([*(program.name for program in programs(home)), *known])
    return [
        ServiceStatus(
            name=name,
            state=waiting.get(name, "running") if name in known else "stopped",
            pid=known[name].pid if name in known else None,
            port=ports.get(name),
            url=f"http://localhost:{ports[name]}" if name in ports else None,
        )
        for name in names
    ]


def _ports(home: Home) -> dict[str, int]:
    from sailplane.deployment.local.endpoint import model_ports

    on_request = {object_store.NAME: home.s3_port} if home.has_s3 else {}
    on_request |= dict.fromkeys(home.twins, home.algorithmia_port)
    return {"api-server": home.ui_port, "router": home.router_port, **on_request, **model_ports(home)}


def request_log(home: Home) -> dict[str, Any]:
    """The bytes that wait to be exported to the store, and why the last attempt failed."""
    return {"waiting": held_bytes(home.requests), "failure": failure(home.requests)}


def daily_commands(home: Home) -> list[dict[str, Any]]:
    """The commands that the platform runs once a day. Times are in ISO 8601, or None."""
    known = daily.read(home.daily)
    records = {" ".join(command): known.get(" ".join(command), daily.CommandRecord()) for command in daily.COMMANDS}
    return [
        {
            "command": f"sailplane {name}",
            "succeeded": _iso(record.succeeded),
            "failures": record.failures,
            "reason": record.reason,
            "next": _iso(max(record.due(), time.time())),
        }
        for name, record in records.items()
    ]


def _iso(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


@dataclass(frozen=True, kw_only=True)
class OnLedger:
    """The ledger's part of the status. `fault` says why the ledger cannot be read; the rest is empty then."""

    clusters: Sequence[OnCluster] = ()
    rollouts: Sequence[dict[str, Any]] = ()
    holds: Sequence[dict[str, Any]] = ()
    rejected: Sequence[dict[str, Any]] = ()
    fault: str | None = None

    @property
    def needs_a_person(self) -> bool:
        return bool(self.fault or self.holds or any(rollout["stalled"] for rollout in self.rollouts))


def on_ledger(home: Home) -> OnLedger:
    try:
        ledger = pairing.ledger(home)
        return OnLedger(
            clusters=on_clusters(ledger), rollouts=on_their_way(ledger), holds=holds(ledger), rejected=rejected(ledger)
        )
    except LedgerError as error:
        return OnLedger(fault=str(error))


def holds(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {
            "model": hold.name,
            "since": datetime.fromtimestamp(hold.since, UTC).isoformat(timespec="seconds"),
            "by": hold.by,
            "version": hold.version,
            "serves": hold.serves,
            "reason": hold.message,
            "end": hold.command,
        }
        for hold in all_holds(ledger)
    ]


def show(home: Home, *, as_json: bool) -> int:
    """Returns the exit code: 0 if everything runs and nothing needs attention, else 1."""
    statuses, known, airflow = services(home), on_ledger(home), in_airflow(home)
    served = [deployment.content() for deployment in all_served(home)]
    if as_json:
        _print_json(home, statuses, served, known, airflow)
    else:
        _print(statuses, served)
        print_on_clusters(known.clusters)
        print_on_their_way(known.rollouts)
        print_holds(known.holds)
        print_in_airflow(airflow)
        print_rejected(known.rejected)
        _print_waiting(request_log(home))
        _print_failed(daily_commands(home))
        if known.fault:
            sys.stdout.write(f"\n{known.fault}\n")
    runs = all(service.state == "running" for service in statuses)
    return 0 if runs and not known.needs_a_person and not airflow.needs_a_person else 1


def _print_json(
    home: Home, statuses: list[ServiceStatus], served: list[dict[str, Any]], known: OnLedger, airflow: InAirflow
) -> None:
    import json

    models = {"models": served, "cluster_models": [shown(deployment) for deployment in known.clusters]}
    models |= {"rollouts": list(known.rollouts), "holds": list(known.holds), "rejected": list(known.rejected)}
    upkeep = {"request_log": request_log(home), "daily": daily_commands(home), "ledger": known.fault}
    everything = {"services": [asdict(status) for status in statuses], **models, **airflow.content(), **upkeep}
    sys.stdout.write(json.dumps(everything, indent=2) + "\n")


def _print(statuses: list[ServiceStatus], served: list[dict[str, Any]]) -> None:
    rows = [("SERVICE", "STATE", "PID", "PORT", "URL")]
    rows += [(s.name, s.state, str(s.pid or "-"), str(s.port or "-"), s.url or "-") for s in statuses]
    print_columns(rows)
    if served:
        sys.stdout.write("\n")
        print_columns([("MODEL", "VERSION", "ENDPOINT"), *((m["name"], m["version"], m["endpoint"]) for m in served)])


def _print_waiting(log: dict[str, Any]) -> None:
    if log["failure"]:
        sys.stdout.write(f"\n{log['waiting'] / 1e6:.1f} MB of the request log are not exported: {log['failure']}\n")


def _print_failed(commands: list[dict[str, Any]]) -> None:
    for command in commands:
        if command["failures"]:
            again = f"The next attempt is after {command['next']}; the log is logs/daily.log."
            sys.stdout.write(f"\nThe daily `{command['command']}` failed: {command['reason']}\n{again}\n")


def print_holds(holds: Sequence[dict[str, Any]]) -> None:
    for hold in holds:
        sys.stdout.write(f"\nHOLD on {hold['model']}: {hold['reason']}\n")


def print_on_clusters(records: Sequence[OnCluster]) -> None:
    """Prints the ledger's records, without asking any cluster."""
    if not records:
        return
    rows = [("MODEL ON A CLUSTER", "VERSION", "TRAFFIC", "CONNECTION/NAMESPACE", "SINCE", "ENDPOINT")]
    for record in records:
        deployment, since = record.deployment, f"{datetime.fromtimestamp(record.changed, UTC):%Y-%m-%d %H:%M:%S} UTC"
        traffic = ", ".join(f"{weight}% {version}" for version, weight in deployment.weights.items() if weight)
        rows.append((deployment.name, deployment.version, traffic, str(record.location), since, deployment.endpoint))
    sys.stdout.write("\n")
    print_columns(rows)


def shown(record: OnCluster) -> dict[str, Any]:
    where = {"connection": record.location.connection, "namespace": record.location.namespace}
    return {**record.deployment.content(), **where, "changed": datetime.fromtimestamp(record.changed, UTC).isoformat()}
