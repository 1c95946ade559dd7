"""The embedded services as supervisord's programs. Each one's command is the one that a container starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from sailplane.home import Home
from sailplane.services.launch import AIRFLOW
from sailplane.serving.router import router_program
from sailplane.supervisor import Program

# A later `up` with other settings in its environment restarts the services with them.
SETTINGS = ("SAILPLANE_", "WANDB_", "AIRFLOW_", "AWS_", "HF_")
# What the scheduler's workers get to finish their tasks; a training goes on by itself.
STOP_SECONDS = {"api-server": 5, "scheduler": 10, "dag-processor": 5, "triggerer": 5}


def programs(home: Home, env: Mapping[str, str] = os.environ) -> tuple[Program, ...]:
    airflow = tuple(
        Program(
            name=service,
            command=(sys.executable, "-P", "-m", "sailplane.cli", "run", service),
            environment=settings(home, env),
            directory=home.project,
            stop_seconds=STOP_SECONDS[service],
            priority=100,
        )
        for service in AIRFLOW
    )
    return (*airflow, router_program(home))


def settings(home: Home, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a service must know to find its home, and the keys that turn hosted services on."""
    given = {key: value for key, value in env.items() if key.startswith(SETTINGS) and key != "SAILPLANE_SERVICE"}
    return {
        **given,
        "SAILPLANE_HOME": str(home.root),
        "SAILPLANE_PROJECT": str(home.project),
        "SAILPLANE_UI_PORT": str(home.ui_port),
        "SAILPLANE_ROUTER_PORT": str(home.router_port),
    }
