"""The answers of the Hugging Face Hub's replacement, without HTTP (hub_server.py)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import yaml

from tests.hub_messages import Answer, Refused, Request, part, told
from tests.hub_repositories import Repository

TOKEN = "hf_owner0123456789abcdefghijklmnopqrst"
READER = "hf_reader0123456789abcdefghijklmnopqrs"
USERS = {TOKEN: "someone", READER: "reader"}


class HubApi:
    """`large_url` has another origin than `url`, as the Hub's object store has: the token must not be sent there.
    `page` is the most entries of one page of a listing."""

    def __init__(self) -> None:
        self.url = self.large_url = ""
        self.page = 1000
        self.repositories: dict[str, Repository] = {}
        self.signature = secrets.token_hex(8)
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Answers a request. Raises Refused, with status 501 for an operation that the replacement does not know."""
        for method, pattern, name in ROUTES:
            found = re.fullmatch(pattern, request.path)
            if found and request.method.replace("HEAD", "GET") == method:
                handle: Callable[..., Answer] = getattr(self, name)
                return handle(request, **{key: unquote(value) for key, value in found.groupdict("").items()})
        raise Refused(501, "unknown to the stand-in")

    def whoami(self, request: Request) -> Answer:
        if not (user := _user(request)):
            raise Refused(401, "Invalid username or password.")
        return told({"type": "user", "name": user, "orgs": [], "auth": {"type": "access_token"}})

    def create(self, request: Request) -> Answer:
        asked, user = json.loads(request.body), _user(request)
        kind, name = f"{asked.get('type', 'model')}s", f"{asked['organization'] or user}/{asked['name']}"
        if name.partition("/")[0] != user:
            raise Refused(403 if user else 401, "You don't have the rights to create a repository here")
        place = {"url": f"{self.url}/{'' if kind == 'models' else f'{kind}/'}{name}"}
        with self._lock:
            if f"{kind}/{name}" in self.repositories:
                return told({**place, "error": "You already created this repo"}, status=409)
            made = Repository(kind, name, user, private=asked.get("visibility") == "private")
            self.repositories[f"{kind}/{name}"] = made
        return told(place)

    def validate(self, request: Request) -> Answer:
        card = re.match(r"---\n(.*?)\n---", json.loads(request.body)["content"], re.DOTALL)
        try:
            known = yaml.safe_load(card.group(1)) if card else None
        except yaml.YAMLError as error:
            return told({"errors": [{"message": str(error)}], "warnings": []}, status=400)
        warning = {"message": "empty or missing yaml metadata in repo card"}
        return told({"errors": [], "warnings": [] if known else [warning]})

    def preupload(self, request: Request, kind: str, repo: str, rev: str) -> Answer:
        repository = self._repository(request, kind, repo, write=True)
        return told({"files": repository.upload_modes(rev, json.loads(request.body))})

    def batch(self, request: Request, kind: str, repo: str) -> Answer:
        repository = self._repository(request, kind, repo, write=True)

        def action(oid: str, size: int) -> dict[str, Any]:
            upload = {"actions": {"upload": {"href": self._signed_url(repository, oid)}}}
            return {"oid": oid, "size": size, **({} if oid in repository.stored else upload)}

        return told({"transfer": "basic", "objects": [action(**one) for one in json.loads(request.body)["objects"]]})

    def store_large(self, request: Request, kind: str, repo: str, oid: str) -> Answer:
        repository = self._signed(request, kind, repo)
        if hashlib.sha256(request.body).hexdigest() != oid:
            raise Refused(400, "the content has another SHA-256")
        repository.stored[oid] = request.body
        return Answer()

    def large(self, request: Request, kind: str, repo: str, oid: str) -> Answer:
        return part(request, self._signed(request, kind, repo).stored[oid], {"ETag": f'"{oid}"'})

    def commit(self, request: Request, kind: str, repo: str, rev: str) -> Answer:
        repository = self._repository(request, kind, repo, write=True)
        with repository.lock:
            made = repository.commit(rev, request.body)
        return told({"commitUrl": f"{self.url}/{repo}/commit/{made.id}", "commitOid": made.id})

    def info(self, request: Request, kind: str, repo: str, rev: str) -> Answer:
        repository = self._repository(request, kind, repo)
        commit = repository.at(rev or "main")
        known = {"id": repo, "sha": commit.id, "private": repository.private, "lastModified": commit.date, "tags": []}
        return told({**known, "siblings": [{"rfilename": path} for path in commit.files]})

    def tree(self, request: Request, kind: str, repo: str, rev: str, path: str) -> Answer:
        commit, start = self._repository(request, kind, repo).at(rev), f"{path}/" if path else ""
        if not any(name.startswith(start) for name in commit.files):
            raise Refused(404, f"{path} does not exist on {rev}", "EntryNotFound")
        expand, recursive = (request.query.get(name) == "true" for name in ("expand", "recursive"))
        under = [entry for entry in commit.entries(expand) if entry["path"].startswith(start)]
        found = [entry for entry in under if recursive or "/" not in entry["path"][len(start) :]]
        begin = int(base64.b64decode(request.query.get("cursor", "MA==")))
        end = begin + min(self.page, 50 if expand else 1000)
        if end >= len(found):
            return told(found[begin:])
        cursor = urlencode({**request.query, "cursor": base64.b64encode(b"%d" % end).decode()})
        return told(found[begin:end], {"Link": f'<{self.url}{request.path}?{cursor}>; rel="next"'})

    def paths_info(self, request: Request, kind: str, repo: str, rev: str) -> Answer:
        asked = parse_qs(request.body.decode())
        commit = self._repository(request, kind, repo).at(rev)
        found = {entry["path"]: entry for entry in commit.entries(asked["expand"] == ["true"])}
        return told([found[path] for path in asked["paths"] if path in found])

    def refs(self, request: Request, kind: str, repo: str) -> Answer:
        repository = self._repository(request, kind, repo)

        def listed(place: str, names: Mapping[str, str]) -> list[dict[str, str]]:
            return [{"name": name, "ref": f"refs/{place}/{name}", "targetCommit": at} for name, at in names.items()]

        tags, branches = listed("tags", repository.tags), listed("heads", repository.branches)
        return told({"branches": branches, "tags": tags, "converts": []})

    def commits(self, request: Request, kind: str, repo: str, rev: str) -> Answer:
        repository = self._repository(request, kind, repo)
        more = {"message": "", "authors": [{"user": repository.owner}]}
        history = repository.history(rev)
        return told([{"id": one.id, "title": one.title, "date": one.date, **more} for one in history])

    def tag(self, request: Request, kind: str, repo: str, rev: str) -> Answer:
        repository = self._repository(request, kind, repo, write=True)
        return _named(repository, repository.tags, json.loads(request.body)["tag"], rev)

    def branch(self, request: Request, kind: str, repo: str, rev: str) -> Answer:
        repository = self._repository(request, kind, repo, write=True)
        return _named(repository, repository.branches, rev, json.loads(request.body).get("startingPoint", "main"))

    def resolve(self, request: Request, kind: str, repo: str, rev: str, path: str) -> Answer:
        repository = self._repository(request, kind, repo)
        file, commit = repository.file(rev, path), {"X-Repo-Commit": repository.at(rev).id}
        if not file.large:
            return part(request, file.content, {**commit, "ETag": f'"{file.oid}"'})
        size = {"X-Linked-Size": str(len(file.content)), "X-Linked-ETag": f'"{file.sha256}"'}
        return Answer(b"", {**commit, **size, "Location": self._signed_url(repository, file.sha256)}, 302)

    def _repository(self, request: Request, kind: str, repo: str, *, write: bool = False) -> Repository:
        user, found = _user(request), self.repositories.get(f"{kind or 'models'}/{repo}")
        if not found or (found.private and not user):
            raise Refused(404 if user else 401, "Repository not found", "RepoNotFound")
        if found.gated and user != found.owner:
            raise Refused(403, f"Access to {repo} is restricted and you are not in the authorized list.", "GatedRepo")
        if write and user != found.owner:
            raise Refused(403, "You don't have the rights to write here")
        return found

    def _signed_url(self, repository: Repository, oid: str) -> str:
        return f"{self.large_url}/large/{repository.kind}/{repository.name}/{oid}?sig={self.signature}"

    def _signed(self, request: Request, kind: str, repo: str) -> Repository:
        if "Authorization" in request.headers:
            raise Refused(501, "the token was sent to another origin")
        if request.query.get("sig") != self.signature:
            raise Refused(403, "SignatureDoesNotMatch")
        return self.repositories[f"{kind}/{repo}"]


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>models|datasets)/{_REPO}"
_FILES = rf"/(?:(?P<kind>datasets)/)?{_REPO}"
_REV = r"(?P<rev>[^/]+)"
_LARGE = rf"/large/(?P<kind>[^/]+)/{_REPO}/(?P<oid>\w+)"
ROUTES = (
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("POST", rf"{_API}/preupload/{_REV}", "preupload"),
    ("POST", rf"{_FILES}\.git/info/lfs/objects/batch", "batch"),
    ("PUT", _LARGE, "store_large"),
    ("GET", _LARGE, "large"),
    ("POST", rf"{_API}/commit/{_REV}", "commit"),
    ("GET", rf"{_API}(?:/revision/{_REV})?", "info"),
    ("GET", rf"{_API}/tree/{_REV}(?:/(?P<path>.+))?", "tree"),
    ("POST", rf"{_API}/paths-info/{_REV}", "paths_info"),
    ("GET", rf"{_API}/refs", "refs"),
    ("GET", rf"{_API}/commits/{_REV}", "commits"),
    ("POST", rf"{_API}/tag/{_REV}", "tag"),
    ("POST", rf"{_API}/branch/{_REV}", "branch"),
    ("GET", rf"{_FILES}/resolve/{_REV}/(?P<path>.+)", "resolve"),
)


def _user(request: Request) -> str:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and token not in USERS:
        raise Refused(401, "Invalid credentials in Authorization header")
    return USERS.get(token, "")


def _named(repository: Repository, names: dict[str, str], name: str, revision: str) -> Answer:
    with repository.lock:
        if name in names:
            raise Refused(409, f"{name} exists already")
        names[name] = repository.at(revision).id
    return Answer()
