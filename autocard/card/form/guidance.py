"""What a form says to whoever fills it: comments and advice in italics, found beside a slot.

One rule: a form's own words go before ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from autocard.card.form import form
from autocard.card.form.form import AskedFact
from autocard.card.form.labels import Labels
from autocard.card.markdown.document import Block, Document

_LONGEST = 600


def of_slot(document: Document, labels: Labels, one: AskedFact) -> str:
    """Return what a person should write into the slot *one*, in the form's words, else in ours; "" where neither is."""
    section = document.sections[one.slot.section]
    if one.slot.kind == "body":
        found = of_blocks(
            document, labels, (block for block in section.blocks if not _hides(document, block))
        )
    else:
        end = document.line_end(document.body_line(one.slot.end))
        found = _words(document.text[one.slot.end : end])
    kind = labels.kinds.get(one.fact)
    return " ".join(found.split())[:_LONGEST] or (kind.guide if kind else "")


def _hides(document: Document, block: Block) -> bool:
    """Return whether *block* is a comment that hides a heading or a labelled line, with guidance of their own."""
    text = document.text[block.start : block.end].removeprefix("<!--").lstrip()
    return block.kind == "comment" and text.startswith(("#", "- **", "* **", "**"))


def of_blocks(document: Document, labels: Labels, blocks: Iterable[Block]) -> str:
    """Return the advice among *blocks*, paragraphs apart."""
    texts = [
        document.text[block.start : block.end]
        for block in blocks
        if advises(document, labels, block)
    ]
    return "\n\n".join(text for text in map(_words, texts) if text).replace("\r\n", "\n")


def advises(document: Document, labels: Labels, block: Block) -> bool:
    """Return whether *block* speaks to whoever writes the card: a comment, or a paragraph in italics."""
    text = document.text[block.start : block.end]
    italic = block.kind == "paragraph" and text[0] in "_*" and not text.startswith("**")
    return block.kind == "comment" or (italic and form.is_advice(text, labels))


def inside(text: str) -> str:
    """Return *text* so that it cannot end the comment that it stands in."""
    return text.replace("-->", "").replace("<!--", "")


def _words(text: str) -> str:
    text = text.strip()
    if text.startswith("<!--"):
        text = text.removeprefix("<!--").removesuffix("-->")
    elif not text.startswith(("_", "*")):
        return ""
    return inside(text).strip("_* \t\r\n")
