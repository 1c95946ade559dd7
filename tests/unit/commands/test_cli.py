from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sailplane.cli import COMMANDS, parser
from sailplane.deployment.kubernetes.workloads import CoreV1
from sailplane.home import Home
from sailplane.services.closed_output import ending_with_reader
from tests.homes import new_ledger
from tests.unit.commands.test_clusters import record

PACKAGE = Path(__file__).parents[3] / "plugins"


def sailplane(home: Home, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "SAILPLANE_HOME": str(home.root),
        "SAILPLANE_PROJECT": str(home.project),
        "SAILPLANE_UI_PORT": str(home.ui_port),
        "PYTHONPATH": str(PACKAGE),
        **env,
    }
    command = [sys.executable, "-m", "sailplane.cli", *arguments]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_an_error_is_one_line_without_a_traceback(home: Home) -> None:
    ended = sailplane(home, "status", SAILPLANE_UI_PORT="eighty")
    assert ended.returncode == 1
    assert ended.stderr == "sailplane: read SAILPLANE_UI_PORT: 'eighty'; expected a port from 1 to 65535.\n"


def test_a_service_that_does_not_exist_is_named_with_those_that_do(home: Home) -> None:
    ended = sailplane(home, "run", "webserver")
    assert ended.returncode == 1
    assert "'webserver'" in ended.stderr or "run service webserver" in ended.stderr
    assert "api-server, scheduler, dag-processor, triggerer, serving" in ended.stderr


@pytest.mark.slow
def test_asking_a_model_that_is_not_served_says_so(home: Home) -> None:
    new_ledger(home.ledger)
    ended = sailplane(home, "predict", "nothing")
    assert ended.returncode == 1
    assert "no version is served" in ended.stderr


@pytest.mark.slow
def test_status_of_a_home_where_nothing_runs_lists_every_service_as_stopped(home: Home) -> None:
    record(home, CoreV1(image="x"))
    ended = sailplane(home, "status")
    assert ended.returncode == 1
    assert ended.stdout.count("stopped") == 7
    assert "MODEL ON A CLUSTER" in ended.stdout


HEAVY = {"airflow", "jinja2", "sqlalchemy", "obstore", "numpy", "pandas", "starlette", "rich"}


@pytest.mark.parametrize("code", ["parser('')", "parser('run')"])
def test_the_command_line_and_services_start_without_heavy_imports(code: str) -> None:
    script = f"import sys; from sailplane.cli import parser; {code}; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(ended.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("module", ["commands.status", "deployment.rollout.run"])
def test_status_and_a_deployment_without_a_rollout_start_without_statistics(module: str) -> None:
    script = f"import sys, sailplane.{module}; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, check=True
    )
    assert not {"scipy.special", "scipy.optimize", "airflow", "pandas"} & set(ended.stdout.split())


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("airflow", "sweep-worker")])
def test_each_command_has_a_file_that_adds_its_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser(name).parse_args([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: sailplane {name}" in capsys.readouterr().out


@pytest.mark.slow
def test_help_for_airflow_is_airflows_own(home: Home) -> None:
    ended = sailplane(home, "airflow", "dags", "--help")
    assert ended.returncode == 0
    assert "usage: airflow dags" in ended.stdout.lower()


def test_becoming_a_service_does_not_import_what_it_does_not_need() -> None:
    script = "import sys, sailplane.services.launch; print('airflow' in sys.modules, 'sqlalchemy' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False False\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--json"],
        ["clean", "--dry-run"],
        ["models", "list"],
        ["down"],
        ["airflow", "config", "get-value", "core", "executor"],
    ],
    ids=" ".join,
)
def test_a_reader_that_goes_away_ends_a_command_as_it_ends_other_tools(home: Home, arguments: list[str]) -> None:
    new_ledger(home.ledger)
    reader, writer = os.pipe()
    os.close(reader)
    env = {"SAILPLANE_HOME": str(home.root), "SAILPLANE_PROJECT": str(home.project), "PYTHONPATH": str(PACKAGE)}
    try:
        command = [sys.executable, "-m", "sailplane.cli", *arguments]
        ended = subprocess.run(command, env=env, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    finally:
        os.close(writer)
    assert ended.returncode == -signal.SIGPIPE, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


@pytest.mark.slow
def test_a_command_whose_output_is_closed_from_the_start_prints_nothing(home: Home) -> None:
    new_ledger(home.ledger)
    env = {"SAILPLANE_HOME": str(home.root), "SAILPLANE_PROJECT": str(home.project), "PYTHONPATH": str(PACKAGE)}
    command = f"{sys.executable} -m sailplane.cli models list >&-"
    ended = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_another_pipe_that_breaks_is_an_error_as_before() -> None:
    with pytest.raises(BrokenPipeError), ending_with_reader():
        raise BrokenPipeError
