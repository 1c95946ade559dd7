"""A store on the Hugging Face Hub that fails, refuses or stalls, or whose client leaves."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable, Iterator

import httpx2
import pytest
from huggingface_hub import close_session, constants

from sailplane.errors import AccessError, ConflictError, StorageError
from sailplane.storage import hub_repository
from sailplane.storage.hub import HubBackend
from sailplane.storage.retries import RetryPolicy
from tests.hub_server import READER, TOKEN, Fault, HubServer
from tests.integration.storage.hub_places import ROOT, WARNED, opened, ran, served, started

pytestmark = pytest.mark.filterwarnings(WARNED)
WRONG = "hf_wrong0123456789abcdefghijklmnopqrs"
LARGE = random.Random(1).randbytes(5_000_001)
# Each use is correct if "a" holds "old". huggingface_hub repeats some of its requests itself.
USES: dict[str, tuple[str, Callable[[HubBackend], object]]] = {
    "get": ("GET .*/resolve/.*", lambda store: store.get("a") == b"old"),
    "head": ("POST .*/paths-info/.*", lambda store: store.head("a").size == 3),
    "list": ("GET .*/revision/.*", lambda store: [entry.path for entry in store.list("")] == ["a"]),
    "put": ("POST .*/commit/.*", lambda store: store.put("a", b"new")),
    "put_new": ("POST .*/commit/.*", lambda store: store.put_new("b", b"new")),
    "replace": ("POST .*/commit/.*", lambda store: store.replace("a", b"new", store.head("a").etag)),
    "delete": ("POST .*/commit/.*", lambda store: store.delete("a") is None),
    "create": ("POST .*/repos/create", lambda store: store.put("a", b"new")),
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with served(monkeypatch) as server:
        yield server


@pytest.fixture
def store(hub: HubServer) -> HubBackend:
    store = opened(hub)
    store.put("a", b"old")
    return store


def commits(hub: HubServer) -> int:
    return len(hub.repositories["datasets/someone/things"].commits)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("name", USES)
def test_a_server_that_is_busy_twice_is_asked_again(hub, store, name, status):
    match, use = USES[name]
    if name == "create":
        hub.repositories.clear()
    hub.faults.append(Fault(match, times=2, status=status))
    assert use(store)
    assert hub.faults[0].times == 0


def test_a_server_that_says_when_to_come_back_is_given_that_time(hub, store):
    hub.faults.append(Fault("GET .*", status=429, headers={"Retry-After": "1"}))
    hub.faults.append(Fault("POST .*/commit/.*", status=429, headers={"Retry-After": "3600"}))
    assert store.get("a") == b"old"
    with pytest.raises(StorageError, match="429 injected") as refused:
        store.put("a", b"new")
    assert not isinstance(refused.value, AccessError)
    assert store.get("a") == b"old"


@pytest.mark.parametrize("name", ["get", "head", "put", "delete"])
def test_a_server_that_stays_broken_is_one_clear_line(hub, store, name):
    match, use = USES[name]
    hub.faults.append(Fault(match, times=1000, status=500))
    with pytest.raises(StorageError, match=rf"{ROOT}/a: 500 injected; expected status 2xx") as failed:
        use(store)
    assert "\n" not in str(failed.value)
    assert hub.faults[0].times == 1000 - 6
    hub.faults.clear()
    assert store.get("a") == b"old"


@pytest.mark.parametrize("status", [409, 412])
def test_a_commit_that_meets_another_is_made_again(hub, store, status):
    hub.faults.append(Fault("POST .*/commit/.*", times=8, status=status))
    store.put("a", b"new")
    assert store.get("a") == b"new"


@pytest.mark.parametrize("name", ["large.bin", "small.txt"])
def test_a_download_that_is_cut_goes_on_where_it_was_with_the_same_version(hub, store, name):
    store.put(name, LARGE)
    hub.faults.append(Fault("GET .*(large/|small).*", cut=3_000_000))
    pieces = store.stream(name)
    first = next(pieces)
    store.put(name, b"another")
    hub.faults.append(Fault("GET .*(large/|small).*", cut=1_500_000))
    assert first + b"".join(pieces) == LARGE
    assert store.get(name) == b"another"


def test_a_download_that_is_cut_before_its_first_byte_begins_again(hub, store):
    hub.faults.append(Fault("GET .*/resolve/.*", times=3, cut=0))
    assert store.get("a") == b"old"


def test_a_version_that_is_gone_in_the_middle_of_a_download_is_a_conflict(hub, store):
    store.put("b", LARGE)
    hub.faults.append(Fault("GET .*/resolve/.*", cut=3_000_000))
    pieces = store.stream("b")
    next(pieces)
    repository = hub.repositories["datasets/someone/things"]
    del repository.commits[repository.branches["main"]]
    with pytest.raises(ConflictError, match="that version is gone"):
        list(pieces)


@pytest.mark.parametrize("match", ["PUT /large/.*", "POST .*/batch"])
def test_an_upload_of_a_large_object_that_fails_leaves_no_commit(hub, store, match):
    before = commits(hub)
    hub.faults.append(Fault(match, times=1000, status=400))
    with pytest.raises(StorageError, match="400 injected"):
        store.put("b.bin", LARGE)
    assert commits(hub) == before
    hub.faults.clear()
    store.put("b.bin", LARGE)
    assert store.get("b.bin") == LARGE


def test_an_upload_whose_connection_is_lost_is_made_again(hub, store):
    hub.faults.append(Fault("PUT /large/.*", cut=0, status=503))
    store.put("b.bin", LARGE)
    assert store.get("b.bin") == LARGE


def test_an_iterator_that_raises_leaves_what_was_there(hub, store, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def broken() -> Iterator[bytes]:
        yield b"x" * 2**20
        raise ZeroDivisionError

    before = len(hub.asked)
    for put in (lambda: store.put("a", broken()), lambda: store.put_new("b", broken())):
        with pytest.raises(ZeroDivisionError):
            put()
    assert len(hub.asked) == before
    assert store.get("a") == b"old"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_for_the_pieces_is_a_storage_error(hub, store):
    code = """
import resource
from sailplane.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    store.put("a", (b"x" * 2**18 for _ in range(8)))
except StorageError as error:
    print(error)
"""
    assert "larger than `ulimit -f` allows" in ran(hub, code)
    assert store.get("a") == b"old"


def test_a_process_that_is_killed_in_the_middle_of_a_put_leaves_nothing(hub, store):
    before, fault = commits(hub), Fault("PUT /large/.*", hold=True)
    hub.faults.append(fault)
    # More bytes than the sockets hold before the server reads them.
    with started(hub, "store.put('b.bin', b'x' * 40 * 2**20)") as process:
        assert fault.held.wait(60)
        process.kill()
        process.communicate()
    fault.release.set()
    assert commits(hub) == before
    with pytest.raises(FileNotFoundError):
        store.head("b.bin")
    assert store.put_new("b.bin", b"y" * 1000)
    assert store.get("b.bin") == b"y" * 1000


@pytest.mark.parametrize("token", [WRONG, None, READER], ids=["wrong", "none", "reader"])
def test_who_may_not_is_told_so_without_the_token(hub, store, token, caplog):
    caplog.set_level(logging.DEBUG)
    other = opened(hub, token=token)
    uses = [
        other.get,
        other.head,
        other.delete,
        lambda path: other.put(path, b"new"),
        lambda path: list(other.list(path)),
    ]
    for use in [uses[2], uses[3]] if token == READER else uses:
        with pytest.raises(AccessError, match=r"40[13] .* Check the token") as refused:
            use("a")
        assert "\n" not in str(refused.value)
        told = "".join(traceback.format_exception(refused.value)) + repr(other) + caplog.text
        assert token is None or token not in told
    assert store.get("a") == b"old"
    assert TOKEN not in caplog.text


def test_a_token_that_the_server_says_again_is_hidden(hub, store):
    hub.faults.append(
        Fault("GET .*", status=400, headers={"X-Error-Message": f"who is {TOKEN}? Not at {hub.url}/x?sig=1"})
    )
    with pytest.raises(StorageError, match=r"400 who is \*\*\*\? Not at http\S+/x;") as refused:
        store.get("a")
    assert TOKEN not in str(refused.value)


def test_a_gated_repository_says_where_to_ask(hub, store):
    hub.repositories["datasets/someone/things"].gated = True
    for use in (opened(hub, token=READER).get, opened(hub, token=READER).head):
        with pytest.raises(AccessError, match=r"restricted and you are not in the authorized list.* Request access"):
            use("a")


def test_somebody_elses_name_cannot_be_put_under(hub):
    with pytest.raises(AccessError, match="403 You don't have the rights to create"):
        opened(hub, "hf://models/another/net").put("a", b"1")


def test_a_server_that_stands_still_is_given_up(hub, store, monkeypatch):
    monkeypatch.setattr(hub_repository, "TIMEOUT", httpx2.Timeout(0.3))
    close_session()  # By now its client has the usual limit.
    hub.faults.append(Fault("(GET|POST) .*", times=1000, hold=True))
    impatient = opened(hub, patience=RetryPolicy(tries=2, first=0.01))
    for use in (impatient.get, impatient.head, lambda path: next(impatient.list(path)), impatient.delete):
        with pytest.raises(StorageError, match="ReadTimeout"):
            use("a")


def test_a_server_that_is_gone_is_a_storage_error(hub, store):
    hub.stop()
    with pytest.raises(StorageError, match=r"ConnectError: .*Check that the Hub is reachable"):
        store.get("a")


def test_the_offline_mode_of_huggingface_hub_is_said(hub, store, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StorageError, match="HF_HUB_OFFLINE is set"):
        store.put("a", b"new")
