"""Where the front matter of a card is, by the Hub's own pattern."""

from __future__ import annotations

import re

_FRONT_START = re.compile(r"\s*---(?:\r\n|\r|\n)")
_FRONT_END = re.compile(r"(?P<newline>\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z)")
"""The lines around a front matter, as in huggingface_hub's `REGEX_YAML_BLOCK`, which is the Hub's
own."""


def find_front_matter(text: str, top: int) -> tuple[tuple[int, int] | None, int]:
    """Return the offsets of the YAML and where the Markdown begins, by the Hub's own pattern.

    Blank lines may come first; then a line `---`, at least one line, and a line `---` that may end
    in blanks. A lone carriage return ends a line, but not the last one.
    """
    opening = _FRONT_START.match(text, top)
    closing = _FRONT_END.search(text, opening.end()) if opening else None
    if opening is None or closing is None:
        return None, top
    return (opening.end(), closing.end("newline")), closing.end()
