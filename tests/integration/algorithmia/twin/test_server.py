"""The server's access control, its records of users, and its behaviour under load."""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from sailplane.algorithmia.twin import api_keys
from sailplane.algorithmia.twin.insights import insights
from sailplane.commands import insights as reported
from sailplane.commands import twin as command
from sailplane.deployment.http_client import wait_until
from sailplane.home import Home
from sailplane.ledger import Ledger
from tests.homes import new_home
from tests.integration.algorithmia.twin.conftest import RunningTwin, started

GIB = 2**30
MIB = 2**20


def test_a_key_is_taken_in_each_of_its_forms_and_no_other_is(twin: RunningTwin) -> None:
    key = twin.key("alice")
    forms = [key, f"Simple {key}", f"Bearer {key}", f"simple {key}"]
    for form in forms:
        with twin.http(form) as http:
            assert http.get("/v1/data/").json() == {"folders": [{"name": "alice"}]}
    assert httpx.get(f"{twin.url}/v1/data/", auth=("any", key), trust_env=False).is_success
    wrong = ["", f"Simple {key}x", key[:-1], f"Digest {key}", "Basic !", "Bearer"]
    for form in wrong:
        for path in ("/v1/data/", "/v1/algo/local/flights", "/v1/algorithms/a/b", "/v1/nothing"):
            answer = httpx.post(f"{twin.url}{path}", headers={"Authorization": form}, trust_env=False)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == 401
            assert answer.headers["X-Error-Message"].startswith("authorization")


def test_a_revoked_key_is_refused_soon_and_the_client_says_so(twin: RunningTwin) -> None:
    key = twin.key("alice")
    with twin.http(key) as http:
        assert http.get("/v1/data/").is_success
        (known,) = api_keys.listed(Ledger.create(twin.home.ledger))
        command.revoke_key(twin.home, argparse.Namespace(id=known.id))
        seconds = api_keys.FRESH_SECONDS + 5
        assert wait_until(lambda: http.get("/v1/data/").status_code == 401, seconds=seconds, every=0.1)
    script = 'out = [client.dir("data://.my/x").exists(), client.file("data://.my/x/y").existsWithError()]'
    assert twin.client(key, script) == [False, [False, "authorization failed: no such API key"]]


def test_insights_that_the_client_reports_are_on_the_ledger(
    twin: RunningTwin, capsys: pytest.CaptureFixture[str]
) -> None:
    key = twin.key("alice")
    report = 'client.report_insights({"delay": 1.5, "carrier": "UA"})'
    twin.client(key, report)
    twin.client(key, report, ALGORITHMIA_API=f"{twin.url}/algorithms/local/flights")
    twin.client(key, report, ALGORITHMIA_API=twin.url.replace("http://", f"http://alice:{key}@"))
    found = insights(Ledger.create(twin.home.ledger))
    assert [(one.user, one.algorithm, one.key, one.value) for one in found] == [
        ("alice", None, "carrier", "UA"),
        ("alice", None, "delay", 1.5),
        (None, "local/flights", "carrier", "UA"),
        (None, "local/flights", "delay", 1.5),
        (None, None, "carrier", "UA"),
        (None, None, "delay", 1.5),
    ]
    assert reported.show(twin.home, argparse.Namespace(json=True, algorithm="local/flights")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["key"], one["value"]) for one in shown] == [("carrier", "UA"), ("delay", 1.5)]


def test_a_page_in_a_browser_cannot_report_insights(twin: RunningTwin) -> None:
    body = b'[{"insight_key": "a", "insight_value": 1}]'
    answer = httpx.post(
        f"{twin.url}/v1/insights", content=body, headers={"Content-Type": "text/plain"}, trust_env=False
    )
    assert answer.status_code == 401
    rebound = {"Content-Type": "application/json", "Host": "attacker.example"}
    answer = httpx.post(f"{twin.url}/v1/insights", content=body, headers=rebound, trust_env=False)
    assert answer.status_code == 401
    assert insights(Ledger.create(twin.home.ledger)) == []


def test_a_file_of_1_gib_goes_up_and_down_in_constant_memory(twin: RunningTwin) -> None:
    sent, process = hashlib.sha256(), psutil.Process(twin.pid)
    before, peaks = process.memory_info().rss, [0]
    block = bytes(range(256)) * (MIB // 256)

    def pieces() -> Iterator[bytes]:
        for number in range(GIB // MIB):
            piece = number.to_bytes(8, "big") + block[8:]
            sent.update(piece)
            peaks.append(process.memory_info().rss)
            yield piece

    with twin.http(twin.key("alice")) as http:
        http.post("/v1/data/.my", json={"name": "large"})
        assert http.put("/v1/data/.my/large/file", content=pieces(), headers={"Content-Length": str(GIB)}).is_success
        received, size = hashlib.sha256(), 0
        with http.stream("GET", "/v1/data/.my/large/file") as answer:
            for piece in answer.iter_raw(MIB):
                received.update(piece)
                size += len(piece)
                peaks.append(process.memory_info().rss)
        assert http.delete("/v1/data/.my/large", params={"force": "true"}).json() == {"result": {"deleted": 1}}
    assert (size, received.digest()) == (GIB, sent.digest())
    assert max(peaks) - before < 128 * MIB
    assert max(peaks) < 200 * MIB


def test_an_upload_that_is_cut_off_leaves_what_was_there(twin: RunningTwin) -> None:
    key, address = twin.key("alice"), urlsplit(twin.url)
    with twin.http(key) as http:
        http.post("/v1/data/.my", json={"name": "cut"})
        http.put("/v1/data/.my/cut/file", content=b"whole")
        with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
            lines = ["PUT /v1/data/.my/cut/file HTTP/1.1", "Host: x", f"Authorization: {key}"]
            head = "\r\n".join([*lines, f"Content-Length: {10 * MIB}", "", ""])
            connection.sendall(head.encode() + b"x" * 5 * MIB)
            folder = Path(twin.home.store.removeprefix("file://")) / "algorithmia/data/alice/cut/.files"
            # The put has begun: the unfinished content is next to the file.
            assert wait_until(lambda: len(list(folder.iterdir())) == 2, seconds=10)
        assert wait_until(lambda: len(list(folder.iterdir())) == 1, seconds=10)
        assert http.get("/v1/data/.my/cut/file").content == b"whole"


def test_a_large_body_for_a_missing_directory_gets_its_answer(twin: RunningTwin) -> None:
    key = twin.key("alice")
    script = """
from Algorithmia.errors import DataApiError
try:
    client.file("data://.my/missing/file").put(b"x" * 50_000_000)
except Exception as error:
    out = str(error)
"""
    assert "404" in twin.client(key, script)
    with twin.http(key) as http:
        answer = http.put("/v1/data/.my/missing/file", content=b"x" * 50_000_000)
        assert (answer.status_code, answer.headers["X-Error-Message"]) == (404, "data://alice/missing does not exist.")


def test_two_servers_over_one_store_agree_and_lose_nothing(
    twin: RunningTwin, client_python: Path, tmp_path: Path
) -> None:
    key = twin.key("alice")
    with started(twin.home, client_python, tmp_path / "other.log") as other, twin.http(key) as a, other.http(key) as b:
        a.post("/v1/data/.my", json={"name": "shared"})
        assert b.put("/v1/data/.my/shared/x", content=b"1").is_success
        assert a.get("/v1/data/.my/shared/x").content == b"1"
        made = _at_once(a, b, lambda http, number: http.post("/v1/data/.my/shared", json={"name": f"d{number % 20}"}))
        assert sorted(status for status, _ in made) == [200] * 20 + [409] * 20
        won = _at_once(
            a,
            b,
            lambda http, number: http.put(
                f"/v1/data/.my/shared/f{number % 20}", content=f"{number}".encode(), headers={"If-None-Match": "*"}
            ),
        )
        assert sorted(status for status, _ in won) == [200] * 20 + [412] * 20
        for status, number in won:
            if status == 200:
                assert b.get(f"/v1/data/.my/shared/f{number % 20}").content == f"{number}".encode()
        kind = a.get("/v1/organization/types").json()[0]["id"]
        assert a.post("/v1/organizations", json={"org_name": "team", "type_id": kind}).is_success
        users = [api_keys.add(Ledger.create(twin.home.ledger), f"user{number}")[0].user for number in range(10)]
        _at_once(a, b, lambda http, number: http.put(f"/v1/organizations/team/members/{users[number % 10]}"))
        record = json.loads(twin.storage().get("algorithmia/organizations/team.json"))
        assert sorted(record["members"]) == sorted(["alice", *users])


def test_what_is_put_while_its_directory_is_deleted_is_refused_or_deleted_with_it(twin: RunningTwin) -> None:
    """No file is reported as stored without being in a directory."""
    key = twin.key("alice")
    with twin.http(key) as http, twin.http(key) as other:
        for _ in range(20):
            assert http.post("/v1/data/.my", json={"name": "race"}).is_success
            deleting = threading.Thread(target=lambda: other.delete("/v1/data/.my/race", params={"force": "true"}))
            deleting.start()
            statuses = {http.put(f"/v1/data/.my/race/f{number}", content=b"1").status_code for number in range(10)}
            deleting.join()
            assert statuses <= {200, 404}
            assert http.get("/v1/data/.my/race").status_code == 404
            assert twin.storage().list("algorithmia/data") == []


def test_the_keys_command_shows_a_secret_once(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    new_home(home)
    assert command.add_key(home, argparse.Namespace(user="alice", stdin=False)) == 0
    secret = capsys.readouterr().out.strip()
    assert command.list_keys(home, argparse.Namespace()) == 0
    shown = capsys.readouterr().out
    assert "alice" in shown
    assert secret not in shown
    assert secret.encode() not in (home.root / "ledger.db").read_bytes()


def _at_once(
    a: httpx.Client, b: httpx.Client, ask: Callable[[httpx.Client, int], httpx.Response]
) -> list[tuple[int, int]]:
    """Sends 40 requests, half to each server, 8 at a time. Returns how often each status came."""
    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(ask, (a, b)[number // 20], number) for number in range(40)]
        return [(one.result().status_code, number) for number, one in enumerate(running)]
