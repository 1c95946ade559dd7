"""HTML pages that run only their own scripts and send no requests."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from sailplane.evaluation import library
from sailplane.sweeps.charts import Figure
from sailplane.templates import render, source


def document(
    template: str, title: str, figures: Mapping[str, Figure], *, stored: str | None = None, **values: Any
) -> str:
    """One HTML file, with a policy that lets a browser run only its own scripts. `template` extends page.html and has
    an element for each of the `figures`. With `stored`, the path of the page in the store, the page refers to the
    library in the store; `library.inlined` inlines it."""
    scripts = [library.source(), source("evaluation", "draw.js")] if figures else []
    tags = [f"<script>{script}</script>" for script in scripts]
    shared = stored if scripts else None
    if shared:
        tags[0] = library.tag(library.path_of(scripts[0]), shared)
    # Text in a figure must not close the script element that holds it.
    data = json.dumps(figures, allow_nan=False).replace("<", "\\u003c")
    content = {"policy": _policy(scripts, library.LOCAL if shared else ""), "scripts": tags, "data": data}
    return render("evaluation", template, title=title, figures=figures, **content, **values)


def _policy(scripts: Sequence[str], more: str = "") -> str:
    digests = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    runs = (digests or "'none'") + more
    allowed = {"default-src": "'none'", "script-src": runs, "style-src": "'unsafe-inline'"}
    allowed |= {"img-src": "data: blob:", "base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{name} {values}" for name, values in allowed.items())
