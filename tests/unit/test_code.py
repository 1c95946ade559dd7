from __future__ import annotations

import pytest

from sailplane import code
from sailplane.errors import ConfigurationError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose package has a unique name, because a process imports a module only once."""
    (tmp_path / "code_under_test").mkdir()
    (tmp_path / "code_under_test" / "model.py").write_text("def train(): return 7\nLIMIT = 3\n")
    (tmp_path / "code_under_test" / "broken.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.setenv("SAILPLANE_PROJECT", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_path_names_an_object_or_a_module(project):
    assert code.load("code_under_test.model:train")() == 7
    assert code.load("code_under_test.model").LIMIT == 3


def test_a_name_that_is_not_there_is_answered_with_those_that_are(project):
    with pytest.raises(ConfigurationError, match="has no 'trian'; expected one of LIMIT, train"):
        code.load("code_under_test.model:trian")


def test_a_module_that_is_not_there_is_answered_with_the_file_that_was_expected(project):
    with pytest.raises(ConfigurationError, match=r"no such module; expected the file .*code_under_test/modle\.py"):
        code.load("code_under_test.modle:train")


def test_a_package_that_user_code_lacks_is_named(project):
    with pytest.raises(ConfigurationError, match="imports 'a_package_that_nobody_has', which is not installed"):
        code.load("code_under_test.broken")
