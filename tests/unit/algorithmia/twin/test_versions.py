from __future__ import annotations

from typing import Any

import pytest

from sailplane.algorithmia.twin import versions
from sailplane.algorithmia.twin.algorithms import Algorithms
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.errors import ConflictError, RequestError
from sailplane.storage.store import Storage


def published(*kinds: str) -> dict[str, Any]:
    """A record with a version of each kind, each of its own source."""
    record = versions.new("alice", "hello", {}, {}, "")
    for number, kind in enumerate(kinds):
        source = f"def apply(input): return {number}"
        record = versions.compiled({**record, "source": versions.digest(source)}, source)
        record = versions.published(record, {"version_info": {"version_type": kind}})
    return record


def test_a_version_is_one_step_after_the_last() -> None:
    record = published("minor", "revision", "minor", "major", "revision")
    steps = ["0.1.0", "0.1.1", "0.2.0", "1.0.0", "1.0.1"]
    assert [one["semantic_version"] for one in record["versions"]] == steps
    assert [one["semantic_version"] for one in versions.newest_first(record)] == steps[::-1]


def test_a_call_means_a_hash_a_version_or_the_newest_that_is_published() -> None:
    record = published("minor", "revision", "major")
    record = versions.compiled({**record, "source": "new"}, "def apply(input): return 'new'")
    hashes = [one["git_hash"] for one in record["versions"]]

    def chosen(asked: str | None, owned: bool = True) -> int:
        return hashes.index(versions.chosen(record, asked, owned=owned)["git_hash"])

    assert [chosen(asked) for asked in (None, "0.1.0", "0.1", "0", "1", hashes[1], hashes[3])] == [2, 0, 1, 1, 2, 1, 3]
    for asked, owned in (("2", True), ("0.", True), ("01", True), (hashes[3], False)):
        with pytest.raises(Refusal, match="No such algorithm") as refused:
            chosen(asked, owned)
        assert refused.value.status == 404


def test_a_source_that_does_not_compile_is_a_failed_build_and_no_version() -> None:
    record = versions.compiled(versions.new("alice", "hello", {}, {}, "x"), "def apply(:")
    assert record["versions"] == []
    assert record["builds"][0]["status"] == "failed"
    assert "SyntaxError" in record["builds"][0]["logs"]
    with pytest.raises(RequestError, match="SyntaxError"):
        versions.published(record, {})


def test_a_source_is_published_once() -> None:
    with pytest.raises(ConflictError, match=r"0\.1\.0"):
        versions.published(published("minor"), {})
    with pytest.raises(RequestError, match="version_type"):
        versions.published(published("minor"), {"version_info": {"version_type": "huge"}})


def test_a_hash_is_the_one_that_git_gives_the_file() -> None:
    # printf 'hello\n' | git hash-object --stdin
    assert versions.digest("hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_an_algorithm_is_the_template_until_it_is_given_a_source(storage: Storage) -> None:
    algorithms = Algorithms(storage)
    record = algorithms.create("alice", {"name": "hello"})
    with pytest.raises(ConflictError):
        algorithms.create("alice", {"name": "hello"})
    assert versions.shown(record, None)["settings"] == {"algorithm_callability": "private"}
    record = algorithms.publish("alice", "hello", {})
    assert algorithms.source(record, record["versions"][0]) == versions.TEMPLATE
    record = algorithms.put_source("alice", "hello", "def apply(input): return 1")
    assert algorithms.source(record, versions.chosen(record, None, owned=True)) == versions.TEMPLATE
    record = algorithms.publish("alice", "hello", {})
    assert algorithms.source(record, versions.chosen(record, "0.2", owned=False)) == "def apply(input): return 1"


@pytest.mark.parametrize("name", ["..", "a/b", "", "a b", "ä"])
def test_a_name_that_leads_elsewhere_is_no_algorithm(storage: Storage, name: str) -> None:
    with pytest.raises(Refusal, match="No such algorithm"):
        Algorithms(storage).record("alice", name)
    with pytest.raises(Refusal, match="No such algorithm"):
        Algorithms(storage).record(name, "hello")
