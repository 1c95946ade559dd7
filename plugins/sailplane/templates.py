"""Renders Jinja templates, which are in the folder `templates` of each room that has pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE: Final = Path(__file__).parent


def render(room: str, name: str, /, **values: Any) -> str:
    """Renders a template: `render("evaluation", "report.html", ...)` uses evaluation/templates/report.html. HTML is
    escaped; Markdown needs the filters `literal` or `one_line`. Raises jinja2.UndefinedError for a missing value."""
    return _environment(room).get_template(name).render(values)


def source(room: str, name: str) -> str:
    """The unchanged text of a file beside the templates, such as a script whose digest a page's policy names."""
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
    """Markdown that shows the text literally, on one line."""
    plain = one_line(text.replace("\\", "\\\\"))
    for sign in "*_`[]<>":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def one_line(text: str) -> str:
    """The text as one cell or list item of Markdown. Mark-up stays, but cannot end the cell or the line."""
    return " ".join(text.split()).replace("|", "\\|")
