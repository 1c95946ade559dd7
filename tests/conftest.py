"""Airflow reads its environment at import, so it is set here, before any test module is imported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
STATE = Path(tempfile.mkdtemp(prefix="sailplane-tests-"))

os.environ.update(
    AIRFLOW_HOME=str(STATE / "airflow"),
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{STATE / 'airflow.db'}",
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
    SAILPLANE_PROJECT=str(PROJECT),
    SAILPLANE_HOME=str(STATE / "home"),
    WANDB_MODE="offline",
    WANDB_SILENT="true",
)
# A developer's own settings must not change what the tests see.
for name in ("WANDB_API_KEY", "SAILPLANE_STORE", "SAILPLANE_LEDGER", "SAILPLANE_UI_PORT", "SAILPLANE_ROUTER_PORT"):
    os.environ.pop(name, None)
