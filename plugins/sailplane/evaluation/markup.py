"""A page that runs only its own scripts and asks no server."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import Final

from sailplane.evaluation import library
from sailplane.sweeps.charts import Figure

Rows = Sequence[Sequence[str]]

# A table of more can be scrolled by itself.
MOST_ROWS: Final = 24
_STYLE: Final = """\
:root { color-scheme: light dark; --ink: #243B53; --paper: white; --rule: #D9E2EC; --good: #00664F; --bad: #B33A00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #E4EAF0; --paper: #151D26; --rule: #3A4A5A; --good: #4CC9A4; --bad: #FF9A6B; }
}
body { margin: 1.5rem auto; max-width: 65rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { margin: 0; overflow-wrap: anywhere; font-size: 1.6rem; }
h2 { margin: 2.2rem 0 0.5rem; font-size: 1.25rem; }
h3 { margin: 1.4rem 0 0.3rem; font-size: 1rem; overflow-wrap: anywhere; }
p { margin: 0.4rem 0; overflow-wrap: anywhere; }
.verdict { font-size: 1.15rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
.long { max-height: 26rem; overflow-y: auto; }
.figure { background: white; border-radius: 6px; overflow: hidden; margin: 0.6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; } td { min-width: 3.5rem; max-width: 26rem; overflow-wrap: break-word; }
.note { font-size: 0.9rem; opacity: 0.85; }
@media (max-width: 40rem) {
  table.words thead { display: none; }
  table.words tr { display: block; padding: 0.3rem 0; border-bottom: 1px solid var(--rule); }
  table.words td { display: block; padding: 0; border: 0; }
  table.words td:empty { display: none; }
  table.words td:first-child { font-weight: 600; }
  table.words td[title]::before { content: attr(title) ": "; opacity: 0.8; }
}
"""
_DRAW: Final = """\
const figures = JSON.parse(document.getElementById("figures").textContent);
if (typeof Plotly === "undefined") {
  for (const place of Object.keys(figures)) {
    document.getElementById(place).textContent = "This copy lacks the chart library. Open the report in the UI.";
  }
  throw new Error("plotly.js is missing");
}
for (const [place, figure] of Object.entries(figures)) {
  Plotly.newPlot(place, figure.data, figure.layout, {displaylogo: false, responsive: true});
}
"""


class Page:
    """Parts one after the other; what is said is escaped, cells and figures too."""

    def __init__(self, title: str) -> None:
        self._title, self._parts, self._figures = title, [f"<h1>{escape(title)}</h1>"], dict[str, Figure]()

    def heading(self, words: str, level: int = 2) -> None:
        self._parts.append(f"<h{level}>{escape(words)}</h{level}>")

    def say(self, words: str, kind: str = "") -> None:
        """A paragraph; `kind` is a class of the style: good, bad, note, verdict."""
        self._parts.append(f'<p class="{kind}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>")

    def table(self, rows: Rows, *, bad: Sequence[int] = (), words: bool = False) -> None:
        """The first row has the titles; `bad` are rows, counted without it, that stand out. Where the page is narrow, a
        table of `words` has its cells below each other, and another one can be pushed aside."""
        titles, *body = rows
        head = "".join(f"<th>{escape(title)}</th>" for title in titles)
        named = titles if words else [""] * len(titles)
        inner = "\n".join(_row(named, cells, "bad" if place in bad else "") for place, cells in enumerate(body))
        table = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{inner}\n</tbody>"
        long, kind = " long" if len(body) > MOST_ROWS else "", ' class="words"' if words else ""
        self._parts.append(f'<div class="wide{long}"><table{kind}>{table}</table></div>')

    def figure(self, place: str, figure: Figure, width: int = 0) -> None:
        """`width` is what it needs at least, in CSS's px."""
        self._figures[place] = figure
        style = f"height:{figure['layout'].get('height', 420)}px;min-width:{width}px"
        self._parts.append(f'<div class="figure wide"><div id="{place}" style="{style}"></div></div>')

    def text(self, stored: str | None = None) -> str:
        """The whole page as one file, with a policy that allows a browser only its own scripts. If `stored` gives its
        path on the store, the page refers to the library there, and `library.whole` makes one file of it."""
        script = library.source() if self._figures else ""
        scripts = [script, _DRAW] if self._figures else []
        tags = [f"<script>{script}</script>" for script in scripts]
        if stored and scripts:
            tags[0] = library.tag(library.path_of(script), stored)
        policy = _policy(scripts, library.LOCAL if stored and scripts else "")
        head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        head += '<meta name="viewport" content="width=device-width, initial-scale=1">'
        head += f"<title>{escape(self._title)}</title><style>{_STYLE}</style>"
        body = "\n".join([*self._parts, _data(self._figures), *tags])
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _row(titles: Sequence[str], cells: Sequence[str], kind: str) -> str:
    titled = [f' title="{escape(title)}"' if title else "" for title in titles]
    inner = "".join(f"<td{title}>{escape(cell)}</td>" for title, cell in zip(titled, cells, strict=True))
    return f'<tr class="{kind}">{inner}</tr>' if kind else f"<tr>{inner}</tr>"


def _data(figures: Mapping[str, Figure]) -> str:
    """Of a type that is not run; nothing in it can end the element."""
    values = json.dumps(figures, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="figures">{values}</script>'


def _policy(scripts: Sequence[str], more: str = "") -> str:
    digests = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    runs = (digests or "'none'") + more
    allowed = {"default-src": "'none'", "script-src": runs, "style-src": "'unsafe-inline'"}
    allowed |= {"img-src": "data: blob:", "base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{name} {values}" for name, values in allowed.items())
