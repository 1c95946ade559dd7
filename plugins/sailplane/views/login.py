"""The page of one-time links, which exchanges a link's secret for Airflow's own login."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Annotated, Final

from airflow.api_fastapi.app import get_auth_manager, get_cookie_path
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.configuration import conf
from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from sailplane.home import Home
from sailplane.services import logins
from sailplane.services.logins import LoginRefused
from sailplane.templates import render, source

_SCRIPT: Final = source("views", "log_in.js")
_NO_LINK: Final = "This link carries no secret, or JavaScript is off. `sailplane login` prints a link."
_HASH: Final = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'sha256-{_HASH}'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # With no-referrer the browser would submit the form with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
SECRET_LETTERS: Final = 100
Secret = Annotated[str, Field(max_length=SECRET_LETTERS)]


class LinkExchange(BaseModel):
    secret: Secret


def make_app() -> FastAPI:
    """The app; none of its routes needs a login."""
    app = FastAPI(title="Login", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route("/", lambda: _html(_NO_LINK), methods=["GET"], response_model=None)
    app.add_api_route("/", _log_in, methods=["POST"], response_model=None)
    app.add_api_route("/token", _token, methods=["POST"], status_code=201)
    app.add_exception_handler(RequestValidationError, _malformed)
    return app


def _malformed(_request: Request, _error: Exception) -> JSONResponse:
    """Replaces FastAPI's response, which would repeat the body, and fails for NaN and lone surrogates."""
    return JSONResponse({"detail": f"expected one secret of at most {SECRET_LETTERS} characters"}, 422)


def _html(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(render("views", "login.html", text=text, script=_SCRIPT), status, headers=_HEADERS)


def _log_in(request: Request, secret: Annotated[Secret, Form()]) -> Response:
    try:
        token = _jwt(logins.redeem(Home.find(), secret))
    except LoginRefused as error:
        return _html(str(error), 401)
    answer = RedirectResponse(get_cookie_path().rstrip("/") + "/", 303, headers=_HEADERS)
    secure = request.base_url.scheme == "https" or bool(conf.get("api", "ssl_cert", fallback=""))
    answer.set_cookie(
        COOKIE_NAME_JWT_TOKEN, token, path=get_cookie_path(), secure=secure, httponly=True, samesite="lax"
    )
    return answer


def _token(exchange: LinkExchange) -> dict[str, str]:
    """A token of the REST API for the commands, which issue links to themselves."""
    try:
        return {"access_token": _jwt(logins.redeem(Home.find(), exchange.secret))}
    except LoginRefused as error:
        raise HTTPException(401, str(error)) from error


def _jwt(account: str) -> str:
    manager = get_auth_manager()
    if not isinstance(manager, SimpleAuthManager):
        got = f"the auth manager is {type(manager).__name__}"
        raise LoginRefused("log in by", "this link", got=got, remedy="Use its own login page.")
    found = [user for user in manager.get_users() if user.username == account]
    if not found:
        got = f"the UI has no account {account}"
        raise LoginRefused("log in by", "this link", got=got, remedy="`sailplane up` restarts it with new accounts.")
    return manager.generate_jwt(found[0])
