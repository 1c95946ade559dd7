"""The unmodified huggingface_hub on the replacement of the Hub: all calls that publishing a model makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    EvalResult,
    HfApi,
    ModelCard,
    ModelCardData,
    RepoFolder,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub_server import READER, TOKEN, HubServer, hub_server
from tests.integration.storage.hub_places import WARNED, served

pytestmark = pytest.mark.filterwarnings(WARNED)
REPO = "someone/flights"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with served(monkeypatch) as server:
        yield server


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token=TOKEN)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A model's folder with its card."""
    folder = tmp_path / "bundle"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"\0" * 300_000)
    (folder / "deep" / "signature.json").write_text("{}")
    result = EvalResult("tabular-regression", "flights", "Flights", "rmse", 12.5)
    data = ModelCardData(license="apache-2.0", model_name="flights", eval_results=[result])
    ModelCard(f"---\n{data.to_yaml()}\n---\n# Flights\n").save(folder / "README.md")
    return folder


def contents(folder: str | Path) -> dict[str, bytes]:
    files = [file for file in Path(folder).rglob("*") if file.is_file() and ".cache" not in file.parts]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_a_model_is_published_tagged_and_pulled_by_its_tag(hub, api, bundle, tmp_path):
    assert api.whoami()["name"] == "someone"
    api.create_repo(REPO, private=True)
    api.create_repo(REPO, private=True, exist_ok=True)
    commit = api.upload_folder(repo_id=REPO, folder_path=bundle, commit_message="Version 1")
    api.create_tag(REPO, tag="v1", revision=commit.oid)
    published = contents(bundle)
    (bundle / "model.onnx").write_bytes(b"\1" * 300_000)
    later = api.upload_folder(repo_id=REPO, folder_path=bundle, commit_message="Version 2")
    how = {"endpoint": hub.url, "token": TOKEN}
    got = contents(snapshot_download(REPO, revision="v1", cache_dir=tmp_path / "cache", **how))
    assert got.pop(".gitattributes")
    assert got == published
    newest = hf_hub_download(REPO, "model.onnx", cache_dir=tmp_path / "cache", **how)
    assert Path(newest).read_bytes() == b"\1" * 300_000
    assert [one.title for one in api.list_repo_commits(REPO)] == ["Version 2", "Version 1", "initial commit"]
    assert (api.model_info(REPO).sha, api.model_info(REPO, revision="v1").sha) == (later.oid, commit.oid)
    refs = api.list_repo_refs(REPO)
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1", commit.oid)]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(REPO, tag="v1")


def test_what_is_published_again_unchanged_makes_no_commit(api, bundle):
    api.create_repo(REPO)
    first = api.upload_folder(repo_id=REPO, folder_path=bundle)
    assert api.upload_folder(repo_id=REPO, folder_path=bundle).oid == first.oid


def test_a_commit_on_a_parent_that_is_not_the_last_one_is_refused(api):
    api.create_repo(REPO, repo_type="dataset")
    parent = api.dataset_info(REPO).sha
    how = {"repo_id": REPO, "repo_type": "dataset", "commit_message": "x", "parent_commit": parent}
    api.create_commit(operations=[CommitOperationAdd("a", b"1")], **how)
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_commit(operations=[CommitOperationAdd("b", b"1")], **how)
    assert refused.value.response.status_code == 412
    assert not api.file_exists(REPO, "b", repo_type="dataset")


def test_a_commit_is_whole_or_is_not_made(api):
    api.create_repo(REPO)
    operations = [CommitOperationAdd("a", b"1"), CommitOperationDelete("nothing")]
    with pytest.raises(RemoteEntryNotFoundError):
        api.create_commit(REPO, operations, commit_message="x")
    assert api.list_repo_files(REPO) == [".gitattributes"]


def test_trees_folders_branches_and_paths_are_told_as_the_hub_tells_them(hub, api, bundle):
    api.create_repo(REPO)
    api.upload_folder(repo_id=REPO, folder_path=bundle)
    api.create_branch(REPO, branch="x/y")
    api.upload_file(path_or_fileobj=b"1", path_in_repo="new", repo_id=REPO, revision="x/y")
    assert api.file_exists(REPO, "new", revision="x/y")
    assert not api.file_exists(REPO, "new")
    hub.page = 2
    tree = {entry.path: entry for entry in api.list_repo_tree(REPO, recursive=True)}
    assert sorted(tree) == [".gitattributes", "README.md", "deep", "deep/signature.json", "model.onnx"]
    assert isinstance(tree["deep"], RepoFolder)
    assert tree["model.onnx"].lfs.size == tree["model.onnx"].size == 300_000
    assert "deep/signature.json" not in {entry.path for entry in api.list_repo_tree(REPO)}
    found = api.get_paths_info(REPO, ["model.onnx", "deep", "nothing"], expand=True)
    assert {entry.path for entry in found} == {"deep", "model.onnx"}
    api.delete_file("deep/signature.json", REPO)
    assert not api.file_exists(REPO, "deep/signature.json")


def test_who_may_not_gets_the_error_that_the_hub_has_for_it(hub, api):
    api.create_repo(REPO, private=True)
    stranger, reader = HfApi(endpoint=hub.url, token=False), HfApi(endpoint=hub.url, token=READER)
    with pytest.raises(RepositoryNotFoundError, match="401"):
        stranger.model_info(REPO)
    with pytest.raises(HfHubHTTPError, match="403"):
        reader.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=REPO)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        HfApi(endpoint=hub.url, token="hf_wrong").model_info(REPO)
    with pytest.raises(RepositoryNotFoundError, match="404"):
        api.model_info("someone/nothing")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="nothing")
    hub.repositories[f"models/{REPO}"].gated = True
    with pytest.raises(GatedRepoError):
        reader.model_info(REPO)


def test_what_the_stand_in_does_not_know_fails_the_test_that_asks():
    with pytest.raises(AssertionError, match="GET /api/spaces: unknown to the stand-in"), hub_server() as server:
        assert httpx2.get(f"{server.url}/api/spaces").status_code == 501
