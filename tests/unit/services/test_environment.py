from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading

import pytest

from sailplane.home import Home
from sailplane.services.environment import environment, prepare


def test_secrets_are_made_once_and_private(home: Home) -> None:
    prepare(home)
    file = home.root / "secrets.json"
    first = file.read_text()
    prepare(home)
    assert file.read_text() == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    # Airflow warns about a shorter key.
    assert len(json.loads(first)["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64


def test_services_that_start_together_agree_on_the_secrets(home: Home) -> None:
    keys: list[dict[str, str]] = []

    def start() -> None:
        prepare(home)
        keys.append({k: v for k, v in environment(home, {}).items() if "KEY" in k or "SECRET" in k})

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert all(key == keys[0] for key in keys)


def test_airflow_listens_on_loopback_at_the_homes_port_and_tasks_find_it_there(home: Home) -> None:
    env = environment(home, {})
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert env["AIRFLOW__API__PORT"] == str(home.ui_port)
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"http://127.0.0.1:{home.ui_port}/execution/"


def test_a_setting_of_airflow_that_the_user_gave_wins(home: Home) -> None:
    prepare(home)
    given = {
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "cat /run/secrets/url",
        "AIRFLOW__CORE__FERNET_KEY_CMD": "cat /run/secrets/key",
    }
    env = environment(home, given)
    assert env["AIRFLOW__CORE__PARALLELISM"] == "16"
    # Airflow would use the plain variable before the command.
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in env
    assert "AIRFLOW__CORE__FERNET_KEY" not in env


def test_another_airflow_of_the_user_is_left_alone(home: Home) -> None:
    env = environment(home, {"AIRFLOW_HOME": "/home/somebody/airflow", "AIRFLOW_CONFIG": "/etc/airflow.cfg"})
    assert env["AIRFLOW_HOME"] == str(home.airflow)
    assert "AIRFLOW_CONFIG" not in env


def test_a_proxy_is_not_asked_for_this_machine(home: Home) -> None:
    env = environment(home, {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "intranet"})
    assert env["NO_PROXY"] == env["no_proxy"] == "localhost,127.0.0.1,intranet"


def test_keys_of_hosted_services_reach_the_tasks(home: Home) -> None:
    assert environment(home, {"WANDB_API_KEY": "k"})["WANDB_API_KEY"] == "k"


def test_onnxruntime_does_not_report_its_use(home: Home) -> None:
    assert environment(home, {})["ORT_DISABLE_TELEMETRY"] == "1"


@pytest.mark.slow
def test_a_writer_of_airflows_sqlite_waits_for_the_other_writers(home: Home) -> None:
    prepare(home)
    program = """
import airflow_local_settings, sqlalchemy
with sqlalchemy.create_engine("sqlite://").connect() as connection:
    print(connection.exec_driver_sql("PRAGMA busy_timeout").scalar())
"""
    # In a separate process, because the settings listen to every engine of their process.
    env = {"PYTHONPATH": str(home.airflow / "config")}
    ended = subprocess.run([sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True)
    assert int(ended.stdout) == 30_000
