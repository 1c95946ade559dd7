from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from sailplane.home import Home
from sailplane.services import orphans

# Identifies itself, starts a session, and starts a child with its own group, as a task does.
SERVICE = """
import subprocess, sys
from sailplane.home import Home
from sailplane.services import orphans
orphans.record(Home.find(), "scheduler")
forever = [sys.executable, "-c", "import time; time.sleep(3600)"]
task = subprocess.Popen(forever, process_group=0)
training = subprocess.Popen(forever, start_new_session=True)
print(task.pid, training.pid, flush=True)
sys.stdin.read()
"""


class Service:
    """Stands for a service: a process with a task and a training."""

    def __init__(self, home: Home, *, mark: str = "scheduler") -> None:
        env = {
            "SAILPLANE_HOME": str(home.root),
            "SAILPLANE_PROJECT": str(home.project),
            "PYTHONPATH": str(Path(orphans.__file__).parents[2]),
        }
        if mark:
            env[orphans.MARK] = mark
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVICE],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.task, self.training = (psutil.Process(int(pid)) for pid in self.process.stdout.readline().split())

    def close(self) -> None:
        for process in (self.task, self.training, self.process):
            if psutil.pid_exists(process.pid):
                process.kill()
        self.process.communicate()


@pytest.fixture
def services() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_what_a_killed_service_left_is_killed_and_its_training_is_spared(home: Home, services: ExitStack) -> None:
    service = Service(home)
    services.callback(service.close)
    service.process.kill()
    service.process.wait()
    assert orphans.kill_orphans(home, "scheduler") == [service.task.pid]
    assert not _alive(service.task)
    assert _alive(service.training)


def test_another_service_and_another_home_are_left_alone(home: Home, tmp_path: Path, services: ExitStack) -> None:
    other = Home.find({"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_HOME": str(tmp_path / "other")})
    elsewhere, unmarked = Service(other), Service(home, mark="")
    services.callback(elsewhere.close)
    services.callback(unmarked.close)
    assert orphans.kill_orphans(home, "triggerer") == []
    assert orphans.kill_all(home) == []
    assert all(_alive(s.task) and _alive(s.training) for s in (elsewhere, unmarked))


@pytest.mark.slow
def test_down_ends_all_of_it_and_the_trainings_too(home: Home, services: ExitStack) -> None:
    service = Service(home)
    services.callback(service.close)
    assert set(orphans.kill_all(home)) == {service.process.pid, service.task.pid, service.training.pid}
    assert orphans.marked(home) == []
