from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import sailplane

PACKAGE = Path(sailplane.__file__).parent


@pytest.mark.slow
def test_no_two_public_classes_have_one_name() -> None:
    """Readers would have to tell two meanings of a name apart each time."""
    homes: dict[str, list[str]] = defaultdict(list)
    for file in PACKAGE.rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(file.relative_to(PACKAGE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
