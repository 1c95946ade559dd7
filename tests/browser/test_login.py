"""Logins to the UI, and requests by pages of another origin, in a real browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sailplane.services import logins
from tests.browser.test_ui import page  # noqa: F401
from tests.platform import Platform, until

pytestmark = pytest.mark.needs("chromium")

# A browser sends no preflight for a form, nor for a body without a type, which FastAPI reads as JSON.
POSTS = """
async ([url, body]) => {
  const sent = {method: "POST", mode: "no-cors", credentials: "include"};
  const ways = [new Blob([body]), body, new Blob([body], {type: "text/plain"})];
  return await Promise.all(ways.map((way) => fetch(url, {...sent, body: way}).then(() => "sent", String)));
}
"""
FORM = """
([url, body]) => {
  const form = document.createElement("form"), field = document.createElement("input");
  Object.assign(form, {method: "post", action: url, enctype: "text/plain"});
  Object.assign(field, {name: body.slice(0, -1) + ', "x": "', value: '"}'});
  form.append(field);
  document.body.append(form);
  form.submit();
}
"""
# The login page sends such a form, which needs no preflight either.
LOGIN = """
([url, secret]) => {
  const sent = {method: "POST", mode: "no-cors", credentials: "include"};
  return fetch(url, {...sent, body: new URLSearchParams({secret})}).then(() => "sent", String);
}
"""
LOGIN_FORM = """
([url, secret]) => {
  const form = document.createElement("form"), field = document.createElement("input");
  Object.assign(form, {method: "post", action: url});
  Object.assign(field, {name: "secret", value: secret});
  form.append(field);
  document.body.append(form);
  form.submit();
}
"""
FRAME = "(url) => document.body.append(Object.assign(document.createElement('iframe'), {src: url}))"
SOCKET = """
(url) => new Promise((done) => {
  const socket = new WebSocket(url);
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})
"""


class Evil(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def _open(page: Page, url: str) -> None:  # noqa: F811
    """Does not wait for the page: the UI redirects to the login by itself, which would interrupt `goto`."""
    page.goto("about:blank")
    page.evaluate("url => { location.href = url }", url)


def test_without_a_login_the_ui_shows_the_login_page(page: Page, platform: Platform) -> None:  # noqa: F811
    _open(page, f"http://localhost:{platform.home.ui_port}/dags")
    expect(page.locator("[name=password]")).to_be_visible()


def test_the_link_that_the_command_prints_logs_in_once(page: Page, platform: Platform) -> None:  # noqa: F811
    ended = platform.sailplane("login")
    assert ended.returncode == 0, ended.stderr
    link, base = ended.stdout.strip(), f"http://localhost:{platform.home.ui_port}/"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.url} {request.headers.get('referer')}"))
    page.goto(link)
    page.wait_for_url(base)
    expect(page.get_by_role("link", name="Dags").first).to_be_visible()
    secret = link.rpartition("#")[2]
    assert len(secret) > 40
    assert secret not in "".join(asked), "neither in an address nor in a Referer"
    (cookie,) = [one for one in page.context.cookies() if one["name"] == "_token"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")

    page.context.clear_cookies()
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_text("it was used before")).to_be_visible()
    expect(page.get_by_text("sailplane login")).to_be_visible()
    assert page.context.cookies() == []
    assert secret not in page.url
    assert secret not in platform.service_logs(lines=10_000)

    page.goto(platform.sailplane("login").stdout.strip())
    page.wait_for_url(base)
    page.context.clear_cookies()


def test_the_password_that_the_command_prints_logs_in(page: Page, platform: Platform) -> None:  # noqa: F811
    told = platform.sailplane("login", "--password").stdout.splitlines()
    _open(page, told[0])
    page.locator("[name=username]").fill(told[1].split()[1])
    page.locator("[name=password]").fill(told[2].split()[1])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Dags").first).to_be_visible()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_page_of_another_origin_changes_nothing(
    page: Page,  # noqa: F811
    platform: Platform,
    elsewhere: int,
    name: str,
) -> None:
    """A page on another port has the same site, so its requests carry the cookie. 127.0.0.1 is another site."""
    until(lambda: True if platform.api("GET", "/dags", dag_id_pattern="flights")["dags"] else None, 120, "flights")
    page.goto(platform.link())
    page.wait_for_url(f"http://localhost:{platform.home.ui_port}/")
    before = state(platform)
    api = f"http://localhost:{platform.home.ui_port}/api/v2"
    connection = json.dumps({"connection_id": "evil", "conn_type": "fs"})
    page.goto(f"http://{name}:{elsewhere}/")
    for url, body in ((f"{api}/dags/flights/dagRuns", '{"logical_date": null}'), (f"{api}/connections", connection)):
        assert page.evaluate(POSTS, [url, body]) == ["sent"] * 3
        with page.expect_navigation(url=url) as answer:
            page.evaluate(FORM, [url, body])
        assert (shown := answer.value) is not None
        assert shown.status == 403
        page.goto(f"http://{name}:{elsewhere}/")
    assert page.evaluate(SOCKET, f"ws://localhost:{platform.home.ui_port}/") == "refused"
    assert state(platform) == before


def test_a_page_of_another_origin_does_not_frame_the_ui_nor_log_it_in(
    page: Page,  # noqa: F811
    platform: Platform,
    elsewhere: int,
) -> None:
    ui = f"http://localhost:{platform.home.ui_port}"
    page.context.clear_cookies()
    page.goto(f"http://localhost:{elsewhere}/")
    with page.expect_response(f"{ui}/") as answer:
        page.evaluate(FRAME, f"{ui}/")
    assert answer.value.status == 403
    login, secret = f"{ui}{logins.PAGE}/", platform.link().rpartition("#")[2]
    with page.expect_response(login) as answer:
        page.evaluate(LOGIN, [login, secret])
    assert answer.value.status == 403
    with page.expect_navigation(url=login) as shown:
        page.evaluate(LOGIN_FORM, [login, secret])
    assert shown.value is not None
    assert shown.value.status == 403
    assert page.context.cookies() == []
    assert logins.redeem(platform.home, secret) == "admin", "it is as good as new"


def test_a_page_of_another_origin_asks_no_model(page: Page, platform: Platform, elsewhere: int) -> None:  # noqa: F811
    page.goto(f"http://localhost:{elsewhere}/")
    router = f"http://localhost:{platform.home.router_port}"
    for path in ("/seldon/local/flights/api/v1.0/feedback", "/v2"):
        with page.expect_response(router + path) as answer:
            page.evaluate(POSTS, [router + path, "{}"])
        assert answer.value.status == 403
    assert page.evaluate(SOCKET, f"ws://localhost:{platform.home.router_port}/v2") == "refused"


def state(platform: Platform) -> Any:
    runs = platform.api("GET", "/dags/flights/dagRuns")["total_entries"]
    return runs, platform.api("GET", "/connections", limit=100)["connections"]
