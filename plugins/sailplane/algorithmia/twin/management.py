"""The management API, as far as it makes sense here: algorithms, versions, builds, organizations, users, and the
environment for algorithms."""

from __future__ import annotations

import platform
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sailplane.algorithmia.twin import served, versions
from sailplane.algorithmia.twin.data_api import document
from sailplane.algorithmia.twin.documents import Document
from sailplane.algorithmia.twin.guard import TwinGuard
from sailplane.algorithmia.twin.organizations import TYPES
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.algorithmia.twin.twin import Twin
from sailplane.deployment.local.endpoint import deployments
from sailplane.errors import RequestError

_MOST_LISTED: Final = 1000
_LANGUAGE: Final = {
    "name": "python3",
    "display_name": f"Python {platform.python_version()}, this server's own",
    "configuration": "{}",
}
_ENVIRONMENT: Final = {
    "id": str(uuid5(NAMESPACE_URL, f"algorithmia:environment:{platform.python_version()}")),
    "display_name": f"Python {platform.python_version()}",
    "description": "The interpreter and the packages that this server runs with",
    "language": _LANGUAGE,
    "machine_type": "CPU",
}


class AlgorithmApi:
    """Callers without access learn nothing of an algorithm; only its owner, or a member of the owner, can change it."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._algorithms = twin.algorithms

    def routes(self, guard: TwinGuard) -> list[Route]:
        algorithm = "/v1/algorithms/{owner}/{name}"
        return [
            guard.route("/v1/algorithms/{owner}", POST=self.create),
            guard.route(algorithm, GET=self.get, PUT=self.update),
            guard.route(f"{algorithm}/compile", POST=self.compile),
            guard.route(f"{algorithm}/versions", GET=self.versions, POST=self.publish),
            guard.route(f"{algorithm}/versions/{{version}}", GET=self.version),
            guard.route(f"{algorithm}/builds", GET=self.builds),
            guard.route(f"{algorithm}/builds/{{build}}", GET=self.build),
            guard.route(f"{algorithm}/builds/{{build}}/logs", GET=self.logs),
            guard.route(f"{algorithm}/scm/status", GET=self.scm_status),
        ]

    async def create(self, request: Request, caller: str) -> Response:
        owner, body = request.path_params["owner"], await document(request)
        await self._twin.do(self._check_owner, caller, owner)
        record = await self._twin.do(self._algorithms.create, owner, body)
        return JSONResponse(versions.shown(record, None))

    async def update(self, request: Request, caller: str) -> Response:
        """Refused, because the Python client's `update` sends a form without the values."""
        body = await document(request)
        record = await self._change(request, caller, self._algorithms.update, body)
        return JSONResponse(_shown_newest(record))

    async def compile(self, request: Request, caller: str) -> Response:
        record = await self._change(request, caller, self._algorithms.compile)
        about = {"compilation": versions.compilation(record["builds"][-1])}
        return JSONResponse({**_shown_newest(record), **about})

    async def publish(self, request: Request, caller: str) -> Response:
        body = await document(request)
        record = await self._change(request, caller, self._algorithms.publish, body)
        return JSONResponse(_shown_newest(record))

    async def get(self, request: Request, caller: str) -> Response:
        return JSONResponse((await self._views(request, caller))[0])

    async def versions(self, request: Request, caller: str) -> Response:
        views = await self._views(request, caller)
        if request.query_params.get("published") == "true":
            views = [view for view in views if "semantic_version" in view.get("version_info", {})]
        return JSONResponse(_page(request, [view for view in views if "version_info" in view]))

    async def version(self, request: Request, caller: str) -> Response:
        wanted = request.path_params["version"]
        for view in await self._views(request, caller):
            if wanted in view.get("version_info", {}).values():
                return JSONResponse(view)
        raise Refusal(404, "No such algorithm version")

    async def builds(self, request: Request, caller: str) -> Response:
        record = await self._record(request, caller)
        return JSONResponse(_page(request, [_without_logs(build) for build in reversed(record["builds"])]))

    async def build(self, request: Request, caller: str) -> Response:
        return JSONResponse(_without_logs(await self._build(request, caller)))

    async def logs(self, request: Request, caller: str) -> Response:
        return JSONResponse({"logs": (await self._build(request, caller))["logs"]})

    async def scm_status(self, request: Request, caller: str) -> Response:
        """Reads the source from the store, which may fail."""
        record = await self._record(request, caller)
        await self._twin.do(self._algorithms.source, record, {"git_hash": record["source"]})
        return JSONResponse({"scm_connection_status": "active"})

    async def _views(self, request: Request, caller: str) -> list[Document]:
        """The view of each version, newest first."""
        if request.path_params["owner"] == served.OWNER:
            current = await self._twin.do(deployments, self._twin.ledger)
            name = request.path_params["name"]
            views = [served.shown(deployment) for deployment in current if deployment.name == name]
            if not views:
                raise Refusal(404, "No such algorithm")
            return views
        record = await self._record(request, caller)
        known = versions.newest_first(record)
        return [versions.shown(record, version) for version in known] or [versions.shown(record, None)]

    async def _build(self, request: Request, caller: str) -> Document:
        record, build_id = await self._record(request, caller), request.path_params["build"]
        for build in record["builds"]:
            if build["build_id"] == build_id:
                return dict(build)
        raise Refusal(404, f"No such build: {build_id}")

    async def _record(self, request: Request, caller: str) -> Document:
        owner, name = request.path_params["owner"], request.path_params["name"]
        record = await self._twin.do(self._algorithms.record, owner, name)
        if record["settings"].get("algorithm_callability") == "public":
            return record
        if not await self._twin.do(self._twin.acts_for, caller, owner):
            raise Refusal(404, "No such algorithm")
        return record

    async def _change(self, request: Request, caller: str, how: Any, *body: Document) -> Document:
        record = await self._record(request, caller)
        await self._twin.do(self._check_owner, caller, record["owner"])
        changed: Document = await self._twin.do(how, record["owner"], record["name"], *body)
        return changed

    def _check_owner(self, caller: str, owner: str) -> None:
        if owner == served.OWNER:
            remedy = "A DAG trains and deploys it."
            raise RequestError("change algorithms of", owner, status=403, got="a served model", remedy=remedy)
        if not self._twin.acts_for(caller, owner):
            raise Refusal(403, f"Caller is not authorized to perform the operation: {caller} is not {owner}")


class AccountApi:
    """Organizations and users."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._organizations = twin.organizations

    def routes(self, guard: TwinGuard) -> list[Route]:
        return [
            guard.route("/v1/organization/types", GET=_says(TYPES)),
            guard.route("/v1/organizations", POST=self.create),
            guard.route("/v1/organizations/{name}", GET=self.get, PUT=self.edit),
            guard.route("/v1/organizations/{name}/members/{user}", PUT=self.invite),
            guard.route("/v1/users", POST=self.create_user),
            guard.route("/v1/scms", GET=_says({"results": [versions.SCM]})),
            guard.route("/v1/algorithm-environments/edge/languages", GET=_says([_LANGUAGE])),
            guard.route(
                "/v1/algorithm-environments/edge/languages/python3/environments",
                GET=_says({"environments": [_ENVIRONMENT]}),
            ),
        ]

    async def create(self, request: Request, caller: str) -> Response:
        body, users = await document(request), await self._twin.do(self._twin.callers.users)
        return JSONResponse(await self._twin.do(self._organizations.create, caller, body, users))

    async def get(self, request: Request, _caller: str) -> Response:
        return JSONResponse(await self._twin.do(self._organizations.get, request.path_params["name"]))

    async def edit(self, request: Request, caller: str) -> Response:
        body = await document(request)
        await self._twin.do(self._organizations.edit, caller, request.path_params["name"], body)
        return Response(status_code=204)

    async def invite(self, request: Request, caller: str) -> Response:
        name, user = request.path_params["name"], request.path_params["user"]
        users = await self._twin.do(self._twin.callers.users)
        await self._twin.do(self._organizations.invite, caller, name, user, users)
        return Response()

    async def create_user(self, request: Request, _caller: str) -> Response:
        return JSONResponse(await self._twin.do(self._organizations.create_user, await document(request)))


def _says(content: Any) -> Any:
    async def say(_request: Request, _caller: str) -> Response:
        return JSONResponse(content)

    return say


def _shown_newest(record: Document) -> Document:
    newest = versions.newest_first(record)
    return versions.shown(record, newest[0] if newest else None)


def _without_logs(build: Document) -> Document:
    return {key: value for key, value in build.items() if key != "logs"}


def _page(request: Request, found: list[Document]) -> Document:
    """`limit` items after the first `marker` ones."""
    limit, marker = (request.query_params.get(name) for name in ("limit", "marker"))
    if any(value and not value.isdecimal() for value in (limit, marker)):
        raise RequestError("read limit and marker", got=f"{limit!r} and {marker!r}", expected="numbers")
    start, most = int(marker or 0), min(int(limit or _MOST_LISTED), _MOST_LISTED)
    following = str(start + most) if len(found) > start + most else None
    return {"marker": following, "next_link": None, "results": found[start : start + most]}
