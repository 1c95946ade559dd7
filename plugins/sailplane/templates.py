"""Jinja templates, which lie in the folder `templates` of each room that has pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE: Final = Path(__file__).parent


def render(room: str, name: str, /, **values: Any) -> str:
    """The template evaluation/templates/report.html is `render("evaluation", "report.html", ...)`. HTML is escaped;
    Markdown needs the filters `literal` or `one_line`. Raises jinja2.UndefinedError for a value that is missing."""
    return _environment(room).get_template(name).render(values)


def source(room: str, name: str) -> str:
    """A file beside the templates, as it is: a script, whose digest a page's policy names."""
    return (_PACKAGE / room / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment(room: str) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=FileSystemLoader(_PACKAGE / room / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"literal": literal, "one_line": one_line}
    return made


def literal(text: str) -> str:
    """Markdown that shows the text as it is, on one line: nothing in it is mark-up."""
    plain = one_line(text.replace("\\", "\\\\"))
    for sign in "*_`[]<>":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def one_line(text: str) -> str:
    """Text for a cell or a list item of Markdown: it may have mark-up, but neither ends the cell nor the line."""
    return " ".join(text.split()).replace("|", "\\|")
