"""Finds services and models that are not ready, and why."""

from __future__ import annotations

import time
from datetime import datetime

from sailplane.deployment.envoy.router import Router
from sailplane.home import Home
from sailplane.services.airflow_api import AirflowApi
from sailplane.supervisor import ProgramState

# Components in Airflow's health report, and their programs.
COMPONENTS = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}


def unhealthy(states: dict[str, ProgramState], api: AirflowApi) -> dict[str, str]:
    """The state of each program that is not ready, by name."""
    waiting = {name: state.state.lower() for name, state in states.items() if state.state != "RUNNING"}
    health = api.health()
    if health is None:
        return {"api-server": "starting", **waiting}
    for component, name in COMPONENTS.items():
        if name in states and not _has_heartbeat(health.get(component) or {}, component, states[name]):
            waiting.setdefault(name, "starting")
    return waiting


def starting_models(home: Home) -> dict[str, str]:
    """The models with traffic that do not answer yet, for example after a restart for a new token."""
    router = Router(home)
    silent = {model: versions for model, versions in router.weights().items() if router.version_at(model) is None}
    return {f"model-{model}-{version}": "starting" for model, versions in silent.items() for version in versions}


def _has_heartbeat(report: dict[str, str | None], component: str, state: ProgramState) -> bool:
    # For 30 s after a crash, the report still shows the last heartbeat of the previous process.
    beat = report.get(f"latest_{component}_heartbeat")
    if report.get("status") != "healthy" or not beat:
        return False
    return datetime.fromisoformat(beat).timestamp() >= time.time() - state.seconds
