from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from sailplane.errors import ConflictError, StorageError
from sailplane.storage import Folder

LARGE = 40 * 2**20


def given_as(content: bytes, tmp_path):
    """Returns the same content in its three forms."""
    source = tmp_path / "content"
    source.write_bytes(content)
    third = len(content) // 3 + 1
    return content, source, iter([content[:third], content[third : 2 * third], content[2 * third :]])


class Verbs:
    def test_what_was_put_is_got_streamed_listed_and_looked_at(self, store):
        etag = store.put("a/b.txt", b"one")
        assert store.get("a/b.txt") == b"one"
        assert b"".join(store.stream("a/b.txt")) == b"one"
        assert store.list() == ["a/b.txt"]
        assert store.exists("a/b.txt")
        found = store.head("a/b.txt")
        assert (found.path, found.size, found.etag) == ("a/b.txt", 3, etag)
        assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=1)

    def test_what_a_listing_says_is_what_a_look_says(self, store):
        store.put("a", b"1")
        store.put("b/c/d", b"22")
        for entry in store.entries():
            found = store.head(entry.path)
            assert (found.size, found.etag) == (entry.size, entry.etag)
            assert abs(found.modified - entry.modified) < timedelta(seconds=1)

    def test_a_folder_is_what_lies_right_in_it(self, store):
        for path in ("top", "z/last", "a/one", "a/b/two", "a/b/c/three", "ab/four", "a b/ü#?%41/five"):
            store.put(path, b"1")
        root, a = store.folder(), store.folder("a")
        assert ([entry.path for entry in root.entries], root.folders) == (["top"], ["a", "a b", "ab", "z"])
        assert ([entry.path for entry in a.entries], a.folders) == (["a/one"], ["b"])
        assert (a.entries[0].size, a.entries[0].etag) == (1, store.head("a/one").etag)
        assert store.folder("a b").folders == ["ü#?%41"]
        for nothing in ("nowhere", "top", "a/one/x"):
            assert store.folder(nothing) == Folder([], [])

    def test_a_put_replaces_and_gives_another_etag(self, store):
        first = store.put("a", b"one")
        second = store.put("a", b"two")
        assert first != second
        assert store.get("a") == b"two"
        assert store.list() == ["a"]

    def test_what_is_deleted_is_gone_and_may_be_deleted_again(self, store):
        store.put("a/b", b"1")
        store.delete("a/b")
        store.delete("a/b")
        store.delete("never/there")
        assert not store.exists("a/b")
        assert store.list() == []

    def test_deleting_a_folder_by_its_name_deletes_nothing(self, store):
        store.put("a/b", b"1")
        store.delete("a")
        assert store.list() == ["a/b"]

    @pytest.mark.parametrize("path", ["nothing", "no/such/folder", "a", "a/b/c"])
    def test_an_object_that_is_not_there_is_a_file_not_found_error_with_its_name(self, store, path):
        store.put("a/b", b"1")
        for read in (store.get, store.head, store.checksum, lambda path: next(store.stream(path))):
            with pytest.raises(FileNotFoundError) as missing:
                read(path)
            assert store.uri(path) in str(missing.value)
        assert not store.exists(path)

    @pytest.mark.parametrize("content", [b"", b"x" * 1000, random.Random(1).randbytes(9_000_001)], ids=len)
    @pytest.mark.parametrize("form", [0, 1, 2], ids=["bytes", "file", "iterator"])
    def test_bytes_files_and_iterators_are_put_alike(self, store, tmp_path, content, form):
        etag = store.put("put", given_as(content, tmp_path)[form])
        assert store.put_new("new", given_as(content, tmp_path)[form])
        store.put("old", b"before")
        store.replace("old", given_as(content, tmp_path)[form], store.head("old").etag)
        for path in ("put", "new", "old"):
            assert store.get(path) == content
            assert store.head(path).size == len(content)
        assert store.head("put").etag == etag

    def test_an_iterator_without_pieces_is_an_empty_object(self, store):
        store.put("a", iter(()))
        assert store.head("a").size == 0
        assert store.get("a") == b""
        assert b"".join(store.stream("a")) == b""

    def test_a_file_that_is_not_there_cannot_be_put(self, store, tmp_path):
        with pytest.raises(FileNotFoundError, match="no-such-source"):
            store.put("a", tmp_path / "no-such-source")
        assert store.list() == []

    def test_a_large_object_comes_back_in_pieces_with_its_checksum(self, store, tmp_path):
        content = random.Random(2).randbytes(LARGE)
        for one in given_as(content, tmp_path):
            store.put("large", one)
            assert store.head("large").size == LARGE
            assert store.checksum("large") == hashlib.sha256(content).hexdigest()
            assert max(map(len, store.stream("large"))) <= 2**24

    def test_an_object_is_created_once(self, store):
        assert store.put_new("a/b", b"one") is True
        assert store.put_new("a/b", b"two") is False
        assert store.put_new("a/b", iter([b"three"])) is False
        assert store.get("a/b") == b"one"
        store.delete("a/b")
        assert store.put_new("a/b", b"four") is True

    def test_a_version_is_replaced_only_while_it_is_the_one(self, store):
        first = store.put("a", b"one")
        second = store.replace("a", b"two", first)
        assert second == store.head("a").etag != first
        for content in (b"three", iter([b"four"])):
            with pytest.raises(ConflictError):
                store.replace("a", content, first)
        assert store.get("a") == b"two"

    def test_an_object_that_is_gone_cannot_be_replaced(self, store):
        etag = store.put("a", b"one")
        store.delete("a")
        for content in (b"two", iter([b"three"])):
            with pytest.raises(ConflictError):
                store.replace("a", content, etag)
        assert store.list() == []

    def test_a_signed_url_opens_the_object_or_the_store_says_that_it_has_none(self, store, place):
        store.put("a b/ü", b"one")
        if place.signs:
            assert httpx.get(store.presign("a b/ü", 60), trust_env=False).content == b"one"
        else:
            with pytest.raises(StorageError, match="sign a URL"):
                store.presign("a b/ü", 60)
