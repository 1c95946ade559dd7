"""An algorithm's record with its versions and builds: values in, values out. A version is a compiled source; it is
published once it has a semantic version."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any, Final
from uuid import uuid4

from sailplane.algorithmia.twin.documents import Document
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.errors import ConflictError, RequestError

# The code of Algorithmia's own template for a new Python algorithm.
TEMPLATE: Final = 'def apply(input):\n    return "hello {}".format(input)\n'
_STEPS: Final = {"major": 0, "minor": 1, "revision": 2}
_DETAILS: Final = ("summary", "label", "tagline")


def new(owner: str, name: str, details: Document, settings: Document, source: str) -> Document:
    """`source` is the digest of the source for its next version."""
    return {
        "id": str(uuid4()),
        "owner": owner,
        "name": name,
        "details": {"label": name, **{key: details[key] for key in _DETAILS if key in details}},
        "settings": {"algorithm_callability": "private", **settings},
        "created_at": now(),
        "source": source,
        "versions": [],
        "builds": [],
    }


def digest(source: str) -> str:
    """The hash that git gives a file's content; clients call it a version's hash."""
    content = source.encode()
    return sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def compiled(record: Document, source: str) -> Document:
    """The record with a build of the source, and with a version of it unless that failed or exists."""
    started, output = now(), ""
    try:
        compile(source, f"{record['name']}.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        output = f"{type(error).__name__}: {error}"
    git_hash = digest(source)
    build = {
        "build_id": str(uuid4()),
        "status": "failed" if output else "succeeded",
        "commit_sha": git_hash,
        "started_at": started,
        "finished_at": now(),
        "logs": output or f"{record['name']}.py: {len(source.encode())} bytes, compiled.",
        "resource_type": "algorithm_build",
    }
    versions = record["versions"]
    if not output and not any(version["git_hash"] == git_hash for version in versions):
        versions = [*versions, {"git_hash": git_hash, "version_uuid": str(uuid4()), "created_at": now()}]
    return {**record, "versions": versions, "builds": [*record["builds"], build]}


def published(record: Document, body: Document) -> Document:
    """The record with a semantic version for the source, one step after the last: major, minor (the default) or
    revision. Raises RequestError if the source's build failed; ConflictError if it has a semantic version."""
    info = body.get("version_info") or {}
    kind = info.get("version_type") or "minor"
    if kind not in _STEPS:
        raise RequestError("read version_type", got=repr(kind)[:100], expected=" or ".join(_STEPS))
    numbered = enumerate(record["versions"])
    position = next((index for index, version in numbered if version["git_hash"] == record["source"]), None)
    if position is None:
        raise RequestError("publish", _name(record), got=record["builds"][-1]["logs"], remedy="Fix its source.")
    version = record["versions"][position]
    if "semantic_version" in version:
        got = f"this source is version {version['semantic_version']}"
        raise ConflictError("publish", _name(record), got=got)
    extra = {key: info[key] for key in ("release_notes", "sample_input", "sample_output") if key in info}
    version = {**version, **extra, "semantic_version": _next(record, _STEPS[kind]), "published_at": now()}
    versions = [*record["versions"][:position], version, *record["versions"][position + 1 :]]
    details = {
        **record["details"],
        **{key: body["details"][key] for key in _DETAILS if key in body.get("details", {})},
    }
    return {
        **record,
        "versions": versions,
        "details": details,
        "settings": {**record["settings"], **body.get("settings", {})},
    }


def chosen(record: Document, wanted: str | None, *, owned: bool) -> Document:
    """The version for a call: by hash, by semantic version or its start (`1`, `1.2`); otherwise the newest published
    one, or, for the owner, the newest if none is published. Raises Refusal 404."""
    known = [version for version in record["versions"] if owned or "semantic_version" in version]
    if wanted is None:
        known = [version for version in known if "semantic_version" in version] or known
    else:
        known = [version for version in known if _means(wanted, version)]
    if not known:
        which = f"version {wanted}" if wanted else "published version"
        raise Refusal(404, f"No such algorithm: {_name(record)} has no {which}.", error_type="NotFoundError")
    return max(known, key=_order)


def shown(record: Document, version: Document | None) -> Document:
    """The view for clients; without a version, of an algorithm that was only created."""
    about: Document = {
        "id": record["id"],
        "name": record["name"],
        "details": record["details"],
        "settings": record["settings"],
        "source": {"scm": SCM},
        "resource_type": "algorithm",
    }
    if version is None:
        return about
    info = {key: value for key, value in version.items() if not key.endswith("_at")}
    link = f"/v1/algorithms/{_name(record)}/versions/{version['git_hash']}"
    builds = [build for build in record["builds"] if build["commit_sha"] == version["git_hash"]]
    build = {key: value for key, value in builds[-1].items() if key != "logs"}
    return {**about, "version_info": info, "build": build, "compilation": compilation(builds[-1]), "self_link": link}


def compilation(build: Document) -> Document:
    return {"successful": build["status"] == "succeeded", "output": build["logs"]}


def newest_first(record: Document) -> list[Document]:
    return sorted(record["versions"], key=_order, reverse=True)


# The location of sources: the store.
SCM: Final = {"id": "internal", "provider": "internal", "name": "", "default": True, "enabled": True}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _means(wanted: str, version: Document) -> bool:
    semantic = version.get("semantic_version", "")
    return wanted == version["git_hash"] or bool(re.match(rf"{re.escape(wanted)}(\.|$)", semantic))


def _order(version: Document) -> tuple[Any, ...]:
    semantic = version.get("semantic_version")
    # An unpublished version is newer than a published one if it was compiled after the publication.
    return (version.get("published_at") or version["created_at"], _numbers(semantic) if semantic else ())


def _next(record: Document, step: int) -> str:
    last = max(
        (_numbers(version["semantic_version"]) for version in record["versions"] if "semantic_version" in version),
        default=(0, 0, 0),
    )
    return ".".join(str(n + 1 if index == step else n if index < step else 0) for index, n in enumerate(last))


def _numbers(semantic: str) -> tuple[int, ...]:
    return tuple(map(int, semantic.split(".")))


def _name(record: Document) -> str:
    return f"{record['owner']}/{record['name']}"
