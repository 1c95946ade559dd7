"""Publishes a registered version to a model repository of the Hugging Face Hub: one commit, tagged with the version."""

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
from sailplane.storage.hub_failures import ERRORS, MOVED, RETRIED, explained, is_transient, pause, status
from sailplane.storage.hub_repository import KEEP_ALL, client, parsed, token_of
from sailplane.storage.retries import Attempts, RetryPolicy

PATIENCE: Final = RetryPolicy()


@dataclass(frozen=True, kw_only=True)
class Publication(Record):
    """`commit` is the tagged commit."""

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
    """Commits the bundle and the card to `main`, keeping other files, and tags the commit with the version. Creates a
    missing repository. Does nothing if the version is already published.

    Raises ModelError if the tag holds another bundle; ConfigurationError for an invalid repository name; AccessError if
    the token lacks permission; StorageError if the Hub is unreachable, in which case a retry may help.
    """
    parsed(f"hf://models/{repo}")
    if repo.count("/") != 1:
        raise ConfigurationError("publish to", repo, expected="owner/name")
    with temporary_folder() as scratch:
        bundle = fetch(storage, model, Path(scratch) / "bundle")
        # A version registered by a release without cards has none.
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
                failure: StorageError = ConflictError("publish", what, got="another commit came in between")
                least, overtaken = 0.0, True
            except ERRORS as error:
                failure, least, overtaken = self._explained(what, error), pause(error), status(error) in MOVED
            # Everything is read again, because another commit, or the same version, came first.
            attempts.failed(failure, least, overtaken=overtaken)

    def _explained(self, what: str, error: Exception) -> StorageError:
        """The error as a StorageError; raises it if another attempt cannot succeed."""
        failure = explained("publish", what, error, token_of(self._api))
        failure.__cause__ = error
        if not isinstance(failure, StorageError) or not is_transient(error, RETRIED | MOVED):
            raise failure
        return failure

    def _tagged(self) -> str | None:
        """The commit of the version's tag, if there is one."""
        tags = {tag.name: tag.target_commit for tag in self._api.list_repo_refs(self._repo).tags}
        commit = tags.get(self._model.version)
        if commit is not None and not self._holds_it(commit):
            raise ModelError(
                "publish",
                f"{self._model.name} {self._model.version} to {self._repo}",
                got="its tag exists and holds another bundle",
                remedy="Delete that tag on the Hub, or publish to another repository.",
            )
        return commit

    def _commit(self) -> str:
        """The new commit. The Hub refuses with status 412 if another commit came in between."""
        parent = self._api.repo_info(self._repo, revision="main").sha
        additions = [CommitOperationAdd(name, self._bundle.folder / name) for name in (*FILES, MANIFEST, CARD)]
        self._api.preupload_lfs_files(self._repo, additions, revision="main", gitignore_content=KEEP_ALL)
        message = f"{self._model.name} {self._model.version}"
        made = self._api.create_commit(
            self._repo, additions, commit_message=message, revision="main", parent_commit=parent
        )
        return str(made.oid)

    def _tag(self, commit: str) -> str | None:
        """Tags the commit. None if it is another writer's: ours was empty, but the files have changed since."""
        if not self._holds_it(commit):
            return None
        self._api.create_tag(self._repo, tag=self._model.version, revision=commit)
        return commit

    def _holds_it(self, commit: str) -> bool:
        """Whether the commit has the bundle's files. The manifest is not compared, because it contains the time of
        writing."""
        found = self._api.get_paths_info(self._repo, paths=list(FILES), revision=commit)
        there = {file.path: file for file in found if isinstance(file, RepoFile)}
        return all(name in there and _is(there[name], (self._bundle.folder / name).read_bytes()) for name in FILES)


def _is(file: RepoFile, content: bytes) -> bool:
    if file.lfs:
        return bool(file.lfs.sha256 == hashlib.sha256(content).hexdigest())
    blob = b"blob %d\0" % len(content) + content
    return bool(file.blob_id == hashlib.sha1(blob, usedforsecurity=False).hexdigest())
