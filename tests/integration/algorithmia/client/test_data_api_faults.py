from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from sailplane.algorithmia.client import DataApi, RetryPolicy, exchange
from sailplane.errors import ConflictError, StorageError
from sailplane.storage.access import Access
from sailplane.storage.backend import CHUNK_BYTES
from tests.integration.algorithmia.client.faults import (
    QUICK,
    client,
    cut_download,
    cut_upload,
    lose_answer,
    page,
    silent,
    status,
    without_length,
    without_ranges,
)
from tests.ports import free_port
from tests.unit.algorithmia.data_api_server import KEY


@pytest.mark.parametrize("code", sorted(exchange.RETRIED))
def test_a_server_that_fails_twice_is_asked_three_times(api, server, code):
    server.fail("PUT", *[partial(status, code)] * 2)
    server.fail("GET", *[partial(status, code)] * 2)
    api.files.put("ada/c/a", iter([b"1", b"2"]))
    assert api.files.get("ada/c/a") == b"12"
    assert (server.tries("PUT"), server.tries("GET")) == (3, 3)


def test_a_server_that_always_fails_is_asked_a_bounded_number_of_times(server):
    server.fail("GET", *[partial(status, 503, message="SlowDown")] * 9)
    with pytest.raises(StorageError, match=r"get data://ada/c/a: 503 Service Unavailable: SlowDown"):
        client(server, tries=4).files.get("ada/c/a")
    assert server.tries("GET") == 4


def test_what_a_server_refuses_is_not_asked_again(api, server):
    server.fail("PUT", partial(status, 413, message="too large"))
    with pytest.raises(StorageError, match=r"413 .*: too large"):
        api.files.put("ada/c/a", b"1")
    assert server.tries("PUT") == 1


def test_retry_after_is_waited_for(api, server):
    server.fail("GET", partial(status, 503, Retry_After="1"))
    (server.folder / "ada/c/a").write_bytes(b"1")
    began = time.monotonic()
    assert api.files.get("ada/c/a") == b"1"
    assert time.monotonic() - began >= 1


def test_a_retry_after_beyond_our_patience_is_an_error_at_once(server):
    server.fail("GET", partial(status, 429, Retry_After="100"))
    began = time.monotonic()
    with pytest.raises(StorageError, match="429 Too Many Requests"):
        client(server).files.get("ada/c/a")
    assert time.monotonic() - began < 30
    assert server.tries("GET") == 1


def test_an_upload_that_is_cut_leaves_what_was_there_and_is_sent_again(api, server, large, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(large)
    for content in (large, source, iter([large[:10], large[10:]])):
        api.files.put("ada/c/a", b"before")
        server.fail("PUT", cut_upload)
        api.files.put("ada/c/a", content)
        assert (server.folder / "ada/c/a").read_bytes() == large
    server.fail("PUT", *[cut_upload] * 9)
    with pytest.raises(StorageError, match="put data://ada/c/a: "):
        api.files.put("ada/c/a", b"2" * 2**20)
    assert (server.folder / "ada/c/a").read_bytes() == large


def test_a_download_that_is_cut_goes_on_where_it_was(api, server, large):
    (server.folder / "ada/c/a").write_bytes(large)
    server.fail("GET", partial(cut_download, CHUNK_BYTES + 5), partial(cut_download, 3))
    assert b"".join(api.files.stream("ada/c/a")) == large
    assert server.tries("GET") == 3


def test_a_server_that_knows_no_ranges_sends_all_of_it_again_and_nothing_comes_twice(api, server, large):
    (server.folder / "ada/c/a").write_bytes(large)
    server.fail("GET", partial(cut_download, CHUNK_BYTES + 5), without_ranges)
    assert b"".join(api.files.stream("ada/c/a")) == large
    assert server.tries("GET") == 2


def test_a_file_that_is_replaced_after_a_cut_is_a_conflict(api, server, large):
    file = server.folder / "ada/c/a"
    file.write_bytes(large)
    server.fail("GET", partial(cut_download, CHUNK_BYTES + 5))
    pieces = api.files.stream("ada/c/a")
    next(pieces)
    api.files.put("ada/c/a", large[::-1])
    with pytest.raises(ConflictError, match="changed"):
        list(pieces)
    server.fail("GET", partial(cut_download, CHUNK_BYTES + 5))
    pieces = api.files.stream("ada/c/a")
    next(pieces)
    file.unlink()
    with pytest.raises(ConflictError, match="changed"):
        list(pieces)


def test_a_cut_that_the_server_cannot_mend_is_an_error_and_never_a_short_file(old_server, large):
    (old_server.folder / "ada/c/a").write_bytes(large)
    api = client(old_server)
    old_server.fail("GET", partial(cut_download, 5))
    assert api.files.get("ada/c/a") == large
    old_server.fail("GET", partial(cut_download, CHUNK_BYTES + 5))
    with pytest.raises(StorageError, match="get data://ada/c/a: RemoteProtocolError"):
        api.files.get("ada/c/a")


def test_an_answer_whose_end_cannot_be_told_is_refused(api, server):
    (server.folder / "ada/c/a").write_bytes(b"1")
    server.fail("GET", without_length)
    with pytest.raises(StorageError, match="without a length"):
        api.files.get("ada/c/a")


def test_a_server_that_says_nothing_is_asked_again(api, server, monkeypatch):
    monkeypatch.setattr(api._http._client, "timeout", 0.3)
    (server.folder / "ada/c/a").write_bytes(b"1")
    free = threading.Event()
    server.fail("GET", partial(silent, free))
    try:
        assert api.files.get("ada/c/a") == b"1"
    finally:
        free.set()
    assert server.tries("GET") == 2


def test_an_endpoint_that_is_not_there_is_one_clear_error():
    api = DataApi(Access(endpoint=f"http://127.0.0.1:{free_port()}", secret=KEY), RetryPolicy(**QUICK))
    with pytest.raises(
        StorageError, match=r"look at data://ada/c/a: ConnectError: .*; expected a response from http://127"
    ):
        api.files.head("ada/c/a")


def test_time_is_bounded_too():
    api = DataApi(Access(endpoint=f"http://127.0.0.1:{free_port()}", secret=KEY), RetryPolicy(tries=1000, seconds=1))
    began = time.monotonic()
    with pytest.raises(StorageError):
        api.files.get("ada/c/a")
    assert time.monotonic() - began < 15


def test_what_is_no_data_api_is_named(api, server):
    server.fail("GET", page)
    with pytest.raises(StorageError, match="Check that the endpoint is a Data API"):
        api.directories.list("ada/c")


def test_a_lost_answer_to_a_conditional_put_is_settled_by_what_the_file_holds(api, server):
    server.fail("PUT", lose_answer)
    etag = api.files.put("ada/c/a", b"1", {"If-None-Match": "*"})
    assert api.files.head("ada/c/a").etag == etag
    assert server.tries("PUT") == 2
    server.fail("PUT", cut_upload)
    with pytest.raises(ConflictError):
        api.files.put("ada/c/a", b"2", {"If-None-Match": "*"})


def test_a_file_that_becomes_shorter_while_it_goes_up_is_a_conflict(api, server, tmp_path, large):
    source = tmp_path / "source"
    source.write_bytes(large)

    def shrink(handler):
        source.write_bytes(b"")
        status(503, handler)

    server.fail("PUT", shrink)
    with pytest.raises(ConflictError, match="shorter"):
        api.files.put("ada/c/a", source)
    assert not (server.folder / "ada/c/a").exists()
