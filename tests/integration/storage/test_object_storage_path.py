"""Airflow's own paths on a real S3, the Algorithmia twin and a replacement of the Hub, with Airflow's connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.hub_server import TOKEN, HubServer, hub_server
from tests.integration.storage.twin import TwinServer
from tests.s3 import S3Server

SETTINGS = {
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
    "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "10000",
    "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION": "gzip",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
}
SEEN = {
    "before": [False, False],
    "after": [True, True, True, False],
    "read": ["täxt", "bytes"],
    "stat": [5, 5],
    "iterdir": ["a.txt", "d"],
    "glob": ["b.bin"],
    "half": False,
    "moved": ["täxt", False],
    "unlinked": False,
    "end": False,
}
FRAMES = {"frames": [[1, 2], [3]]}
XCOM = dict.fromkeys(("under", "size", "same", "small", "purged"), True)


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with hub_server() as server:
        yield server


@pytest.fixture(scope="module")
def named(s3: S3Server, twin: TwinServer, hub: HubServer) -> dict[str, str]:
    """The connections `lake`, `algo` and `hub`, in the environment."""
    aws = {"endpoint_url": s3.endpoint, "region_name": s3.access.region}
    connections: dict[str, dict[str, Any]] = {
        "LAKE": {"conn_type": "aws", "login": s3.access.key, "password": s3.access.secret, "extra": aws},
        "ALGO": {"conn_type": "algorithmia", "host": twin.url, "password": twin.key},
        "HUB": {"conn_type": "huggingface", "host": hub.url, "password": TOKEN},
    }
    return {f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()}


@pytest.fixture(scope="module")
def default(named: Mapping[str, str]) -> dict[str, str]:
    """The same connections under the default names, which apply to paths without one."""
    names = {"LAKE": "AWS_DEFAULT", "ALGO": "ALGORITHMIA_DEFAULT", "HUB": "HUGGINGFACE_DEFAULT"}
    return {f"AIRFLOW_CONN_{names[name.rpartition('_')[2]]}": value for name, value in named.items()}


def ran(env: Mapping[str, str], *verbs: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """Returns the results and the output of the process, which starts as a DAG file does: with an import of
    airflow.sdk."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.integration.storage.object_paths", json.dumps(verbs)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HF_", "ALGORITHMIA_"))}
    ended = subprocess.run(
        command, env={**clean, **SETTINGS, **env}, cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    return json.loads(ended.stdout.splitlines()[-1]), said


@pytest.fixture
def roots(s3: S3Server) -> dict[str, str]:
    """Returns new roots, without the connection, by scheme."""
    name = uuid.uuid4().hex
    return {"s3": f"{s3.bucket}/{name}", "data": f".my/{name}", "hf": f"datasets/someone/{name}"}


def test_a_path_has_the_connection_that_it_names(named: Mapping[str, str], roots: Mapping[str, str]) -> None:
    uris = [f"{scheme}://{name}@{roots[scheme]}" for scheme, name in (("s3", "lake"), ("data", "algo"), ("hf", "hub"))]
    secret = ["s3://nobody@bucket/x", "data://key:hidden@bucket/x"]
    asked = ["verbs_of", *uris], ["between", *uris], ["frame", uris[1]], ["xcom", uris[1]], ["fails", *secret]
    (verbs, between, frame, xcom, fails), said = ran(named, *asked)
    assert verbs == dict.fromkeys(uris, SEEN)
    assert between == {"back": "carried", "left": [True, True, False]}
    assert (frame, xcom) == (FRAMES, XCOM)
    assert "nobody" in fails["errors"][0]
    assert "before the @; expected the name of a connection" in fails["errors"][1]
    assert "was not written because of Broken" in said, "the log is there"
    for unwanted in ("hidden", "Overriding", "HTTP Request"):
        assert unwanted not in said


def test_a_path_without_a_connection_has_the_default_one(default: Mapping[str, str], roots: Mapping[str, str]) -> None:
    uris = [f"{scheme}://{root}" for scheme, root in roots.items()]
    (verbs, frame, xcom), _ = ran(default, ["verbs_of", *uris], ["frame", uris[0]], ["xcom", uris[0]])
    assert verbs == dict.fromkeys(uris, SEEN)
    assert (frame, xcom) == (FRAMES, XCOM)
