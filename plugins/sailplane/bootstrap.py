"""Makes `.venv` and installs the project into it: `python -I bootstrap.py [EXTRA ...]`.

Runs under the system's Python, whatever that is: standard library only, and no syntax that Python 3.6 cannot read, so
that an old one can still say that it is too old.
"""

import errno
import hashlib
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

OLDEST, NEWEST = (3, 11), (3, 14)
PROJECT = Path(__file__).resolve().parents[2]
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
LOG = PROJECT / ".venv-install.log"

# supervisord has to be able to open this many.
FILES = 1024
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


class BootstrapError(Exception):
    """One line for the user, with the remedy."""


def main(extras: "list[str]") -> int:
    try:
        _require_python()
        _require_files()
        _require_encoding()
        _name_in_ascii()
        if not _installed(set(extras)):
            _install(sorted({*extras, *_stamp().get("extras", ())}))
    except BootstrapError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        sys.stderr.write(f"sailplane: {_no_room()}\n")
        return 1
    return 0


def _require_python() -> None:
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    version = ".".join(str(part) for part in sys.version_info[:3])
    raise BootstrapError(
        f"this is Python {version} ({sys.executable}); expected 3.11 to 3.14. Install one of them, for example with "
        "`apt-get install python3.11 python3.11-venv`, `brew install python@3.13` or `uv python install 3.13`, "
        "and run make again (`make PYTHON=/path/to/python ...` names one)."
    )


def _require_files() -> None:
    """Checks only the hard limit: programs that need more raise the soft limit themselves."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= FILES:
        return
    raise BootstrapError(
        f"a process may open {hard} files here (`ulimit -Hn`); expected {FILES} or more. Raise the hard limit, for "
        f"example with `sudo prlimit --pid $$ --nofile={FILES * 4}` in this shell, or for good with the line "
        f"`* hard nofile {FILES * 4}` in /etc/security/limits.conf and a new login, and run make again."
    )


def _require_encoding() -> None:
    """In the locale C, Python uses UTF-8. Other encodings would write the path's letters in another way."""
    encoding = sys.getfilesystemencoding()
    if _is_ascii(str(PROJECT)) or encoding.lower() == "utf-8":
        return
    # A terminal of that encoding could not show the path itself.
    raise BootstrapError(
        f"the path {str(PROJECT)!a} has letters outside ASCII, and the encoding of file names here is {encoding}; "
        "expected UTF-8. Run `LC_ALL=C.UTF-8 make up`, or move the project to a path in ASCII."
    )


def _is_ascii(text: str) -> bool:
    return all(ord(letter) < 128 for letter in text)


def _installed(extras: "set[str]") -> bool:
    stamp = _stamp()
    there = (VENV / "bin" / "sailplane").exists() and PYTHON.exists()
    return there and stamp.get("digest") == _digest() and extras <= set(stamp.get("extras", ()))


def _stamp() -> "dict[str, Any]":
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def _digest() -> str:
    parts = [(PROJECT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    # In a venv that was moved with its project, every script has the old path.
    return hashlib.sha256(b"\0".join([*parts, bytes(VENV)])).hexdigest()


def _install(extras: "list[str]") -> None:
    started, uv = time.monotonic(), shutil.which("uv")
    _require_space()
    sys.stdout.write(f"Installing into {VENV} with {'uv' if uv else 'pip'}; the log is {LOG}\n")
    sys.stdout.flush()
    LOG.write_text("")
    _make_venv(uv)
    target = f"{PROJECT}[{','.join(extras)}]" if extras else str(PROJECT)
    installer = _uv_install(uv) if uv else _pip_install()
    _call([*installer, "-c", str(PROJECT / "constraints.txt"), "-e", target])
    _name_in_ascii()
    STAMP.write_text(json.dumps({"digest": _digest(), "extras": extras}))
    sys.stdout.write(f"Installed in {time.monotonic() - started:.0f} s\n")
    sys.stdout.flush()


def _name_in_ascii() -> None:
    """Python 3.11 and 3.12 read .pth files in the locale's encoding, also in UTF-8 mode: with a path outside ASCII the
    interpreter would not start under `LC_ALL=C`. A path relative to the file's folder works everywhere."""
    for file in VENV.glob("lib/python*/site-packages/*sailplane*.pth"):
        if not _is_ascii(file.read_text(encoding="utf-8")):
            file.write_text(os.path.relpath(str(PROJECT / "plugins"), str(file.parent)) + "\n")


def _make_venv(uv: "str | None") -> None:
    if PYTHON.exists() and (uv or (VENV / "bin" / "pip").exists()) and _same_python():
        return
    if uv:
        _call([uv, "venv", "--clear", "--python", sys.executable, str(VENV)])
        return
    # Debian splits venv: the module is there, what it needs to install pip is not.
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        raise BootstrapError(
            f"{sys.executable} cannot make a venv: its module venv or ensurepip is missing. "
            f"On Debian and Ubuntu: `apt-get install {package}`, then run make again."
        )
    _call([sys.executable, "-m", "venv", "--clear", str(VENV)])


def _same_python() -> bool:
    """False if the Python that the venv was made from is gone, or was another version."""
    code = "import sys; sys.exit(sys.version_info[:2] != ({}, {}))".format(*sys.version_info[:2])
    try:
        return subprocess.call([str(PYTHON), "-c", code], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _uv_install(uv: str) -> "list[str]":
    # Compiled now, on all cores, or by the first start of the services, on one.
    command = [uv, "pip", "install", "--python", str(PYTHON), "--compile-bytecode"]
    # uv does not read pip's settings.
    settings = (("--find-links", "PIP_FIND_LINKS"), ("--index-url", "PIP_INDEX_URL"))
    for option, variable in (*settings, ("--extra-index-url", "PIP_EXTRA_INDEX_URL")):
        for value in os.environ.get(variable, "").split():
            command += [option, value]
    return command


def _pip_install() -> "list[str]":
    return [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]


def _call(command: "list[str]") -> None:
    """Runs with its output appended to the log. Raises BootstrapError with what the output says of the cause."""
    begin = LOG.stat().st_size
    with LOG.open("a") as log, LOG.open(errors="replace") as written:
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
        raise BootstrapError(_reason(said))


def _environment() -> "dict[str, str]":
    certificates = os.environ.get("PIP_CERT")
    env = {**({"SSL_CERT_FILE": certificates} if certificates else {}), **os.environ}
    # Until its .pth file is relative, the new interpreter starts only where the locale is UTF-8.
    return env if _is_ascii(str(PROJECT)) else {**env, "LC_ALL": "C.UTF-8"}


def _watch(process: "subprocess.Popen[bytes]", written: Any) -> None:
    """On a terminal: the installer's latest line, so that a long download is seen to go on."""
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
    if any(sign in said for sign in FULL) or _free() < FULL_BYTES:
        return f"{_no_room()} The log is {LOG}"
    if any(sign in said for sign in OFFLINE) and OTHER_PYTHON not in said:
        return (
            "no network: the package index cannot be reached. Connect, or set PIP_INDEX_URL (a mirror) or HTTPS_PROXY, "
            f"and run make again. The log is {LOG}"
        )
    if any(sign in said for sign in UNRESOLVED):
        return (
            "a package of constraints.txt is not to be had for this Python on this machine; the log names it. "
            f"Try another Python (`make PYTHON=...`). The log is {LOG}"
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"the installation failed: {lines[-1] if lines else 'the installer said nothing'}. The log is {LOG}"


def _no_room() -> str:
    return (
        f"the disk is full: {_free() / 1e6:.0f} MB are free where {PROJECT} lies. "
        "Free some space there (or where TMPDIR is), and run make again."
    )


def _free() -> int:
    return shutil.disk_usage(str(PROJECT)).free


def _require_space() -> None:
    """torch is most of it: from PyPI, on Linux, it brings CUDA along."""
    if any(VENV.glob("lib/python*/site-packages/torch")):
        return
    small = not sys.platform.startswith("linux") or _cpu_torch()
    free, needed = _free() / 1e9, 2.5 if small else 7.0
    if free < needed:
        cpu = "PyTorch without CUDA needs only 2.5 GB: set PIP_EXTRA_INDEX_URL to PyTorch's CPU index."
        raise BootstrapError(
            f"the disk that holds {PROJECT} has {free:.1f} GB free; .venv needs {needed} GB. "
            f"Free some space. {'' if small else cpu}".rstrip()
        )


def _cpu_torch() -> bool:
    indexes = " ".join(os.environ.get(name, "") for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"))
    folders = [link for link in os.environ.get("PIP_FIND_LINKS", "").split() if "://" not in link]
    return "cpu" in indexes or any(any(Path(folder).glob("torch-*+cpu-*.whl")) for folder in folders)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
