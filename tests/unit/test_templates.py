from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from sailplane import templates

PACKAGE = Path(templates.__file__).parent
# A page's policy has the digests of its scripts, so Python writes their tags.
_TAG = re.compile(r"</?(?:a|b|body|div|form|h[1-6]|head|html|li|p|style|table|tbody|td|th|thead|title|tr|ul)[ >]")


def test_html_is_written_in_templates_only() -> None:
    found = [file for file in PACKAGE.rglob("*.py") if _TAG.search(file.read_text())]
    # Plotly's labels have their own tags, which no separate file could hold.
    assert [str(file.relative_to(PACKAGE)) for file in found] == ["sweeps/parallel_chart.py"]


def test_html_is_escaped() -> None:
    assert "<p>&lt;b&gt; &amp;</p>" in templates.render("views", "login.html", text="<b> &", script="")


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'text' is undefined"):
        templates.render("views", "login.html", script="")


@pytest.mark.parametrize(
    ("text", "literal", "one_line"),
    [
        ("a|b\nc", r"a\|b c", r"a\|b c"),
        ("<b> `*_[x]\\", r"\<b\> \`\*\_\[x\]\\", "<b> `*_[x]\\"),
    ],
)
def test_filters_keep_text_on_its_line_of_markdown(text: str, literal: str, one_line: str) -> None:
    assert (templates.literal(text), templates.one_line(text)) == (literal, one_line)
