from __future__ import annotations

import pytest

from sailplane.errors import ConfigurationError

NAMES = [
    "a b",
    " lead and end ",
    "what?x=1",
    "a#b",
    "#",
    "100%",
    "%41",
    "%2e%2e/x",
    "ü/日本語/🛩",
    "a+b&c=d;e,f",
    "~tilde",
    "[x]*{a}",
    'it\'s "quoted"',
    ".hidden",
    "...",
    "a:b@c",
    "$HOME/`x`",
    "a|b<c>^",
]
REFUSED = [
    "",
    "/lead",
    "end/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../../b",
    "a/./b",
    "back\\slash",
    "new\nline",
    "nul\0",
    "unfinished#1",
    "x" * 241,
    "/".join(["y" * 200] * 6),
    "\ud800",
]


def of_bytes(size: int) -> str:
    """Returns a path of this many bytes with characters of several bytes."""
    whole = "é" * 100 + "/"
    path = whole * (size // 201 + 1)
    cut = path.encode()[:size].decode(errors="ignore").rstrip("/")
    return cut + "x" * (size - len(cut.encode()))


class Names:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_name_is_what_was_written(self, store, name):
        etag = store.put(name, b"1")
        assert store.get(name) == b"1"
        assert store.head(name).etag == etag
        assert store.list() == [name]
        assert not store.put_new(name, b"2")
        store.delete(name)
        assert store.list() == []

    def test_names_that_look_alike_are_different_objects(self, store):
        names = ["e\u0301", "\u00e9", "a b", "a%20b", "a+b", "A b"]
        for name in names:
            store.put(name, name.encode())
        assert store.list() == sorted(names)
        assert [store.get(name) for name in names] == [name.encode() for name in names]

    def test_a_path_may_be_as_long_as_the_longest_key(self, store, place):
        above = len(f"{store._prefix}/".encode()) if store._prefix else 0
        path = of_bytes(place.longest - above)
        store.put(path, b"1")
        assert store.get(path) == b"1"
        assert store.list() == [path]
        with pytest.raises(ConfigurationError, match="1025 bytes"):
            store.put(of_bytes(1025 - above), b"1")

    @pytest.mark.parametrize("name", REFUSED, ids=ascii)
    def test_a_name_that_leads_elsewhere_or_that_some_store_cannot_hold_is_refused(self, store, name):
        for use in (store.get, store.head, store.delete, store.stream, lambda name: store.put(name, b"1")):
            with pytest.raises(ConfigurationError, match="use path"):
                use(name)
        assert store.list() == []

    def test_a_listing_goes_by_folders_and_not_by_how_names_begin(self, store):
        paths = ["a/1", "a/b/2", "a/b.c/3", "ab/4", "a.txt", "b/a/5", "a b/6"]
        for path in paths:
            store.put(path, b"")
        assert store.list() == sorted(paths)
        assert store.list("a") == ["a/1", "a/b.c/3", "a/b/2"]
        assert store.list("a/b") == ["a/b/2"]
        assert store.list("a b") == ["a b/6"]
        assert store.list("nothing") == store.list("a/1") == store.list("b/5") == []

    def test_a_listing_is_complete_however_many_there_are(self, store, tmp_path):
        folder = tmp_path / "many"
        for name in (names := [*(f"{n:04}" for n in range(1100)), *(f"f{n % 7}/{n}" for n in range(70))]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        store.upload(folder, "many")
        assert store.list() == store.list("many") == sorted(f"many/{name}" for name in names)
