"""A field of a request's body decides which version answers. Envoy is real; the servers report the requests that they
got."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from sailplane.deployment.envoy.router import Router
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.target import TrafficSplit
from sailplane.home import Home
from sailplane.serving.customer_groups import group_of

SELDON = "/seldon/local/flights/api/v1.0/predictions"
FEEDBACK = "/seldon/local/flights/api/v1.0/feedback"
INFER = "/v2/models/flights/infer"
FIELD = "customer id"


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet for each answer: two packets would wait for 40 ms.
    wbufsize = -1

    def __init__(self, version: str, *arguments: Any) -> None:
        self.version = version
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._say({})

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers["content-length"]))
        key = self.headers.get("x-sailplane-key")
        self._say({"version": self.version, "key": key and key.strip(" "), "bytes": len(body)})

    def _chunk(self) -> bytes:
        chunk = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return chunk

    def _say(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def echoing(version: str) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Echo, version)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def router(platform: Home) -> Iterator[Router]:
    """A router with two versions. The first one has all the traffic."""
    router = Router(platform)
    with ExitStack() as stack:
        for version in ("old", "new"):
            router.add("flights", version, stack.enter_context(echoing(version)))
        assert wait_until(router.running, seconds=10)
        assert wait_until(lambda: all(router.healthy("flights", one) for one in ("old", "new")), seconds=10)
        yield router


@pytest.fixture
def client(platform: Home) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{platform.router_port}", trust_env=False) as opened:
        yield opened


def split(router: Router, new: int) -> None:
    wanted = TrafficSplit({"old": 100 - new, "new": new}, sticky=FIELD)
    router.split("flights", wanted)
    assert wait_until(lambda: router.routed("flights") == wanted == router.splits()["flights"], seconds=10)
    # Each of Envoy's workers learns of the change by itself.
    assert wait_until(lambda: _taken(router.home, new), seconds=10)


def _taken(home: Home, new: int) -> bool:
    url = f"http://127.0.0.1:{home.router_port}{SELDON}"
    probe = {"meta": {"tags": {FIELD: f"probe {new}"}}, "jsonData": {}}
    answers = [httpx.post(url, json=probe, trust_env=False).json() for _ in range(8)]
    return {answer["key"] for answer in answers} == {f"probe {new}"} and len({one["version"] for one in answers}) == 1


def forms(customer: Any) -> list[tuple[str, dict[str, Any]]]:
    """Returns requests of two rows, of which the first has the customer."""
    names, rows = ["distance", FIELD, "wind"], [[1.5, customer, None], [2, "nobody", [3, "]"]]]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    data = [value for row in rows for value in row]
    columns = [
        {"name": name, "shape": [2], "datatype": "BYTES", "data": list(column)}
        for name, *column in zip(names, *rows, strict=True)
    ]
    nested = [{**column, "data": [[value] for value in column["data"]]} for column in columns]
    return [
        (SELDON, {"jsonData": records[0]}),
        (SELDON, {"meta": {"puid": '"}'}, "jsonData": records}),
        (SELDON, {"data": {"names": names, "ndarray": rows}}),
        (SELDON, {"data": {"ndarray": rows, "names": names}, "meta": {"tags": {"a": {FIELD: "nobody"}}}}),
        (SELDON, {"data": {"names": names, "tensor": {"shape": [2, 3], "values": data}}}),
        (SELDON, {"jsonData": {**records[1], "x": 1}, "meta": {"tags": {"a": [1, {"b": "\\"}], FIELD: customer}}}),
        (INFER, {"id": "{", "inputs": columns}),
        (INFER, {"inputs": nested}),
        (INFER, {"inputs": [], "parameters": {FIELD: customer}}),
    ]


def feedback_forms(customer: Any) -> list[tuple[str, dict[str, Any]]]:
    """Returns the parts of its request that a client has when it sends feedback."""
    response = {"meta": {"puid": "{", "tags": {FIELD: customer}}, "data": {"names": ["p"], "ndarray": [[0.5]]}}
    given = [message for path, message in forms(customer) if path == SELDON]
    return [(FEEDBACK, {"response": response, "reward": 1}), *((FEEDBACK, {"request": one}) for one in given)]


def written(customer: Any, *, ascii_only: bool) -> str:
    """Returns the key as a header is read: byte by byte, without surrounding spaces."""
    text = json.dumps(customer, ensure_ascii=ascii_only)
    return (text[1:-1] if isinstance(customer, str) else text).encode().decode("latin-1").strip(" ")


def test_the_field_is_found_in_every_form_of_a_request(router: Router, client: httpx.Client) -> None:
    split(router, 50)
    chance = random.Random(7)
    letters = 'ab "\\{}[],:/é€\n\u0001'
    customers: list[Any] = [17, -2.5e-7, True, "7", "Zoë", "nobody's"]
    customers += ["".join(chance.choices(letters, k=chance.randint(1, 9))) for _ in range(40)]
    for customer in customers:
        layout: dict[str, Any] = chance.choice([{}, {"separators": (",", ":")}, {"indent": 3}])
        ascii_only = chance.random() < 0.5
        wanted = written(customer, ascii_only=ascii_only)
        for path, message in [*forms(customer), *feedback_forms(customer)]:
            body = json.dumps(message, ensure_ascii=ascii_only, **layout)
            answer = client.post(path, content=body.encode()).json()
            assert (answer["key"], answer["bytes"]) == (wanted, len(body.encode())), body


def test_a_request_without_the_field_goes_on_as_it_came(router: Router, client: httpx.Client) -> None:
    split(router, 50)
    bodies = [
        json.dumps(message).replace('"nobody"', "null")
        for customer in (None, [[1]], {"a": 1}, "", "x" * 257)
        for _, message in forms(customer)
    ]
    bodies += [json.dumps(message).replace(FIELD, "customer") for _, message in forms("A")]
    whole = json.dumps(forms("A")[3][1])
    bodies += [whole[:length] for length in range(whole.index("names"))]
    bodies += ["[]", "{}", "{", '"', "\\", '{"jsonData": ', '{"jsonData": []}', '{"data": {"names": []}}', "[" * 5000]
    bodies += [f'{{"jsonData": {{"{FIELD}": "a\r\nb"}}}}']
    for body in bodies:
        answer = client.post(SELDON, content=body)
        assert (answer.status_code, answer.json()["key"], answer.json()["bytes"]) == (200, None, len(body)), body
    long = json.dumps({"jsonData": [{FIELD: "A", "x": "y" * 200_000}]})
    for content in (long, iter([whole.encode()])):
        assert client.post(SELDON, content=content).json()["key"] is None
    assert client.get("/seldon/local/flights/metadata").status_code == 200
    kept = client.post(SELDON, content=whole, headers={"x-sailplane-key": "B"}).json()
    assert kept["key"] == "B", "the caller's own header"


def test_a_customer_stays_with_the_version_and_the_cohort_grows(router: Router, platform: Home) -> None:
    clients = [httpx.Client(base_url=f"http://127.0.0.1:{platform.router_port}", trust_env=False) for _ in range(2)]

    def versions(customer: str, count: int) -> set[str]:
        message = {"jsonData": {FIELD: customer, "distance": 1}}
        return {clients[n % 2].post(SELDON, json=message).json()["version"] for n in range(count)}

    def cohort() -> set[str]:
        return {customer for customer in map(str, range(300)) if versions(customer, 1) == {"new"}}

    try:
        split(router, 10)
        assert all(len(versions(customer, 200)) == 1 for customer in ("17", "a customer"))
        few = cohort()
        assert 5 <= len(few) <= 70, "10% of 300: outside once in a million times"
        assert cohort() == few
        split(router, 50)
        more = cohort()
        assert few < more
        assert 100 <= len(more) <= 200
        # 58 are expected if the hashes are independent.
        assert len({group_of(customer.encode()) for customer in more}) > 45
        by_header = {
            customer: clients[0].post(SELDON, json={}, headers={"x-sailplane-key": customer}).json()["version"]
            for customer in map(str, range(300))
        }
        assert {customer for customer, version in by_header.items() if version == "new"} == more
    finally:
        for client in clients:
            client.close()
