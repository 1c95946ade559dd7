"""A person approves a model in Airflow's UI, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from sailplane.records import Evaluation
from tests.browser.test_ui import page  # noqa: F401
from tests.end_to_end.faults import FAULTY, asking, instance
from tests.platform import Platform, started

pytestmark = pytest.mark.needs("chromium")
SECONDS = 60_000


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("approval")
    shutil.copytree(FAULTY, folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    with started(folder / "home", folder / "project") as running:
        yield running


def test_the_question_shows_the_figures_and_takes_an_answer_with_a_note(platform: Platform, page: Page) -> None:  # noqa: F811
    run = asking(platform, datetime(2026, 6, 1, tzinfo=UTC))
    page.goto(platform.link())
    page.wait_for_url(f"http://localhost:{platform.home.ui_port}/")
    page.goto(f"{run.page(platform.home)}/tasks/approve/required_actions")
    expect(page.get_by_text("May asked of 2026-06-01 serve?")).to_be_visible(timeout=SECONDS)
    expect(page.get_by_role("cell", name="challenger", exact=True)).to_be_visible(timeout=SECONDS)
    expect(page.get_by_role("row", name=re.compile("^passed minimum auc "))).to_be_visible()
    expect(page.get_by_role("link", name="The whole report")).to_have_attribute(
        "href", re.compile("/sailplane/reports/")
    )
    page.locator("[name=element_note]").fill("looks right")
    page.get_by_role("button", name="Approve", exact=True).click()
    assert platform.wait(run) == "success"
    assert instance(platform, run, "deploy")["state"] == "success"
    approval = Evaluation.from_dict(platform.xcom(run, "approve")).approval
    assert str(approval) == "approved by admin: looks right"
