"""Long requests are read in parts. The rows and the refusals are the same, with the row's own number."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.errors import OverloadError, RequestError
from sailplane.serving import feedback
from sailplane.serving.app import ModelServer
from sailplane.serving.bodies.json_pieces import LONGEST, elements
from sailplane.serving.in_flight import LONG_BODY, InFlight
from sailplane.serving.long_requests import RowsPart
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.open_inference import parts as open_inference_parts
from sailplane.serving.scorer import RequestLimits, Scorer
from sailplane.serving.seldon import messages as seldon
from sailplane.serving.seldon import parts as seldon_parts
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import NAMES, ROW, ask
from tests.unit.serving.open_inference.test_binary import packed
from tests.unit.serving.open_inference.test_messages import INFER, request

MOST = 3
OTHER = {**tiny.RECORD, "carrier": 'a "],[ {b}\\', "wind": None, "seats": 7}
RECORDS = [tiny.RECORD, OTHER] * 5 + [OTHER]
ROWS = [[record[name] for name in NAMES] for record in RECORDS]
FLAT = [value for row in ROWS for value in row]
SELDON: list[dict[str, Any]] = [
    {"data": {"names": NAMES, "ndarray": ROWS}, "meta": {"puid": "7", "tags": {"a": [1]}}},
    {"data": {"ndarray": ROWS}},
    {"data": {"names": NAMES, "tensor": {"shape": [11, 6], "values": FLAT}}},
    {"jsonData": RECORDS},
    {"jsonData": OTHER},
]


def in_parts(
    module: Any, body: bytes, headers: Mapping[bytes, bytes] | None = None
) -> tuple[Any, dict[str, list[Any]]]:
    """Returns the message without its rows, and the rows in parts."""
    message, parts = module.split(bytearray(body), headers or {}, tiny.INPUTS, MOST)
    read: dict[str, list[Any]] = {name: [] for name in NAMES}
    for part in parts:
        assert part.first == len(read["wind"])
        assert len(part.columns["wind"]) <= max(MOST, 16 * MOST // 6)
        for name, values in part.columns.items():
            read[name] += values
    return message, read


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("message", SELDON)
def test_rows_in_parts_are_the_rows_of_the_message(message: dict[str, Any], indent: int | None) -> None:
    head, read = in_parts(seldon_parts, json.dumps(message, indent=indent).encode())
    assert read == seldon.columns(message, tiny.INPUTS)
    assert head.get("meta") == message.get("meta")
    assert ("tensor" in head["data"] if "data" in message else True) == ("tensor" in message.get("data", ["tensor"]))


def in_columns(values: list[Any]) -> dict[str, Any]:
    return {"shape": [11, 1], "data": [[value] for value in values]}


def in_pieces(values: list[Any]) -> dict[str, Any]:
    return {"shape": [11], "data": [values[:7], *values[7:9], values[9:]]}


@pytest.mark.parametrize("nested", [None, in_columns, in_pieces])
def test_tensors_in_parts_are_the_tensors_of_the_message(nested: Callable[[list[Any]], dict[str, Any]] | None) -> None:
    message = {"id": "7", **request(RECORDS)}
    if nested is not None:
        wind = message["inputs"][1]
        wind |= nested(wind["data"])
    head, read = in_parts(open_inference_parts, json.dumps(message).encode())
    assert read == open_inference.columns(message, tiny.INPUTS)
    assert head == {"id": "7"}


def test_raw_tensors_in_parts_are_those_of_the_message() -> None:
    records = [{**record, "wind": 1.5} for record in RECORDS]
    message, raw = packed(request(records))
    head = json.dumps(message).encode()
    length = {b"inference-header-content-length": str(len(head)).encode()}
    assert in_parts(open_inference_parts, head + raw, length)[1] == open_inference.columns(
        request(records), tiny.INPUTS
    )


def spoiled(value: Any, row: int = 7) -> dict[str, Any]:
    rows = [list(row) for row in ROWS]
    rows[row][0] = value
    return {"data": {"ndarray": rows}}


BAD: list[tuple[Any, str]] = [
    ({"data": {"ndarray": [*ROWS[:7], ROW[1:], ROW]}}, "row 7: 5 values"),
    ({"data": {"ndarray": [*ROWS[:7], 1, ROW]}}, "row 7: a number"),
    (spoiled([[1]]), "data.ndarray, number 7"),
    ({"data": {"ndarray": []}}, "at least one row"),
    ({"data": {"ndarray": {}}}, "an object"),
    ({"data": {"ndarray": [ROW], "tensor": {}}}, "an object with ndarray or tensor"),
    ({"data": []}, "an object with ndarray or tensor"),
    ({"data": {"tensor": {"shape": [12, 6], "values": FLAT}}}, "66 values; expected 72"),
    ({"data": {"tensor": {"shape": [10, 6], "values": FLAT}}}, "66 values; expected 60"),
    ({"data": {"tensor": {"shape": [11], "values": FLAT}}}, "data.tensor.shape"),
    ({"data": {"tensor": {"shape": [1, 6], "values": 5}}}, "data.tensor.values"),
    ({"data": {"tensor": 5}}, "data.tensor.shape"),
    ({"jsonData": [*RECORDS[:7], 5]}, "jsonData, row 7"),
    ({"jsonData": [*RECORDS[:7], {"distance": 1}]}, "jsonData, row 7: field 'carrier' is missing"),
    ({"jsonData": []}, "no rows"),
    ({"jsonData": 5}, "an object {field: value}"),
    ({"strData": "x"}, "either data or jsonData"),
    ({"jsonData": tiny.RECORD, "data": {}}, "either data or jsonData"),
    ({"jsonData": tiny.RECORD, "more": 1}, "either data or jsonData"),
    ({}, "no data"),
    ([], "Expected `object`, got `array`"),
    ({"jsonData": tiny.RECORD, "meta": {"puid": 1}}, "meta.puid"),
    ({"jsonData": tiny.RECORD, "meta": {"tags": {"a": "x" * LONGEST}}}, "read meta: "),
    ({"data": {"ndarray": [ROW, ["x" * LONGEST]]}}, "data.ndarray, number 1"),
]


@pytest.mark.parametrize(("message", "said"), BAD)
def test_what_is_wrong_is_named_by_its_own_place(message: Any, said: str) -> None:
    with pytest.raises(RequestError) as error:
        in_parts(seldon_parts, json.dumps(message).encode())
    assert said in str(error.value)


def changed(place: int = 1, **changes: Any) -> dict[str, Any]:
    message = request(RECORDS)
    message["inputs"][place] |= changes
    return message


BAD_TENSORS: list[tuple[Any, str]] = [
    (changed(data=[1.0] * 10), "input 'wind': 10 values; expected 11, the rows of its shape"),
    (changed(data=[1.0] * 12), "input 'wind': 12 values; expected 11, the rows of its shape"),
    (changed(shape=[10], data=[1.0] * 10), "input 'wind': 10 rows; expected 11, like 'distance'"),
    (changed(shape=[11, 2]), "shape of input 'wind'"),
    (changed(shape="x"), "shape of input 'wind'"),
    (changed(datatype="BOOL"), "datatype of input 'wind'"),
    (changed(data=5), "data of input 'wind'"),
    (changed(data=None), "input 'wind'"),
    (changed(name="typo"), "'typo' is unknown"),
    (changed(name=5), "inputs"),
    (changed(parameters=5), "parameters of input 'wind'"),
    ({"inputs": []}, "'distance' is missing"),
    ({"inputs": 5}, "inputs"),
    ({"inputs": [5]}, "inputs"),
    ({**request(RECORDS), "outputs": [{"name": "x"}]}, "outputs"),
]


@pytest.mark.parametrize(("message", "said"), BAD_TENSORS)
def test_what_is_wrong_with_a_tensor_is_named(message: Any, said: str) -> None:
    with pytest.raises(RequestError) as error:
        in_parts(open_inference_parts, json.dumps(message).encode())
    assert said in str(error.value)


def test_a_long_request_gets_the_scores_of_its_rows_one_by_one(bundle: Bundle) -> None:
    records = random.Random(1).choices(bundle.golden_records, k=700)
    one = {json.dumps(row): ask(bundle, "POST", "/predict", {"jsonData": row}).json() for row in bundle.golden_records}
    expected = [one[json.dumps(row)]["data"]["ndarray"][0] for row in records]
    for message in ({"jsonData": records}, {"data": {"ndarray": [list(row.values()) for row in records]}}):
        padded = json.dumps(message).ljust(LONG_BODY + 1).encode()
        response = ask(bundle, "POST", "/predict", body=padded)
        np.testing.assert_allclose(response.json()["data"]["ndarray"], expected, atol=1e-6)
    padded = json.dumps(request(records)).ljust(LONG_BODY + 1).encode()
    [output] = ask(bundle, "POST", INFER, body=padded).json()["outputs"]
    np.testing.assert_allclose(output["data"], np.ravel(expected), atol=1e-6)


def test_a_bad_value_far_back_is_named_by_its_row(bundle: Bundle) -> None:
    message = {"jsonData": [tiny.RECORD] * 700 + [{**tiny.RECORD, "wind": "high"}]}
    response = ask(bundle, "POST", "/predict", message)
    assert response.status_code == 400
    assert "field 'wind' of row 700: 'high'" in response.json()["error"]


def test_rows_after_a_bad_one_are_not_read() -> None:
    text = json.dumps([*ROWS[:MOST], 1, *ROWS]).encode().replace(b'"UA"', b'"\xff"')
    pieces = elements(memoryview(text), 1, "rows")
    with pytest.raises(RequestError, match="invalid JSON"):
        next(pieces)


def test_bytes_in_flight_are_bounded_and_short_requests_have_room_of_their_own() -> None:
    idle: list[int] = []
    held = InFlight(100 * LONG_BODY, lambda: idle.append(1))
    held.hold(100 * LONG_BODY, of=100 * LONG_BODY)
    with pytest.raises(OverloadError) as refused:
        held.hold(1, of=LONG_BODY + 1)
    assert refused.value.retry_after >= 1
    held.hold(10, of=10)
    held.release(100 * LONG_BODY)
    held.release(10)
    assert (held.held, idle) == (0, [1])


def test_over_the_bytes_in_flight_is_a_503_with_retry_after(bundle: Bundle) -> None:
    server = ModelServer(Scorer(bundle, RequestLimits(in_flight=2 * LONG_BODY)))
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def run() -> None:
        asks = iter([{"type": "http.request", "body": b" " * LONG_BODY, "more_body": True}])

        async def receive() -> Any:
            return next(asks, None) or await asyncio.sleep(60)

        headers = [(b"content-length", b"%d" % (2 * LONG_BODY))]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        first = asyncio.ensure_future(server(scope, receive, send))
        await asyncio.sleep(0)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=server), base_url="http://server") as client:
            refused = await client.post("/predict", content=b" " * (LONG_BODY + 1))
            short = await client.post("/predict", json={"jsonData": tiny.RECORD})
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            again = await client.post("/predict", json={"jsonData": [tiny.RECORD] * 700})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "bytes of other requests" in refused.json()["error"]
        assert [short.status_code, again.status_code] == [200, 200]

    asyncio.run(run())


def test_feedback_that_would_not_fit_into_the_log_is_a_413(bundle: Bundle) -> None:
    body = b'{"response": {"meta": {"puid": "1"}}, "reward": 1}'
    assert ask(bundle, "POST", "/send-feedback", body=body.ljust(feedback.MOST_BYTES)).status_code == 200
    assert ask(bundle, "POST", "/send-feedback", body=body.ljust(feedback.MOST_BYTES + 1)).status_code == 413


def test_more_scores_than_a_reply_holds_are_a_413(bundle: Bundle) -> None:
    scorer = Scorer(bundle, RequestLimits(body=16 * 500))

    async def run() -> None:
        async with scorer.long.turn(10) as work:
            body = json.dumps({"jsonData": [tiny.RECORD] * 700}).encode()
            _, parts = seldon_parts.split(body, {}, tiny.INPUTS, scorer.most_rows)
            await work.scores(parts)

    with pytest.raises(RequestError, match="at most 500 scores") as error:
        asyncio.run(run())
    assert error.value.status == 413


@pytest.mark.slow
def test_a_long_request_gives_up_at_its_deadline_and_lets_the_next_one_go_on(bundle: Bundle) -> None:
    scorer = Scorer(bundle)
    begun: list[int] = []

    def endless() -> Iterator[RowsPart]:
        while True:
            begun.append(1)
            yield RowsPart(0, seldon.columns({"jsonData": tiny.RECORD}, tiny.INPUTS))

    async def run() -> None:
        with pytest.raises(OverloadError, match=r"no answer within 0\.2 s"):
            async with scorer.long.turn(0.2) as work:
                await work.scores(endless())
        count = len(begun)
        async with scorer.long.turn(10) as work:
            await work.in_thread(lambda: None)
            assert 0 < count == len(begun)

    asyncio.run(run())
