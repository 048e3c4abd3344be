"""Text for the HTML in a card; what the Hub's formulas and templates would read is escaped."""

from __future__ import annotations

import html

_ENTITIES = str.maketrans(
    {"$": "&#36;", "{": "&#123;", "}": "&#125;", "\\": "&#92;", "|": "&#124;"}
)
"""What the Hub's formulas (`$`, `\\`), Jinja (`{`) and tables (`|`) would read."""


def html_text(text: str) -> str:
    """Return *text* on one line, ready for HTML in Markdown."""
    return html.escape(" ".join(text.split())).translate(_ENTITIES)
