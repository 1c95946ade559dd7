"""NVIDIA's own client in a separate environment. It sends every input and has no null."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.serving.violations import declare
from tests.environments import kept_environment
from tests.integration.serving.model_server import Server, running
from tests.platform import until
from tests.unit.bundles import tiny
from tests.unit.serving.test_violations import BAD, GOOD, SCHEMA, fields

HERE = Path(__file__).with_name("triton")
NAN = float("nan")


@pytest.fixture(scope="module")
def client() -> Path:
    return kept_environment(HERE / "requirements.txt")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    golden = tiny.frame().assign(flight=7)
    folder = tmp_path_factory.mktemp("triton") / "bundle"
    return tiny.bundle(folder, features=tiny.COLUMNS, inputs=fields(SCHEMA), golden=golden)


@pytest.fixture(scope="module")
def choice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving") / "flights.json"


@pytest.fixture(scope="module")
def server(bundle: Bundle, choice: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    with running(bundle.folder, log, "--on-violation-file", str(choice)) as started:
        yield started


def tensors(records: list[dict[str, Any]]) -> list[list[Any]]:
    kinds = {"number": "FP64", "integer": "FP64", "boolean": "BOOL"}
    return [
        [one.name, kinds.get(one.kind, "BYTES"), [NAN if row[one.name] is None else row[one.name] for row in records]]
        for one in fields(SCHEMA)
    ]


def ask(client: Path, server: Server, protocol: str, sent: list[list[Any]]) -> dict[str, Any]:
    port = server.port if protocol == "http" else server.grpc_port
    command = [str(client), str(HERE / "ask.py"), protocol, str(port), json.dumps(sent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_nan_is_null_and_the_scores_are_those_of_nulls(
    client: Path, server: Server, bundle: Bundle, protocol: str
) -> None:
    records = [GOOD, {**GOOD, "wind": None}, {**GOOD, "seats": None}, {**GOOD, "flight": None}]
    rows = [{name: value for name, value in record.items() if value is not None} for record in records]
    [expected] = [server.post("/api/v1.0/predictions", {"jsonData": rows}).json()["data"]["ndarray"]]
    got = ask(client, server, protocol, tensors(records))["scores"]
    np.testing.assert_array_equal(np.float32(got), np.float32(expected).ravel())


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_nan_of_a_field_that_is_never_null_is_refused_with_field_and_row(
    client: Path, server: Server, protocol: str
) -> None:
    told = ask(client, server, protocol, tensors([GOOD, {**GOOD, "distance": None}]))["error"]
    assert "read field 'distance' of row 1: nan; expected a number" in told


def test_the_choice_of_a_deployment_changes_without_a_restart(client: Path, server: Server, choice: Path) -> None:
    def parameters() -> str | None:
        return ask(client, server, "grpc", tensors([BAD])).get("said")

    assert "check field 'distance' of row 0" in ask(client, server, "grpc", tensors([BAD]))["error"]
    declare(choice, "flag")
    assert "violation_count" in until(parameters, 30, "the other choice")
    declare(choice, "refuse")
