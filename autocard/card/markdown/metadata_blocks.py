"""Blocks of metadata in the body of a card, where the Hub does not read them.

One rule: a block counts only if it has a key of the Hub's, so that text between two rules (`---`)
stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from autocard.card.hub_lists import KEYS

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_KEY = re.compile(r"(?P<key>[A-Za-z][\w-]*)[ \t]*:(?:[ \t]|$)")
"""`license: mit`."""
_REST = re.compile(r"[ \t]|-(?:[ \t]|$)|#|$")
"""What else a mapping in YAML may have: an indented line, an item, a comment, nothing."""
_CODE_FENCES = ("```", "~~~")


@dataclass(frozen=True)
class MetadataBlock:
    """One block.

    Attributes:
        start: offset of its first line, the opening `---`.
        end: offset after its last line.
        keys: those of its keys that the Hub would read.
        closing: its last line: `---`, `...`, or "" where it is not closed.
    """

    start: int
    end: int
    keys: tuple[str, ...]
    closing: str


@dataclass(frozen=True)
class _Line:
    start: int
    end: int
    text: str


def metadata_blocks(text: str, start: int) -> Iterator[MetadataBlock]:
    """Yield the blocks of *text* from the offset *start* on."""
    lines = _lines(text, start)
    number = 0
    in_code = ""
    while number < len(lines):
        line = lines[number]
        number += 1
        if in_code or line.text.startswith(_CODE_FENCES):
            in_code = _code_fence(line.text, in_code)
        elif line.text.strip() == "---":
            number, block = _block(lines, number)
            if block is not None:
                yield block


def _lines(text: str, start: int) -> list[_Line]:
    found = []
    while start < len(text):
        match = _LINE.match(text, start)
        end = match.end() if match else len(text)
        found.append(_Line(start, end, text[start:end].rstrip("\r\n")))
        start = end
    return found


def _code_fence(line: str, opened: str) -> str:
    """Return the fence of the code that the next line is in, "" for none."""
    if not opened:
        return line[:3]
    return "" if line.startswith(opened) else opened


def _block(lines: list[_Line], first: int) -> tuple[int, MetadataBlock | None]:
    """Return the number of the line to go on with, and the block that begins above *first*."""
    number = first
    while number < len(lines) and _is_yaml(lines[number].text):
        number += 1
    after = lines[number].text.strip() if number < len(lines) else ""
    closing = after if after in ("---", "...") else ""
    keys = [_KEY.match(line.text) for line in lines[first:number]]
    names = tuple(key["key"] for key in keys if key and key["key"] in KEYS)
    if not names:
        return number, None
    if not closing:
        number = _end_of_open_block(lines, first)
        return number, MetadataBlock(lines[first - 1].start, lines[number - 1].end, names, "")
    return number + 1, MetadataBlock(lines[first - 1].start, lines[number].end, names, closing)


def _end_of_open_block(lines: list[_Line], first: int) -> int:
    """Return the number of the line after a block that is not closed: a blank one or a heading."""
    number = first
    while number < len(lines) and _is_yaml(lines[number].text):
        if not lines[number].text.strip() or lines[number].text.startswith("#"):
            break
        number += 1
    return number


def _is_yaml(line: str) -> bool:
    """Return whether *line* can stand in the middle of a block."""
    if line.strip() in ("---", "..."):
        return False
    return _KEY.match(line) is not None or _REST.match(line) is not None
