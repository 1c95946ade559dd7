"""Airflow's environment and its private files. Every service gets the same environment, also in a container."""

from __future__ import annotations

import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from sailplane.files import locked, private_folder, replace_file
from sailplane.home import Home
from sailplane.services import accounts, object_store

# Airflow's services, with the arguments of its command. Without --skip-serve-logs, the scheduler's and the triggerer's
# log servers would listen on all interfaces.
AIRFLOW = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
LOCAL_SETTINGS = '''"""Written by `sailplane run`; changes here are lost."""

import os

from sqlalchemy import event
from sqlalchemy.engine import Engine

# With several runs at a time on few cores, a writer may wait longer than the default of 5 s, and a wait is better than
# a failure. The api-server waits less: it writes its audit log on its event loop, and the writer that it waits for may
# need that loop to finish.
SECONDS = 10 if os.environ.get("SAILPLANE_SERVICE") == "api-server" else 30


@event.listens_for(Engine, "savepoint")
def _begin_immediate(conn, name):
    # A SAVEPOINT opens a deferred read transaction; SQLite cannot upgrade it while another process writes,
    # and the busy timeout does not wait for that: a backfill would crash the scheduler.
    if conn.dialect.name == "sqlite":
        dbapi = conn.connection.dbapi_connection
        if not getattr(dbapi, "in_transaction", True):
            conn.exec_driver_sql("BEGIN IMMEDIATE")


@event.listens_for(Engine, "connect")
def _wait_for_other_writers(connection, _record):
    if "sqlite" in type(connection).__module__:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {SECONDS * 1000}")
        cursor.close()
'''


def prepare(home: Home) -> None:
    """Creates the folders (0700) and files (0600) that the services expect. Several processes may call it at once."""
    for folder in (home.root, home.airflow, home.logs, home.airflow / "config"):
        private_folder(folder)
    settings = home.airflow / "config" / "airflow_local_settings.py"
    # Two services that start together, perhaps in two containers, must get the same keys.
    with locked(home.root / "lock"):
        if not settings.exists() or settings.read_text() != LOCAL_SETTINGS:
            replace_file(settings, LOCAL_SETTINGS)
        if not _secrets_file(home).exists():
            replace_file(_secrets_file(home), json.dumps(_new_secrets()))
        if home.has_s3:
            object_store.prepare(home)
    accounts.prepare(home)


def environment(home: Home, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`env`, completed for a service. Airflow settings in `env` take precedence, so that users can set a database or an
    executor. The paths of Airflow's files do not: they are always in the home."""
    given = {key: value for key, value in env.items() if key not in ("AIRFLOW_HOME", "AIRFLOW_CONFIG")}
    settings = {**_paths(home), **_network(home), **_pace(), **_privacy(home), **_keys(home), **_store(home, env)}
    unset = {key: value for key, value in settings.items() if not _given(key, given)}
    return {**given, **unset, **_process(home, env)}


def _given(key: str, env: Mapping[str, str]) -> bool:
    return any(f"{key}{suffix}" in env for suffix in ("", "_CMD", "_SECRET"))


def _process(home: Home, env: Mapping[str, str]) -> dict[str, str]:
    local = "localhost,127.0.0.1"
    proxied = ",".join(filter(None, (local, env.get("NO_PROXY") or env.get("no_proxy"))))
    return {
        "SAILPLANE_HOME": str(home.root),
        "SAILPLANE_PROJECT": str(home.project),
        "SAILPLANE_UI_PORT": str(home.ui_port),
        "SAILPLANE_ROUTER_PORT": str(home.router_port),
        "SAILPLANE_S3_PORT": str(home.s3_port),
        "AIRFLOW_HOME": str(home.airflow),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), env.get("PATH", os.defpath))),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(home.project), env.get("PYTHONPATH")))),
        # Requests to 127.0.0.1 must not go through a company's proxy.
        "NO_PROXY": proxied,
        "no_proxy": proxied,
        # Several processes share the cores; if each used all of them, every process would be slower.
        "OMP_NUM_THREADS": env.get("OMP_NUM_THREADS", "1"),
        # One malloc arena per thread costs the api-server and the triggerer tens of megabytes.
        "MALLOC_ARENA_MAX": env.get("MALLOC_ARENA_MAX", "2"),
        # Otherwise onnxruntime reports its use to its vendor.
        "ORT_DISABLE_TELEMETRY": "1",
        # Otherwise huggingface_hub reports details of each upload to its vendor.
        "HF_HUB_DISABLE_TELEMETRY": env.get("HF_HUB_DISABLE_TELEMETRY", "1"),
        # Otherwise Airflow's process titles would overwrite the environment by which orphans are recognised.
        "SPT_NOENV": "1",
    }


def _paths(home: Home) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(home.project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home.project / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.airflow / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home.airflow / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home.airflow / "logs" / "dag_processor"),
    }


def _network(home: Home) -> dict[str, str]:
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(home.ui_port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{home.ui_port}",
        # The default depends only on base_url, not on the port.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{home.ui_port}/execution/",
        # The default looks up the full host name, which can take seconds without a network.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    }


def _pace() -> dict[str, str]:
    """Few processes; changed DAG files are parsed soon, unchanged ones rarely."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__API__WORKERS": "1",
        # A new or changed DAG file is noticed after 5 s; an unchanged one is parsed again after 60 s.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # The time after a crash until a run's tasks are adopted.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # A worker often notices only at its next heartbeat that its task has ended. Until then a skip or a failure is
        # not reported, and the slot stays taken. The total wait for an unreachable api-server is the default.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "15",
        "AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS": "True",
    }


def _privacy(home: Home) -> dict[str, str]:
    return {
        **accounts.settings(home),
        # A login lasts a week.
        "AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME": str(7 * 86400),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }


def _keys(home: Home) -> dict[str, str]:
    file = _secrets_file(home)
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _store(home: Home, env: Mapping[str, str]) -> dict[str, str]:
    return object_store.settings(home, env) if home.has_s3 else {}


def _new_secrets() -> dict[str, str]:
    return {
        "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
    }


def _secrets_file(home: Home) -> Path:
    return home.root / "secrets.json"
