"""Where a section's own text ends: comments and open HTML may already belong to what follows."""

from __future__ import annotations

from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.html_spans import outside_html


def may_belong_below(document: Document, block: Block) -> bool:
    """Return whether *block* shows nothing and may belong to what follows.

    That is a comment, but no tag that closes (`</details>`).
    """
    return block.kind == "comment" and not document.text.startswith("</", block.start)


def end_of_text(document: Document, section: Section) -> int:
    """Return where *section*'s own text ends, before comments that belong to the next heading."""
    blocks = list(section.blocks)
    has_text = any(block.kind != "comment" for block in blocks)
    while has_text and len(blocks) > 1 and may_belong_below(document, blocks[-1]):
        blocks.pop()
    if len(blocks) == len(section.blocks):
        return outside_html(document, section.end)
    newline = document.text.find("\n", blocks[-1].end)
    return outside_html(document, section.end if newline < 0 else newline + 1)
