"""The embedded S3 as a DAG's author uses it, without a key or an address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.services import object_store
from sailplane.services.environment import environment
from sailplane.storage import Storage
from sailplane.storage import access as accesses
from tests.s3 import S3Server

SCRIPT = """
import json
import pandas as pd
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

found = pd.read_parquet("s3://sailplane/default/rows.parquet")
found.assign(n=found.n * 2).to_parquet("s3://sailplane/default/doubled.parquet")
hook = S3Hook(aws_conn_id="aws_default")
print(json.dumps({"rows": found.n.tolist(), "keys": hook.list_keys("sailplane", prefix="default/")}))
"""


@pytest.fixture
def home(s3: S3Server, tmp_path: Path) -> Home:
    """A home whose store is the running server."""
    settings = {"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_HOME": str(tmp_path / "home")}
    found = replace(
        Home.find({**settings, "SAILPLANE_STORE": "s3://sailplane"}), s3_port=int(s3.endpoint.rpartition(":")[2])
    )
    (found.s3).mkdir(parents=True)
    accesses.write(found.store_access, {"s3://sailplane": s3.access})
    return found


def bare(tmp_path: Path) -> dict[str, str]:
    """A user without any AWS settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW_CONN_"))}
    return {**kept, "HOME": str(tmp_path)}


def test_pandas_and_aws_default_reach_the_embedded_store(s3: S3Server, home: Home, tmp_path: Path) -> None:
    store = Storage("s3://sailplane", lambda: s3.access)
    pd.DataFrame({"n": [1, 2, 3]}).to_parquet(tmp_path / "rows.parquet")
    store.put("default/rows.parquet", tmp_path / "rows.parquet")
    env = environment(home, bare(tmp_path))
    ended = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert said == {"rows": [1, 2, 3], "keys": ["default/doubled.parquet", "default/rows.parquet"]}


@pytest.mark.parametrize(
    "own",
    [{"AWS_PROFILE": "work"}, {"AWS_ACCESS_KEY_ID": "AKIA"}, {"AIRFLOW_CONN_AWS_DEFAULT": "{}"}, {"file": "config"}],
)
def test_a_user_with_aws_settings_keeps_them(home: Home, tmp_path: Path, own: dict[str, str]) -> None:
    env = bare(tmp_path)
    if "file" in own:
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / own["file"]).touch()
    else:
        env |= own
    made = environment(home, env)
    assert {name: value for name, value in made.items() if name.startswith("AWS_")} == {
        name: value for name, value in own.items() if name.startswith("AWS_")
    }
    assert "AIRFLOW_CONN_SAILPLANE_S3" in made


def test_a_connection_without_an_endpoint_still_means_aws(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.settings(home, bare(tmp_path)).items():
        monkeypatch.setenv(name, value)
    real = {"conn_type": "aws", "login": "AKIA", "password": "secret", "extra": {"region_name": "eu-west-1"}}
    monkeypatch.setenv("AIRFLOW_CONN_COMPANY", json.dumps(real))
    ask = SailplaneStorageHook("s3://company@bucket").access()
    assert ask
    assert (ask().key, ask().endpoint) == ("AKIA", "https://s3.eu-west-1.amazonaws.com")


def test_without_the_embedded_store_nothing_about_aws_is_set(home: Home, tmp_path: Path) -> None:
    elsewhere = replace(home, store=(tmp_path / "store").as_uri())
    assert not [name for name in environment(elsewhere, bare(tmp_path)) if name.startswith("AWS_")]
