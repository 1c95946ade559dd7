"""The Data API over HTTP: paths, bodies and headers. files.py and directories.py do the work."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC
from email.utils import format_datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from sailplane.algorithmia.twin.directories import checked_acl
from sailplane.algorithmia.twin.files import Condition, bare, root_page
from sailplane.algorithmia.twin.paths import TwinPath, connected, decoded, parsed
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.algorithmia.twin.streams import body, given_out, taken_in
from sailplane.algorithmia.twin.twin import Twin
from sailplane.errors import RequestError
from sailplane.storage.backend import CHUNK_BYTES, ObjectInfo

MOST_BODY_BYTES: Final = 2**16
_BINARY: Final = "application/octet-stream"


class DataApiRoutes:
    """Each method handles one HTTP method for a path requested by `caller`."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._files, self._directories = twin.files, twin.directories

    async def __call__(self, request: Request, caller: str) -> Response:
        path = parsed(_path(request), caller)
        match request.method:
            case "GET" | "HEAD":
                return await self._get(request, path, caller)
            case "PUT":
                return await self._put(request, self._own(path, caller))
            case "POST":
                return await self._create(request, self._own(path, caller))
            case "PATCH":
                return await self._set_acl(request, self._own(path, caller))
        return await self._delete(request, self._own(path, caller))

    def _own(self, path: TwinPath | None, caller: str) -> TwinPath:
        if path is None:
            raise RequestError("change", "data://", got="the root", expected="data://.my/collection")
        self._files.check_owned(path, caller)
        return path

    async def _get(self, request: Request, path: TwinPath | None, caller: str) -> Response:
        if path is None:
            return _directory(root_page(caller))
        await self._twin.do(self._files.check_readable, path, caller)
        found = await self._twin.do(self._directories.find, path)
        if found is not None:
            return await self._list(request, path)
        if len(path.parts) < 2:
            raise FileNotFoundError(path.uri)
        return await self._file(request, path)

    async def _list(self, request: Request, path: TwinPath) -> Response:
        if request.method == "HEAD":
            return _directory({})
        page = await self._twin.do(self._files.page, path, request.query_params.get("marker", ""))
        if request.query_params.get("acl") == "true" and path.parts:
            page["acl"] = {"read": await self._twin.do(self._directories.readers, path)}
        return _directory(page)

    async def _file(self, request: Request, path: TwinPath) -> Response:
        entry = await self._twin.do(self._files.head, path)
        if request.method == "HEAD":
            return Response(headers={**_about(entry), "Content-Length": str(entry.size)})
        if entry.size <= CHUNK_BYTES and not _start(request, entry):
            content = await self._twin.do(self._files.get, path)
            return Response(content, headers=_about(entry), media_type=_BINARY)
        entry, pieces = await self._twin.do(self._files.opened, path)
        start = _start(request, entry)
        headers = {**_about(entry), "Content-Length": str(entry.size - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{entry.size - 1}/{entry.size}"
        return StreamingResponse(given_out(pieces, self._twin.threads, start), 206 if start else 200, headers, _BINARY)

    async def _put(self, request: Request, path: TwinPath) -> Response:
        condition = _condition(request)
        etag = await taken_in(request, self._twin.uploads, lambda pieces: self._files.put(path, pieces, condition))
        return JSONResponse({"result": path.uri}, headers={"ETag": f'"{bare(etag)}"'})

    async def _create(self, request: Request, path: TwinPath) -> Response:
        fields = await document(request)
        child = path.child(fields.get("name"))
        read = checked_acl(fields["acl"]) if fields.get("acl") is not None else None
        await self._twin.do(self._files.create_directory, child, read)
        return JSONResponse({"result": child.uri})

    async def _set_acl(self, request: Request, path: TwinPath) -> Response:
        read = checked_acl((await document(request)).get("acl"))
        if not path.parts:
            raise RequestError("set the ACL of", path.uri, got="a user", expected="a collection or a directory")
        await self._twin.do(self._directories.set_acl, path, read)
        return JSONResponse({"result": path.uri, "acl": {"read": read}})

    async def _delete(self, request: Request, path: TwinPath) -> Response:
        if not path.parts:
            raise RequestError("delete", path.uri, got="a user", expected="a collection, a directory or a file")
        force = request.query_params.get("force", "").lower() == "true"
        try:
            deleted = await self._twin.do(self._files.delete_directory, path, force=force)
        except FileNotFoundError:
            if len(path.parts) == 1:
                raise
            await self._twin.do(self._files.delete, path)
            deleted = 1
        return JSONResponse({"result": {"deleted": deleted}})


async def document(request: Request) -> dict[str, Any]:
    """A small JSON object. Raises RequestError for anything else."""
    content = await body(request, MOST_BODY_BYTES)
    try:
        found = await asyncio.to_thread(json.loads, content)
    except ValueError as error:
        raise RequestError("read request", got=f"invalid JSON: {error}") from error
    if not isinstance(found, dict):
        raise RequestError("read request", got=type(found).__name__, expected="an object")
    return found


def _path(request: Request) -> str:
    """The path after `/v1/data/` or `/v1/connector/data/`."""
    raw: bytes = request.scope["raw_path"].partition(b"?")[0]
    _, _, kind, rest = decoded(raw).split("/", 3)
    return connected(rest) if kind == "connector" else rest


def _directory(page: dict[str, Any]) -> Response:
    return JSONResponse(page, headers={"X-Data-Type": "directory"})


def _about(entry: ObjectInfo) -> dict[str, str]:
    modified = format_datetime(entry.modified.astimezone(UTC), usegmt=True)
    return {"X-Data-Type": "file", "ETag": f'"{bare(entry.etag)}"', "Last-Modified": modified, "Accept-Ranges": "bytes"}


def _condition(request: Request) -> Condition:
    """The condition of RFC 9110, 13.1: not part of Algorithmia's API, but needed by concurrent writers of a file."""
    new = request.headers.get("If-None-Match")
    if new not in (None, "*"):
        raise RequestError("read If-None-Match", got=repr(new), expected="*")
    return Condition(new=new is not None, etag=request.headers.get("If-Match"))


def _start(request: Request, entry: ObjectInfo) -> int:
    """The start of `Range: bytes=N-`; 0 for the whole file, also for ranges that are not understood."""
    unit, _, rest = request.headers.get("Range", "").partition("=")
    version = request.headers.get("If-Range")
    if unit != "bytes" or not rest.endswith("-") or not rest[:-1].isdecimal():
        return 0
    if version is not None and bare(version) != bare(entry.etag):
        return 0
    if int(rest[:-1]) >= entry.size:
        raise Refusal(416, f"get from byte {rest[:-1]}: the file has {entry.size} bytes.")
    return int(rest[:-1])
