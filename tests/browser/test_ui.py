"""Airflow's UI in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import opened_page
from tests.platform import Platform, until

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with opened_page() as page:
        yield page


@pytest.fixture(scope="module")
def dag(platform: Platform, page: Page) -> str:
    dags = platform.home.ui_port
    page.goto(platform.link())
    page.wait_for_url(f"http://localhost:{dags}/")
    until(lambda: True if platform.api("GET", "/dags", dag_id_pattern="flights")["dags"] else None, 120, "flights")
    return f"http://localhost:{dags}/dags/flights"


def test_the_trigger_form_asks_for_window_trials_workers_and_as_of(page: Page, dag: str) -> None:
    page.goto(dag)
    page.get_by_role("button", name="Trigger").first.click()
    for field, value in [("window", "196"), ("trials", ""), ("workers", "2")]:
        expect(page.locator(f"[name=element_{field}]")).to_have_value(value)
    expect(page.get_by_text("Data of this day and later is not read.")).to_be_visible()


def test_the_dags_doc_says_that_the_year_is_replayed(page: Page, dag: str) -> None:
    page.goto(dag)
    page.get_by_role("button", name="Dag Docs").click()
    expect(page.get_by_text("The year is replayed.")).to_be_visible()


@pytest.mark.parametrize(
    ("kind", "shown", "hidden"),
    [
        ("Algorithmia", ["Endpoint", "API key"], ["Login", "Schema"]),
        ("Weights & Biases", ["Server", "Entity", "API key"], ["Login", "Schema"]),
    ],
)
def test_a_connection_of_ours_has_a_form_of_its_own(
    page: Page, platform: Platform, kind: str, shown: list[str], hidden: list[str]
) -> None:
    page.goto(f"http://localhost:{platform.home.ui_port}/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    page.get_by_role("combobox").last.click()
    page.get_by_role("option", name=kind).click()
    form = page.get_by_role("dialog")
    for label in shown:
        expect(form.get_by_text(label, exact=True)).to_be_visible()
    for label in hidden:
        expect(form.get_by_text(label, exact=True)).to_have_count(0)
