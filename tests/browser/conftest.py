from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.chromium import OPTIONS
from tests.programs import find

# The same limit as `set_default_timeout` sets for waits that are not expectations.
expect.set_options(timeout=60_000)


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a desktop browser without a network."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=OPTIONS)
        page = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True).new_page()
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def said(page: Page) -> list[str]:
    """Collects errors on the page and requests to a network."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:") else found.append(request.url))
    return found
