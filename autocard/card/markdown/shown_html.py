"""What a reader sees of a block of HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAG = re.compile(r"</?(?:a|br|p|div|center|span|details)\b[^<>]*>", re.IGNORECASE)
"""Tags that show nothing by themselves: `<br>`, `<div align="center">`, `</details>`."""


@dataclass(frozen=True)
class ShownHtml:
    """What of a block of HTML a reader sees.

    Attributes:
        text: without comments and empty tags.
        start: offset of the text in the block; None: tags or comments are mixed into it.
    """

    text: str
    start: int | None


def shown_html(html: str) -> ShownHtml:
    """Return what of *html* a reader sees."""
    shown = []
    position = 0
    while (opened := html.find("<!--", position)) >= 0:
        shown.append(html[position:opened])
        closed = html.find("-->", opened)
        position = len(html) if closed < 0 else closed + 3
    tail = html[position:]
    shown.append(tail)
    text = _TAG.sub("", "".join(shown)).strip()
    is_one_line = bool(text) and "<" not in text and "\n" not in text
    if position and is_one_line and text == tail.strip():
        return ShownHtml(text, position + len(tail) - len(tail.lstrip()))
    return ShownHtml(text, None)
