"""Every case runs the real file in a separate process, on a copy of the project's outline."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.environments import copy_installer

SOURCE = Path(__file__).parents[3]
PACKAGE = SOURCE / "plugins" / "sailplane"
# uv's messages for these problems, shortened.
OFFLINE = "error: Failed to fetch: `simple/rich/`\n  Caused by: error sending request\n  Caused by: dns error"
FULL = "error: failed to copy file from /cache to /venv: No space left on device (os error 28)"
UNRESOLVED = "  x No solution found when resolving dependencies"


@dataclass(frozen=True)
class Checkout:
    root: Path

    def bootstrap(self, *extras: str, before: str = "", path: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Runs the bootstrap. `before` first changes the machine."""
        file = self.root / "plugins" / "sailplane" / "bootstrap.py"
        script = f"import runpy, sys; sys.argv = {['bootstrap.py', *extras]!r}\n{before}\n"
        script += f"runpy.run_path({str(file)!r}, run_name='__main__')"
        env = {"PATH": f"{path or self.root / 'bin'}:/usr/bin:/bin", **env}
        command = [sys.executable, "-I", "-c", script]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    def fake_uv(self, *, fails_with: str = "") -> Path:
        """A replacement of uv that logs each call, and makes the real one's files or fails."""
        calls = self.root / "calls"
        ends = f"cat <<'END' >&2\n{fails_with}\nEND\nexit 2" if fails_with else "touch ${4%/python}/sailplane"
        text = f"""#!/bin/sh
            echo "$@" >> {calls}
            if [ "$1" = venv ]; then mkdir -p $5/bin; ln -sf {sys.executable} $5/bin/python; exit 0; fi
            {ends}
        """
        uv = self.root / "bin" / "uv"
        uv.parent.mkdir()
        uv.write_text("\n".join(line.strip() for line in text.splitlines()))
        uv.chmod(0o755)
        return calls


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    copy_installer(tmp_path)
    return Checkout(tmp_path)


def line(ended: subprocess.CompletedProcess[str]) -> str:
    """Returns the only line of an error."""
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("name", ["bootstrap.py", "preflight.py", "__init__.py"])
def test_an_old_python_can_read_the_file(name: str) -> None:
    ast.parse((PACKAGE / name).read_text(), feature_version=(3, 6))


def test_a_python_that_is_too_old_is_named_with_the_remedy(checkout: Checkout) -> None:
    said = line(checkout.bootstrap(before="sys.version_info = (3, 9, 2, 'final', 0)"))
    assert "this is Python 3.9.2" in said
    assert "expected 3.11 to 3.14" in said
    assert "apt-get install python3.11" in said


@pytest.mark.slow
def test_a_second_call_does_nothing_and_a_new_extra_or_other_pins_install_again(checkout: Checkout) -> None:
    calls = checkout.fake_uv()
    assert checkout.bootstrap().returncode == 0
    assert len(calls.read_text().splitlines()) == 2  # uv venv, uv pip install
    assert checkout.bootstrap().returncode == 0
    assert len(calls.read_text().splitlines()) == 2
    assert checkout.bootstrap("test").returncode == 0
    assert calls.read_text().splitlines()[-1].endswith(f"-e {checkout.root}[test]")
    with (checkout.root / "constraints.txt").open("a") as constraints:
        constraints.write("something==1.0\n")
    # A call without the extra keeps what was installed with it.
    assert checkout.bootstrap().returncode == 0
    assert calls.read_text().splitlines()[-1].endswith(f"-e {checkout.root}[test]")


@pytest.mark.slow
def test_an_environment_of_another_version_is_replaced(checkout: Checkout) -> None:
    calls = checkout.fake_uv()
    checkout.bootstrap("test")
    # The environment has the version that runs this test.
    other = "3.12" if sys.version_info[:2] != (3, 12) else "3.13"
    before = f"sys.version_info = ({other.replace('.', ', ')}, 1, 'final', 0)"
    ended = checkout.bootstrap(before=before)
    assert ended.returncode == 0, ended.stderr
    assert f"Replacing {checkout.root}/.venv: its Python is not {other}" in ended.stdout
    assert [call.split()[0] for call in calls.read_text().splitlines()] == ["venv", "pip", "venv", "pip"]
    assert calls.read_text().splitlines()[-1].endswith(f"-e {checkout.root}[test]")


@pytest.mark.slow
def test_another_folder_gets_an_environment_of_its_own(checkout: Checkout) -> None:
    calls = checkout.fake_uv()
    checkout.bootstrap()
    ended = checkout.bootstrap("--venv", ".venv-second")
    assert ended.returncode == 0, ended.stderr
    assert (checkout.root / ".venv" / "bin" / "sailplane").exists()
    assert (checkout.root / ".venv-second" / "bin" / "sailplane").exists()
    assert (checkout.root / ".venv-second-install.log").exists()
    assert checkout.bootstrap().returncode == checkout.bootstrap("--venv", ".venv-second").returncode == 0
    assert len(calls.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("output", "cause", "remedy"),
    [
        (OFFLINE, "no network", "PIP_INDEX_URL"),
        (FULL, "the disk is full", "Free some space"),
        (UNRESOLVED, "no release of a package in constraints.txt supports Python", "Try another Python"),
        ("error: who knows", "the installation failed: error: who knows", "log"),
    ],
)
def test_a_failed_installation_is_one_line_with_its_cause_the_remedy_and_the_log(
    checkout: Checkout, output: str, cause: str, remedy: str
) -> None:
    checkout.fake_uv(fails_with=output)
    said = line(checkout.bootstrap())
    assert cause in said
    assert remedy in said
    assert str(checkout.root / ".venv-install.log") in said
    assert output.splitlines()[-1].strip() in (checkout.root / ".venv-install.log").read_text()


@pytest.mark.slow
def test_a_failed_installation_is_tried_again(checkout: Checkout) -> None:
    calls = checkout.fake_uv(fails_with=OFFLINE)
    assert checkout.bootstrap().returncode == checkout.bootstrap().returncode == 1
    assert calls.read_text().count("pip install") == 2


def test_a_disk_that_cannot_hold_torch_is_named_before_anything_is_installed(checkout: Checkout) -> None:
    calls = checkout.fake_uv()
    tiny = "import shutil; shutil.disk_usage = lambda path: shutil._ntuple_diskusage(10**10, 9 * 10**9, 10**9)"
    said = line(checkout.bootstrap(before=tiny))
    assert "1.0 GB free; .venv needs" in said
    assert not calls.exists()


def test_a_python_without_venv_is_named_with_the_package_that_brings_it(checkout: Checkout) -> None:
    said = line(checkout.bootstrap(before="sys.modules['ensurepip'] = None", path=str(checkout.root)))
    assert f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in said


def test_a_hard_limit_of_open_files_that_is_too_low_is_named_before_anything_is_installed(checkout: Checkout) -> None:
    calls = checkout.fake_uv()
    said = line(checkout.bootstrap(before="import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"))
    assert "a process may open 256 files here (`ulimit -Hn`); expected 1024 or more" in said
    assert "/etc/security/limits.conf" in said
    assert not calls.exists()


def test_a_low_soft_limit_of_open_files_is_no_hindrance(checkout: Checkout) -> None:
    checkout.fake_uv()
    low = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (256, r.getrlimit(r.RLIMIT_NOFILE)[1]))"
    assert checkout.bootstrap(before=low).returncode == 0


# Like uv's, its own start of the new interpreter has to work.
MAKES_A_VENV = """#!/bin/sh
if [ "$1" = venv ]; then exec {python} -m venv --without-pip .venv; fi
echo "{root}/plugins" > .venv/lib/python{version}/site-packages/_sailplane.pth
touch .venv/bin/sailplane
exec .venv/bin/python -I -c pass
"""


@pytest.fixture
def abroad(tmp_path: Path) -> Checkout:
    """A checkout whose path has a letter outside ASCII, with a uv that makes a real venv."""
    root = tmp_path / "prøjekt"
    copy_installer(root)
    uv = root / "bin" / "uv"
    uv.parent.mkdir()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    uv.write_text(MAKES_A_VENV.format(python=sys.executable, root=root, version=version), encoding="utf-8")
    uv.chmod(0o755)
    return Checkout(root)


@pytest.mark.slow
def test_a_path_outside_ascii_works_where_the_locale_is_c(abroad: Checkout) -> None:
    ended = abroad.bootstrap(LC_ALL="C")
    assert ended.returncode == 0, ended.stderr
    python = abroad.root / ".venv" / "bin" / "python"
    found = subprocess.run(
        [str(python), "-I", "-c", "import sailplane; print(ascii(sailplane.__file__))"],
        env={"LC_ALL": "C"},
        capture_output=True,
        text=True,
    )
    expected = str(abroad.root / "plugins" / "sailplane" / "__init__.py")
    assert found.stdout.strip() == ascii(expected), found.stderr
    # An installation of another locale, or of an earlier release, is repaired too.
    [file] = abroad.root.glob(".venv/lib/python*/site-packages/_sailplane.pth")
    file.write_text(f"{abroad.root}/plugins\n", encoding="utf-8")
    assert abroad.bootstrap(LC_ALL="C").returncode == 0
    assert file.read_text(encoding="ascii") == "../../../../plugins\n"


def test_a_path_outside_ascii_and_an_encoding_other_than_utf_8_are_named_with_the_remedy(abroad: Checkout) -> None:
    file = abroad.root / "plugins" / "sailplane" / "bootstrap.py"
    command = [sys.executable, "-I", "-X", "utf8=0", str(file)]
    said = line(subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, timeout=60))
    assert "has letters outside ASCII, and the encoding of file names here is ascii; expected UTF-8" in said
    assert "LC_ALL=C.UTF-8 make up" in said
    assert not (abroad.root / ".venv").exists()
