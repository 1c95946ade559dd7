"""The HTTP API of shared sweeps: ask, report, checkpoint, finish. Airflow's api-server mounts it.

Every call needs `Authorization: Bearer TOKEN`, with the token of the sweep in its path.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask

from sailplane import pairing
from sailplane.errors import SailplaneError, ServiceError, StorageError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Trial
from sailplane.sweep_server import archive, suggest_process, tokens
from sailplane.sweep_server.stored import Stored
from sailplane.sweeps import lifecycle, queue, results
from sailplane.tracking.sweeps import find as find_wandb_sweep

# Longer than for workers on this machine, because networks may fail for a minute.
LEASE_SECONDS: Final = 90.0
Worker = Annotated[str, Field(pattern=r"^[A-Za-z0-9_. -]{1,100}$")]
Step = Annotated[int, Field(ge=0, lt=2**31)]
Kind = Annotated[Literal["last", "best"], Query()]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class SharedSweep:
    """The sweep of an authorized call."""

    ledger: Ledger
    sweep: str

    @property
    def stored(self) -> Stored:
        return Stored(self.sweep)

    def trial(self, number: int) -> Trial:
        return Trial(sweep=self.sweep, number=number, config={}, state="running")


def _authorized(share: str, authorization: Annotated[str, Header()] = "") -> SharedSweep:
    scheme, _, token = authorization.partition(" ")
    ledger = pairing.ledger(Home.find())
    sweep = tokens.authorized(ledger, share, token.strip()) if scheme.lower() == "bearer" else None
    if sweep is None:
        raise HTTPException(401, "unknown shared sweep, or wrong token", {"WWW-Authenticate": "Bearer"})
    return SharedSweep(ledger, sweep)


Authorized = Annotated[SharedSweep, Depends(_authorized)]


class WorkerCall(BaseModel):
    """A call of a worker, by its name."""

    worker: Worker


class Report(WorkerCall):
    """Values of the sweep's metric as (step, value), in order; null for a value that is not a number."""

    rows: Annotated[list[tuple[Step, Finite | None]], Field(max_length=100_000)]


class Finish(WorkerCall):
    score: Finite


class Failure(WorkerCall):
    reason: Annotated[str, Field(max_length=10_000)]


def make_app() -> FastAPI:
    """The API. Its paths begin with the name of a share."""
    # No API page, because nothing is public without a token.
    app = FastAPI(title="SharedSweep sweeps", openapi_url=None)
    app.add_exception_handler(SailplaneError, _error_response)
    app.add_exception_handler(RequestValidationError, _malformed)
    routes: dict[tuple[str, str], Any] = {
        ("GET", ""): _about,
        ("GET", "/worker.pyz"): _worker,
        ("GET", "/data"): _data,
        ("POST", "/ask"): _ask,
        ("POST", "/trials/{number}/heartbeat"): _heartbeat,
        ("POST", "/trials/{number}/report"): _report,
        ("POST", "/trials/{number}/finish"): _finish,
        ("POST", "/trials/{number}/fail"): _fail,
        ("POST", "/trials/{number}/release"): _release,
        ("GET", "/trials/{number}/checkpoint/exists"): _has_checkpoint,
        ("GET", "/trials/{number}/checkpoint"): _checkpoint,
        ("PUT", "/trials/{number}/checkpoint"): _keep_checkpoint,
    }
    for (method, path), answer in routes.items():
        app.add_api_route(f"/{{share}}{path}", answer, methods=[method], response_model=None)
    return app


def _error_response(_request: Request, error: Exception) -> JSONResponse:
    """The status tells a worker to retry if the store failed, and not to retry after other errors."""
    return JSONResponse({"detail": str(error)}, status_code=503 if isinstance(error, StorageError) else 409)


def _malformed(_request: Request, error: Exception) -> JSONResponse:
    """Says what is wrong, in ASCII. FastAPI's default response would repeat the body, and fails for NaN and for lone
    surrogates."""
    wrong = [
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        for problem in cast(RequestValidationError, error).errors()
    ]
    return JSONResponse({"detail": "; ".join(wrong).encode("ascii", "backslashreplace").decode()}, 422)


def _about(shared: Authorized) -> dict[str, Any]:
    config = results.read(shared.ledger, shared.sweep).config
    reply: dict[str, Any] = {"sweep": shared.sweep, "metric": config.metric, "goal": config.goal, "size": config.size}
    job = results.job(shared.ledger, shared.sweep) or {}
    reply["model"] = job.get("model", shared.sweep.partition("/")[0])
    reply["wandb_sweep"] = find_wandb_sweep(shared.ledger, shared.sweep)
    reply["precision"] = job.get("precision", "float32")
    reply |= {"stops_early": config.stopping is not None, "max_trial_time": config.max_trial_time}
    return {**reply, "lease_seconds": LEASE_SECONDS, "data": shared.stored.has_data()}


def _worker(_shared: Authorized) -> Response:
    return Response(archive.worker(), media_type="application/zip")


def _data(shared: Authorized) -> StreamingResponse:
    return _streamed(shared.stored.data())


def _ask(shared: Authorized, call: WorkerCall) -> dict[str, Any]:
    trial = suggest_process.ask(shared.ledger, shared.sweep, call.worker, LEASE_SECONDS)
    if trial is None:
        return {"trial": None, "open": results.is_open(shared.ledger, shared.sweep)}
    sweep = results.read(shared.ledger, shared.sweep)
    fixed = (results.job(shared.ledger, shared.sweep) or {}).get("config", {})
    content = {"number": trial.number, "config": {**fixed, **trial.config}, "seed": sweep.seed + trial.number}
    return {"trial": content, "open": True}


def _heartbeat(shared: Authorized, number: int, call: WorkerCall) -> dict[str, Any]:
    held = queue.heartbeat(shared.ledger, shared.trial(number), call.worker, LEASE_SECONDS)
    return {"stop": not held or lifecycle.is_over(shared.ledger, shared.sweep)}


def _report(shared: Authorized, number: int, report: Report) -> dict[str, Any]:
    trial = shared.trial(number)
    stops = [
        queue.report(shared.ledger, trial, report.worker, step, math.nan if value is None else value)
        for step, value in report.rows
    ]
    return {"stop": any(stops)}


def _finish(shared: Authorized, number: int, finish: Finish) -> dict[str, Any]:
    kept = queue.finish(shared.ledger, shared.trial(number), finish.worker, finish.score)
    if kept:
        shared.stored.keep_the_best(shared.ledger, number)
    return {"kept": kept}


def _fail(shared: Authorized, number: int, failure: Failure) -> dict[str, Any]:
    kept = queue.fail(shared.ledger, shared.trial(number), failure.worker, failure.reason)
    if kept:
        shared.stored.shelf(number).clear()
    return {"kept": kept}


def _release(shared: Authorized, number: int, call: WorkerCall) -> dict[str, Any]:
    return {"kept": queue.release(shared.ledger, shared.trial(number), call.worker)}


def _has_checkpoint(shared: Authorized, number: int, kind: Kind = "last") -> dict[str, Any]:
    return {"exists": shared.stored.shelf(number).has(kind)}


def _checkpoint(shared: Authorized, number: int, kind: Kind = "last") -> FileResponse:
    folder = tempfile.mkdtemp(prefix="sailplane-")
    done, file = BackgroundTask(shutil.rmtree, folder), Path(folder, "checkpoint.pt")
    if shared.stored.shelf(number).fetch(file, kind):
        return FileResponse(file, media_type="application/octet-stream", background=done)
    shutil.rmtree(folder)
    raise ServiceError("read checkpoint", f"of trial {number}", got="the store has none", remedy="Start over.")


async def _keep_checkpoint(
    shared: Authorized, number: int, worker: Annotated[Worker, Query()], request: Request, kind: Kind = "last"
) -> dict[str, Any]:
    """Accepts a checkpoint only from the worker that holds the trial, and only a complete one: a truncated body
    raises."""
    with tempfile.NamedTemporaryFile() as file:
        async for part in request.stream():
            file.write(part)
        file.flush()
        return await run_in_threadpool(_store_checkpoint, shared, number, worker, Path(file.name), kind)


def _store_checkpoint(shared: SharedSweep, number: int, worker: str, file: Path, kind: str) -> dict[str, Any]:
    held = queue.heartbeat(shared.ledger, shared.trial(number), worker, LEASE_SECONDS)
    if held:
        shared.stored.shelf(number).keep(file, kind)
    return {"kept": held}


def _streamed(parts: Iterator[bytes]) -> StreamingResponse:
    return StreamingResponse(parts, media_type="application/octet-stream")
