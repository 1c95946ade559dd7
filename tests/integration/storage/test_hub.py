"""Every operation of a store on the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sailplane.errors import ConfigurationError, ConflictError, StorageError
from tests.hub_server import HubServer
from tests.integration.storage.hub_places import ROOT, WARNED, opened, ran, served

pytestmark = pytest.mark.filterwarnings(WARNED)
ROOTS = (ROOT, "hf://models/someone/net", "hf://models/someone/net@main/a folder/%20", f"{ROOT}/deep")
NAMES = ("a b", "what?x=1", "a#b", "100%", "%41", "ü/日本語/🛩", "a+b&c=d;e", "~tilde", "a:b@c", "...", "[x]*{a}")
LARGE = 40 * 2**20


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with served(monkeypatch) as server:
        yield server


def listed(store, prefix: str = "") -> list[str]:
    return sorted(entry.path for entry in store.list(prefix))


@pytest.mark.parametrize("root", ROOTS)
def test_what_was_put_is_got_streamed_listed_and_looked_at(hub, root):
    store = opened(hub, root)
    etag = store.put("a/b.txt", b"one")
    assert store.get("a/b.txt") == b"".join(store.stream("a/b.txt")) == b"".join(store.content("a/b.txt")) == b"one"
    found = store.head("a/b.txt")
    assert (found.path, found.size, found.etag) == ("a/b.txt", 3, etag)
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=1)
    assert list(store.list("")) == list(store.list("a")) == [found]
    assert listed(store, "a/b.txt") == listed(store, "b") == []
    assert store.put("a/b.txt", b"two") != etag
    assert store.get("a/b.txt") == b"two"
    store.delete("a/b.txt")
    store.delete("a/b.txt")
    for read in (store.get, store.head):
        with pytest.raises(FileNotFoundError, match=r"a/b\.txt"):
            read("a/b.txt")


def test_a_repository_is_created_by_the_first_put_and_private_and_not_by_reading(hub):
    store = opened(hub)
    assert listed(store) == []
    for read in (store.get, store.head):
        with pytest.raises(FileNotFoundError):
            read("a")
    store.delete("a")
    assert not hub.repositories
    assert store.put_new("a", b"1")
    assert hub.repositories["datasets/someone/things"].private


def test_what_the_hub_itself_keeps_in_a_repository_is_no_object(hub):
    store = opened(hub)
    store.put("a", b"1")
    assert ".gitattributes" in hub.repositories["datasets/someone/things"].at("main").files
    assert listed(store) == ["a"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_was_written(hub, name):
    store = opened(hub)
    etag = store.put(name, b"1")
    assert store.get(name) == b"1"
    assert store.head(name).etag == etag
    assert not store.put_new(name, b"2")
    store.put(f"{name} x/{name}", b"3")
    assert listed(store) == sorted([name, f"{name} x/{name}"])
    assert listed(store, f"{name} x") == [f"{name} x/{name}"]
    store.delete(name)
    assert listed(store, f"{name} x") == listed(store)


@pytest.mark.parametrize("content", [b"", b"x" * 1000, random.Random(1).randbytes(LARGE)], ids=len)
def test_bytes_files_and_iterators_are_put_alike(hub, tmp_path, monkeypatch, content):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = tmp_path / "content"
    source.write_bytes(content)
    store = opened(hub)
    etags = {
        store.put("bytes", content),
        store.put("file", source),
        store.put("pieces", iter([content[:7], content[7:]])),
    }
    assert len(etags) == 1
    for path in ("bytes", "file", "pieces"):
        digest = hashlib.sha256()
        for piece in store.stream(path):
            assert len(piece) <= 2**20
            digest.update(piece)
        assert digest.digest() == hashlib.sha256(content).digest()
        assert store.head(path).size == len(content)
        assert {store.head(path).etag} == etags
    assert list(tmp_path.iterdir()) == [source]


def test_a_large_object_goes_up_and_comes_down_in_constant_memory(hub):
    code = """
import resource
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
store.put("small.bin", b"1"); store.get("small.bin")
before = peak()
store.put("large.bin", (bytes([n]) * 2**20 for n in range(192)))
print(sum(map(len, store.stream("large.bin"))) // 2**20, peak() - before)
"""
    size, grown = map(int, ran(hub, code).split())
    assert size == 192
    assert grown < 48


def test_what_is_put_again_unchanged_makes_no_commit(hub):
    store = opened(hub)
    etag = store.put("a", b"1")
    before = hub.repositories["datasets/someone/things"].at("main")
    assert store.put("a", b"1") == etag
    assert hub.repositories["datasets/someone/things"].at("main") is before


def test_a_listing_is_of_one_commit_page_by_page(hub):
    store = opened(hub)
    paths = [f"f{n % 3}/{n}" for n in range(10)]
    for path in paths:
        store.put(path, path.encode())
    hub.page = 3
    pages = store.list("")
    found = [next(pages).path]
    store.put("f0/new", b"1")
    store.delete("f2/8")
    assert sorted(found + [entry.path for entry in pages]) == sorted(paths)
    assert listed(store, "f1") == ["f1/1", "f1/4", "f1/7"]


def test_a_version_is_replaced_only_while_it_is_the_one(hub):
    store = opened(hub)
    first = store.put("a", b"one")
    second = store.replace("a", b"two", first)
    assert second == store.head("a").etag != first
    before = hub.repositories["datasets/someone/things"].at("main")
    assert store.replace("a", b"two", second) == second
    assert hub.repositories["datasets/someone/things"].at("main") is before
    for etag in (first, "0" * 40):
        with pytest.raises(ConflictError, match="has changed meanwhile"):
            store.replace("a", b"three", etag)
    assert store.get("a") == b"two"
    store.delete("a")
    with pytest.raises(ConflictError):
        store.replace("a", b"three", second)
    assert listed(store) == []


def test_a_revision_is_what_its_tag_or_branch_holds(hub):
    store = opened(hub)
    store.put("a", b"one")
    repository = hub.repositories["datasets/someone/things"]
    repository.tags["v1"] = repository.branches["x/y"] = repository.at("main").id
    store.put("a", b"two")
    assert opened(hub, f"{ROOT}@v1").get("a") == b"one"
    branch = opened(hub, f"{ROOT}@x%2Fy")
    branch.put("b", b"three")
    assert listed(branch) == ["a", "b"]
    assert listed(store) == ["a"]
    nothing, tag = opened(hub, f"{ROOT}@nothing"), opened(hub, f"{ROOT}@v1")
    for use in (nothing.get, nothing.head, nothing.delete, nothing.list, nothing.stream):
        with pytest.raises(StorageError, match="no such revision"):
            list(use("a"))
    for branchless in (nothing, tag):
        with pytest.raises(StorageError, match="no such revision"):
            branchless.put("b", b"1")


def test_what_the_repository_ignores_is_put_all_the_same(hub):
    store = opened(hub)
    store.put(".gitignore", b"*.bin\nlogs\n")
    store.put("a.bin", b"1")
    store.put("logs", b"2")
    assert listed(store) == [".gitignore", "a.bin", "logs"]


def test_what_the_hub_cannot_hold_is_refused_by_name(hub, tmp_path):
    store = opened(hub, "hf://models/someone/net")
    with pytest.raises(ConfigurationError, match=r"a part \.git or \.cache"):
        store.put("a/.git/config", b"1")
    with pytest.raises(ConfigurationError, match=r"a part \.git or \.cache"):
        store.delete(".cache/a")
    store.put("a/b", b"1")
    for path, content, said in (
        ("a", b"1", "file or folder of this name"),
        ("README.md", b"---\na: [\n---\n", "Invalid metadata"),
        ("README.md", b"\xff", "UnicodeDecodeError"),
    ):
        with pytest.raises(StorageError, match=said) as refused:
            store.put(path, content)
        assert "\n" not in str(refused.value)
    with pytest.raises(FileNotFoundError, match="no-such-source"):
        store.put("c", tmp_path / "no-such-source")
    assert listed(store) == ["a/b"]


def test_there_are_no_signed_urls_and_the_error_says_what_a_public_file_has(hub):
    with pytest.raises(StorageError, match=r"datasets/someone/things/resolve/main/a%20b"):
        opened(hub).sign("a b", 60)


def test_a_store_without_an_access_is_found_as_huggingface_hub_finds_it(hub: HubServer, tmp_path: Path):
    assert ran(hub, "store.put('a', b'1'); print(store.get('a').decode())") == "1\n"
    (tmp_path / "token").write_text("hf_wrong")
    with pytest.raises(AssertionError, match="AccessError"):
        ran(hub, "store.get('a')", HF_TOKEN="", HF_HOME=str(tmp_path))
