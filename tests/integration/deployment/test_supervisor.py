from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from sailplane import supervisor as supervisor_module
from sailplane.deployment.http_client import wait_until
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.supervisor import Program, Supervisor
from sailplane.supervisor import watchdog as watchdog_module
from sailplane.supervisor.processes import Processes

# It ignores SIGTERM, and so does its child.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "child"])
time.sleep(600)
"""


def sleeper(name: str = "sleeper", **how: object) -> Program:
    return Program(name, ("sleep", "600"), **how)  # type: ignore[arg-type]


def pid_of(supervisor: Supervisor, name: str = "sleeper") -> int | None:
    return supervisor.states()[name].pid


def running(supervisor: Supervisor, name: str = "sleeper") -> bool:
    return supervisor.states()[name].state == "RUNNING"


def test_a_program_runs_stops_and_starts(supervisor: Supervisor) -> None:
    supervisor.put(sleeper(environment={"KEY": "50 % of 'it', =\""[:-1]}))
    supervisor.update()
    assert wait_until(lambda: running(supervisor), seconds=10)
    assert psutil.Process(pid_of(supervisor)).environ()["KEY"] == "50 % of 'it', ="
    supervisor.stop("sleeper")
    assert supervisor.states()["sleeper"].state == "STOPPED"
    supervisor.start("sleeper")
    assert running(supervisor)


def test_what_started_or_ended_meanwhile_needs_no_other_start_or_stop(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.put(sleeper("a"))
    supervisor.update()
    running = supervisor.states()["a"]
    with monkeypatch.context() as patch:
        patch.setattr(supervisor, "_state", lambda _name: replace(running, state="BACKOFF"))
        supervisor.start("a")
    assert supervisor.states()["a"].pid == running.pid
    supervisor.stop("a")
    monkeypatch.setattr(supervisor, "_state", lambda _name: running)
    supervisor.stop("a")


def test_an_update_touches_only_what_changed(supervisor: Supervisor) -> None:
    for name in ("a", "b", "c"):
        supervisor.put(sleeper(name))
    supervisor.update()
    assert wait_until(lambda: all(running(supervisor, name) for name in "abc"), seconds=10)
    before = {name: pid_of(supervisor, name) for name in "abc"}
    supervisor.put(sleeper("b", environment={"NEW": "1"}))
    supervisor.remove("c")
    supervisor.update()
    assert wait_until(lambda: running(supervisor, "b"), seconds=10)
    assert pid_of(supervisor, "a") == before["a"]
    assert pid_of(supervisor, "b") != before["b"]
    assert set(supervisor.states()) == {"a", "b"}
    assert not psutil.pid_exists(before["c"] or 0)


def test_a_killed_program_is_started_again(supervisor: Supervisor) -> None:
    supervisor.put(sleeper())
    supervisor.update()
    assert wait_until(lambda: running(supervisor), seconds=10)
    before = pid_of(supervisor)
    os.kill(before or 0, signal.SIGKILL)
    assert wait_until(lambda: pid_of(supervisor) not in {None, before}, seconds=10)


def test_it_survives_the_death_of_the_group_that_started_it(home: Home) -> None:
    code = "import sys; from sailplane.home import Home; from sailplane.supervisor import Supervisor\n"
    code += "Supervisor(Home.find()).boot(); print('booted', flush=True); sys.stdin.read()"
    env = {**os.environ, "SAILPLANE_HOME": str(home.root), "SAILPLANE_PROJECT": str(home.project)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"booted\n"
        os.killpg(starter.pid, signal.SIGKILL)
    supervisor = Supervisor(home)
    try:
        assert supervisor.running()
    finally:
        supervisor.shutdown()
    assert not supervisor.running()


def test_a_shutdown_waits_for_all_and_kills_what_stays(supervisor: Supervisor, tmp_path: Path) -> None:
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    supervisor.put(Program("stubborn", (sys.executable, str(script)), stop_seconds=1))
    supervisor.update()
    assert wait_until(lambda: running(supervisor, "stubborn"), seconds=10)
    parent = psutil.Process(pid_of(supervisor, "stubborn"))
    assert wait_until(lambda: bool(parent.children()), seconds=10)
    family = [parent, *parent.children()]
    supervisor.shutdown()
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def test_a_process_with_a_session_of_its_own_outlives_the_shutdown(supervisor: Supervisor, tmp_path: Path) -> None:
    script, pid_file = tmp_path / "starter.py", tmp_path / "pid"
    script.write_text(
        "import pathlib, subprocess, sys, time\n"
        "job = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "pathlib.Path(sys.argv[1]).write_text(str(job.pid))\n"
        "time.sleep(600)\n"
    )
    supervisor.put(Program("starter", (sys.executable, str(script), str(pid_file))))
    supervisor.update()
    assert wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()), seconds=10)
    job = psutil.Process(int(pid_file.read_text()))
    try:
        supervisor.shutdown()
        assert job.is_running()
    finally:
        job.kill()


def kill_supervisord(supervisor: Supervisor) -> None:
    before = supervisor.pid
    os.kill(before or 0, signal.SIGKILL)
    assert wait_until(lambda: supervisor.running() and supervisor.pid != before, seconds=20), supervisor.log("guard")


def test_a_killed_supervisord_is_back_by_itself_and_ends_what_it_had_left_behind(supervisor: Supervisor) -> None:
    supervisor.put(sleeper())
    supervisor.update()
    assert wait_until(lambda: running(supervisor), seconds=10)
    orphan = psutil.Process(pid_of(supervisor))
    kill_supervisord(supervisor)
    assert wait_until(lambda: running(supervisor), seconds=10)
    assert psutil.wait_procs([orphan], timeout=10)[0], "as soon as it is reaped"
    assert set(supervisor.states()) == {"sleeper"}


def test_the_guard_notices_that_supervisord_died_before_it_began(tmp_path: Path) -> None:
    """The session's leader stands for supervisord."""
    log, mark = tmp_path / "log", tmp_path / "mark"
    watchdog = shlex.join([sys.executable, "-I", "-S", watchdog_module.__file__, str(log), "touch", str(mark)])
    leader = subprocess.Popen(["sh", "-c", f"(while kill -0 $$; do :; done; {watchdog}) &"], start_new_session=True)
    assert leader.wait(10) == 0
    assert wait_until(mark.exists, seconds=10), log.read_text()


def test_what_outlives_supervisord_is_the_next_ones_to_stop_and_to_start_again(supervisor: Supervisor) -> None:
    supervisor.put(sleeper(outlives=True))
    supervisor.update()
    assert wait_until(lambda: running(supervisor), seconds=10)
    process = psutil.Process(pid_of(supervisor))
    for _ in range(2):
        kill_supervisord(supervisor)
        assert wait_until(lambda: running(supervisor), seconds=10)
    assert process.is_running()
    supervisor.stop("sleeper")
    assert psutil.wait_procs([process], timeout=10)[0], "as soon as it is reaped"
    supervisor.start("sleeper")
    assert sleepers(supervisor) != []
    kill_supervisord(supervisor)
    assert wait_until(lambda: running(supervisor), seconds=10)
    [before] = sleepers(supervisor)
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: sleepers(supervisor) not in ([], [before]), seconds=10), "it is started again"


@pytest.mark.parametrize("change", ["stopped", "another"])
def test_what_outlived_supervisord_ends_even_while_nothing_stands_in_for_it(
    supervisor: Supervisor, change: str
) -> None:
    supervisor.put(sleeper(outlives=True))
    supervisor.update()
    assert wait_until(lambda: running(supervisor), seconds=10)
    process = psutil.Process(pid_of(supervisor))
    kill_supervisord(supervisor)
    # supervisord waits before it restarts a program that died at once.
    while not (stands_in := pid_of(supervisor)):
        pass
    os.kill(stands_in, signal.SIGKILL)
    assert wait_until(lambda: pid_of(supervisor) != stands_in, seconds=10)
    if change == "stopped":
        supervisor.stop("sleeper")
    else:
        supervisor.put(sleeper(outlives=True, environment={"KEY": "another"}))
        supervisor.update()
    assert psutil.wait_procs([process], timeout=10)[0]
    assert len(sleepers(supervisor)) == (change == "another")


def test_what_is_to_run_in_another_way_does_not_outlive_supervisord(supervisor: Supervisor) -> None:
    supervisor.put(sleeper(outlives=True))
    supervisor.update()
    assert wait_until(lambda: running(supervisor), seconds=10)
    [before] = sleepers(supervisor)
    supervisor.put(sleeper(outlives=True, environment={"KEY": "another"}))
    kill_supervisord(supervisor)
    assert wait_until(lambda: running(supervisor), seconds=10)
    assert wait_until(lambda: sleepers(supervisor) not in ([], [before]), seconds=10)
    [after] = sleepers(supervisor)
    assert psutil.Process(after).environ()["KEY"] == "another"


def test_a_shutdown_ends_what_outlived_a_killed_supervisord(supervisor: Supervisor, tmp_path: Path) -> None:
    script = tmp_path / "stubborn.py"
    script.write_text("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n")
    supervisor.put(Program("stubborn", (sys.executable, str(script)), outlives=True, stop_seconds=2))
    supervisor.put(sleeper(outlives=True))
    supervisor.update()
    assert wait_until(lambda: running(supervisor) and running(supervisor, "stubborn"), seconds=10)
    processes = [psutil.Process(pid_of(supervisor, name)) for name in ("sleeper", "stubborn")]
    kill_supervisord(supervisor)
    assert all(process.is_running() for process in processes)
    supervisor.shutdown()
    assert psutil.wait_procs(processes, timeout=10)[1] == []


def sleepers(supervisor: Supervisor) -> list[int]:
    """Returns the process ids of the sleeping programs, without those of their watchdogs."""
    found = []
    for process in Processes(supervisor.socket).members(supervisor.pid):
        with suppress(psutil.NoSuchProcess):
            found += [process.pid] if process.name() == "sleep" else []
    return found


def test_it_works_in_a_home_whose_path_is_long_and_odd(home: Home, tmp_path: Path) -> None:
    odd = Supervisor(replace(home, root=tmp_path / "a [b] %s é" / ("deep" * 25)))
    odd.boot()
    try:
        odd.put(sleeper(directory=odd.home.root))
        odd.update()
        assert wait_until(lambda: running(odd), seconds=10)
    finally:
        odd.shutdown()
    assert not odd.sockets.exists()


def test_nothing_that_it_writes_is_a_warning_or_open_to_others(supervisor: Supervisor) -> None:
    supervisor.put(sleeper())
    supervisor.update()
    assert wait_until(lambda: running(supervisor), seconds=10)
    assert "running as root" not in supervisor.log("supervisord", 100)
    assert [path for path in supervisor.home.root.rglob("*") if path.stat().st_mode & 0o077] == []


def test_without_it_every_call_names_the_remedy(home: Home) -> None:
    with pytest.raises(ServiceError, match="make up"):
        Supervisor(home).states()
    assert not Supervisor(home).running()
    Supervisor(home).shutdown()


def test_an_unknown_program_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(ServiceError, match="nope"):
        supervisor.start("nope")


def _booted(home: Home, limits: str) -> subprocess.CompletedProcess[str]:
    """Boots in a separate process with a limit of open files."""
    script = (
        "from sailplane.home import Home; from sailplane.supervisor import Supervisor; Supervisor(Home.find()).boot()"
    )
    env = {**os.environ, "SAILPLANE_HOME": str(home.root), "SAILPLANE_PROJECT": str(home.project)}
    command = ["sh", "-c", f'ulimit {limits} && exec "$0" -P -c "{script}"', sys.executable]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=90)


def test_a_hard_limit_of_open_files_that_is_too_low_is_named_with_the_remedy(home: Home) -> None:
    ended = _booted(home, "-n 256")
    assert "start supervisord: a process may open 256 files (`ulimit -Hn`); expected 1024 or more" in ended.stderr
    assert "/etc/security/limits.conf" in ended.stderr
    assert not Supervisor(home).running()


def test_a_low_soft_limit_of_open_files_is_raised_for_all_that_is_started(home: Home) -> None:
    supervisor = Supervisor(home)
    supervisor.put(sleeper())
    try:
        ended = _booted(home, "-S -n 256")
        assert ended.returncode == 0, ended.stderr
        assert wait_until(lambda: running(supervisor), seconds=10)
        soft, hard = psutil.Process(pid_of(supervisor)).rlimit(psutil.RLIMIT_NOFILE)
        assert soft == min(hard, 20_480)
    finally:
        supervisor.shutdown()


def test_a_supervisord_of_another_release_is_known(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert supervisor.other_release() is None
    before = supervisor_module._release()
    monkeypatch.setattr(supervisor_module, "_release", lambda: "supervisor 5, Python 4")
    assert supervisor.other_release() == before
