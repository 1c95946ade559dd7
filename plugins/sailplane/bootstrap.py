"""Makes a virtual environment and installs the project into it: `python -I bootstrap.py [--venv FOLDER] [EXTRA ...]`.

The environment gets the Python that runs this file; an environment of another version is replaced. Runs under the
system's Python, so it uses only the standard library, and syntax that Python 3.6 can read: an old Python can then still
say that it is too old.
"""

import argparse
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sailplane.preflight import BootstrapError, check_machine, check_space, disk_full, free_bytes, is_ascii

PROJECT = Path(__file__).resolve().parents[2]
FULL = ("No space left on device", "os error 28", "Errno 28")
FULL_BYTES = 10000000
OFFLINE = (
    # All that pip says of it while it builds a package.
    "(from versions: none)",
    "Connection refused",
    "Connection timed out",
    "ConnectTimeout",
    "Could not connect",
    "Failed to establish a new connection",
    "Max retries exceeded",
    "Name or service not known",
    "Network is unreachable",
    "dns error",
    "error sending request",
    "name resolution",
    "nodename nor servname",
    "tcp connect error",
)
OTHER_PYTHON = "Ignored the following versions that require a different python"
UNRESOLVED = ("No matching distribution found", "No solution found", "ResolutionImpossible")


def main(arguments: "list[str]") -> int:
    try:
        check_machine(PROJECT)
        venv, extras = _parsed(arguments)
        _name_in_ascii(venv)
        if not _installed(venv, extras):
            _install(venv, sorted({*extras, *_stamp(venv).get("extras", ())}))
    except BootstrapError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        sys.stderr.write(f"sailplane: {disk_full(PROJECT)}\n")
        return 1
    return 0


def _parsed(arguments: "list[str]") -> "tuple[Path, set[str]]":
    """The folder of the virtual environment, and the extras of pyproject.toml."""
    parser = argparse.ArgumentParser(prog="bootstrap.py", description="Install the project.")
    parser.add_argument("--venv", default=".venv", help="folder, relative to the project")
    parser.add_argument("extras", nargs="*", metavar="EXTRA")
    parsed = parser.parse_args(arguments)
    return PROJECT / parsed.venv, set(parsed.extras)


def _python(venv: Path) -> Path:
    return venv / "bin" / "python"


def _log(venv: Path) -> Path:
    return PROJECT / f"{venv.name}-install.log"


def _installed(venv: Path, extras: "set[str]") -> bool:
    stamp = _stamp(venv)
    there = (venv / "bin" / "sailplane").exists() and _python(venv).exists()
    return there and stamp.get("digest") == _digest(venv) and extras <= set(stamp.get("extras", ()))


def _stamp(venv: Path) -> "dict[str, Any]":
    try:
        return dict(json.loads((venv / "installed.json").read_text()))
    except (OSError, ValueError):
        return {}


def _digest(venv: Path) -> str:
    parts = [(PROJECT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    # In a venv that was moved with its project, every script has the old path.
    return hashlib.sha256(b"\0".join([*parts, bytes(venv), _version().encode()])).hexdigest()


def _version() -> str:
    return "{}.{}".format(*sys.version_info[:2])


def _install(venv: Path, extras: "list[str]") -> None:
    started, uv = time.monotonic(), shutil.which("uv")
    check_space(PROJECT, venv)
    _say(f"Installing into {venv} with {'uv' if uv else 'pip'}; the log is {_log(venv)}")
    _log(venv).write_text("")
    _make_venv(venv, uv)
    target = f"{PROJECT}[{','.join(extras)}]" if extras else str(PROJECT)
    installer = _uv_install(venv, uv) if uv else _pip_install(venv)
    _call(venv, [*installer, "-c", str(PROJECT / "constraints.txt"), "-e", target])
    _name_in_ascii(venv)
    (venv / "installed.json").write_text(json.dumps({"digest": _digest(venv), "extras": extras}))
    _say(f"Installed in {time.monotonic() - started:.0f} s")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _name_in_ascii(venv: Path) -> None:
    """Python 3.11 and 3.12 read .pth files in the locale's encoding, also in UTF-8 mode: with a path outside ASCII the
    interpreter would not start under `LC_ALL=C`. A path relative to the file's folder works everywhere."""
    for file in venv.glob("lib/python*/site-packages/*sailplane*.pth"):
        if not is_ascii(file.read_text(encoding="utf-8")):
            file.write_text(os.path.relpath(str(PROJECT / "plugins"), str(file.parent)) + "\n")


def _make_venv(venv: Path, uv: "str | None") -> None:
    same = _same_python(venv)
    if same and (uv or (venv / "bin" / "pip").exists()):
        return
    if _python(venv).exists() and not same:
        _say(f"Replacing {venv}: its Python is not {_version()}")
    # Run from inside the venv, sys.executable is the file that is about to be replaced.
    python = str(getattr(sys, "_base_executable", sys.executable))
    if uv:
        _call(venv, [uv, "venv", "--clear", "--python", python, str(venv)])
        return
    # Debian splits venv: the module is there, what it needs to install pip is not.
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        raise BootstrapError(
            f"{sys.executable} cannot make a venv: its module venv or ensurepip is missing. "
            f"On Debian and Ubuntu: `apt-get install python{_version()}-venv`, then run make again."
        )
    _call(venv, [python, "-m", "venv", "--clear", str(venv)])


def _same_python(venv: Path) -> bool:
    """False if the venv is missing or has another version, or if the Python that it was made from is gone."""
    code = "import sys; sys.exit('{}.{}'.format(*sys.version_info[:2]) != sys.argv[1])"
    try:
        return subprocess.call([str(_python(venv)), "-c", code, _version()], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _uv_install(venv: Path, uv: str) -> "list[str]":
    # Compiled now, on all cores, or by the first start of the services, on one.
    command = [uv, "pip", "install", "--python", str(_python(venv)), "--compile-bytecode"]
    # uv does not read pip's settings.
    settings = (("--find-links", "PIP_FIND_LINKS"), ("--index-url", "PIP_INDEX_URL"))
    for option, variable in (*settings, ("--extra-index-url", "PIP_EXTRA_INDEX_URL")):
        for value in os.environ.get(variable, "").split():
            command += [option, value]
    return command


def _pip_install(venv: Path) -> "list[str]":
    return [str(_python(venv)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]


def _call(venv: Path, command: "list[str]") -> None:
    """Runs with its output appended to the log. Raises BootstrapError with what the output says of the cause."""
    path = _log(venv)
    begin = path.stat().st_size
    with path.open("a") as log, path.open(errors="replace") as written:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=str(PROJECT),
            env=_environment(),
        )
        written.seek(begin)
        _watch(process, written)
        written.seek(begin)
        said = written.read()
    if process.returncode:
        raise BootstrapError(f"{_reason(said)} The log is {path}")


def _environment() -> "dict[str, str]":
    certificates = os.environ.get("PIP_CERT")
    env = {**({"SSL_CERT_FILE": certificates} if certificates else {}), **os.environ}
    # Until its .pth file is relative, the new interpreter starts only where the locale is UTF-8.
    return env if is_ascii(str(PROJECT)) else {**env, "LC_ALL": "C.UTF-8"}


def _watch(process: "subprocess.Popen[bytes]", written: Any) -> None:
    """Shows the installer's latest line on a terminal, so that a long download shows progress."""
    terminal = sys.stdout.isatty()
    while process.poll() is None:
        time.sleep(0.1)
        lines = written.read().split("\n")
        if terminal and "".join(lines):
            latest = [line for line in lines if line.strip()][-1].strip()
            sys.stdout.write(f"\r\033[K{latest[:100]}")
            sys.stdout.flush()
    if terminal:
        sys.stdout.write("\r\033[K")


def _reason(said: str) -> str:
    # On a full disk the log may have no room for what the installer said.
    if any(sign in said for sign in FULL) or free_bytes(PROJECT) < FULL_BYTES:
        return disk_full(PROJECT)
    if any(sign in said for sign in OFFLINE) and OTHER_PYTHON not in said:
        return (
            "no network: the package index cannot be reached. Connect, or set PIP_INDEX_URL (a mirror) or HTTPS_PROXY, "
            "and run make again."
        )
    if any(sign in said for sign in UNRESOLVED):
        return (
            f"no release of a package in constraints.txt supports Python {_version()} on this machine; the log names "
            "it. Try another Python (`make PYTHON=...`)."
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"the installation failed: {lines[-1] if lines else 'the installer said nothing'}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
