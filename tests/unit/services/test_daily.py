from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sailplane.commands import status
from sailplane.home import Home
from sailplane.services import daily
from sailplane.services.daily import DAY_SECONDS, CommandRecord, read
from tests.platform import until

PACKAGE = Path(__file__).parents[3] / "plugins"
# A replacement of the CLI, whose first argument chooses its behaviour.
CLI = """
import os, signal, sys, time
from pathlib import Path

def main():
    name, *rest = sys.argv[1:]
    with open(os.environ["RAN"], "a") as file:
        file.write(f"{name} nice={os.nice(0)}\\n")
    if name == "fails":
        sys.stderr.write("a warning\\nsailplane: delete jobs/7: it is locked.\\nlast words\\n")
        sys.exit(1)
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hangs":
        Path(os.environ["RAN"] + ".pid").write_text(str(os.getpid()))
        time.sleep(600)

main()
"""


class Daily:
    """The program in a separate process, over a replacement of the CLI."""

    def __init__(self, folder: Path) -> None:
        self.file, self.ran = folder / "daily.json", folder / "ran"
        (folder / "sailplane").mkdir()
        (folder / "sailplane" / "__init__.py").touch()
        (folder / "sailplane" / "cli.py").write_text(CLI)
        self._env = {"PYTHONPATH": str(folder), "RAN": str(self.ran), "PATH": os.defpath}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *commands: tuple[str, ...], **changed: float) -> subprocess.Popen[bytes]:
        given = {"LOOK_SECONDS": 0.02, "FIRST_SECONDS": 0.0, **changed}
        script = f"""
import sys
sys.path.insert(0, {str(Path(daily.__file__).parent)!r})
import daily
from pathlib import Path
vars(daily).update({given!r})
daily.main(Path({str(self.file)!r}), {commands!r})
"""
        process = subprocess.Popen([sys.executable, "-I", "-S", "-c", script], env=self._env, stderr=subprocess.DEVNULL)
        self._processes.append(process)
        return process

    def record(self, name: str, when: Callable[[CommandRecord], bool]) -> CommandRecord:
        def found() -> CommandRecord | None:
            one = read(self.file).get(name)
            return one if one and when(one) else None

        return until(found, 30, f"{name} in {self.file}")

    def times(self, name: str) -> int:
        return [line.split()[0] for line in self.ran.read_text().splitlines()].count(name)

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Daily]:
    made = Daily(tmp_path)
    yield made
    made.stop()


def test_a_command_runs_once_a_day_at_low_priority(program: Daily) -> None:
    program.start(("clean", "--yes"), ("backup",))
    first = program.record("clean --yes", lambda one: one.succeeded > 0)
    program.record("backup", lambda one: one.succeeded > 0)
    assert first.due() == pytest.approx(time.time() + DAY_SECONDS, abs=60)
    looked = program.file.stat().st_mtime
    until(lambda: True if program.file.stat().st_mtime > looked + 0.1 else None, 30, "further looks")
    nice = min(19, os.nice(0) + 10)
    assert program.ran.read_text().splitlines() == [f"clean nice={nice}", f"backup nice={nice}"]


def test_a_restarted_program_knows_what_has_run(program: Daily) -> None:
    program.start(("clean",))
    program.record("clean", lambda one: one.succeeded > 0)
    program.stop()
    program.start(("clean",), ("backup",))
    program.record("backup", lambda one: one.succeeded > 0)
    assert program.times("clean") == 1


def test_the_next_day_it_runs_again(program: Daily) -> None:
    program.start(("clean",), DAY_SECONDS=0.2)
    until(lambda: True if program.ran.exists() and program.times("clean") >= 3 else None, 30, "three days")


def test_a_clock_that_was_set_back_postpones_nothing(program: Daily) -> None:
    tomorrow = time.time() + 10 * DAY_SECONDS
    daily.write(program.file, {"clean": CommandRecord(tomorrow, tomorrow, tomorrow)})
    program.start(("clean",))
    assert program.record("clean", lambda one: one.succeeded < tomorrow).succeeded <= time.time()


@pytest.mark.slow
def test_a_failure_is_recorded_with_its_reason_and_tried_again_while_the_others_run(program: Daily) -> None:
    program.start(("fails",), ("killed",), ("backup",), FAILED_SECONDS=0.05)
    failed = program.record("fails", lambda one: one.failures >= 3)
    assert failed.reason == "delete jobs/7: it is locked."
    assert program.record("killed", lambda one: one.failures > 0).reason == "ended by signal 9"
    assert program.record("backup", lambda one: one.succeeded > 0).failures == 0
    assert program.times("backup") == 1


def test_failures_wait_ever_longer_but_are_tried_again_the_same_day() -> None:
    waits = [CommandRecord(ended=0, failures=failures).due() / 60 for failures in (1, 2, 3, 5, 10_000)]
    assert waits == [15, 30, 60, 240, 240]


@pytest.mark.slow
def test_a_command_that_hangs_is_ended_and_the_next_one_runs(program: Daily) -> None:
    program.start(("hangs",), ("backup",), LIMIT_SECONDS=8.0)
    assert "stopped after" in str(program.record("hangs", lambda one: one.failures == 1).reason)
    program.record("backup", lambda one: one.succeeded > 0)
    assert not psutil.pid_exists(int(Path(f"{program.ran}.pid").read_text()))


@pytest.mark.slow
def test_stopping_the_program_stops_the_running_command_which_runs_again_after_a_restart(program: Daily) -> None:
    process = program.start(("hangs",))
    pid = Path(f"{program.ran}.pid")
    until(lambda: True if pid.exists() and pid.read_text() else None, 30, "the command's start")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert not psutil.pid_exists(int(pid.read_text()))
    program.start(("hangs",))
    until(lambda: True if program.times("hangs") == 2 else None, 30, "its second start")


def test_nothing_runs_while_the_services_are_starting(program: Daily) -> None:
    program.start(("clean",), FIRST_SECONDS=3600.0)
    until(lambda: True if program.file.exists() else None, 30, "its file")
    looked = program.file.stat().st_mtime
    until(lambda: True if program.file.stat().st_mtime > looked else None, 30, "a look")
    assert not program.ran.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"commands": {"clean": {"unknown": 1}}}', '{"commands": {"clean": 3}}']
)
def test_a_damaged_file_is_replaced(program: Daily, text: str) -> None:
    program.file.write_text(text)
    program.start(("clean",))
    program.record("clean", lambda one: one.succeeded > 0)
    assert json.loads(program.file.read_text())["version"] == daily.VERSION


def test_status_names_the_command_that_failed_and_why(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.root.mkdir()
    monkeypatch.setattr(daily, "COMMANDS", (("clean", "--yes"), ("ledger", "backup")))
    daily.write(home.daily, {"clean --yes": CommandRecord(1e9, 1e9 + 5, 1e8, 2, "the disk is full.")})
    assert status.show(home, as_json=False) == 1
    assert "The daily `sailplane clean --yes` failed: the disk is full.\n" in capsys.readouterr().out
    status.show(home, as_json=True)
    clean, backup = json.loads(capsys.readouterr().out)["daily"]
    assert (clean["succeeded"], clean["failures"]) == ("1973-03-03T09:46:40+00:00", 2)
    assert (backup["command"], backup["succeeded"], backup["reason"]) == ("sailplane ledger backup", None, None)


def test_the_program_is_small_beside_what_it_starts(program: Daily) -> None:
    process = program.start(("clean",))
    program.record("clean", lambda one: one.succeeded > 0)
    assert psutil.Process(process.pid).memory_info().rss < 25e6
