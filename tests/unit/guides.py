"""Reads the guides for tests: their headings, links, tables and blocks of code."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sailplane import cli
from sailplane.sweep_worker import command as sweep_worker

PROJECT: Final = Path(__file__).parents[2]
GUIDES: Final = ("README.md", "dags/README.md", "docker/README.md", "include/README.md", "plugins/README.md")
_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code. `line` is the number of its first line. In a `console` block, lines that begin with `$` are
    commands, and the others their output."""

    guide: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.guide}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Returns the commands of a `console` or `sh` block."""
        if self.language == "sh":
            return [line for line in self.text.splitlines() if line]
        return [command for command, _ in self.outputs]

    @property
    def outputs(self) -> list[tuple[str, str]]:
        """Returns each command of a `console` block with its output."""
        if self.language != "console":
            return []
        parts = re.split(r"^\$ (.+)\n", self.text, flags=re.M)[1:]
        return list(zip(parts[::2], parts[1::2], strict=True))


def text_of(guide: str) -> str:
    return (PROJECT / guide).read_text()


def blocks(*languages: str, guides: tuple[str, ...] = GUIDES) -> list[Block]:
    """Returns the blocks of these languages, or all blocks."""
    found = [(guide, block) for guide in guides for block in _BLOCK.finditer(text_of(guide))]
    return [
        Block(guide, text_of(guide)[: block.start(2)].count("\n") + 1, block.group(1), block.group(2))
        for guide, block in found
        if not languages or block.group(1) in languages
    ]


def prose(guide: str) -> str:
    """Returns the text without the blocks of code."""
    return _BLOCK.sub("", text_of(guide))


def anchors(path: Path) -> list[str]:
    """Returns the headings of a Markdown file in the form of links."""
    titles = re.findall(r"^#+ (.+)$", _BLOCK.sub("", path.read_text()), re.M)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def links(guide: str) -> list[tuple[Path, str]]:
    """Returns the file and the heading of each link within the project."""
    here = PROJECT / guide
    split = [link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", prose(guide)) if "://" not in link]
    return [((here.parent / path).resolve() if path else here, title) for path, _, title in split]


def section(guide: str, title: str) -> str:
    """Returns the text below this heading, up to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", _fenced(text_of(guide)), re.M | re.S)
    return found.group(1) if found else ""


def rows(text: str) -> dict[str, list[str]]:
    """Returns the cells of a table's rows, by the name in the first cell."""
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in cells}


def commands(guide: str) -> Iterator[str]:
    """Yields the commands that follow `sailplane` in the shell blocks."""
    for block in blocks("sh", "bash", "shell", guides=(guide,)):
        for line in block.text.replace("\\\n", " ").splitlines():
            if called := re.search(r"(?:^|[\s/])sailplane ([a-z].+)$", line):
                yield called.group(1)


def mentioned(guide: str) -> Iterator[str]:
    """Yields the commands that the prose quotes, such as `sailplane models gc --dry-run`."""
    yield from (re.sub(r"\s+", " ", text) for text in re.findall(r"`sailplane\s+([^`]+)`", prose(guide)))


# The guides' placeholders for a day or a number.
_PLACEHOLDERS: Final = {"DAY": "2026-10-01", "N": "3"}


class Refused(Exception):
    pass


def parse(command: str, *, whole: bool) -> None:
    """Parses a command with the command line's own parser. Raises Refused. An incomplete command may lack arguments."""
    argv = [_PLACEHOLDERS.get(word, word) for word in shlex.split(command, comments=True)]
    if argv[0] == "airflow":
        # All other arguments are Airflow's.
        return
    joins = argv[0] == "sweep-worker"
    parser = sweep_worker._parser() if joins else cli.parser(argv[0])
    try:
        _refusing(parser).parse_args(argv[joins:])
    except Refused as refused:
        if whole or "required" not in str(refused):
            raise


def _refusing(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Makes the parser raise instead of ending the process."""

    def refuse(message: str) -> None:
        raise Refused(message)

    parser.error = refuse  # type: ignore[assignment, method-assign]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _refusing(below)
    return parser


def _fenced(text: str) -> str:
    """Indents the comments in blocks of code, because they are not headings."""
    return _BLOCK.sub(lambda block: re.sub(r"^#", " #", block.group(0), flags=re.M), text)
