"""`make pictures`: the README's pictures, taken from a run of `make up` in this checkout."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT))

from tests.browser.chromium import OPTIONS  # noqa: E402
from tests.programs import find  # noqa: E402

PICTURES = PROJECT / ".github"
COLUMNS = 132
SPINNER = "Starting the services"


def main() -> None:
    answer = in_a_terminal(["make", "up"])
    lines = Text.from_ansi(answer).plain.splitlines()
    page = next(line.split()[-1] for line in lines if line.startswith("UI"))
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=OPTIONS)
        picture_of_terminal(browser, "$ make up\n" + answer, PICTURES / "answer.png")
        link = next(line.split()[-1] for line in lines if line.startswith("Log in"))
        picture_of_run(browser, link, page, PICTURES / "run.png")
        browser.close()


def in_a_terminal(command: list[str]) -> str:
    """Returns the text that stays on a person's screen. Shows the second run, which finds everything running and prints
    only the summary."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    env |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    subprocess.run(command, cwd=PROJECT, env=env, check=True)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    said = b""
    with suppress(OSError):  # The other end is closed.
        while part := os.read(ours, 65536):
            said += part
    assert process.wait() == 0
    lines = said.decode().replace("\r\n", "\n").splitlines()
    return "\n".join(line for line in lines if SPINNER not in line)


def picture_of_terminal(browser: Browser, said: str, file: Path) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    # The picture ends within the last line of the output.
    console.print(Text.from_ansi(said), end="\n\n")
    page = browser.new_page(viewport={"width": 1500, "height": 400}, device_scale_factor=1)
    page.set_content(console.export_svg(title="sailplane"))
    page.locator("svg").first.screenshot(path=file)


def picture_of_run(browser: Browser, link: str, url: str, file: Path) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 760})
    page.goto(link)
    page.wait_for_url(re.compile(r"^http://[^/]+/$"))
    page.goto(url)
    page.get_by_text("8 Task Instances").wait_for(timeout=60_000)
    page.screenshot(path=file)


if __name__ == "__main__":
    main()
