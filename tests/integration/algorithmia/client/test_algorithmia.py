from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from sailplane.algorithmia.store import DataApiBackend
from sailplane.errors import AccessError, ConfigurationError, ConflictError, StorageError
from sailplane.storage.access import Access
from tests.unit.algorithmia.data_api_server import KEY

FILES = {"top", "a/one", "a/two", "a/three", "a/four", "a/b/deep", "b/other"}


def backend(server, prefix="new/folder", user="ada", key=KEY):
    return DataApiBackend(user, prefix, lambda: Access(endpoint=server.url, secret=key))


@pytest.fixture
def old(old_server):
    """A store on a server without etags and conditions."""
    return backend(old_server)


def test_the_first_put_makes_the_collection_and_the_folders(server):
    files = backend(server)
    files.put("a/b/c", b"1")
    assert (server.folder / "ada/new/folder/a/b/c").read_bytes() == b"1"
    server.asked.clear()
    files.put("a/b/d", iter([b"2"]))
    assert [method for method, _ in server.asked] == ["PUT"]


def test_a_folder_that_somebody_deletes_is_made_again(server):
    files = backend(server)
    files.put("a/b", b"1")
    shutil.rmtree(server.folder / "ada/new")
    files.put("a/b", iter([b"2", b"3"]))
    assert files.get("a/b") == b"23"


def test_many_who_begin_in_one_new_folder_do_not_disturb_each_other(server):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: backend(server).put(f"x/y/{n}", b"1"), range(16)))
    assert len(list(backend(server).list(""))) == 16


def test_my_is_the_owner_of_the_key(server):
    backend(server, user=".my").put("a", b"1")
    assert backend(server, user="ada").get("a") == b"1"


def test_a_listing_goes_into_every_folder_and_over_every_page(server):
    files = backend(server)
    for path in FILES:
        files.put(path, path.encode())
    assert {entry.path for entry in files.list("")} == FILES
    assert {(entry.path, entry.size) for entry in files.list("a/b")} == {("a/b/deep", 8)}
    assert list(files.list("nothing")) == list(files.list("top")) == []
    assert next(iter(files.list(""))).path in FILES


def test_a_server_without_etags_tells_versions_apart_by_date_and_size(old):
    etag = old.put("a", b"one")
    found = old.head("a")
    assert (found.path, found.size, found.etag) == ("a", 3, etag)
    assert datetime.now(UTC) - found.modified < timedelta(minutes=1)
    assert [entry.etag for entry in old.list("")] == [etag]
    with pytest.raises(FileNotFoundError):
        old.head("b")


def test_a_server_without_conditions_is_asked_before_a_put(old, old_server):
    assert old.put_new("a", b"one") is True
    assert old.put_new("a", b"two") is False
    etag = old.head("a").etag
    changed = old.replace("a", b"three", etag)
    with pytest.raises(ConflictError, match="expected"):
        old.replace("a", b"four", etag)
    assert old.get("a") == b"three"
    old.delete("a")
    with pytest.raises(ConflictError, match="gone"):
        old.replace("a", b"five", changed)
    assert sum(method == "PUT" for method, _ in old_server.asked) == 2


def test_a_condition_is_kept_by_the_server_where_it_knows_it(server):
    """An object that is put between the look and the put is not overwritten."""
    files = backend(server)
    etag = files.put("a", b"one")

    def meanwhile(handler):
        (server.folder / "ada/new/folder/a").write_bytes(b"another's")
        handler.serve()

    server.fail("PUT", meanwhile)
    with pytest.raises(ConflictError):
        files.replace("a", b"two", etag)
    (server.folder / "ada/new/folder/a").unlink()
    server.fail("PUT", meanwhile)
    assert files.put_new("a", b"three") is False
    assert files.get("a") == b"another's"


def test_deleting_a_folder_by_its_name_deletes_nothing(server):
    files = backend(server)
    files.put("a/b", b"1")
    files.delete("a")
    files.delete("nothing")
    assert files.get("a/b") == b"1"


def test_there_are_no_signed_urls(server):
    with pytest.raises(StorageError, match=r"sign a URL .* data://ada/new/folder/a: a Data API; expected"):
        backend(server).sign("a", 60)


@pytest.mark.parametrize(("user", "prefix"), [("ada", ""), ("ada", "../other"), ("..", "x"), ("ada", "a//b")])
def test_a_root_that_is_no_collection_is_refused(server, user, prefix):
    with pytest.raises(ConfigurationError):
        backend(server, prefix, user)


def test_a_user_that_is_not_there_is_named_before_anything_is_sent(server):
    with pytest.raises(StorageError, match="make directory data://bob/new"):
        backend(server, user="bob").put("a", b"1" * 2**20)
    assert all(method != "PUT" for method, _ in server.asked)


def test_a_wrong_key_is_an_access_error_for_every_verb(server):
    files = backend(server, key="sim-another-one")
    put, look = (lambda path: files.put(path, b"1")), (lambda path: [*files.list(path)])
    for use in (files.get, files.head, files.delete, put, look):
        with pytest.raises(AccessError, match="401 Unauthorized"):
            use("a")
