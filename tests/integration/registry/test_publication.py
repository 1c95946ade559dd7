"""Versions on the Hugging Face Hub: the real huggingface_hub against a replacement of the Hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from huggingface_hub import HfApi, ModelCard, constants

from sailplane.bundles.bundle import Bundle
from sailplane.errors import AccessError, ConfigurationError, ModelError, StorageError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators import PublishModelOperator
from sailplane.records import Model
from sailplane.registry.models import promote, register
from sailplane.registry.publication import Publication, publish
from sailplane.storage import Access, Storage
from tests.homes import new_home
from tests.hub_repositories import File, Repository
from tests.hub_server import READER, TOKEN, Fault, HubServer
from tests.integration.storage.hub_places import FAST, WARNED, served
from tests.ports import free_port
from tests.unit.bundles import tiny
from tests.wandb_server import KEY, wandb_server

pytestmark = pytest.mark.filterwarnings(WARNED)
REPO = "someone/flights"
BUNDLE = {"manifest.json", "model.onnx", "features.py", "state.json", "golden.json", "README.md"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with served(monkeypatch) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return new_home()


@pytest.fixture
def storage(home: Home) -> Storage:
    return Storage(home.store)


@pytest.fixture
def make(home: Home, storage: Storage, tmp_path: Path) -> Callable[[str], Model]:
    def made(run: str) -> Model:
        bundle = tiny.bundle(tmp_path / run, run=run, bias=len(run) / 10)
        return register(Ledger.create(home.ledger), storage, tiny.run_of(bundle, storage))

    return made


def put(hub: HubServer, storage: Storage, model: Model, *, token: str = TOKEN) -> Publication:
    ask = lambda: Access(endpoint=hub.url, secret=token)  # noqa: E731
    return publish(storage, model, REPO, private=True, ask=ask, patience=FAST)


def repository(hub: HubServer) -> Repository:
    return hub.repositories[f"models/{REPO}"]


def commits(hub: HubServer) -> list[str]:
    return [commit.title for commit in repository(hub).history("main")]


def test_a_version_is_one_commit_with_bundle_and_card_and_a_tag(
    hub: HubServer, storage: Storage, make: Callable[[str], Model], tmp_path: Path
) -> None:
    model = make("run-1")
    published = put(hub, storage, model)
    assert repository(hub).private
    assert commits(hub) == [f"flights {model.version}", "initial commit"]
    assert repository(hub).tags == {model.version: published.commit}
    assert set(repository(hub).at("main").files) == {*BUNDLE, ".gitattributes"}
    assert published.url == f"{hub.url}/{REPO}/tree/{model.version}"
    api = HfApi(endpoint=hub.url, token=TOKEN)
    for name in BUNDLE:
        api.hf_hub_download(REPO, name, revision=model.version, local_dir=tmp_path / "copy")
    assert Bundle.open(tmp_path / "copy").digest == model.digest
    assert ModelCard.load(tmp_path / "copy" / "README.md").data.library_name == "onnx"


def test_what_is_published_is_done_and_the_next_version_has_its_own_tag(
    hub: HubServer, storage: Storage, make: Callable[[str], Model]
) -> None:
    first, second = make("run-1"), make("run-22")
    once = put(hub, storage, first)
    assert put(hub, storage, first) == once
    then = put(hub, storage, second)
    assert put(hub, storage, first) == once
    assert repository(hub).tags == {first.version: once.commit, second.version: then.commit}
    assert commits(hub) == [f"flights {second.version}", f"flights {first.version}", "initial commit"]


def test_a_retry_after_the_commit_only_tags_it(hub: HubServer, storage: Storage, make: Callable[[str], Model]) -> None:
    model = make("run-1")
    hub.faults.append(Fault("POST .*/tag/.*", times=99, status=503))
    with pytest.raises(StorageError, match="publish flights to someone/flights: 503"):
        put(hub, storage, model)
    assert repository(hub).tags == {}
    hub.faults.clear()
    put(hub, storage, model)
    assert list(repository(hub).tags) == [model.version]
    assert commits(hub) == [f"flights {model.version}", "initial commit"]


def test_a_tag_that_holds_another_bundle_is_an_error_that_changes_nothing(
    hub: HubServer, storage: Storage, make: Callable[[str], Model]
) -> None:
    put(hub, storage, make("run-1"))
    model = make("run-22")
    repository(hub).tags[model.version] = repository(hub).at("main").id
    with pytest.raises(ModelError, match="its tag exists and holds another bundle"):
        put(hub, storage, model)
    assert len(commits(hub)) == 2


def test_a_commit_that_comes_in_between_is_kept(hub: HubServer, storage: Storage, make: Callable[[str], Model]) -> None:
    put(hub, storage, make("run-1"))
    held = Fault("POST .*/commit/main", hold=True)
    hub.faults.append(held)
    model = make("run-22")
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(put, hub, storage, model)
        assert held.held.wait(60)
        files = repository(hub).at("main").files
        repository(hub)._add("main", "somebody else's", {**files, "notes.txt": File(b"mine", large=False)})
        held.release.set()
        published = publishing.result()
    assert commits(hub)[:2] == [f"flights {model.version}", "somebody else's"]
    assert "notes.txt" in repository(hub).at(published.commit).files


def test_of_many_that_publish_at_once_each_version_is_there_once_and_whole(
    hub: HubServer, storage: Storage, make: Callable[[str], Model]
) -> None:
    versions = [make("run-1"), make("run-22"), make("run-333")]
    with ThreadPoolExecutor(6) as pool:
        published = list(pool.map(lambda n: put(hub, storage, versions[n % 3]), range(6)))
    assert repository(hub).tags == {one.version: one.commit for one in published}
    for model in versions:
        held = repository(hub).at(model.version).files["model.onnx"].content
        assert held == storage.get(f"models/flights/{model.version}/model.onnx")


def test_nothing_to_change_on_a_branch_that_others_move_never_tags_their_commit(
    hub: HubServer, storage: Storage, make: Callable[[str], Model]
) -> None:
    model, other = make("run-1"), make("run-22")
    put(hub, storage, model)
    del repository(hub).tags[model.version]
    looked, moved = Fault("POST .*/paths-info/.*", hold=True), repository(hub)
    hub.faults.append(looked)
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(put, hub, storage, model)
        assert looked.held.wait(60)
        put(hub, storage, other)
        looked.release.set()
        published = publishing.result()
    held = moved.at(published.commit).files["model.onnx"].content
    assert held == storage.get(f"models/flights/{model.version}/model.onnx")


def test_what_the_repository_ignores_is_published_all_the_same(
    hub: HubServer, storage: Storage, make: Callable[[str], Model]
) -> None:
    put(hub, storage, make("run-1"))
    files = repository(hub).at("main").files
    repository(hub)._add("main", "ignore", {**files, ".gitignore": File(b"*.onnx\n*.json\n", large=False)})
    model = make("run-22")
    assert repository(hub).at(put(hub, storage, model).commit).files["model.onnx"].content


def test_a_hub_that_is_away_or_refuses_is_one_clear_error(
    hub: HubServer, storage: Storage, make: Callable[[str], Model]
) -> None:
    model = make("run-1")
    with pytest.raises(AccessError, match="403"):
        put(hub, storage, model, token=READER)
    for repo in ("flights", "a/b/c", "a b/c"):
        with pytest.raises(ConfigurationError):
            publish(storage, model, repo, private=True, ask=None)
    away = lambda: Access(endpoint=f"http://127.0.0.1:{free_port()}", secret=TOKEN)  # noqa: E731
    with pytest.raises(StorageError, match=r"Check that the Hub is reachable, then try again"):
        publish(storage, model, REPO, private=True, ask=away, patience=FAST)
    hub.faults.append(Fault(".*", times=999, status=502))
    with pytest.raises(StorageError, match="publish flights to someone/flights: 502"):
        put(hub, storage, model)


def context(run_type: str = "manual") -> dict[str, object]:
    return {"dag_run": SimpleNamespace(run_type=run_type), "ts": datetime(2026, 1, 1, tzinfo=UTC)}


def test_the_operator_publishes_what_was_deployed_with_the_connections_token(
    hub: HubServer, make: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("run-1")
    connection = {"conn_type": "huggingface", "host": hub.url, "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_HUGGINGFACE_DEFAULT", json.dumps(connection))
    deployed = {"name": "flights", "version": model.version, "weights": {model.version: 100}, "endpoint": "http://x"}
    operator = PublishModelOperator(task_id="publish", model=deployed, repo=REPO)
    published = operator.execute(context())  # type: ignore[arg-type]
    assert published["commit"] == repository(hub).tags[model.version]
    assert operator.execute(context()) == published  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["flights", "flights@champion", "flights@{version}"])
def test_the_operator_publishes_the_version_that_a_name_means(
    hub: HubServer, make: Callable[[str], Model], home: Home, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    champion, newer = make("run-1"), make("run-2")
    promote(Ledger.at(home), "flights", champion.version)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    operator = PublishModelOperator(task_id="publish", model=name.format(version=champion.version), repo=REPO)
    today = {"dag_run": SimpleNamespace(run_type="manual", run_after=champion.as_of, partition_key=None), "params": {}}
    assert operator.execute(today)["version"] == champion.version  # type: ignore[arg-type]
    assert newer.version not in repository(hub).tags


@pytest.mark.parametrize("model", ["flights", 7, {"name": "flights"}])
def test_a_model_that_is_not_there_or_not_a_model_is_refused_with_what_the_operator_takes(
    hub: HubServer, home: Home, model: object
) -> None:
    operator = PublishModelOperator(task_id="publish", model=model, repo=REPO)
    today = {"dag_run": SimpleNamespace(run_type="manual", run_after=tiny.AS_OF, partition_key=None), "params": {}}
    expected = "find the champion of flights: there is none" if model == "flights" else "expected a name, name@version"
    with pytest.raises((ConfigurationError, ModelError), match=expected):
        operator.execute(today)  # type: ignore[arg-type]
    assert hub.asked == []


def test_with_a_key_of_wandb_the_version_is_an_artifact_there_that_refers_to_the_hub(
    hub: HubServer, make: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("run-1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.delenv("WANDB_MODE")
    with wandb_server() as tracker:
        connection = {"conn_type": "wandb", "host": tracker.url, "password": KEY}
        monkeypatch.setenv("AIRFLOW_CONN_WANDB_DEFAULT", json.dumps(connection))
        deployed = {"name": "flights", "version": model.version}
        published = PublishModelOperator(task_id="publish", model=deployed, repo=REPO).execute(context())  # type: ignore[arg-type]
        (artifact,) = tracker.artifacts.values()
    assert artifact.references["hub"] == published["url"]
    assert artifact.aliases == {model.version, "latest"}


@pytest.mark.parametrize("model", [None, {"name": "flights", "version": "x"}])
def test_a_backfill_publishes_nothing_and_neither_does_a_run_without_a_model(
    hub: HubServer, home: Home, model: dict[str, str] | None
) -> None:
    operator = PublishModelOperator(task_id="publish", model=model, repo=REPO)
    with pytest.raises(AirflowSkipException, match="Nothing is published"):
        operator.execute(context("backfill" if model else "manual"))  # type: ignore[arg-type]
    assert hub.asked == []
