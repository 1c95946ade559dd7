"""More than 1,000 malformed requests over REST. Each is refused at once with a 4xx, in JSON, and with a reason that
names the error. A valid request right after it gets its score, on the same connection and on a new one.

Hypothesis draws 300 requests in JSON and 100 with binary tensors; about 170 are listed; schemathesis makes 600 from the
server's own description. Each test checks its number."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from sailplane.deployment.http_client import call
from tests.integration.serving.conftest import PROJECT
from tests.integration.serving.malformed import tables
from tests.integration.serving.malformed.spoiled import Malformed, spoiled, spoiled_binary, tried
from tests.integration.serving.malformed.verdict import SECONDS, Target, refused


def test_a_good_message_that_is_spoiled_anywhere_is_refused_by_the_name_of_the_place(target: Target) -> None:
    assert refused(lambda request: tried(target, request), spoiled(), 300) >= 220


def test_raw_tensors_that_are_spoiled_are_refused_by_the_name_of_the_tensor(target: Target) -> None:
    assert refused(lambda request: tried(target, request), spoiled_binary(), 100) >= 80


@pytest.mark.parametrize("requests", [tables.no_json, tables.headers, tables.places])
def test_what_is_no_json_or_at_a_wrong_place_is_refused(
    target: Target, requests: Callable[[], Iterable[Malformed]]
) -> None:
    for request in requests():
        assert tried(target, request), request


def test_head_is_refused_where_there_is_nothing_to_get(target: Target) -> None:
    with closing(target.connect()) as connection:
        connection.request("HEAD", "/predict")
        response = connection.getresponse()
        assert (response.status, response.headers["allow"], response.read()) == (405, "POST", b"")
        target.answers(connection)


def test_the_description_is_what_openapi_says(target: Target) -> None:
    OPENAPI_31_VALIDATOR.validate(call(target.port, "GET", "/openapi.json").json())


def test_schemathesis_finds_no_fault_by_the_servers_own_description(target: Target, tmp_path: Path) -> None:
    """Runs all its checks and ours, except that a request that fits the schema must be accepted: no schema can say that
    a tensor has as many values as its shape says. It takes half a minute: schemathesis sends 600 requests."""
    before, address = refusals(target), f"http://127.0.0.1:{target.port}"
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json", "--url", address]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--generation-deterministic"]
    command += ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--continue-on-failure"]
    command += ["--request-timeout", str(SECONDS), "--no-color"]
    ours = {
        "GOOD_PORT": str(target.port),
        "GOOD_SCORE": repr(target.score),
        "NO_PROXY": "*",
        "PYTHONPATH": str(PROJECT),
    }
    env = {**os.environ, **ours, "SCHEMATHESIS_HOOKS": "tests.integration.serving.malformed.checks"}
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert refusals(target) - before >= 500


def refusals(target: Target) -> float:
    """Returns the number of refusals that the server counted."""
    families = text_string_to_metric_families(call(target.port, "GET", "/metrics").body.decode())
    samples = [sample for family in families for sample in family.samples if sample.name == "sailplane_requests_total"]
    return sum(sample.value for sample in samples if sample.labels["code"].startswith("4"))
