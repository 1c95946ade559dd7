"""An S3 that fails, refuses, stands still, loses its answers, or is left by its client."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sailplane.errors import AccessError, ConflictError, StorageError
from sailplane.storage import Storage
from sailplane.storage import s3 as s3_backend
from sailplane.storage.retries import Patience
from tests.integration.storage.faulty_s3 import Fault, FaultyS3, faulty
from tests.s3 import S3Server

LARGE = random.Random(1).randbytes(40 * 2**20)
# Each is right where "a" holds "old" and "large" holds LARGE.
USES: dict[str, tuple[str, Callable[[Storage], object]]] = {
    "get": ("^GET .*/a ", lambda store: store.get("a") == b"old"),
    "get large": ("^GET .*/large bytes=16777216", lambda store: store.get("large") == LARGE),
    "stream": ("^GET .*/large ", lambda store: b"".join(store.stream("large")) == LARGE),
    "head": ("^HEAD .*/a", lambda store: store.head("a").size == 3),
    "list": (r"^GET .*list-type", lambda store: store.list() == ["a", "large"]),
    "put": ("^PUT .*/a", lambda store: store.put("a", b"new") and store.get("a") == b"new"),
    "put large": ("^(PUT|POST) .*/b", lambda store: store.put("b", LARGE) and store.get("b") == LARGE),
    "put pieces": ("^(PUT|POST) .*/b", lambda store: store.put("b", pieces()) and store.get("b") == LARGE),
    "put_new": ("^PUT .*/b", lambda store: store.put_new("b", b"new") and store.get("b") == b"new"),
    "replace": (
        "^PUT .*/a",
        lambda store: store.replace("a", b"new", store.head("a").etag) and store.get("a") == b"new",
    ),
    "delete": ("^(DELETE|POST) .*", lambda store: store.delete("a") is None and not store.exists("a")),
}
IMPATIENT = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(0.02 / 86400)},
}


def pieces() -> Iterator[bytes]:
    for start in range(0, len(LARGE), 3_000_000):
        yield LARGE[start : start + 3_000_000]


def replaced(store: Storage) -> str:
    return store.replace("a", b"new", store.head("a").etag)


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty(s3.endpoint) as server:
        yield server


@pytest.fixture
def store(s3: S3Server, proxy: FaultyS3) -> Storage:
    store = opened(s3, proxy)
    store.put("a", b"old")
    store.put("large", LARGE)
    return store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_backend, "CLIENT", {**s3_backend.CLIENT, "read_timeout": "1s"})
    monkeypatch.setattr(s3_backend, "RETRIES", IMPATIENT)
    monkeypatch.setattr(s3_backend, "PATIENCE", Patience(tries=4, first=0.02, seconds=10))


def opened(s3: S3Server, proxy: FaultyS3, bucket: str = "", **access: str) -> Storage:
    known = replace(s3.access, endpoint=proxy.url, **access)
    return Storage(f"s3://{bucket or s3.bucket}/{uuid.uuid4()}", lambda: known)


def error_of(use: Callable[[], object]) -> str:
    try:
        use()
    except StorageError as error:
        return str(error)
    return ""


def again(store: Storage, s3: S3Server, proxy: FaultyS3) -> Storage:
    """The same place, opened now: with what the constants say by now."""
    return Storage(store.root, lambda: replace(s3.access, endpoint=proxy.url))


def unfinished(s3: S3Server, store: Storage) -> list[str]:
    """The keys of uploads in parts that were begun and are neither joined nor aborted."""
    found = s3.client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", [])
    prefix = store.root.removeprefix(f"s3://{s3.bucket}/")
    return [upload["Key"] for upload in found if upload["Key"].startswith(prefix)]


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


@pytest.mark.parametrize("name", ["get", "get large", "stream"])
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


@pytest.mark.parametrize("status", [0, 500, 503], ids=["cut", "500", "503"])
@pytest.mark.parametrize("name", ["put", "put large", "put_new", "replace", "delete"])
def test_an_answer_that_is_lost_is_no_failure(proxy, store, name, status):
    match, use = USES[name]
    proxy.faults.append(Fault(match, status=status, lost=True))
    assert use(store)
    assert proxy.faults[0].times == 0


@pytest.mark.parametrize("status", [0, 500], ids=["cut", "500"])
@pytest.mark.parametrize("form", ["bytes", "file", "pieces"])
def test_parts_whose_joining_was_not_answered_are_an_object_or_one_clear_line(s3, proxy, store, tmp_path, form, status):
    (tmp_path / "source").write_bytes(LARGE)
    content = {"bytes": LARGE, "file": tmp_path / "source", "pieces": pieces()}[form]
    proxy.faults.append(Fault(r"^POST .*/b\?uploadId", status=status, lost=True))
    said = error_of(lambda: store.put("b", content))
    assert not said or (form == "pieces" and said.startswith(f"put {store.root}/b: 404 Not Found: NoSuchUpload"))
    assert store.get("b") == LARGE
    assert not unfinished(s3, store)


@pytest.mark.parametrize("status", [0, 500], ids=["cut", "500"])
def test_an_answer_that_was_lost_does_not_make_anothers_object_ours(s3, proxy, store, status):
    other = Storage(store.root, lambda: s3.access)
    fault = Fault("^PUT .*/b", status=status, taken=None if status else 0)
    proxy.faults.append(fault)
    other.put("b", b"theirs")
    assert store.put_new("b", b"ours") is False
    etag = store.head("a").etag
    other.put("a", b"theirs")
    proxy.faults.append(Fault("^PUT .*/a", status=status, taken=None if status else 0))
    with pytest.raises(ConflictError):
        store.replace("a", b"ours", etag)
    assert (store.get("a"), store.get("b")) == (b"theirs", b"theirs")


def test_an_object_that_is_replaced_while_it_is_read_is_one_version(s3, proxy, store):
    for read, in_one in ((store.get, True), (lambda path: b"".join(store.stream(path)), False)):
        store.put("large", LARGE)
        fault = Fault("^GET .*/large bytes=33554432", hold=True)
        proxy.faults[:] = [fault]
        with ThreadPoolExecutor(1) as threads:
            reading = threads.submit(read, "large")
            assert fault.held.wait(30)
            store.put("large", LARGE[::-1])
            fault.release.set()
            if in_one:
                assert reading.result() == LARGE[::-1]
            else:
                with pytest.raises(ConflictError, match=f"{store.root}/large"):
                    reading.result()


def test_a_download_of_an_object_that_is_replaced_meanwhile_is_one_version(proxy, store, tmp_path):
    fault = Fault("^GET .*/large bytes=33554432", hold=True)
    proxy.faults.append(fault)
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(Storage(tmp_path.as_uri()).sync, store)
        assert fault.held.wait(30)
        store.put("large", LARGE[::-1])
        fault.release.set()
        assert reading.result().objects == 2
    assert (tmp_path / "large").read_bytes() == LARGE[::-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "large"]


def test_of_two_who_put_one_large_object_one_version_stays(s3, store):
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda content: store.put("both", content), (LARGE, LARGE[::-1])))
    assert store.get("both") in (LARGE, LARGE[::-1])
    assert not unfinished(s3, store)


@pytest.mark.parametrize("wrong", [{"key": "AKIDOESNOTEXIST"}, {"secret": "wrong-0123456789"}], ids=["key", "secret"])
def test_who_has_another_key_is_told_so_without_a_secret(s3, proxy, store, wrong, caplog):
    caplog.set_level(logging.DEBUG)
    refused_of(opened(s3, proxy, **wrong), {s3.access.secret, wrong.get("secret", s3.access.secret)}, caplog)


def test_who_may_not_use_a_bucket_is_told_so_without_a_secret(s3, proxy, store, caplog):
    caplog.set_level(logging.DEBUG)
    proxy.faults.append(Fault("", times=1000, status=403, code="AccessDenied"))
    refused_of(store, {s3.access.secret}, caplog)


def refused_of(store: Storage, secrets: set[str], caplog) -> None:
    uses: list[Callable[[str], object]] = [
        store.get,
        store.head,
        store.delete,
        store.list,
        lambda path: store.put(path, b"1"),
        lambda path: store.put(path, pieces()),
        lambda path: store.put_new(path, b"1"),
        lambda path: store.replace(path, b"1", '"1"'),
    ]
    begun = time.monotonic()
    for use in uses:
        with pytest.raises(AccessError, match=f"{store.root}/a: .*Check the credentials") as refused:
            use("a")
        assert "\n" not in str(refused.value)
        told = "".join(traceback.format_exception(refused.value)) + repr(store) + caplog.text
        assert not [secret for secret in secrets if secret in told]
    assert time.monotonic() - begun < 10


def test_a_bucket_that_is_not_there_is_said(s3, proxy):
    store = opened(s3, proxy, "no-such-bucket")
    for use in (
        store.get,
        store.list,
        lambda path: store.put(path, b"1"),
        lambda path: store.put(path, pieces()),
        lambda path: store.put_new(path, b"1"),
    ):
        with pytest.raises(StorageError, match=r"s3://no-such-bucket/.*: there is no such bucket") as failed:
            use("a")
        assert "\n" not in str(failed.value)


def test_a_failure_is_not_logged_with_a_secret(s3, proxy, store, impatient, caplog):
    caplog.set_level(logging.DEBUG)
    proxy.faults.append(Fault("^PUT .*/b", times=2, status=500))
    assert again(store, s3, proxy).put_new("b", b"1")
    assert "Trying again" in caplog.text
    assert s3.access.secret not in caplog.text


PUT = """
import os, sys
from sailplane.storage import Access, Storage
access = Access(endpoint=sys.argv[2], region="us-east-1", key=os.environ["KEY"], secret=os.environ["SECRET"])
Storage(sys.argv[1], lambda: access).put("killed", iter(lambda: b"x" * 2**20, b""))
"""


def test_a_process_that_is_killed_in_the_middle_of_parts_leaves_no_object(s3, proxy, store):
    fault = Fault("^PUT .*/killed.*partNumber=3", hold=True)
    proxy.faults.append(fault)
    process = started(PUT, s3, store.root, proxy.url)
    assert fault.held.wait(60)
    process.kill()
    process.communicate()
    fault.release.set()
    assert store.list() == ["a", "large"]
    # As the module says: a lifecycle rule of the bucket removes it.
    assert [key.rpartition("/")[2] for key in unfinished(s3, store)] == ["killed"]
    assert store.put_new("killed", b"whole")
    assert store.get("killed") == b"whole"


MEMORY = r"""
import os, re, sys
from sailplane.storage import Access, Storage
access = Access(endpoint=sys.argv[2], region="us-east-1", key=os.environ["KEY"], secret=os.environ["SECRET"])
piece = os.urandom(2**20)
store = Storage(sys.argv[1], lambda: access)
store.put("gigabyte", (piece for _ in range(1024)))
assert store.head("gigabyte").size == 2**30
assert sum(map(len, store.stream("gigabyte"))) == 2**30
# Not ru_maxrss: that is the starting process's, if it is larger.
print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read()).group(1))
store.delete("gigabyte")
"""


def test_a_gigabyte_goes_up_and_down_in_less_than_200_mebibytes(s3, store):
    ended = started(MEMORY, s3, store.root, s3.endpoint)
    most = ended.communicate(timeout=300)[0]
    assert ended.returncode == 0
    assert int(most) < 200 * 1024


def started(code: str, s3: S3Server, *arguments: str) -> subprocess.Popen[str]:
    env = {"PATH": str(Path(sys.executable).parent), "KEY": s3.access.key, "SECRET": s3.access.secret}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=env, stdout=subprocess.PIPE, text=True)
