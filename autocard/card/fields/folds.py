"""Parts of a text that a reader unfolds: method, versions, settings at their defaults.

One rule: what is folded is Markdown between blank lines, so that the Hub renders it.
"""

from __future__ import annotations

import re

from autocard.card.fields.html_text import html_text

_FOLD = re.compile(r"\n*<details>\n<summary>[^\n]*</summary>\n\n.*?\n\n</details>", re.DOTALL)
"""A folded part, with the blank lines above it."""


def folded(summary: str, content: str) -> str:
    """Return *content* folded below *summary*, a line of plain text that names what is inside."""
    return f"<details>\n<summary>{html_text(summary)}</summary>\n\n{content}\n\n</details>"


def opened(block: str) -> str:
    """Return *block* with its folded parts open."""
    return block.replace("<details>\n<summary>", "<details open>\n<summary>")


def without_folds(block: str) -> str:
    """Return *block* without its folded parts; as it is where nothing else stands in it."""
    return _FOLD.sub("", block).strip("\n") or block
