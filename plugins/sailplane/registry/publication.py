"""A registered version in a model repository of the Hugging Face Hub: one commit and one tag, which is the version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationAdd, HfApi, RepoFile

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.manifest import FILES, MANIFEST
from sailplane.errors import ConfigurationError, ConflictError, ModelError, StorageError
from sailplane.files import temporary_folder
from sailplane.records import Model, Record
from sailplane.registry.card import CARD, card
from sailplane.registry.models import fetch
from sailplane.storage import CredentialProvider, Storage
from sailplane.storage.hub_failures import ERRORS, MOVED, RETRIED, explained, mendable, pause, status
from sailplane.storage.hub_repository import KEEP_ALL, client, parsed, token_of
from sailplane.storage.retries import Attempts, RetryPolicy

PATIENCE: Final = RetryPolicy()


@dataclass(frozen=True, kw_only=True)
class Publication(Record):
    """`commit` is the one that the tag names."""

    model: str
    version: str
    repo: str
    tag: str
    commit: str
    url: str


def publish(
    storage: Storage,
    model: Model,
    repo: str,
    *,
    private: bool,
    ask: CredentialProvider | None = None,
    patience: RetryPolicy = PATIENCE,
) -> Publication:
    """Bundle and card in one commit on `main`, on top of what is there, and the tag of the version on that commit. The
    repository is created if it is not there. What is published already is done.

    Raises ModelError where the tag holds another bundle; ConfigurationError for a name that no repository has;
    AccessError where the token may not; StorageError where the Hub stays away, which a retry may mend.
    """
    parsed(f"hf://models/{repo}")
    if repo.count("/") != 1:
        raise ConfigurationError("publish to", repo, expected="owner/name")
    with temporary_folder() as scratch:
        bundle = fetch(storage, model, Path(scratch) / "bundle")
        # A version that was registered before there were cards has none.
        if not (bundle.folder / CARD).exists():
            (bundle.folder / CARD).write_text(str(card(model, bundle)))
        commit = _Hub(repo, model, bundle, private, client(ask), patience).publish()
    url = f"{client(ask).endpoint}/{repo}/tree/{model.version}"
    return Publication(model=model.name, version=model.version, repo=repo, tag=model.version, commit=commit, url=url)


class _Hub:
    def __init__(
        self, repo: str, model: Model, bundle: Bundle, private: bool, api: HfApi, patience: RetryPolicy
    ) -> None:
        self._repo, self._model, self._bundle, self._private, self._api = repo, model, bundle, private, api
        self._patience = patience

    def publish(self) -> str:
        attempts, what = Attempts(self._patience), f"{self._model.name} to {self._repo}"
        while True:
            try:
                self._api.create_repo(self._repo, private=self._private, exist_ok=True)
                if commit := self._tagged() or self._tag(self._commit()):
                    return commit
                said: StorageError = ConflictError("publish", what, got="another commit came in between")
                least, overtaken = 0.0, True
            except ERRORS as error:
                said, least, overtaken = self._explained(what, error), pause(error), status(error) in MOVED
            # All is read again: another commit, or the same version, came first.
            attempts.failed(said, least, overtaken=overtaken)

    def _explained(self, what: str, error: Exception) -> StorageError:
        """Raises it if another try cannot be better."""
        said = explained("publish", what, error, token_of(self._api))
        said.__cause__ = error
        if not isinstance(said, StorageError) or not mendable(error, RETRIED | MOVED):
            raise said
        return said

    def _tagged(self) -> str | None:
        """The commit of the version's tag, if there is one."""
        tags = {tag.name: tag.target_commit for tag in self._api.list_repo_refs(self._repo).tags}
        commit = tags.get(self._model.version)
        if commit is not None and not self._holds_it(commit):
            raise ModelError(
                "publish",
                f"{self._model.name} {self._model.version} to {self._repo}",
                got="its tag is there and holds another bundle",
                remedy="Delete that tag on the Hub, or publish to another repository.",
            )
        return commit

    def _commit(self) -> str:
        """Refused with status 412 where another commit came in between."""
        parent = self._api.repo_info(self._repo, revision="main").sha
        additions = [CommitOperationAdd(name, self._bundle.folder / name) for name in (*FILES, MANIFEST, CARD)]
        self._api.preupload_lfs_files(self._repo, additions, revision="main", gitignore_content=KEEP_ALL)
        message = f"{self._model.name} {self._model.version}"
        made = self._api.create_commit(
            self._repo, additions, commit_message=message, revision="main", parent_commit=parent
        )
        return str(made.oid)

    def _tag(self, commit: str) -> str | None:
        """None where the commit is somebody else's: there was nothing to change, and by now there is."""
        if not self._holds_it(commit):
            return None
        self._api.create_tag(self._repo, tag=self._model.version, revision=commit)
        return commit

    def _holds_it(self, commit: str) -> bool:
        """Whether the bundle's files are those of that commit. The manifest has the time of writing in it."""
        found = self._api.get_paths_info(self._repo, paths=list(FILES), revision=commit)
        there = {file.path: file for file in found if isinstance(file, RepoFile)}
        return all(name in there and _is(there[name], (self._bundle.folder / name).read_bytes()) for name in FILES)


def _is(file: RepoFile, content: bytes) -> bool:
    if file.lfs:
        return bool(file.lfs.sha256 == hashlib.sha256(content).hexdigest())
    blob = b"blob %d\0" % len(content) + content
    return bool(file.blob_id == hashlib.sha1(blob, usedforsecurity=False).hexdigest())
