"""Calls of algorithms by Algorithmia's official client: served models, and sources in the store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sailplane.bundles.columns import plain_records
from sailplane.commands import twin as command
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import fetch
from sailplane.storage import Storage
from tests.integration.algorithmia.twin.conftest import RunningTwin
from tests.integration.deployment.routed import deploy
from tests.unit.bundles import tiny

ECHO = "def apply(input):\n    print('seen')\n    return input\n"


def put_algorithm(twin: RunningTwin, name: str, source: str, folder: Path) -> int:
    file = folder / "algorithm.py"
    file.write_text(source)
    return command.put_algorithm(twin.home, argparse.Namespace(name=name, file=str(file)))


def test_a_served_model_answers_a_record_several_and_a_whole_request(
    platform: Home,
    twin: RunningTwin,
    ledger: Ledger,
    storage: Storage,
    registered: Callable[..., Model],
    tmp_path: Path,
) -> None:
    model = registered("run-1")
    deploy(platform, ledger, storage, model)
    rows = tiny.frame(3)
    expected = [float(score[0]) for score in fetch(storage, model, tmp_path / "copy").predict(rows)]
    records = plain_records(rows, tiny.INPUTS)
    key = twin.key("alice")
    script = f"""
records, flights = {records!r}, client.algo("local/flights")
answer = flights.pipe(records[0])
out = [answer.result, answer.metadata.content_type, answer.metadata.duration > 0, flights.pipe(records).result]
out += [flights.pipe(json.dumps(records[0])).result, flights.pipe({{"jsonData": records}}).result["data"]]
out += [client.algo("local/flights/{model.version}").pipe(records[0]).result, flights.exists()]
"""
    out = twin.client(key, script)
    one, several = {"late": pytest.approx(expected[0])}, [{"late": pytest.approx(score)} for score in expected]
    assert out[:5] == [one, "json", True, several, one]
    assert out[5] == {"names": ["late"], "ndarray": [[pytest.approx(score)] for score in expected]}
    assert out[6:] == [one, True]
    raw = twin.client(
        key,
        f"""
from Algorithmia.algorithm import OutputType
flights, record = client.algo("local/flights"), {records[0]!r}
out = [flights.set_options(output=OutputType.raw).pipe(record)]
begun = flights.set_options(output=OutputType.void).pipe(record)
out += [begun.async_protocol, bool(begun.request_id)]
""",
    )
    assert (json.loads(raw[0]), raw[1:]) == (one, ["void", True])
    assert _failure(twin, key, "local/flights", "{'distance': 'far'}").startswith("InputError: local/flights: ")
    assert "distance" in _failure(twin, key, "local/flights", "{'distance': 'far'}")
    assert "is not served" in _failure(twin, key, "local/nothing", "{}")
    assert "flights" in _failure(twin, key, "local/nothing", "{}")
    assert f"serves version {model.version}" in _failure(twin, key, "local/flights/0.1.0", repr(records[0]))
    assert "expected a record" in _failure(twin, key, "local/flights", "b'bytes'")


def test_a_router_that_is_away_is_said_with_the_remedy(twin: RunningTwin) -> None:
    failure = _failure(twin, twin.key("alice"), "local/flights", "{}")
    assert failure.startswith("SystemError: The router on port")
    assert "sailplane up" in failure


def test_an_algorithm_in_the_store_takes_and_gives_text_json_and_bytes(twin: RunningTwin, tmp_path: Path) -> None:
    assert put_algorithm(twin, "alice/echo", ECHO, tmp_path) == 0
    script = """
echo = client.algo("alice/echo")
answers = [echo.pipe("words \\u260e"), echo.pipe({"a": [1]}), echo.pipe(bytearray(b"\\x00\\xff"))]
out = [[answer.metadata.content_type, str(answer.result)] for answer in answers]
out.append(echo.set_options(stdout=True).pipe("x").metadata.stdout)
"""
    out = twin.client(twin.key("alice"), script)
    assert out == [["text", "words ☎"], ["json", "{'a': [1]}"], ["binary", str(b"\x00\xff")], "seen\n"]


def test_what_an_algorithm_raises_comes_with_its_trace_and_one_that_hangs_is_ended(
    twin: RunningTwin, tmp_path: Path
) -> None:
    put_algorithm(twin, "alice/broken", "def apply(input):\n    return 1 / input\n", tmp_path)
    put_algorithm(twin, "alice/endless", "def apply(input):\n    while True: pass\n", tmp_path)
    put_algorithm(twin, "alice/gone", "import os\nos._exit(3)\n", tmp_path)
    key = twin.key("alice")
    failure = _failure(twin, key, "alice/broken", "0")
    assert failure.startswith("AlgorithmError: division by zero")
    assert "line 2, in apply" in failure
    endless = 'client.algo("alice/endless").set_options(timeout=1)'
    assert "did not end within 1 s" in _failure(twin, key, endless, "0")
    assert "Response [500]" in _failure(twin, key, "alice/gone", "0")
    assert put_algorithm(twin, "alice/wrong", "def apply(:", tmp_path) == 1


def test_an_algorithm_is_created_compiled_published_and_then_others_may_call_it(twin: RunningTwin) -> None:
    script = """
hello = client.algo("alice/hello")
settings = {"algorithm_callability": "public"}
created = hello.create(details={"label": "Hello"}, settings=settings)
compiled = hello.compile()["version_info"]["git_hash"]
before = client.algo("alice/hello/" + compiled).pipe("world").result
published = hello.publish(version_info={"version_type": "minor", "release_notes": "first"})
versions = hello.versions()["results"]
build = hello.get_builds()["results"][0]
out = [created["name"], before, published["version_info"]["semantic_version"], hello.pipe("you").result, len(versions),
       hello.get_build(build["build_id"])["status"], hello.get_build_logs(build["build_id"])["logs"],
       hello.info(compiled)["version_info"]["release_notes"], hello.exists(), client.algo("alice/nothing").exists()]
"""
    out = twin.client(twin.key("alice"), script)
    log = "hello.py: 54 bytes, compiled."
    assert out == ["hello", "hello world", "0.1.0", "hello you", 1, "succeeded", log, "first", True, False]
    bob = twin.key("bob")
    assert twin.client(bob, 'out = client.algo("alice/hello/0.1").pipe("bob").result') == "hello bob"
    with twin.http(bob) as http:
        assert http.post("/v1/algorithms/alice/hello/versions", json={}).status_code == 403
        assert http.post("/v1/algorithms/alice", json={"name": "mine"}).status_code == 403
        assert http.post("/v1/algorithms/local", json={"name": "mine"}).status_code == 403


def test_a_private_algorithm_is_its_owners_and_an_organizations_its_members(twin: RunningTwin, tmp_path: Path) -> None:
    put_algorithm(twin, "team/echo", ECHO, tmp_path)
    alice, bob = twin.key("alice"), twin.key("bob")
    assert "No such algorithm" in _failure(twin, alice, "team/echo", "'x'")
    made = (
        'out = client.create_org({"org_name": "team", "org_email": "team@example.com", "type_id": "basic"})["org_name"]'
    )
    assert twin.client(alice, made) == "team"
    assert twin.client(alice, 'out = client.algo("team/echo").pipe("x").result') == "x"
    assert "No such algorithm" in _failure(twin, bob, "team/echo", "'x'")
    assert twin.client(alice, 'out = client.invite_to_org("team", "bob").status_code') == 200
    assert twin.client(bob, 'out = client.algo("team/echo").pipe("x").result') == "x"


def _failure(twin: RunningTwin, key: str, algorithm: str, value: str) -> str:
    called = algorithm if algorithm.startswith("client") else f'client.algo("{algorithm}")'
    script = f"""
try:
    {called}.pipe({value})
except Exception as error:
    told = [getattr(error, "error_type", ""), getattr(error, "message", str(error)), getattr(error, "stack_trace", "")]
    out = "{{}}: {{}} {{}}".format(*told)
"""
    return str(twin.client(key, script))
