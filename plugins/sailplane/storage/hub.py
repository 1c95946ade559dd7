"""The Hugging Face Hub as a store: repositories, in which a put is one commit, and Storage Buckets, which use S3's API.

A commit is atomic. The Hub limits commits, for a free account to a few hundred per hour: use a bucket for objects that
are many, small or often written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from huggingface_hub import CommitOperationDelete, RepoFile, RepoFolder

from sailplane.errors import AccessError, ConfigurationError, ConflictError, StorageError
from sailplane.files import room_for
from sailplane.storage.access import Access, CredentialProvider
from sailplane.storage.backend import Backend, Content, Folder, ObjectInfo
from sailplane.storage.hub_failures import ERRORS, MOVED, RETRIED, explained, is_transient, pause, status
from sailplane.storage.hub_repository import HubRepository, parsed
from sailplane.storage.retries import Attempts, RetryPolicy
from sailplane.storage.roots import Root

T = TypeVar("T")
# Whether the existing file, or None, may be replaced.
Allowed = Callable[[RepoFile | None], bool]
PATIENCE: Final = RetryPolicy()
PIECE_BYTES: Final = 2**20
# The Hub creates this file in each repository and needs it, so it is not an object of the store.
HUBS_OWN: Final = ".gitattributes"
FORBIDDEN: Final = frozenset({".git", ".cache"})
GATEWAY: Final = "https://s3.hf.co"


def open_backend(root: Root, access: CredentialProvider | None = None) -> Backend:
    """The backend of an `hf://` root. Raises ConfigurationError."""
    return bucket_backend(root, access) if root.host == "buckets" else HubBackend(root.uri, access)


def bucket_backend(
    root: Root, access: CredentialProvider | None = None, env: Mapping[str, str] = os.environ
) -> Backend:
    """`hf://buckets/owner/name[/prefix]` through the Hub's S3 gateway.

    Create the key pair from a token with "Generate S3 credentials" in its menu. It is `key` and `secret` of the access,
    else HF_S3_ACCESS_KEY_ID and HF_S3_SECRET_ACCESS_KEY. An endpoint in the access replaces the gateway and the owner.
    Raises AccessError without a key pair. Source: https://huggingface.co/docs/hub/storage-buckets-s3
    """
    from sailplane.storage.s3 import S3Backend

    location = parsed(root.uri)
    owner, _, name = location.id.partition("/")

    def ask() -> Access:
        found = Access(key=env.get("HF_S3_ACCESS_KEY_ID"), secret=env.get("HF_S3_SECRET_ACCESS_KEY"))
        given = access() if access else found
        if not given.key or not given.secret:
            remedy = "Generate S3 credentials from a token; set HF_S3_ACCESS_KEY_ID and HF_S3_SECRET_ACCESS_KEY."
            raise AccessError("open storage", root.uri, got="no credentials", expected="a key pair", remedy=remedy)
        return replace(given, endpoint=given.endpoint or f"{GATEWAY}/{owner}", region=given.region or "us-east-1")

    return S3Backend(name, location.path_in_repo, ask)


class HubBackend:
    """Objects under a folder of one revision of a repository. The first put creates a private repository.

    `ask` gives the token (`secret`) and the endpoint; without it huggingface_hub finds them (`hf auth login`, HF_TOKEN,
    HF_ENDPOINT). The etag is the file's git id, or the SHA-256 of a large file.
    """

    def __init__(self, uri: str, ask: CredentialProvider | None = None, patience: RetryPolicy = PATIENCE) -> None:
        location = parsed(uri)
        self._where = uri
        self._folder = f"{location.path_in_repo}/" if location.path_in_repo else ""
        self._repository = HubRepository(location, ask)
        self._patience = patience
        # The Hub refuses concurrent commits, so those of one process are serialised.
        self._turn = Lock()

    def get(self, path: str) -> bytes:
        return b"".join(self.stream(path))

    def stream(self, path: str) -> Iterator[bytes]:
        attempts, done, version = Attempts(self._patience), 0, self._repository.revision
        while True:
            try:
                with self._repository.opened(self._folder + path, version, done) as (answer, version):
                    for piece in answer.iter_raw(PIECE_BYTES):
                        done += len(piece)
                        attempts.progressed()
                        yield piece
                return
            except ERRORS as error:
                if done and status(error) in (404, 416):
                    raise ConflictError("get", self._called(path), got="that version is gone") from error
                self._wait("get", path, error, RETRIED, attempts)

    def content(self, path: str) -> Content:
        return self.stream(path)

    def put(self, path: str, content: Content) -> str:
        return self._put("put", path, content, None) or ""

    def put_new(self, path: str, content: Content) -> bool:
        return self._put("put", path, content, lambda found: found is None) is not None

    def replace(self, path: str, content: Content, etag: str) -> str:
        new = self._put("replace", path, content, lambda found: found is not None and _etag(found) == etag)
        if new is None:
            got = "it has changed meanwhile"
            raise ConflictError("replace", self._called(path), got=got, remedy="Read it again.")
        return new

    def head(self, path: str) -> ObjectInfo:
        revision = self._repository.revision
        found = self._again("look at", path, lambda: self._repository.find(self._folder + path, revision, dated=True))
        if found is None:
            raise FileNotFoundError(self._called(path))
        return self._entry(found)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = self._tree(prefix, recursive=True)
        yield from (self._entry(item) for item in found if isinstance(item, RepoFile))

    def folder(self, path: str) -> Folder:
        found = list(self._tree(path, recursive=False))
        files = (item for item in found if isinstance(item, RepoFile))
        names = (item.path.rpartition("/")[2] for item in found if isinstance(item, RepoFolder))
        return Folder([self._entry(file) for file in files], sorted(names))

    def delete(self, path: str) -> None:
        deletion = CommitOperationDelete(self._writable("delete", path), is_folder=False)

        def attempt() -> None:
            with self._turn:
                self._repository.commit(deletion)

        with suppress(FileNotFoundError):
            self._again("delete", path, attempt, RETRIED | MOVED)

    def sign(self, path: str, seconds: int) -> str:  # noqa: ARG002
        got = "the Hub signs no URLs"
        remedy = f"If the repository is public: {self._repository.url(self._folder + path, self._repository.revision)}"
        raise StorageError("sign a URL of", self._called(path), got=got, remedy=remedy)

    def _tree(self, folder: str, *, recursive: bool) -> Iterator[RepoFile | RepoFolder]:
        try:
            # Use one commit for all pages.
            commit = self._again("list", folder, self._repository.head)
            with self._translated("list", folder):
                found = self._repository.tree((self._folder + folder).rstrip("/"), commit, recursive=recursive)
                yield from (item for item in found if item.path != HUBS_OWN)
        except FileNotFoundError:
            return

    def _put(self, verb: str, path: str, content: Content, allowed: Allowed | None) -> str | None:
        """The new etag; None, without a commit, if `allowed` refuses."""
        full = self._writable(verb, path)
        revision = self._repository.revision
        with _readable(content) as given:
            if allowed and not allowed(self._again(verb, path, lambda: self._repository.find(full, revision))):
                return None
            return self._again(verb, path, lambda: self._attempt(full, given, allowed), RETRIED | MOVED)

    def _attempt(self, full: str, content: bytes | Path, allowed: Allowed | None) -> str | None:
        """Commits only on top of the commit that was checked; the Hub refuses otherwise."""
        addition = self._repository.upload(full, content)
        with self._turn:
            parent = self._repository.head() if allowed else None
            if allowed and parent:
                found = self._repository.find(full, parent)
                if not allowed(found):
                    return None
                if found and _etag(found) == addition._local_oid:
                    return _etag(found)
            self._repository.commit(addition, parent)
        # huggingface_hub sends no file that existed at the upload: another process put it and deleted it.
        if allowed and not addition._is_committed:
            return self._attempt(full, content, allowed)
        return addition._local_oid

    def _writable(self, verb: str, path: str) -> str:
        full = self._folder + path
        if FORBIDDEN.intersection(full.split("/")):
            expected = "a path that the Hub accepts"
            raise ConfigurationError(verb, self._called(path), got="a part .git or .cache", expected=expected)
        return full

    def _again(self, verb: str, path: str, call: Callable[[], T], statuses: frozenset[int] = RETRIED) -> T:
        attempts = Attempts(self._patience)
        while True:
            try:
                return call()
            except ERRORS as error:
                self._wait(verb, path, error, statuses, attempts)

    def _wait(self, verb: str, path: str, error: Exception, statuses: frozenset[int], attempts: Attempts) -> None:
        """Waits for the next attempt; raises the error if there is none."""
        failure = explained(verb, self._called(path), error, self._repository.token())
        failure.__cause__ = error
        if isinstance(failure, FileNotFoundError) or not is_transient(error, statuses):
            raise failure
        attempts.failed(failure, pause(error), overtaken=status(error) in MOVED)

    @contextmanager
    def _translated(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except ERRORS as error:
            raise explained(verb, self._called(path), error, self._repository.token()) from error

    def _entry(self, found: RepoFile) -> ObjectInfo:
        if found.last_commit is None:
            raise StorageError("look at", found.path, got="no date", expected="the date of its last commit")
        path = found.path.removeprefix(self._folder)
        return ObjectInfo(path=path, size=found.size, modified=found.last_commit.date, etag=_etag(found))

    def _called(self, path: str) -> str:
        return f"{self._where}/{path}" if path else self._where


def _etag(found: RepoFile) -> str:
    return found.lfs.sha256 if found.lfs else found.blob_id


@contextmanager
def _readable(content: Content) -> Iterator[bytes | Path]:
    """Reads an iterator to its end first, so that its errors are raised before anything is sent. Raises StorageError if
    the disk has no room."""
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, Path):
        content.open("rb").close()
        # huggingface_hub would expand a ~.
        yield content.absolute()
    else:
        # A named file, because huggingface_hub uploads only those through Xet.
        with room_for(Path(tempfile.gettempdir())), tempfile.NamedTemporaryFile(prefix="sailplane-put-") as file:
            file.writelines(content)
            file.flush()
            yield Path(file.name)
