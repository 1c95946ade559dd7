from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from sailplane.algorithmia.twin.directories import MY_ALGORITHMS, PRIVATE, PUBLIC, UserDirectories, checked_acl
from sailplane.algorithmia.twin.documents import Documents
from sailplane.algorithmia.twin.files import PAGE_ITEMS, Condition, UserFiles
from sailplane.algorithmia.twin.paths import TwinPath
from sailplane.errors import ConflictError, RequestError
from sailplane.storage.store import Storage

ROOT = TwinPath("alice")


@pytest.fixture
def directories(storage: Storage) -> UserDirectories:
    return UserDirectories(storage)


@pytest.fixture
def files(storage: Storage, directories: UserDirectories) -> UserFiles:
    return UserFiles(storage, directories)


def test_the_readers_of_a_directory_are_its_own_or_those_of_the_one_above(directories: UserDirectories) -> None:
    collection = ROOT.child("c")
    directories.create(collection, None)
    below = collection.child("d")
    directories.create(below, None)
    assert directories.readers(below.child("file")) == MY_ALGORITHMS
    directories.set_acl(collection, PUBLIC)
    assert directories.readers(below) == PUBLIC
    directories.set_acl(below, PRIVATE)
    assert directories.readers(below.child("file")) == PRIVATE
    assert directories.readers(collection) == PUBLIC
    assert directories.readers(ROOT) is None


def test_a_directory_needs_one_above_it_and_a_name_of_its_own(directories: UserDirectories) -> None:
    with pytest.raises(FileNotFoundError, match="data://alice/c"):
        directories.create(ROOT.child("c").child("d"), None)
    directories.create(ROOT.child("c"), None)
    with pytest.raises(ConflictError):
        directories.create(ROOT.child("c"), None)
    for name in (".directory", ".files"):
        with pytest.raises(RequestError, match="a name that is taken"):
            directories.create(ROOT.child(name), None)
    assert list(directories.children(ROOT)) == ["c"]


@pytest.mark.parametrize("acl", [None, [], {}, {"read": None}, {"read": "user://*"}, {"read": ["user://bob"]}])
def test_an_acl_that_the_api_has_not_is_refused(acl: object) -> None:
    with pytest.raises(RequestError, match="read acl"):
        checked_acl(acl)


def test_nothing_is_put_into_a_directory_that_is_being_deleted(directories: UserDirectories, files: UserFiles) -> None:
    path = ROOT.child("c")
    directories.create(path, None)

    def look() -> None:
        with pytest.raises(FileNotFoundError):
            files.put(path.child("file"), iter([b"1"]), Condition())
        with pytest.raises(FileNotFoundError):
            directories.create(path.child("d"), None)
        with pytest.raises(ConflictError):
            directories.create(path, None)
        with pytest.raises(ConflictError, match="another request"):
            directories.delete(path, lambda: None, lambda: 0)

    assert directories.delete(path, look, lambda: 7) == 7
    assert directories.find(path) is None


def test_a_deletion_that_never_ended_is_taken_over(directories: UserDirectories, storage: Storage) -> None:
    path = ROOT.child("c")
    directories.create(path, None)
    before = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    (key,) = storage.list()
    storage.put(key, json.dumps({"created": before, "read": [], "deleting": before}).encode())
    assert directories.delete(path, lambda: None, lambda: 0) == 0
    assert storage.list() == []


def test_a_file_that_comes_while_its_directory_goes_is_taken_back(
    directories: UserDirectories, files: UserFiles
) -> None:
    path = ROOT.child("c")
    directories.create(path, None)

    def pieces() -> Iterator[bytes]:
        yield b"begun"
        files.delete_directory(path, force=True)

    with pytest.raises(FileNotFoundError):
        files.put(path.child("file"), pieces(), Condition())
    directories.create(path, None)
    with pytest.raises(FileNotFoundError):
        files.head(path.child("file"))


def test_an_upload_that_breaks_leaves_what_was_there(directories: UserDirectories, files: UserFiles) -> None:
    path = ROOT.child("c").child("file")
    directories.create(path.parent, None)
    files.put(path, iter([b"whole"]), Condition())

    def pieces() -> Iterator[bytes]:
        yield b"ha"
        raise ValueError("cut off")

    with pytest.raises(ValueError, match="cut off"):
        files.put(path, pieces(), Condition())
    assert files.get(path) == b"whole"


@pytest.mark.slow
def test_the_pages_of_a_list_have_everything_once_in_order(
    directories: UserDirectories, files: UserFiles, storage: Storage
) -> None:
    path = ROOT.child("c")
    directories.create(path, None)
    for name in ("b", "a"):
        directories.create(path.child(name), None)
        storage.put(path.child(name).child("deeper").key, b"")
    names = [f"{number:04}" for number in range(2 * PAGE_ITEMS)]
    for name in names:
        storage.put(path.child(name).key, b"")
    pages = [files.page(path, "")]
    while marker := pages[-1].get("marker"):
        pages.append(files.page(path, marker))
    assert [folder["name"] for page in pages for folder in page.get("folders", [])] == ["a", "b"]
    assert [file["filename"] for page in pages for file in page.get("files", [])] == names
    assert len(pages) == 3


@pytest.mark.parametrize("marker", ["x", "!!", "////", "w7w="])
def test_a_marker_that_no_page_gave_is_refused(files: UserFiles, marker: str) -> None:
    with pytest.raises(RequestError, match="read marker"):
        files.page(ROOT, marker)


def test_of_changes_at_a_time_none_is_lost(storage: Storage) -> None:
    documents = Documents(storage)
    documents.create("d.json", {"n": []})

    def change(number: int) -> None:
        Documents(storage).change("d.json", lambda found: {"n": [*found["n"], number]})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(change, range(40)))
    found = documents.find("d.json")
    assert found is not None
    assert sorted(found["n"]) == list(range(40))
