"""An S3 that loses its answers, refuses, has other writers, or whose client leaves."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from sailplane.errors import AccessError, ConflictError, StorageError
from sailplane.services import object_store
from sailplane.storage import Storage
from tests.integration.storage.faulty_s3 import Fault
from tests.integration.storage.s3_uses import (
    LARGE,
    USES,
    again,
    error_of,
    opened,
    pieces,
    unfinished,
)
from tests.s3 import S3Server


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
    fault = Fault("^GET .*/large bytes=13631488", hold=True)
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
    # A lifecycle rule of the bucket removes it, as the docstring of the module says.
    assert [key.rpartition("/")[2] for key in unfinished(s3, store)] == ["killed"]
    assert store.put_new("killed", b"whole")
    assert store.get("killed") == b"whole"


MEMORY = r"""
import os, re, sys
from sailplane.storage import Access, Storage
access = Access(endpoint=sys.argv[2], region="us-east-1", key=os.environ["KEY"], secret=os.environ["SECRET"])
piece = os.urandom(2**20)
store = Storage(sys.argv[1], lambda: access)
store.put("large one", (piece for _ in range(512)))
assert store.head("large one").size == 2**29
assert sum(map(len, store.stream("large one"))) == 2**29
# ru_maxrss would be the starting process's, if that is larger.
print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read()).group(1))
store.delete("large one")
"""


def test_half_a_gigabyte_goes_up_and_down_in_less_than_200_mebibytes(s3, store):
    ended = started(MEMORY, s3, store.root, s3.endpoint)
    most = ended.communicate(timeout=300)[0]
    assert ended.returncode == 0
    assert int(most) < 200 * 1024


def started(code: str, s3: S3Server, *arguments: str) -> subprocess.Popen[str]:
    env = {"PATH": str(Path(sys.executable).parent), "KEY": s3.access.key, "SECRET": s3.access.secret}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=env, stdout=subprocess.PIPE, text=True)


def test_no_page_reaches_what_the_server_is_made_of(s3: S3Server) -> None:
    """A page needs only the address of a picture for a GET, which has no Origin, and a form for a POST."""
    store = Storage(f"s3://{s3.bucket}", lambda: s3.access)
    store.put("kept", b"precious")
    first = int(s3.endpoint.rpartition(":")[2])
    ways = [
        "/col/delete?collection=sailplane",
        "/vol/vacuum?garbageThreshold=0.001",
        "/vol/grow?count=1",
        "/dir/assign",
    ]
    page = {"Origin": "https://evil.example"}
    requests: list[tuple[str, dict[str, str]]] = [("GET", {}), ("POST", page), ("POST", {})]
    asked = [(path, *request) for path in (*ways, "/submit", "/buckets/sailplane/") for request in requests]
    with httpx.Client(trust_env=False) as client:
        for port in range(first, first + len(object_store.COMPONENTS)):
            for path, method, headers in asked:
                status = client.request(method, f"http://127.0.0.1:{port}{path}", headers=headers).status_code
                assert 400 <= status < 500, (method, port, path, headers)
    assert store.get("kept") == b"precious"
