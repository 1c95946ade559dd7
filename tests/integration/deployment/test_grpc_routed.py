"""Calls over gRPC through the router. They go to the same versions, by the same weights, as requests over HTTP."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.target import LocalTarget
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import DataError
from sailplane.home import Home
from sailplane.monitoring import requests
from sailplane.records import Model
from sailplane.serving.open_inference import messages_pb2 as messages
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.integration.deployment.test_split import NO_NUMBERS, scored, start, target
from tests.integration.serving.test_grpc import call, inference, refused
from tests.platform import until
from tests.unit.bundles import tiny
from tests.unit.serving.open_inference.test_messages import INFER, request

Registered = Callable[..., Model]
__all__ = ["target"]


@pytest.fixture
def channel(platform: Home) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{platform.router_port}") as opened:
        yield opened


def infer(channel: grpc.Channel, record: Any = tiny.RECORD, *, model: str | None = None, **metadata: str) -> Any:
    named = {"seldon-model": model} if model else {}
    return call(channel, "ModelInfer", inference([record]), metadata={**named, **metadata})


def versions(channel: grpc.Channel, count: int, **metadata: str) -> Counter[str]:
    return Counter(infer(channel, **metadata).model_version for _ in range(count))


def test_calls_go_where_requests_go(
    target: LocalTarget, platform: Home, storage: Storage, registered: Registered, channel: grpc.Channel
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    code, said = refused(channel, "ModelInfer", inference([tiny.RECORD]))
    assert (code, "served: none" in said) == (grpc.StatusCode.NOT_FOUND, True), said
    start(target, old, new)
    target.move(TrafficSplit({old.version: 100}, shadow=new.version))
    before = scored(target, new)

    answer = infer(channel, model="flights")
    url = f"http://127.0.0.1:{platform.router_port}{INFER}"
    rest = httpx.post(url, json=request([tiny.RECORD]), trust_env=False).json()
    assert (answer.model_name, answer.model_version) == (rest["model_name"], old.version)
    scores = np.float32(list(answer.outputs[0].contents.fp32_contents))
    np.testing.assert_array_equal(scores, np.float32(rest["outputs"][0]["data"]))
    assert wait_until(lambda: scored(target, new) == before + 2, seconds=10), "the shadow sees calls as well"

    def logged() -> set[tuple[str, bool, str]] | None:
        try:
            frame = requests(storage, "flights", spool=platform.requests)
        except DataError:  # None of them yet.
            return None
        return set(zip(frame["version"], frame["shadow"], frame["protocol"], strict=True)) if len(frame) == 4 else None

    kinds = ("open_inference", "open_inference_grpc")
    marked = {(model.version, model == new, kind) for model in (old, new) for kind in kinds}
    assert until(logged, 30, "the log") == marked

    assert infer(channel).model_version == old.version, "the only model need not be named"
    assert call(channel, "ServerReady", messages.ServerReadyRequest()).ready
    assert call(channel, "ServerMetadata", messages.ServerMetadataRequest()).name == "sailplane"
    code, said = refused(channel, "ModelInfer", inference([tiny.RECORD]), metadata={"seldon-model": "other"})
    assert code == grpc.StatusCode.NOT_FOUND
    assert "No such model" in said
    assert "flights" in said
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/some.Service/Call")(b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    code, said = refused(channel, "ModelInfer", inference([tiny.RECORD], inputs=[]))
    assert (code, "'distance' is missing" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True), said

    target.move(TrafficSplit({old.version: 90, new.version: 10}))
    assert 3 <= versions(channel, 300)[new.version] <= 75, "a share of 10%: outside once in a billion times"
    for key in range(20):
        assert len(versions(channel, 3, **{"x-sailplane-key": str(key)})) == 1


class Caller(threading.Thread):
    """Sends calls one after the other until it is stopped."""

    def __init__(self, channel: grpc.Channel) -> None:
        super().__init__()
        self._channel, self._ended = channel, threading.Event()
        self.failed: list[str] = []
        self.versions: list[str] = []

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                self.versions.append(infer(self._channel).model_version)
            except grpc.RpcError as error:
                self.failed.append(str(error))

    def __enter__(self) -> Caller:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def test_no_call_fails_while_versions_change_and_one_stands_in_for_another(
    target: LocalTarget, supervisor: Supervisor, registered: Registered, channel: grpc.Channel
) -> None:
    old, new = registered("run-1"), registered("run-2", features=NO_NUMBERS)
    start(target, old)
    target.move(TrafficSplit({old.version: 100}))
    with Caller(channel) as caller:
        start(target, new)
        for percent in (1, 50):
            target.move(TrafficSplit({old.version: 100 - percent, new.version: percent}))
        for killed in (new.version, old.version):
            pid = supervisor.states()[f"model-flights-{killed}"].pid
            assert pid
            os.kill(pid, signal.SIGKILL)
            assert wait_until(lambda killed=killed: target.progress(killed).state != "ready", seconds=30)  # type: ignore[misc]
            assert wait_until(lambda killed=killed: target.progress(killed).state == "ready", seconds=60)  # type: ignore[misc]
            assert wait_until(lambda killed=killed: killed in caller.versions[-20:], seconds=30), "it is back"  # type: ignore[misc]
        target.move(TrafficSplit({new.version: 100}))
        target.move(TrafficSplit({old.version: 100}))
        target.stop(new.version)
        assert wait_until(lambda: caller.versions[-1] == old.version, seconds=10)
        start(target, new)
        target.move(TrafficSplit({new.version: 100}))
        target.stop(old.version)
        assert wait_until(lambda: caller.versions[-1] == new.version, seconds=10)
    assert caller.failed == []
    assert set(caller.versions) == {old.version, new.version}


def test_a_call_that_one_version_fails_on_is_answered_by_the_other(
    target: LocalTarget, registered: Registered, channel: grpc.Channel
) -> None:
    old, new = registered("run-1"), registered("run-2", features=NO_NUMBERS)
    start(target, old, new)
    target.move(TrafficSplit({old.version: 50, new.version: 50}))
    record = {**tiny.RECORD, "distance": 1.0}
    assert {infer(channel, record).model_version for _ in range(30)} == {old.version}
