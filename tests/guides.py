"""The guides as the tests read them: their code blocks, and their titles as links name them."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A fenced block. In a `console` block, lines that begin with `$` are commands, and the others their output."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Those of a `console` or a `sh` block."""
        if self.language == "sh":
            return [line for line in self.text.splitlines() if line]
        return [command for command, _ in self.outputs]

    @property
    def outputs(self) -> list[tuple[str, str]]:
        """Each command of a `console` block with what it prints."""
        if self.language != "console":
            return []
        parts = re.split(r"^\$ (.+)\n", self.text, flags=re.M)[1:]
        return list(zip(parts[::2], parts[1::2], strict=True))


def blocks(markdown: str) -> list[Block]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", markdown, re.M | re.S)
    return [Block(language, text) for language, text in found]


def titles(markdown: str) -> list[str]:
    """As GitHub names them in links."""
    without_code = re.sub(r"^```.*?^```$", "", markdown, flags=re.M | re.S)
    found = re.findall(r"^#+ (.+)$", without_code, re.M)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in found]
