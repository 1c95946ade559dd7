"""The second project runs through the same operators: the platform must know nothing about flights.

It takes two minutes: the fixture `run` runs the whole DAG with its sweep."""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from rich.console import Console
from sklearn.datasets import load_digits

from sailplane.records import Deployment, Evaluation
from sailplane.services.airflow_api import DagRun
from sailplane.services.summary import show_summary
from tests.browser.chromium import OPTIONS
from tests.platform import Platform
from tests.programs import find


@pytest.fixture(scope="module")
def run(platform: Platform) -> DagRun:
    run = platform.trigger("digits")
    assert platform.wait(run) == "success"
    return run


def test_digits_are_recognised_by_the_served_model(platform: Platform, run: DagRun) -> None:
    evaluation = Evaluation.from_dict(platform.xcom(run, "evaluate"))
    assert evaluation.metrics["challenger"]["auc"] > 0.95
    deployment = Deployment.from_dict(platform.xcom(run, "deploy"))

    images, digits = load_digits(return_X_y=True)
    names = ["scanned_at", *(f"pixel_{n:02d}" for n in range(64))]
    rows = [["2026-11-20T12:00:00Z", *image] for image in images[:100].tolist()]
    answer = httpx.post(deployment.endpoint, json={"data": {"names": names, "ndarray": rows}}, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["names"] == [str(digit) for digit in range(10)]
    scores = np.array(answer.json()["data"]["ndarray"])
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert (scores.argmax(axis=1) == digits[:100]).mean() > 0.9
    assert_reproduced(platform, deployment.version)


def assert_reproduced(platform: Platform, version: str) -> None:
    """The registered version of the best trial is reproduced bit for bit."""
    shown = json.loads(platform.sailplane("models", "show", "digits", "--json").stdout)
    assert (shown["version"], shown["aliases"]) == (version, ["champion"])
    assert shown["lineage"]["sweep"]
    assert shown["evaluation"]["passed"]
    ended = platform.sailplane("reproduce", f"digits@{version}", "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = json.loads(ended.stdout)
    assert (result["agrees"], result["exact"], result["differences"]) == (True, True, [])


def test_the_task_links_to_the_report_of_its_run(platform: Platform, run: DagRun) -> None:
    links = platform.api("GET", f"{run.path}/taskInstances/evaluate/links")["extra_links"]
    assert list(links) == ["Report"]
    with platform.http() as client:
        answer = client.get(links["Report"])
    assert answer.status_code == 200, answer.text
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "digits: passed" in answer.text


def test_what_up_prints_of_a_run_names_its_report(platform: Platform, run: DagRun) -> None:
    said = io.StringIO()
    show_summary(platform.home, platform.airflow, run, Console(file=said, width=400))
    [line] = [line for line in said.getvalue().splitlines() if line.startswith("Report")]
    with platform.http() as client:
        assert client.get(line.split()[1]).text.startswith("<!doctype html>")


@pytest.mark.needs("chromium")
def test_the_report_opens_from_airflows_ui_and_asks_no_one(platform: Platform, run: DagRun) -> None:
    asked: list[str] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=OPTIONS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(platform.link())
        page.wait_for_url(f"http://localhost:{platform.home.ui_port}/")
        page.goto(f"http://localhost:{platform.home.ui_port}/dags/digits/runs/{quote(run.id)}/tasks/evaluate/details")
        link = page.get_by_role("link", name="Report", exact=True)
        link.wait_for(timeout=60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        link.click()
        page.locator("#calibration .main-svg").first.wait_for(timeout=60_000)
        report = page.url
        browser.close()
    assert report.endswith("/report.html")
    assert [url for url in asked[asked.index(report) + 1 :] if not url.startswith(("data:", "blob:"))] == []
    assert errors == []
