from __future__ import annotations

import os
import socket
import subprocess
import sys

import psutil
import pytest

from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.services import ports
from sailplane.services.ports import require_ports


def test_free_ports_are_accepted(home: Home) -> None:
    require_ports(home)


@pytest.mark.parametrize(
    ("service", "setting"), [("ui_port", "SAILPLANE_UI_PORT"), ("router_port", "SAILPLANE_ROUTER_PORT")]
)
def test_a_taken_port_is_named_with_who_holds_it_and_the_setting_that_moves_it(
    home: Home, service: str, setting: str
) -> None:
    port = getattr(home, service)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServiceError) as raised:
        require_ports(home)
    message = str(raised.value)
    assert f"port {port}" in message
    assert f"(process {os.getpid()})" in message
    assert f"{setting}=" in message


def test_a_port_that_is_held_on_all_interfaces_is_taken(home: Home) -> None:
    with socket.create_server(("0.0.0.0", home.ui_port)), pytest.raises(ServiceError):  # noqa: S104
        require_ports(home)


def test_a_holder_that_ends_while_its_name_is_read_is_no_traceback(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    listening = "import socket, sys; held = socket.create_server(('', int(sys.argv[1]))); print(flush=True); input()"
    command = [sys.executable, "-c", listening, str(home.ui_port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        found = ports._listening

        def and_ends(process: psutil.Process) -> set[int]:
            listened = found(process)
            if home.ui_port in listened:
                holder.kill()
                holder.wait()
            return listened

        monkeypatch.setattr(ports, "_listening", and_ends)
        with pytest.raises(ServiceError, match=f"a process that has just ended \\(process {holder.pid}\\)"):
            require_ports(home)
