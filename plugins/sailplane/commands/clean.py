"""`sailplane clean`: deletes files and records that are older than their retention. The platform runs it once a day."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sailplane.errors import AccessError, SailplaneError, ServiceError
from sailplane.files import locked, private_folder
from sailplane.home import Home
from sailplane.services import expired, retention
from sailplane.services.expired import Expired
from sailplane.services.retention import Kind
from sailplane.services.terminal import confirm, print_columns

_FIND: Final[dict[Kind, Callable[[Home, float], Iterable[Expired]]]] = {
    retention.JOBS: expired.jobs,
    retention.TASK_LOGS: expired.task_logs,
    retention.MODEL_LOGS: expired.model_logs,
    retention.PARSER_LOGS: expired.parser_logs,
    retention.WANDB: expired.wandb_runs,
    retention.REQUESTS: expired.requests,
    retention.BUNDLES: expired.bundles,
    retention.LEFTOVERS: expired.leftovers,
    retention.REPORTS: expired.reports,
}
# `dag` is omitted because a DAG whose file is missing for a while must keep its settings; `job`, because a service ends
# without its row; `trigger`, because Airflow deletes those rows itself.
_TABLES: Final = "asset_event,dag_run,dag_version,import_error,log,revoked_token,task_reschedule"
_DAY: Final = 86400.0


@dataclass(frozen=True)
class ExpiredKind:
    """`kept` is in days; None means forever. `note` says why this kind was not searched."""

    kind: Kind
    kept: int | None
    items: tuple[Expired, ...] = ()
    note: str = ""

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="list what would be deleted, and delete nothing")
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.set_defaults(command=run)


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Returns the exit code 0, also if there is nothing to delete. Raises ConfigurationError if the user does not
    agree."""
    expired_kinds = find(home)
    kept = retention.RUNS.kept()
    history = "kept" if kept is None else finished_before(home, time.time() - kept * _DAY)
    _print(expired_kinds, history, each=arguments.dry_run)
    if arguments.dry_run:
        return 0
    if not arguments.yes:
        confirm("Delete these?", "--yes")
    private_folder(home.root)
    with locked(home.root / "clean.lock"):
        # An item may have been used again before the user answered.
        now = expired_kinds if arguments.yes else find(home)
        shown = {(found.kind, item.name) for found in expired_kinds for item in found.items}
        _delete([item for found in now for item in found.items if (found.kind, item.name) in shown])
        if isinstance(history, float):
            clean_history(home, history)
    sys.stdout.write("Done.\n")
    return 0


def find(home: Home) -> list[ExpiredKind]:
    """Finds expired items without deleting them."""
    return [_found(home, kind) for kind in _FIND]


def _found(home: Home, kind: Kind) -> ExpiredKind:
    kept = kind.kept()
    if kept is None:
        return ExpiredKind(kind, None)
    try:
        return ExpiredKind(kind, kept, tuple(_FIND[kind](home, time.time() - kept * _DAY)))
    except AccessError:
        return ExpiredKind(kind, kept, note="the store's key is in a connection that only Airflow can read")


def finished_before(home: Home, before: float) -> float | str:
    """`before`, or the start of the oldest unfinished run if that was earlier: a task that waits for an approval or a
    rollout needs its records, however old they are. A string says why all of the history is kept."""
    from sailplane.services.airflow_api import AirflowApi, RefusedError

    with AirflowApi(home) as api:
        if api.health() is None:
            return "kept: Airflow is not running"
        try:
            oldest = api.call("GET", "/dags/~/dagRuns", state="running", order_by="start_date", limit=1)["dag_runs"]
        except RefusedError as error:
            if error.status not in (401, 403):
                raise
            # With another auth manager, the other kinds are still cleaned.
            return f"kept: {error.detail}"
    # One second earlier, because on SQLite `airflow db clean` compares times as text, and counts an equal time as
    # older.
    return min([before, *(datetime.fromisoformat(run["start_date"]).timestamp() - 1 for run in oldest)])


def clean_history(home: Home, before: float) -> None:
    from sailplane.services.launch import airflow_command

    until = datetime.fromtimestamp(before, UTC).isoformat()
    # In batches, because each batch holds SQLite's only write lock.
    options = ("--tables", _TABLES, "--batch-size", "500", "--skip-archive", "--error-on-cleanup-failure", "--yes")
    command, environment = airflow_command(home, ("db", "clean", "--clean-before-timestamp", until, *options))
    ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if ended.returncode:
        got = f"`airflow db clean` ended with exit code {ended.returncode}: {ended.stderr.strip()[-2000:]}"
        raise ServiceError("clean", "Airflow's database", got=got, remedy="The platform retries on the same day.")


def _delete(items: Iterable[Expired]) -> None:
    """Deletes as many items as it can, then raises ServiceError with the first failure."""
    failed: list[tuple[Expired, Exception]] = []
    for item in items:
        try:
            item.delete()
        except FileNotFoundError:
            continue
        except (OSError, SailplaneError) as error:
            failed.append((item, error))
    if failed:
        first, cause = failed[0]
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise ServiceError("delete", f"{first.name}{more}", got=cause) from cause


def _print(expired_kinds: Iterable[ExpiredKind], history: float | str, *, each: bool) -> None:
    if each:
        for found in expired_kinds:
            for item in found.items:
                sys.stdout.write(f"{_size(item.bytes):>10}  {item.name}\n")
    rows = [("KIND", "OLDER THAN", "FOUND", "SIZE", "SETTING"), *map(_row, expired_kinds)]
    until = history if isinstance(history, str) else f"before {datetime.fromtimestamp(history, UTC):%Y-%m-%d}"
    rows.append((retention.RUNS.name, _days(retention.RUNS.kept()), until, "", retention.RUNS.setting or ""))
    print_columns(rows)


def _row(found: ExpiredKind) -> tuple[str, str, str, str, str]:
    number = found.note or ("kept" if found.kept is None else str(len(found.items)))
    size = _size(found.bytes) if found.items else ""
    return found.kind.name, _days(found.kept), number, size, found.kind.setting or ""


def _days(days: int | None) -> str:
    return "never" if days is None else f"{days} days" if days != 1 else "1 day"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
