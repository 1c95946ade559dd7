"""Large valid and invalid bodies, whose senders stay, leave or are slow. The server limits its memory, returns it, and
answers others meanwhile. `make bench BENCH=bodies` has the figures."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection

import grpc
import orjson
import pytest
from google.protobuf.struct_pb2 import ListValue

from sailplane.deployment.http_client import call, wait_until
from sailplane.serving.grpc_server import _SLOW_SECONDS
from sailplane.serving.scorer import RequestLimits
from sailplane.serving.seldon import messages_pb2 as seldon_pb2
from tests.benchmarks.bodies import MARGIN_MB, MB, Load, Place, loaded, measured, served
from tests.integration.deployment import flights
from tests.integration.serving.test_grpc import messages

BAD, GOOD, SMALLER = 13_000_000, 10_000_000, 1_000_000
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
KINDS = ("the last row", "a row of empty lists")
# Valid requests before a load; after it nothing else needs to be awaited.
PAUSES = (1.0, 0.0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with served(tmp_path_factory.mktemp("bodies")) as place:
        bad = flights.bad_bodies(BAD)
        for name in KINDS:
            place.folder.joinpath(name).write_bytes(bad[name])
        place.folder.joinpath("good").write_bytes(flights.body(GOOD))
        yield place
        assert "Traceback" not in place.folder.joinpath("log").read_text()


def check(load: Load) -> None:
    """Valid requests were answered during the load. `make bench BENCH=bodies` measures how long they wait, because it
    has the machine for itself."""
    assert load.peak < 400, load.peak
    assert load.router_peak < 400
    assert load.after < load.before + MARGIN_MB, (load.before, load.after)
    assert load.back < 10
    assert load.failed == 0, [answer for answer in load.good if answer.status != 200][:3]
    assert load.good
    assert max(answer.seconds for answer in load.good) < 5


@pytest.mark.parametrize("bad", KINDS)
def test_bad_bodies_whose_senders_leave_cost_little_and_nobody_else(place: Place, bad: str) -> None:
    url = place.url if bad == "the last row" else place.direct
    check(loaded(place, url, bad, 40, "leave", *PAUSES))


@pytest.mark.parametrize("routed", [False, True])
def test_valid_bodies_beyond_what_is_held_at_a_time_are_503s(place: Place, routed: bool) -> None:
    load = loaded(place, place.url if routed else place.direct, "good", 32, "stay", *PAUSES)
    check(load)
    assert load.statuses["503, try again"] >= 1
    assert load.statuses["200"] >= 1
    assert set(load.statuses) <= {"200", "503, try again"}, load.statuses
    assert _posted(place, flights.body(1_000_000))[0] == 200


@pytest.mark.parametrize("leave", [True, False])
def test_messages_over_grpc_are_held_within_the_same_bounds(place: Place, leave: bool) -> None:
    body = flights.inference(BAD if leave else GOOD, bad=leave)
    load = measured(place, lambda: _called(place, body, 40 if leave else 32, leave=leave), *PAUSES)
    check(load)
    # A message that takes more than three seconds to read makes way for others.
    usual = {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    assert leave or load.statuses["OK"] >= 1
    assert set(load.statuses) <= usual | ({"CANCELLED", "UNAVAILABLE"} if leave else set()), load.statuses


def _called(place: Place, body: bytes, count: int, *, leave: bool) -> dict[str, int]:
    def one(_number: int) -> str:
        address, options = f"127.0.0.1:{place.server.grpc_port}", [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, options) as channel:
            sent = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer").future(body, timeout=60)
            if leave:
                with suppress(grpc.FutureTimeoutError, grpc.RpcError):
                    sent.result(0.2)
                sent.cancel()
            with suppress(grpc.FutureCancelledError):
                return str(sent.code().name)
            return "CANCELLED"

    with ThreadPoolExecutor(count) as pool:
        return dict(Counter(pool.map(one, range(count))))


def test_a_body_with_a_bad_row_is_refused_by_its_number(place: Place) -> None:
    reply = _posted(place, flights.bad_bodies(SMALLER)["the last row"])
    rows = flights.rows(SMALLER).count(b"],[") + 1
    assert reply[0] == 400
    assert f"'origin' of row {rows}: 1; expected a string" in reply[1]["error"]
    with grpc.insecure_channel(f"127.0.0.1:{place.server.grpc_port}") as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as error:
            method(flights.inference(SMALLER, bad=True), timeout=60)
    assert f"'scheduled_departure' of row {SMALLER // 220 - 1}: 'late'" in error.value.details()


KEYS = b",".join(b'"%d":1' % number for number in range(BAD // 11))
COSTLY: dict[str, tuple[str, str, bytes]] = {
    "keys": ("/predict", "application/json", b"{%s}" % KEYS),
    "inputs": (
        "/v2/models/flights/infer",
        "application/json",
        b'{"inputs":[%s]}' % b",".join([b'{"name":"a"}'] * (BAD // 13)),
    ),
    "escapes": ("/predict", "application/x-www-form-urlencoded", b"json=" + b"%22" * (BAD // 3)),
    "fields": ("/predict", "application/x-www-form-urlencoded", b"json=&" + b"a&" * (BAD // 2)),
}


@pytest.mark.parametrize("how", COSTLY)
def test_a_body_made_to_cost_many_times_its_bytes_does_not(place: Place, how: str) -> None:
    path, kind, body = COSTLY[how]
    place.clear_peak()
    before = place.resident()
    status, reply = _posted(place, body, path, kind)
    assert (status, len(reply["error"]) < 500) == (400, True)
    assert place.peak() < before + 8 * len(body) / MB


@pytest.mark.parametrize("field", [5, 6, 7])
def test_a_call_made_to_cost_many_times_its_bytes_does_not(place: Place, field: int) -> None:
    """The call has many empty inputs, outputs and raw contents."""
    body = b"\x0a\x07flights" + bytes([field << 3 | 2, 0]) * (BAD // 2)
    place.clear_peak()
    before = place.resident()
    channel = grpc.insecure_channel(f"127.0.0.1:{place.server.grpc_port}")
    with channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(body, timeout=60)
    assert "more than 10000 fields" in error.value.details()
    assert place.peak() < before + 8 * len(body) / MB


def test_a_long_request_over_grpc_gets_the_scores_of_its_rows(place: Place) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{place.server.grpc_port}") as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        one, many = (
            messages.ModelInferResponse.FromString(method(flights.inference(n), timeout=60)) for n in (220, 10**6)
        )
    assert list(many.outputs[0].shape) == [10**6 // 220, 1]
    scores = set(many.outputs[0].contents.fp32_contents)
    assert scores == set(one.outputs[0].contents.fp32_contents)


def _posted(
    place: Place, body: bytes, path: str = "/predict", kind: str = "application/json"
) -> tuple[int, dict[str, str]]:
    with closing(HTTPConnection("127.0.0.1", place.server.port, timeout=60)) as connection:
        connection.request("POST", path, body, {"content-type": kind})
        response = connection.getresponse()
        return response.status, dict(orjson.loads(response.read()))


def test_work_ends_when_its_client_leaves(place: Place) -> None:
    """The next long request starts at once, although the previous one would take seconds."""
    body = place.folder.joinpath("good").read_bytes()
    before = _rows_scored(place)
    with socket.create_connection(("127.0.0.1", place.server.port), timeout=30) as gone:
        gone.sendall(HEAD % len(body) + body)
        assert wait_until(lambda: _rows_scored(place) > before, seconds=30, every=0.01)
    assert wait_until(lambda: _settled(place), seconds=10)
    assert _rows_scored(place) - before < body.count(b"],[")


def _settled(place: Place) -> bool:
    before = _rows_scored(place)
    time.sleep(0.3)
    return _rows_scored(place) == before


def _rows_scored(place: Place) -> float:
    text = call(place.server.port, "GET", "/metrics", seconds=30).body.decode()
    [line] = [line for line in text.splitlines() if line.startswith("sailplane_batch_rows_sum{")]
    return float(line.split()[-1])


def test_a_client_that_does_not_read_its_large_reply_holds_up_nobody(place: Place) -> None:
    body = flights.body(GOOD)
    with ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", place.server.port))
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
        assert wait_until(lambda: _settled(place), seconds=60)
        assert _posted(place, orjson.dumps(flights.message()))[0] == 200
        assert _posted(place, flights.body(1_000_000))[0] == 200
        assert place.resident() < 400


@pytest.mark.parametrize("coding", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("method", ["inference.GRPCInferenceService/ModelInfer", "seldon.protos.Seldon/Predict"])
def test_a_compressed_message_over_grpc_is_inflated_up_to_the_limit(
    place: Place, method: str, coding: grpc.Compression
) -> None:
    """A longer message is inflated no further, and nothing is logged."""
    good, bomb = flights.inference(220), bytes(4 * RequestLimits().body)
    if "seldon" in method:
        good = _seldon_message()
    place.clear_peak()
    before = place.resident()
    with grpc.insecure_channel(
        f"127.0.0.1:{place.server.grpc_port}", [("grpc.max_send_message_length", -1)]
    ) as channel:
        call = channel.unary_unary(f"/{method}")
        with pytest.raises(grpc.RpcError) as error:
            call(bomb, compression=coding, timeout=60)
        assert (error.value.code(), error.value.details()) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "Decompressed message larger than max",
        )
        assert place.peak() < before + 2 * RequestLimits().body / MB
        assert len(call(good, compression=coding, timeout=60)) > 10


def _seldon_message() -> bytes:
    rows, message = ListValue(), seldon_pb2.SeldonMessage(data={"names": flights.NAMES})
    rows.extend(flights.message()["data"]["ndarray"])
    message.data.ndarray.MergeFromString(rows.SerializeToString())
    return bytes(message.SerializeToString())


def test_slow_senders_over_grpc_make_way(place: Place) -> None:
    """As many senders as are read at a time, each of which stops within its message."""
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(closing(_half_sent(place.server.grpc_port)))
        with grpc.insecure_channel(f"127.0.0.1:{place.server.grpc_port}") as channel:
            method = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            waits = list[float]()

            def held_up() -> bool:
                begun = time.monotonic()
                method(flights.inference(220), timeout=30)
                waits.append(time.monotonic() - begun)
                return waits[-1] > 0.9 * _SLOW_SECONDS

            assert wait_until(held_up, seconds=30), "the eight hold all places"
            assert waits[-1] < 10


def _half_sent(port: int) -> socket.socket:
    """Starts a call over HTTP/2 whose message stops after its first bytes."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    path = b"/inference.GRPCInferenceService/ModelInfer"
    head = b"\x83\x86\x44" + bytes([len(path)]) + path + b"\x41\x01x"
    head += b"\x40\x0ccontent-type\x10application/grpc\x40\x02te\x08trailers"
    frames = [(4, 0, 0, b""), (1, 4, 1, head), (0, 0, 1, b"\0" + (10**6).to_bytes(4, "big") + b"half")]
    sent = [
        len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body
        for kind, flags, stream, body in frames
    ]
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(sent))
    return connection
