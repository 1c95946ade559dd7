"""The flights pipeline with its store elsewhere: in the embedded S3, and on an Algorithmia Data API. Credentials are
where a user would put them; no line of the DAG changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sailplane.records import Dataset, Deployment
from sailplane.records import Run as TrainingRun
from sailplane.services.airflow_api import DagRun
from tests.integration.storage.twin import twin_server
from tests.platform import Platform, started
from tests.ports import free_port
from tests.s3 import free_row

PROJECT = Path(__file__).parents[2]
SMALL = {"window": 28, "trials": 1, "workers": 1, "as_of": "2026-11-21"}


@contextmanager
def on_s3(folder: Path) -> Iterator[Platform]:
    settings = {
        "SAILPLANE_STORE": "s3://sailplane",
        "SAILPLANE_S3_PORT": str(free_row()),
        "SAILPLANE_TWINS": "algorithmia",
        "SAILPLANE_ALGORITHMIA_PORT": str(free_port()),
    }
    with started(folder / "home", PROJECT, **settings) as platform:
        yield platform


@contextmanager
def on_algorithmia(folder: Path) -> Iterator[Platform]:
    folder.joinpath("twin").mkdir()
    with twin_server(folder / "twin") as twin:
        connection = {"conn_type": "algorithmia", "host": twin.url, "password": twin.key}
        settings = {"AIRFLOW_CONN_ALGORITHMIA_DEFAULT": json.dumps(connection)}
        with started(folder / "home", PROJECT, SAILPLANE_STORE="data://.my/sailplane", **settings) as platform:
            yield platform


def answer(platform: Platform, run: DagRun) -> httpx.Response:
    deployment = Deployment.from_dict(platform.xcom(run, "deploy"))
    shown = platform.sailplane("predict", deployment.name)
    assert shown.returncode == 0, shown.stderr
    return httpx.post(deployment.endpoint, json={"jsonData": {}}, trust_env=False)


@pytest.mark.parametrize("store", [on_s3, on_algorithmia], ids=["s3", "algorithmia"])
def test_the_whole_pipeline_runs_on_another_store(store: Any, tmp_path: Path) -> None:
    with store(tmp_path) as platform:
        run = platform.trigger("flights", SMALL)
        assert platform.wait(run) == "success", platform.service_logs()
        dataset = Dataset.from_dict(platform.xcom(run, "ingest"))
        best = TrainingRun.from_dict(platform.xcom(run, "sweep.best"))
        assert dataset.uri.startswith(platform.home.store)
        assert best.bundle.startswith(platform.home.store)
        assert not (platform.home.root / "store").exists()
        assert answer(platform, run).status_code == 400, "a model that answers, and refuses what is no flight"
        assert not list(platform.home.jobs.rglob("access.json")), "no key is left where a training was"
        if platform.home.has_s3:
            assert algorithmia_says(platform) == ["running"]


def algorithmia_says(platform: Platform) -> list[str]:
    listed = json.loads(platform.sailplane("status", "--json").stdout)["services"]
    return [service["state"] for service in listed if service["name"] == "algorithmia"]
