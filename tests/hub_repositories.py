"""The data of the Hugging Face Hub's replacement: repositories with commits, branches and tags, in memory."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from tests.hub_messages import Refused

# From the Hub's own .gitattributes, with the size from which it keeps any file outside git.
ATTRIBUTES = b"*.bin filter=lfs\n*.onnx filter=lfs\n*.parquet filter=lfs\n*.safetensors filter=lfs\n"
LARGE = (".bin", ".onnx", ".parquet", ".safetensors")
LARGE_BYTES = 10 * 2**20


@dataclass(frozen=True)
class File:
    """A file. If `large`, git has only a pointer to it. `commit` has id, title and date of the last commit that changed
    it."""

    content: bytes
    large: bool
    commit: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        size = len(self.content)
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {size}\n".encode()

    @cached_property
    def oid(self) -> str:
        blob = self.pointer if self.large else self.content
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob, usedforsecurity=False).hexdigest()

    @cached_property
    def etag(self) -> str:
        return self.sha256 if self.large else self.oid

    def told(self, path: str, expand: bool) -> dict[str, Any]:
        told = {"type": "file", "path": path, "size": len(self.content), "oid": self.oid}
        if self.large:
            told["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": len(self.pointer)}
        return {**told, "lastCommit": dict(self.commit)} if expand else told


@dataclass(frozen=True)
class Commit:
    id: str
    title: str
    date: str
    parent: str | None
    files: Mapping[str, File]

    def entries(self, expand: bool) -> Iterator[dict[str, Any]]:
        folders = sorted({path[:end] for path in self.files for end, sign in enumerate(path) if sign == "/"})
        for folder in folders:
            yield {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
        for path, file in sorted(self.files.items()):
            yield file.told(path, expand)


class Repository:
    """A repository. Hold `lock` to read and then change it. `stored` has the uploaded large contents."""

    def __init__(self, kind: str, name: str, owner: str, *, private: bool) -> None:
        self.kind, self.name, self.owner, self.private = kind, name, owner, private
        self.gated = False
        self.lock = threading.RLock()
        self.stored: dict[str, bytes] = {}
        self.commits: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self._add("main", "initial commit", {".gitattributes": File(ATTRIBUTES, large=False)})

    def at(self, revision: str) -> Commit:
        found = self.branches.get(revision) or self.tags.get(revision) or revision
        if found not in self.commits:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[found]

    def file(self, revision: str, path: str) -> File:
        commit = self.at(revision)
        if path not in commit.files:
            raise Refused(404, "Entry not found", "EntryNotFound")
        return commit.files[path]

    def history(self, revision: str) -> Iterator[Commit]:
        commit: Commit | None = self.at(revision)
        while commit:
            yield commit
            commit = self.commits[commit.parent] if commit.parent else None

    def upload_modes(self, revision: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        files = self.at(revision).files
        hosted = files[".gitignore"].content.decode() if ".gitignore" in files else ""
        ignored = [line for line in request.get("gitIgnore", hosted).splitlines() if line and line[0] != "#"]

        def mode(path: str, size: int) -> dict[str, Any]:
            large = path.endswith(LARGE) or size >= LARGE_BYTES
            ignore = any(fnmatch.fnmatch(part, rule) for rule in ignored for part in (path, path.rpartition("/")[2]))
            told = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": ignore}
            return {**told, "oid": files[path].etag} if path in files else told

        return [mode(file["path"], file["size"]) for file in request["files"]]

    def commit(self, revision: str, lines: bytes) -> Commit:
        """Commits all operations of the lines (JSON, one each), or none."""
        if revision not in self.branches:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        operations = [json.loads(line) for line in lines.splitlines()]
        header = next(one["value"] for one in operations if one["key"] == "header")
        expected = header.get("parentCommit")
        if expected and expected != self.branches[revision]:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(self.at(revision).files)
        for operation in operations:
            self._do(files, operation["key"], operation["value"])
        return self._add(revision, header["summary"], files)

    def _do(self, files: dict[str, File], key: str, value: Mapping[str, Any]) -> None:
        path = value.get("path", "")
        if key in ("file", "lfsFile"):
            _check(path, files)
        if key == "file":
            files[path] = File(base64.b64decode(value["content"], validate=True), large=False)
        elif key == "lfsFile":
            if value["oid"] not in self.stored:
                raise Refused(400, f"LFS pointer to an object that is not there: {value['oid']}")
            files[path] = File(self.stored[value["oid"]], large=True)
        elif key == "deletedFile":
            if path not in files:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
            del files[path]
        elif key != "header":
            raise Refused(501, f"operation {key}: unknown")

    def _add(self, branch: str, title: str, files: Mapping[str, File]) -> Commit:
        parent = self.branches.get(branch)
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        seed = f"{parent} {title} {date} {[(path, file.oid) for path, file in files.items()]}"
        told = {"id": hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest(), "title": title, "date": date}
        old = self.commits[parent].files if parent else {}
        dated = {
            path: old[path] if path in old and old[path].oid == file.oid else replace(file, commit=told)
            for path, file in files.items()
        }
        commit = Commit(parent=parent, files=dated, **told)
        self.commits[commit.id] = commit
        self.branches[branch] = commit.id
        return commit


def _check(path: str, files: Mapping[str, File]) -> None:
    parts = path.split("/")
    if {"", ".", "..", ".git"}.intersection(parts):
        raise Refused(400, f"Invalid path: {path}")
    if any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in files):
        raise Refused(400, f"A file or folder of this name exists: {path}")
