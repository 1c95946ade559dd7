from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest

from sailplane.algorithmia.client import DataApi
from sailplane.errors import AccessError, ConfigurationError, StorageError
from sailplane.storage.access import Access
from tests.integration.algorithmia.client.faults import client, status
from tests.unit.algorithmia.data_api_server import KEY


def test_a_file_goes_up_and_comes_down_again_and_is_gone_when_deleted(api, large):
    etag = api.files.put("ada/c/a.bin", large)
    assert api.files.get("ada/c/a.bin") == large
    found = api.files.head("ada/c/a.bin")
    assert (found.size, found.etag) == (len(large), etag)
    api.files.delete("ada/c/a.bin")
    with pytest.raises(FileNotFoundError, match=r"data://ada/c/a\.bin"):
        api.files.get("ada/c/a.bin")


@pytest.mark.parametrize(
    "name", ["a b", "what?", "a#b", "100%", "%41", "ü/日本/é", "a+b&c=d;e", "~x", "[x]*", "{a}", "'\""]
)
def test_a_name_is_what_was_written_whatever_a_url_makes_of_it(api, server, name):
    place = f"ada/c/{name}"
    if "/" in name:
        api.directories.make(place.rpartition("/")[0])
    api.files.put(place, b"1")
    assert (server.folder / place).read_bytes() == b"1"
    assert api.files.get(place) == b"1"


def test_a_directory_is_made_with_those_above_it_and_again_without_an_error(api, server):
    api.directories.make("ada/new/a/b", acl=["user://*"])
    api.directories.make("ada/new/a/b")
    assert api.directories.acl("ada/new/a/b") == ["user://*"]
    api.directories.set_acl("ada/new/a/b", [])
    assert api.directories.acl("ada/new/a/b") == []
    assert api.directories.exists("ada/new/a")
    assert not api.directories.exists("ada/other")
    with pytest.raises(StorageError, match="Correct the user"):
        api.directories.make("bob/new")


def test_a_listing_has_every_page(api, server):
    for name in "abcdefgh":
        (server.folder / "ada/c" / name).write_bytes(name.encode())
        (server.folder / "ada/c" / f"{name}-folder").mkdir()
    found = api.directories.list("ada/c")
    assert [file.path for file in found.entries] == [f"ada/c/{name}" for name in "abcdefgh"]
    assert found.folders == [f"{name}-folder" for name in "abcdefgh"]
    assert {file.size for file in found.entries} == {1}


def test_a_directory_that_is_not_empty_goes_by_force_alone(api, server):
    api.files.put("ada/c/a", b"1")
    with pytest.raises(StorageError, match="400 Bad Request: not empty"):
        api.directories.delete("ada/c")
    assert api.directories.delete("ada/c", force=True) == 1
    assert not api.directories.exists("ada/c")


def test_a_directory_is_no_file_and_a_file_no_directory(api):
    api.directories.make("ada/c/folder")
    api.files.put("ada/c/file", b"1")
    for look in (api.files.get, api.files.head):
        with pytest.raises(FileNotFoundError):
            look("ada/c/folder")
    with pytest.raises(FileNotFoundError):
        api.directories.list("ada/c/file")
    assert not api.directories.exists("ada/c/file")


def test_the_key_is_never_shown(server, caplog):
    caplog.set_level("DEBUG")
    api = client(server, key="sim-wrong-KEY")
    with pytest.raises(AccessError, match=r"401 Unauthorized: no such key: Simple \*\*\*") as refused:
        api.files.get("ada/c/a")
    assert server.tries("GET") == 1
    # At the level DEBUG, httpcore's log has the headers of every answer.
    caplog.set_level("INFO")
    server.fail("GET", partial(status, 500, X_Error_Message="sim-wrong-KEY is unlucky"))
    with pytest.raises(AccessError):
        api.files.get("ada/c/a")
    assert "Trying again" in caplog.text
    shown = f"{caplog.text} {refused.value!r} {api!r} {vars(api)!r} {api._http._client.headers!r}"
    assert "sim-wrong-KEY" not in shown


@pytest.mark.parametrize("key", [None, "", " ", "a\nb", "schlüssel"])
def test_a_key_that_is_none_is_refused_without_showing_it(key):
    with pytest.raises(AccessError, match="ALGORITHMIA_API_KEY") as refused:
        DataApi(Access(endpoint="http://127.0.0.1", secret=key))
    assert not key or not key.strip() or key not in str(refused.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "api.example.com",
        "ftp://host",
        "http://",
        "http://me:secret@host",
        "me:secret@host",
        "ftp://me:secret@host",
        "http://host?x",
    ],
)
def test_an_endpoint_that_is_none_is_refused(endpoint):
    with pytest.raises(ConfigurationError, match="use endpoint") as refused:
        DataApi(Access(endpoint=endpoint, secret=KEY))
    assert "secret" not in str(refused.value)


def test_endpoint_and_key_come_from_the_official_settings_and_there_is_no_default(server, monkeypatch):
    monkeypatch.delenv("ALGORITHMIA_API", raising=False)
    monkeypatch.setenv("ALGORITHMIA_API_KEY", KEY)
    with pytest.raises(AccessError, match="Set ALGORITHMIA_API, or"):
        DataApi()
    monkeypatch.setenv("ALGORITHMIA_API", f"{server.url}/")
    assert DataApi().directories.exists(".my/c")


def test_a_file_of_300_mb_goes_both_ways_in_constant_memory(server):
    program = """
import resource, sys
from sailplane.algorithmia.client import DataApi
api = DataApi()
api.files.put("ada/c/small", iter([bytes(2**20)]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
api.files.put("ada/c/a", (bytes([n % 256]) * 2**20 for n in range(300)))
assert sum(map(len, api.files.stream("ada/c/a"))) == 300 * 2**20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    env = {**os.environ, "ALGORITHMIA_API": server.url, "ALGORITHMIA_API_KEY": KEY}
    ended = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 64 * 1024
    assert (server.folder / "ada/c/a").stat().st_size == 300 * 2**20
