"""Serves evaluation reports, each as one page that can be saved, to Airflow accounts that may see plugins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse

from sailplane.errors import ConfigurationError, SailplaneError
from sailplane.evaluation import library
from sailplane.evaluation.details import report_path
from sailplane.hooks.storage import SailplaneStorageHook

# The report declares its own scripts. The sandbox takes it out of the origin of Airflow's UI, so it cannot act there as
# its reader.
HEADERS: Final = {
    "Content-Security-Policy": "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}


def make_app(allowed: Callable[..., Any] | None = None) -> FastAPI:
    """`allowed` is the dependency that refuses requests; by default it refuses accounts that may not see plugins."""
    app = FastAPI(title="Reports", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route(
        "/{run:path}/report.html",
        _report,
        methods=["GET"],
        response_model=None,
        dependencies=[Depends(allowed or requires_access_view(AccessView.PLUGINS))],
    )
    return app


def _report(run: str) -> HTMLResponse:
    try:
        storage = SailplaneStorageHook().reading()
        page = library.inlined(storage, storage.read_text(report_path(run), "Evaluate the run again."))
    except (FileNotFoundError, ConfigurationError) as error:
        raise HTTPException(404, "there is no such report") from error
    except SailplaneError as error:
        raise HTTPException(503, str(error)) from error
    return HTMLResponse(page, headers=HEADERS)
