"""The programs of a home's supervisord, one file each in `supervisor/conf.d/`, and their logs."""

from __future__ import annotations

import re
from pathlib import Path

from sailplane.errors import ConfigurationError
from sailplane.files import private_folder, replace_file
from sailplane.home import Home
from sailplane.supervisor.program import (
    Program,
    changed_settings,
    outlives,
    program_file,
    written_command,
    written_environment,
)


class ProgramFiles:
    def __init__(self, home: Home) -> None:
        self.folder = home.supervisor / "conf.d"
        self._logs = home.logs

    def put(self, program: Program) -> None:
        """Writes or replaces a program; takes effect with `update` or at the next boot."""
        private_folder(self.folder)
        replace_file(self._file(program.name), program_file(program, self._log(program.name)))

    def changes(self, program: Program) -> list[str] | None:
        """The names of what differs from the program's file: `command` or variables. None if there is no file."""
        file = self._file(program.name)
        if not file.exists():
            return None
        return changed_settings(file.read_text(), program_file(program, self._log(program.name)))

    def remove(self, name: str) -> None:
        """Deletes a program's file; `update` stops the program."""
        self._file(name).unlink(missing_ok=True)

    def programs(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.conf"))

    def command(self, name: str) -> tuple[str, ...] | None:
        """The command in a program's file; None if there is no such program."""
        file = self._file(name)
        return written_command(file.read_text()) if file.exists() else None

    def environment(self, name: str) -> dict[str, str]:
        """The environment in a program's file; empty if there is no such program."""
        file = self._file(name)
        return written_environment(file.read_text()) if file.exists() else {}

    def log(self, name: str, lines: int = 20) -> str:
        """The last lines of a program's log."""
        path = self._log(name)
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65536))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def outliving(self) -> dict[str, str]:
        """The texts of the programs that outlive supervisord, by name."""
        texts = {name: self._file(name).read_text() for name in self.programs()}
        return {name: text for name, text in texts.items() if outlives(text)}

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _file(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise ConfigurationError("name a program", repr(name), expected="letters, digits and . _ - only")
        return self.folder / f"{name}.conf"
