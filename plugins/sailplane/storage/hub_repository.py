"""One revision of a repository of the Hugging Face Hub, through huggingface_hub: each method makes one or a few
requests.

They raise huggingface_hub's errors (hub_failures.py), and wait only a bounded time for a stalled server.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    HfUri,
    RepoFile,
    RepoFolder,
    constants,
    get_session,
    get_token,
    hf_hub_url,
    hf_raise_for_status,
    parse_hf_uri,
)
from huggingface_hub.errors import HfUriError, RepositoryNotFoundError
from huggingface_hub.utils import disable_progress_bars, paginate  # type: ignore[attr-defined]  # both are documented

from sailplane.errors import ConfigurationError
from sailplane.storage.access import CredentialProvider
from sailplane.storage.hub_failures import status
from sailplane.storage.keys import checked

# Limits stalls, not whole transfers, which may be of any size.
TIMEOUT: Final = httpx2.Timeout(120, connect=10)
# Without this text the Hub applies the repository's .gitignore and omits files.
KEEP_ALL: Final = "# everything is kept\n"


class HubRepository:
    """Paths are relative to the repository. `ask` gives the token and the endpoint; without it huggingface_hub finds
    them."""

    def __init__(self, location: HfUri, ask: CredentialProvider | None) -> None:
        self.revision = location.revision or "main"
        self._names: dict[str, Any] = {"repo_id": location.id, "repo_type": location.type}
        self._id, self._kind = location.id, location.type
        self._ask = ask

    def token(self) -> str | None:
        return token_of(self._api())

    def head(self) -> str:
        """The last commit."""
        return str(self._api().repo_info(**self._names, revision=self.revision, timeout=TIMEOUT.read).sha)

    def find(self, path: str, revision: str, *, dated: bool = False) -> RepoFile | None:
        """None if the file or the repository is missing."""
        how: dict[str, Any] = {**self._names, "revision": revision, "expand": dated}
        try:
            found = self._api().get_paths_info(paths=[path], **how)
        except RepositoryNotFoundError as error:
            if status(error) != httpx2.codes.NOT_FOUND:
                raise
            return None
        return next((item for item in found if isinstance(item, RepoFile)), None)

    def tree(self, folder: str, commit: str, *, recursive: bool = True) -> Iterator[RepoFile | RepoFolder]:
        """Everything under a folder ("" for the repository), or only its direct content, with dates, page by page."""
        url = f"{self._api().endpoint}/api/{self._kind}s/{self._id}/tree/{commit}"
        url += f"/{quote(folder, safe='')}" if folder else ""
        params = {"recursive": recursive, "expand": True}
        for found in paginate(url, params=params, headers=self._headers(), timeout=TIMEOUT.read):
            yield RepoFile(**found) if found["type"] == "file" else RepoFolder(**found)  # type: ignore[no-untyped-call]

    def url(self, path: str, revision: str) -> str:
        return hf_hub_url(filename=path, **self._names, revision=revision, endpoint=self._api().endpoint)

    @contextmanager
    def opened(self, path: str, revision: str, start: int) -> Iterator[tuple[httpx2.Response, str]]:
        """The content from byte `start` on, and its commit."""
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with get_session().stream("GET", self.url(path, revision), headers=headers, timeout=TIMEOUT) as answer:
            hf_raise_for_status(answer)
            if start and answer.status_code != httpx2.codes.PARTIAL_CONTENT:
                raise ValueError(f"status {answer.status_code} for a range")
            # A large file comes from another server, after a redirect.
            commits = [step.headers.get("X-Repo-Commit", "") for step in (*answer.history, answer)]
            if not any(commits):
                raise ValueError("no X-Repo-Commit")
            yield answer, next(filter(None, commits))

    def upload(self, path: str, content: bytes | Path) -> CommitOperationAdd:
        """Uploads a large file, which stays invisible until the commit. Creates a missing repository, private."""
        addition = CommitOperationAdd(path, content)
        try:
            self._preupload(addition)
        except RepositoryNotFoundError as error:
            if status(error) != httpx2.codes.NOT_FOUND:
                raise
            self._api().create_repo(**self._names, private=True, exist_ok=True)
            self._preupload(addition)
        return addition

    def commit(self, operation: CommitOperationAdd | CommitOperationDelete, parent: str | None = None) -> None:
        """Refused with status 412 if `parent` is not the last commit."""
        verb = "Put" if isinstance(operation, CommitOperationAdd) else "Delete"
        how: dict[str, Any] = {**self._names, "revision": self.revision, "parent_commit": parent}
        self._api().create_commit(operations=[operation], commit_message=f"{verb} {operation.path_in_repo}", **how)

    def _preupload(self, addition: CommitOperationAdd) -> None:
        how: dict[str, Any] = {**self._names, "revision": self.revision, "free_memory": False}
        self._api().preupload_lfs_files(additions=[addition], gitignore_content=KEEP_ALL, **how)

    def _headers(self) -> dict[str, str]:
        token = self.token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _api(self) -> HfApi:
        return client(self._ask)


def client(ask: CredentialProvider | None) -> HfApi:
    """huggingface_hub's client, with the token and the endpoint from `ask`, or those that it finds itself."""
    session = get_session()
    # Without this it would wait forever. A user's own client keeps its settings.
    if session.timeout == httpx2.Timeout(None):
        session.timeout = TIMEOUT
    # Progress bars belong in a terminal.
    if not sys.stderr.isatty() and constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
        disable_progress_bars()
    if ask is None:
        return HfApi()
    access = ask()
    return HfApi(endpoint=access.endpoint and access.endpoint.rstrip("/"), token=access.secret or False)


def token_of(api: HfApi) -> str | None:
    return api.token if isinstance(api.token, str) else get_token() if api.token is None else None


def parsed(uri: str) -> HfUri:
    """`hf://models|datasets|buckets/owner/name[@revision][/folder]`; write a / in the revision as %2F. Raises
    ConfigurationError."""
    expected = "hf://models/owner/name[@revision][/folder], or datasets or buckets"
    if not uri.startswith(("hf://models/", "hf://datasets/", "hf://buckets/")):
        raise ConfigurationError("open storage", uri, got="an unsupported kind", expected=expected)
    try:
        location = parse_hf_uri(uri)
    except HfUriError as error:
        raise ConfigurationError("open storage", uri, got=str(error.msg), expected=expected) from error
    if location.path_in_repo:
        checked(location.path_in_repo)
    return location
