from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, HTTPException

from sailplane.evaluation import library
from sailplane.storage import Storage
from sailplane.views.reports import make_app


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("SAILPLANE_STORE", (tmp_path / "store").as_uri())
    return Storage((tmp_path / "store").as_uri())


def get(app: FastAPI, path: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(httpx.URL("http://localhost", raw_path=path.encode()))

    return asyncio.run(asked())


def anybody() -> None:
    pass


def nobody() -> None:
    raise HTTPException(401)


def test_a_report_is_shown_as_it_lies_on_the_store_and_may_ask_no_one(store: Storage) -> None:
    store.put("runs/toy/manual__2026 1+2/train/report.html", b"<p>fine</p>")
    answer = get(make_app(anybody), "/toy/manual__2026%201+2/train/report.html")
    assert (answer.status_code, answer.text) == (200, "<p>fine</p>")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts allow-downloads; default-src 'none';")
    assert "allow-same-origin" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_report_is_sent_with_the_chart_library_inside(store: Storage) -> None:
    path = library.path_of("Plotly = 1")
    store.put(path, b"Plotly = 1")
    tag = library.tag(path, "runs/m/r/report.html")
    assert 'src="../../../libraries/plotly-' in tag
    page = f"<meta content=\"script-src 'sha256-x' file:; style-src\"><p>1</p>{tag}<p>2</p>"
    store.put("runs/m/r/report.html", page.encode())
    got = get(make_app(anybody), "/m/r/report.html").text
    assert got == "<meta content=\"script-src 'sha256-x'; style-src\"><p>1</p><script>Plotly = 1</script><p>2</p>"


def test_a_report_whose_library_is_gone_names_the_file(store: Storage) -> None:
    page = library.tag(library.path_of("Plotly = 1"), "runs/m/r/report.html")
    store.put("runs/m/r/report.html", page.encode())
    answer = get(make_app(anybody), "/m/r/report.html")
    assert answer.status_code == 503
    assert library.path_of("Plotly = 1") in answer.text


def test_without_a_login_there_is_no_report(store: Storage) -> None:
    store.put("runs/toy/r/report.html", b"secret")
    answer = get(make_app(nobody), "/toy/r/report.html")
    assert (answer.status_code, "secret" in answer.text) == (401, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/toy/none/report.html",
        "/toy/r/bundle/model.onnx",
        "/toy/r/evaluation.json",
        "/../models/toy/report.html",
        "/%2e%2e/models/toy/report.html",
        "/toy/..%2f..%2f..%2fmodels/toy/report.html",
        "/toy/%2e%2e/%2e%2e/models/toy/report.html",
        "//etc/report.html",
        "/toy%00/report.html",
        "/report.html",
        "/docs",
        "/openapi.json",
    ],
)
def test_nothing_but_the_report_of_a_run_can_be_asked_for(store: Storage, path: str) -> None:
    for secret in (
        "models/toy/report.html",
        "runs/toy/r/bundle/model.onnx",
        "runs/toy/r/evaluation.json",
        "report.html",
    ):
        store.put(secret, b"secret")
    answer = get(make_app(anybody), path)
    assert (answer.status_code, "secret" in answer.text) == (404, False)
