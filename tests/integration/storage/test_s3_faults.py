"""An S3 that fails, cuts connections or stalls."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from sailplane.errors import AccessError, ConflictError, StorageError
from sailplane.storage import Storage
from tests.integration.storage.faulty_s3 import Fault
from tests.integration.storage.s3_uses import (
    LARGE,
    USES,
    again,
    unfinished,
)


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown")])
@pytest.mark.parametrize("name", USES)
def test_a_server_that_is_busy_twice_is_asked_again(proxy, store, name, status, code):
    match, use = USES[name]
    proxy.faults.append(Fault(match, times=2, status=status, code=code))
    assert use(store)
    assert proxy.faults[0].times == 0


@pytest.mark.parametrize("name", USES)
def test_a_server_that_stays_broken_is_one_clear_line(s3, proxy, store, impatient, name):
    match, use = USES[name]
    store = again(store, s3, proxy)
    proxy.faults.append(Fault(match, times=1000, status=503, code="SlowDown"))
    with pytest.raises(StorageError, match="503 Service Unavailable") as failed:
        use(store)
    assert "\n" not in str(failed.value)
    assert store.root in str(failed.value)
    assert not isinstance(failed.value, (AccessError, ConflictError))
    proxy.faults.clear()
    assert store.get("large") == LARGE
    assert not unfinished(s3, store)


@pytest.mark.parametrize("name", ["get", "get large", "stream", "download"])
@pytest.mark.parametrize("how", [{"given": 0}, {"given": 2}, {"longer": 1000}, {"longer": -1}], ids=str)
def test_an_answer_that_is_cut_or_has_another_length_is_asked_for_again(proxy, store, name, how):
    match, use = USES[name]
    proxy.faults.append(Fault(match, times=2, **how))
    assert use(store)
    assert proxy.faults[0].times == 0


@pytest.mark.parametrize("name", ["put", "put large", "put pieces", "put_new", "replace"])
def test_a_request_that_is_cut_is_sent_again(proxy, store, name):
    match, use = USES[name]
    proxy.faults.append(Fault(match.replace("|POST", ""), times=2, taken=2))
    assert use(store)
    assert proxy.faults[0].times == 0


@pytest.mark.parametrize("name", USES)
def test_a_server_that_stands_still_once_is_asked_again(s3, proxy, store, impatient, name):
    match, use = USES[name]
    proxy.faults.append(Fault(match, hold=True))
    assert use(again(store, s3, proxy))
    assert proxy.faults[0].held.is_set()


@pytest.mark.parametrize("name", ["get", "stream", "head", "list", "put", "put large", "put_new", "delete"])
def test_a_server_that_stands_still_is_given_up(s3, proxy, store, impatient, name):
    match, use = USES[name]
    store = again(store, s3, proxy)
    proxy.faults.append(Fault(match, times=1000, hold=True))
    begun = time.monotonic()
    with pytest.raises(StorageError) as failed:
        use(store)
    assert time.monotonic() - begun < 30
    assert "\n" not in str(failed.value)
    assert store.root in str(failed.value)


def test_a_server_that_is_gone_is_a_storage_error(s3, proxy, store, impatient):
    gone = Storage(store.root, lambda: replace(s3.access, endpoint="http://127.0.0.1:9"))
    for use in (
        gone.get,
        gone.head,
        gone.delete,
        lambda path: gone.put(path, b"1"),
        lambda path: gone.put_new(path, b"1"),
    ):
        with pytest.raises(StorageError, match=store.root) as failed:
            use("a")
        assert "\n" not in str(failed.value)
