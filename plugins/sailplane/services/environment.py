"""Airflow's environment and its private files. Every service gets the same one, in a container too."""

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

# Airflow's services, with the arguments of its command. The log servers of scheduler and triggerer would listen on all
# interfaces.
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

# Of several runs at a time on few cores, a writer may wait longer than the default of 5 s; a wait beats a failure. But
# the api-server writes its audit log on its event loop, and whom it waits for there may need that loop to end.
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
    """The folders (0700) and files (0600) that the services expect. Safe to call from several at once."""
    for folder in (home.root, home.airflow, home.logs, home.airflow / "config"):
        private_folder(folder)
    settings = home.airflow / "config" / "airflow_local_settings.py"
    # Two services that start together, in two containers perhaps, must end up with the same keys.
    with locked(home.root / "lock"):
        if not settings.exists() or settings.read_text() != LOCAL_SETTINGS:
            replace_file(settings, LOCAL_SETTINGS)
        if not _secrets_file(home).exists():
            replace_file(_secrets_file(home), json.dumps(_new_secrets()))
        if home.has_s3:
            object_store.prepare(home)
    accounts.prepare(home)


def environment(home: Home, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`env` completed for a service. What `env` says of Airflow's settings wins, so that one database or one executor
    can be set from outside; where Airflow keeps its files does not: that is always the home."""
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
        # A company's proxy must not be asked for 127.0.0.1.
        "NO_PROXY": proxied,
        "no_proxy": proxied,
        # Several processes share the cores; each one taking all of them makes every one of them slower.
        "OMP_NUM_THREADS": env.get("OMP_NUM_THREADS", "1"),
        # One malloc arena a thread costs the api-server and the triggerer tens of megabytes.
        "MALLOC_ARENA_MAX": env.get("MALLOC_ARENA_MAX", "2"),
        # Else onnxruntime reports its use to its vendor.
        "ORT_DISABLE_TELEMETRY": "1",
        # Else huggingface_hub reports each upload's circumstances to its vendor.
        "HF_HUB_DISABLE_TELEMETRY": env.get("HF_HUB_DISABLE_TELEMETRY", "1"),
        # Airflow's process titles would overwrite the environment by which left-overs are recognised.
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
        # Its default goes by base_url alone, whatever the port.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{home.ui_port}/execution/",
        # The default asks the network for a full name, which can take seconds without one.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    }


def _pace() -> dict[str, str]:
    """Few processes, a quick look at what changed, a slow look at what did not."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__API__WORKERS": "1",
        # A new or changed DAG file is seen after 5 s; one that did not change is parsed again after 60.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # How long a run waits after a crash before its tasks are taken up again.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # A worker often notices only at its next heartbeat that its task has ended: so long a skip or a failure goes
        # unreported and the slot stays taken. An api-server that is away is waited for as long as by default.
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
