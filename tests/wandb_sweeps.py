"""The sweeps of the W&B server's replacement, and their GraphQL operations."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tests.wandb_store import ENTITY, Refused, ServedRun, Store

# The keys in W&B's schema of a sweep without a launch queue and without a local controller.
KEYS: Final = {"method", "metric", "parameters", "run_cap", "early_terminate", "name", "description", "program"}
# The variables of UpsertSweep for a launch queue or a controller.
ABSENT: Final = ("controller", "launchScheduler", "scheduler", "priorRunsFilters", "displayName", "state")
STATES: Final = ("RUNNING", "PAUSED", "CANCELED", "FINISHED")


@dataclass
class ServedSweep:
    """The server's record of a sweep; users call `name` its id."""

    name: str
    project: str
    document: dict[str, Any]
    state: str = "PENDING"

    @property
    def id(self) -> str:
        return f"sweep-{self.name}"


class SweepStore(Store):
    def __init__(self) -> None:
        super().__init__()
        self.sweeps: dict[str, ServedSweep] = {}
        self.operations |= {"UpsertSweep": self._upsert_sweep, "SweepWithRuns": self._sweep_with_runs}

    def sweep(self, project: str, name: str) -> ServedSweep:
        if name not in self.sweeps or self.sweeps[name].project != project:
            raise Refused(f"sweep {project}/{name}: there is none; expected one of {', '.join(self.sweeps) or 'none'}")
        return self.sweeps[name]

    def runs_of(self, sweep: ServedSweep) -> list[ServedRun]:
        return [run for run in self.runs.values() if run.sweep == sweep.name]

    def _upsert_run(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Adds a run. The first run of a pending sweep sets it to running, as W&B's agent does."""
        name = variables["sweep"]
        sweep = self.sweep(variables["project"], name) if name else None
        answer = super()._upsert_run(variables)
        if sweep:
            self.runs[variables["name"] or variables["id"]].sweep = sweep.name
            sweep.state = "RUNNING" if sweep.state == "PENDING" else sweep.state
        return answer

    def _upsert_sweep(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        _check_entity(variables["entityName"])
        sweep = self._changed(variables) if variables["id"] else self._made(variables)
        project = {"id": f"project-{sweep.project}", "name": sweep.project, "entity": ENTITY}
        return {"upsertSweep": {"sweep": {"name": sweep.name, "project": project}, "configValidationWarnings": []}}

    def _made(self, variables: Mapping[str, Any]) -> ServedSweep:
        if given := [name for name in ABSENT if variables.get(name) is not None]:
            raise Refused(f"UpsertSweep: {', '.join(given)}; expected none of them")
        document = yaml.safe_load(variables["config"])
        if unknown := sorted(document.keys() - KEYS):
            raise Refused(f"UpsertSweep: keys {', '.join(unknown)}; expected some of {', '.join(sorted(KEYS))}")
        if missing := sorted({"method", "metric", "parameters"} - document.keys()):
            raise Refused(f"UpsertSweep: no {', '.join(missing)}")
        if not variables["projectName"] or variables["description"] != document.get("description"):
            raise Refused(f"UpsertSweep: {variables}; expected a project, and the document's description")
        sweep = ServedSweep(secrets.token_hex(4), variables["projectName"], document)
        return self.sweeps.setdefault(sweep.name, sweep)

    def _changed(self, variables: Mapping[str, Any]) -> ServedSweep:
        """Changes the state of an existing sweep; its other fields never change."""
        sweep = self.sweep(variables["projectName"], variables["id"].removeprefix("sweep-"))
        if "config" in variables or variables["state"] not in STATES:
            raise Refused(f"UpsertSweep {sweep.name}: {variables}; expected a state of {', '.join(STATES)} alone")
        sweep.state = variables["state"]
        return sweep

    def _sweep_with_runs(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        _check_entity(variables["entity"])
        sweep = self.sweep(variables["project"], variables["sweep"])
        nodes = [{"node": _node(run)} for run in self.runs_of(sweep)]
        known = {
            **{"id": sweep.id, "name": sweep.name, "state": sweep.state, "method": sweep.document["method"]},
            **{"description": sweep.document.get("description"), "config": yaml.safe_dump(sweep.document)},
            **dict.fromkeys(("createdAt", "heartbeatAt", "updatedAt", "bestLoss", "controller", "scheduler")),
            **{"earlyStopJobRunning": False, "runs": {"edges": nodes}},
        }
        return {"project": {"sweep": known}}


def _check_entity(name: str | None) -> None:
    if name not in (None, ENTITY["name"]):
        raise Refused(f"entity {name}: there is none; expected {ENTITY['name']}")


def _node(run: ServedRun) -> dict[str, Any]:
    return {
        **{"name": run.id, "state": run.state, "config": "{}", "exitcode": run.exit_code, "heartbeatAt": None},
        **{"shouldStop": run.stopped, "stopped": run.stopped, "running": run.state == "running"},
        **{"failed": run.state == "failed", "summaryMetrics": "{}", "sampledHistory": []},
    }
