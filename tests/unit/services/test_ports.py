from __future__ import annotations

import os
import socket

import pytest

from sailplane.errors import ServiceError
from sailplane.home import Home
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
