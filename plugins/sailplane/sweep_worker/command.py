"""`sailplane sweep-worker URL --train model.py:train`, or `python worker.pyz URL ...` on machines with only Python."""

from __future__ import annotations

import argparse
import getpass
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sailplane.errors import ConfigurationError, SailplaneError
from sailplane.sweep_worker.worker import Train, join

TOKEN: Final = "SAILPLANE_SWEEP_TOKEN"  # noqa: S105


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 after an error, which is one line on stderr, or if trials failed and none finished."""
    arguments = _parser().parse_args(argv)
    try:
        count = join(arguments.url, load(arguments.train), token=_token(), name=arguments.name)
    except SailplaneError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("sailplane: interrupted; another worker will get the trial.\n")
        return 130
    sys.stdout.write(f"The sweep has no more trials: {count['finished']} finished here, {count['failed']} failed.\n")
    return 1 if count["failed"] and not count["finished"] else 0


def _token() -> str:
    """The sweep's token. It is not an argument, because everyone on the machine can see command lines."""
    if not (token := os.environ.get(TOKEN)) and not sys.stdin.isatty():
        remedy = f"Set {TOKEN} to the token from `sailplane sweep share`."
        raise ConfigurationError("join sweep", got="no token, and no terminal to enter it", remedy=remedy)
    return token or getpass.getpass("The sweep's token: ")


def load(path: str) -> Train:
    """Loads the function at `folder/model.py:train` or `package.module:train`."""
    where, _, name = path.rpartition(":")
    if not where or not name:
        raise ConfigurationError("load train function", path, expected="FILE.py:FUNCTION, or MODULE:FUNCTION")
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else _from_name(where)
    except ModuleNotFoundError as error:
        got = f"it imports {error.name!r}, which is not installed here"
        raise ConfigurationError("load train function", path, got=got, remedy="Install it.") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigurationError("load train function", path, got=f"{where} has no function {name!r}")
    found: Train = function
    return found


def _from_file(file: Path) -> Any:
    if not file.is_file():
        raise ConfigurationError("load train function", file, got="no such file")
    # So that it can import modules in the same folder.
    sys.path.insert(0, str(file.resolve().parent))
    specification = importlib.util.spec_from_file_location(file.stem, file)
    if specification is None or specification.loader is None:
        raise ConfigurationError("load train function", file, got="a file that Python cannot import")
    module = importlib.util.module_from_spec(specification)
    sys.modules[file.stem] = module
    specification.loader.exec_module(module)
    return module


def _from_name(name: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and not name.startswith(error.name):
            raise
        raise ConfigurationError("load train function", name, got="no such module") from error


def _parser() -> argparse.ArgumentParser:
    description = f"Train trials of a shared sweep. The token is read from {TOKEN} or prompted for."
    parser = argparse.ArgumentParser(prog="sailplane sweep-worker", description=description)
    parser.add_argument("url", help="the address from `sailplane sweep share`")
    parser.add_argument("--train", required=True, help="FILE.py:FUNCTION or MODULE:FUNCTION, train(config, data, run)")
    parser.add_argument("--name", help="the worker's name in the sweep; by default the machine's name")
    return parser


if __name__ == "__main__":
    sys.exit(main())
