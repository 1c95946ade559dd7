"""Many writers to one repository of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sailplane.errors import ConflictError
from tests.hub_server import Fault, HubServer
from tests.integration.storage.hub_places import WARNED, opened, served

pytestmark = pytest.mark.filterwarnings(WARNED)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with served(monkeypatch) as server:
        yield server


@pytest.mark.parametrize("name", ["small", "large.bin"])
@pytest.mark.parametrize("contents", [range(8), [8] * 8], ids=["different", "same"])
def test_of_many_that_create_one_object_one_wins(hub, name, contents):
    opened(hub).put("other", b"1")
    stores = [opened(hub) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: stores[n].put_new(name, b"%d" % contents[n]), range(8)))
    assert won.count(True) == 1
    assert stores[0].get(name) == b"%d" % contents[won.index(True)]


def test_an_object_that_came_and_went_while_it_was_put_is_created(hub):
    """huggingface_hub sees the new object and sends no commit for the same content."""
    opened(hub).put("other", b"1")
    came, went = Fault("POST .*/preupload/.*", hold=True), Fault("GET .*/revision/.*", hold=True)
    hub.faults += [came, went]
    with ThreadPoolExecutor(1) as pool:
        created = pool.submit(opened(hub).put_new, "a", b"the same")
        assert came.held.wait(60)
        opened(hub).put("a", b"the same")
        came.release.set()
        assert went.held.wait(60)
        opened(hub).delete("a")
        went.release.set()
        assert created.result()
    assert opened(hub).get("a") == b"the same"


def test_of_many_that_replace_one_version_one_wins(hub):
    stores = [opened(hub) for _ in range(8)]
    etag = stores[0].put("a", b"before")

    def replaced(n: int) -> bool:
        try:
            stores[n].replace("a", b"%d" % n, etag)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(replaced, range(8)))
    assert won.count(True) == 1
    assert stores[0].get("a") == b"%d" % won.index(True)


def test_conditional_puts_of_different_objects_all_succeed_though_their_commits_meet(hub):
    stores = [opened(hub) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda n: stores[n % 4].put_new(f"n/{n}", b"%d" % n), range(32)))
    assert [stores[0].get(f"n/{n}") for n in range(32)] == [b"%d" % n for n in range(32)]
