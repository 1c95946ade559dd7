from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.supervisor import Program, socket_folder
from sailplane.supervisor.program import program_file, written_command


def test_a_command_is_read_back_as_it_was_put() -> None:
    command = ("/a b/python", "-c", "print('%d')", 'say "x"')
    assert written_command(program_file(Program("p", command), Path("/logs/p.log"))) == command
    assert shlex.join(command).replace("%", "%%") in program_file(Program("p", command), Path("/logs/p.log"))


@pytest.mark.parametrize("value", ["two\nlines", "a ;comment", "a #comment", "both \"'", "'quoted'"])
def test_a_value_that_supervisord_would_cut_or_change_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError):
        program_file(Program("p", ("true",), {"KEY": value}), Path("/logs/p.log"))


def test_sockets_lie_in_the_home_unless_its_path_is_too_long_for_them() -> None:
    def home(root: str) -> Home:
        return Home.find({"SAILPLANE_PROJECT": "/p", "SAILPLANE_HOME": root})

    assert socket_folder(home("/p/.sailplane")) == Path("/p/.sailplane/supervisor")
    deep = home("/p/" + "deep/" * 30)
    assert len(str(socket_folder(deep) / "supervisor.sock.4194304")) < 104
    assert socket_folder(deep) == socket_folder(deep)
    assert socket_folder(deep) != socket_folder(home("/q/" + "deep/" * 30))
    assert socket_folder(home("/p/a b")) != Path("/p/a b/supervisor")
