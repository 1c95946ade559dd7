"""Requests that the interface refuses, and requests that may be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sailplane import pairing
from sailplane.home import Home
from sailplane.sweep_server import tokens
from sailplane.sweep_server.app import make_app
from sailplane.sweeps import queue, results
from tests.integration.sweep_server.conftest import TEXT, Address

ROUTES = [
    ("GET", ""),
    ("GET", "/worker.pyz"),
    ("GET", "/data"),
    ("POST", "/ask"),
    ("POST", "/trials/0/heartbeat"),
    ("POST", "/trials/0/report"),
    ("POST", "/trials/0/finish"),
    ("POST", "/trials/0/fail"),
    ("POST", "/trials/0/release"),
    ("GET", "/trials/0/checkpoint/exists"),
    ("GET", "/trials/0/checkpoint"),
    ("PUT", "/trials/0/checkpoint?worker=w"),
]


@pytest.fixture
def client(address: Address) -> Iterator[httpx.Client]:
    """A client of a shared sweep."""
    url, token = address.share()
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, follow_redirects=True
    ) as opened:
        yield opened


def post(client: httpx.Client, path: str, **body: Any) -> Any:
    return client.post(path, json=body).raise_for_status().json()


def test_the_routes_are_those_that_are_tested() -> None:
    known = {(method, route.path) for route in make_app().routes for method in route.methods}
    listed = {(method, "/{share}" + path.partition("?")[0].replace("/0/", "/{number}/")) for method, path in ROUTES}
    assert known == listed


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic {token}", "{token}"])
def test_every_call_needs_the_token(address: Address, method: str, path: str, header: str) -> None:
    url, token = address.share()
    headers = {"Authorization": header.format(token=token)} if header else {}
    answer = httpx.request(method, url + path, headers=headers, json={"worker": "w"}, trust_env=False)
    assert answer.status_code == 401
    assert answer.json() == {"detail": "unknown shared sweep, or wrong token"}
    assert results.trials(address.ledger, "toy/s") == ()


def test_a_token_opens_its_own_sweep_only(address: Address) -> None:
    first, token = address.share()
    other, _ = address.share(sweep="toy/other")
    asked = [
        httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False).status_code
        for url in (first, other, f"{address.root}/none")
    ]
    assert asked == [200, 401, 401]


def test_to_share_again_revokes_the_token_before(address: Address, client: httpx.Client) -> None:
    assert client.get("").status_code == 200
    name, token = tokens.share(address.ledger, "toy/s")
    assert str(client.base_url).rstrip("/").endswith(name)
    assert client.get("").status_code == 401
    assert client.get("", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert tokens.unshare(address.ledger, "toy/s")
    assert client.get("", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert not tokens.unshare(address.ledger, "toy/s")


def test_a_worker_elsewhere_obeys_patience_and_waits_for_the_whole_trials(address: Address) -> None:
    """There are two bands, at one and two values. A report holds several values."""
    rule = "sailplane: {asha: {min_iter: 1, eta: 2, patience: 2, whole_trials: 5}}\n"
    url, token = address.share(TEXT.replace("run_cap: 6", "run_cap: 9") + rule)
    opened = {"headers": {"Authorization": f"Bearer {token}"}, "trust_env": False}
    with httpx.Client(base_url=url, **opened) as client:  # type: ignore[arg-type]
        for number in range(9):
            post(client, "/ask", worker=f"w {number}")
        for number in range(5):
            rows = [[step, float(number)] for step in range(3)]
            assert post(client, f"/trials/{number}/report", worker=f"w {number}", rows=rows) == {"stop": False}
        told = {"worker": "w 8", "rows": [[0, 9.0], [1, 9.0]]}
        assert post(client, "/trials/8/report", **told) == {"stop": False}
        for number in range(5):
            post(client, f"/trials/{number}/finish", worker=f"w {number}", score=float(number))
        stops = [
            post(client, f"/trials/{number}/report", worker=f"w {number}", rows=rows)["stop"]
            for number, rows in (
                (5, [[0, 9.0]]),
                (5, [[1, 9.0]]),
                (6, [[0, 9.0], [1, 9.0]]),
                (7, [[0, 9.0], [1, -1.0]]),
            )
        ]
    assert stops == [False, True, True, False]


def test_an_ask_whose_answer_was_lost_gives_the_same_trial(address: Address, client: httpx.Client) -> None:
    first, again, next_one = (post(client, "/ask", worker=worker) for worker in ("w 1", "w 1", "w 2"))
    assert first == again
    assert [first["trial"]["number"], next_one["trial"]["number"]] == [0, 1]
    assert first["trial"]["seed"] == 3


def test_a_finish_whose_answer_was_lost_counts_once(address: Address, client: httpx.Client) -> None:
    post(client, "/ask", worker="w")
    assert [post(client, "/trials/0/finish", worker="w", score=0.5)["kept"] for _ in range(2)] == [True, True]
    assert post(client, "/trials/0/finish", worker="v", score=0.1) == {"kept": False}
    assert results.trials(address.ledger, "toy/s")[0].score == 0.5


def test_a_checkpoint_is_taken_from_who_holds_the_trial_only(address: Address, client: httpx.Client) -> None:
    post(client, "/ask", worker="w")
    puts = [
        client.put("/trials/0/checkpoint", params={"worker": worker}, content=text).json()["kept"]
        for worker, text in (("w", b"one"), ("v", b"two"))
    ]
    assert puts == [True, False]
    assert client.get("/trials/0/checkpoint").content == b"one"
    assert client.get("/trials/1/checkpoint/exists").json() == {"exists": False}
    answer = client.get("/trials/1/checkpoint")
    assert (answer.status_code, "the store has none" in answer.json()["detail"]) == (409, True)


def test_a_checkpoint_that_is_cut_short_changes_nothing(address: Address, client: httpx.Client) -> None:
    post(client, "/ask", worker="w")
    client.put("/trials/0/checkpoint", params={"worker": "w"}, content=b"whole")

    def cut() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError):
        client.put("/trials/0/checkpoint", params={"worker": "w"}, content=cut(), headers={"Content-Length": "9"})
    assert client.get("/trials/0/checkpoint").content == b"whole"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ask", {}),
        ("/ask", {"worker": ""}),
        ("/ask", {"worker": "x" * 101}),
        ("/ask", {"worker": "a\nb"}),
        ("/trials/0/report", {"worker": "w", "rows": [[-1, 0.5]]}),
        ("/trials/0/report", {"worker": "w", "rows": [[2**31, 0.5]]}),
        ("/trials/0/report", {"worker": "w", "rows": [["first", 0.5]]}),
        ("/trials/0/finish", {"worker": "w", "score": "high"}),
        ("/trials/zero/finish", {"worker": "w", "score": 1.0}),
        ("/trials/0/fail", {"worker": "w", "reason": "x" * 10_001}),
    ],
)
def test_what_is_malformed_is_refused(address: Address, client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    trial = queue.ask(address.ledger, "toy/s", "w")
    assert client.post(path, json=body).status_code == 422
    assert results.trials(address.ledger, "toy/s") == (trial,)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/trials/0/finish", rb'{"worker": "w", "score": NaN}'),
        ("/trials/0/finish", rb'{"worker": "w", "score": Infinity}'),
        ("/trials/0/finish", rb'{"worker": "w", "score": "\ud800"}'),
        ("/trials/0/report", rb'{"worker": "w", "rows": [[0, -Infinity]]}'),
        ("/trials/0/fail", rb'{"worker": "w", "reason": "\ud800"}'),
        ("/ask", rb'{"worker": "\ud800"}'),
        ("/ask", rb'{"worker": {"\ud800": NaN}}'),
        ("/ask", b"NaN"),
    ],
)
def test_what_json_cannot_say_is_refused(address: Address, client: httpx.Client, path: str, body: bytes) -> None:
    trial = queue.ask(address.ledger, "toy/s", "w")
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, "detail" in answer.json()) == (422, True)
    assert results.trials(address.ledger, "toy/s") == (trial,)


def test_a_store_that_is_away_is_to_be_asked_again(
    home: Home, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(client, "/ask", worker="w")
    (home.root / pairing.MEMORY).unlink()
    monkeypatch.setenv("SAILPLANE_STORE", "s3://nowhere")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    answer = client.get("/trials/0/checkpoint/exists", timeout=120)
    assert (answer.status_code, "nowhere" in answer.json()["detail"]) == (503, True)
