"""Code of `extract` that has changed since it was called."""

from __future__ import annotations

import pytest

from sailplane.errors import EmptyDataError
from tests.unit.operators.changed_source.project import DATA, EXTRACT, Project

CODE = {
    "things/data.py": (DATA.replace("* factor", "* factor * 3"), "include/things/data.py, "),
    "things/sizes.py": ("SIZE = 6.0\n", "include/things/sizes.py changed"),
    "shared/units.py": ("UNIT = 3.0\n", "include/shared/units.py changed"),
    "things/query.sql": ("SELECT 3", "include/things/query.sql changed"),
}


@pytest.mark.parametrize("name", CODE)
def test_an_extract_that_is_rewritten_is_called_again_wherever_its_code_lies(project: Project, name: str) -> None:
    text, said = CODE[name]
    first = project.ingest(extract=EXTRACT)
    project.write(name, text)
    second = project.ingest(extract=EXTRACT)
    assert (project.sizes(first), project.sizes(second)) == ([2] * 6, [6] * 6)
    assert project.why[0].startswith(f"2024-02-27 to 2024-02-29: ingested again (source changed: {said}")
    assert second.revised == ("2024-02-27 to 2024-02-29 in version 2",)
    assert project.ingest(extract=EXTRACT) == second


@pytest.mark.parametrize("name", ["things/model.py", "things/features.py", "other/data.py"])
def test_code_that_the_extract_does_not_use_changes_nothing(project: Project, name: str) -> None:
    first = project.ingest(extract=EXTRACT)
    project.write(name, "import include.things.data\n")
    assert (project.ingest(extract=EXTRACT), project.why) == (first, [])


def test_code_that_is_gone_is_no_source_that_deletes_old_files(project: Project) -> None:
    project.ingest(extract=EXTRACT)
    without = DATA.replace("from . import sizes\n", "").replace("sizes.SIZE * UNIT * factor})", "factor}).iloc[:0]")
    project.write("things/data.py", without)
    with pytest.raises(EmptyDataError, match=r"sizes\.py is gone") as raised:
        project.ingest(extract=EXTRACT)
    assert "source_expires" not in str(raised.value)


@pytest.mark.parametrize("text", ["数" * 200 + ".txt", "a" * 251 + ".txt", "/etc/passwd.txt", "../schema.txt"])
def test_a_text_in_the_code_that_only_looks_like_a_file_name_is_no_part_of_it(project: Project, text: str) -> None:
    project.write("things/data.py", DATA + f'NOTE = "{text}"\n')
    assert project.ingest(extract=EXTRACT).rows == 6
