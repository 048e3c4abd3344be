"""Metadata in a card that the Hub does not read, because of where or how it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from autocard.card.check.hub_rules import Problem
from autocard.card.markdown.document import Document
from autocard.card.markdown.metadata_blocks import MetadataBlock, metadata_blocks

_MOST_KEYS = 4
"""Keys of a block that are named."""
_CODE = "```"
"""What closes a block that stands in a code block."""
_CLOSINGS = {
    _CODE: "it stands in a code block; take away the lines around it",
    "...": "it ends in `...`; put it at the top of the file, and `---` at its end",
    "": "it has no last line `---`",
}
"""What closes a block, other than `---` → what is wrong with it."""


def problems(document: Document) -> Iterator[Problem]:
    """Yield the blocks of metadata in the body of *document*, each with its line."""
    for block in (*document.metadata, *_in_code(document)):
        line = _line_number(document.text, block.start)
        named = ", ".join(block.keys[:_MOST_KEYS])
        if len(block.keys) > _MOST_KEYS:
            named += ", …"
        text = f"the Hub does not read this block ({named}): {_why(document, block)}"
        yield Problem("metadata", line, text, refused=False)


def _in_code(document: Document) -> Iterator[MetadataBlock]:
    """Yield the block that stands in a code block at the top of the card."""
    blocks = document.sections[0].blocks
    if document.front is not None or not blocks or blocks[0].kind != "code":
        return
    first_line_end = document.text.find("\n", blocks[0].start)
    for block in metadata_blocks(document.text[: blocks[0].end], first_line_end + 1):
        yield replace(block, closing=_CODE)


def _line_number(text: str, offset: int) -> int:
    """Return the line of *offset*, counted from 1; a lone carriage return ends a line, too."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1


def _why(document: Document, block: MetadataBlock) -> str:
    if document.front is not None:
        return "the one at the top counts; move its keys there"
    if block.closing in _CLOSINGS:
        return _CLOSINGS[block.closing]
    if document.text[document.top : block.start].strip():
        return "other text stands before it; move it to the top of the file"
    if "\r" in document.text[block.start : block.end].replace("\r\n", ""):
        return "its lines end in a carriage return alone; save the file with usual line endings"
    return "its first line has to be `---` and nothing else"
