"""A form's guidance for the person who fills it: comments and advice in italics beside a slot.

One rule: a form's own words go before ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.labels import Labels
from autocard.card.form.slot_reader import is_advice
from autocard.card.markdown.document import Block, Document

_LONGEST = 600
"""Characters of guidance that are shown."""


def slot_guidance(document: Document, labels: Labels, asked: AskedFact) -> str:
    """Return what a person should write into a slot, in the form's words or else in ours."""
    text = document.text
    if asked.slot.kind == "body":
        blocks = document.sections[asked.slot.section].blocks
        visible = [block for block in blocks if not _hides_a_slot(document, block)]
        found = block_guidance(document, labels, visible)
    else:
        # The comment behind the value: `- **Training regime:** … <!--fp32, fp16 -->`
        line_end = document.line_end(document.body_line(asked.slot.end))
        found = _words(text[asked.slot.end : line_end])
    on_one_line = " ".join(found.split())[:_LONGEST]
    if on_one_line:
        return on_one_line
    kind = labels.kinds.get(asked.fact)
    return kind.guide if kind else ""


def _hides_a_slot(document: Document, block: Block) -> bool:
    """Return whether *block* is a comment that hides a heading or a labelled line."""
    if block.kind != "comment":
        return False
    text = document.text[block.start : block.end].removeprefix("<!--").lstrip()
    return text.startswith(("#", "- **", "* **", "**"))


def block_guidance(document: Document, labels: Labels, blocks: Iterable[Block]) -> str:
    """Return the advice among *blocks*, with blank lines between paragraphs."""
    found = []
    for block in blocks:
        if is_guidance_block(document, labels, block):
            words = _words(document.text[block.start : block.end])
            if words:
                found.append(words)
    return "\n\n".join(found).replace("\r\n", "\n")


def is_guidance_block(document: Document, labels: Labels, block: Block) -> bool:
    """Return whether *block* is for the card's author: a comment, or a paragraph in italics."""
    if block.kind == "comment":
        return True
    if block.kind != "paragraph":
        return False
    text = document.text[block.start : block.end]
    is_italic = text[0] in "_*" and not text.startswith("**")
    return is_italic and is_advice(text, labels)


def inside_comment(text: str) -> str:
    """Return *text* so that it cannot end the comment that it stands in."""
    return text.replace("-->", "").replace("<!--", "")


def _words(text: str) -> str:
    """Return the words of a comment or a paragraph in italics; "" for other text."""
    text = text.strip()
    if text.startswith("<!--"):
        text = text.removeprefix("<!--").removesuffix("-->")
    elif not text.startswith(("_", "*")):
        return ""
    return inside_comment(text).strip("_* \t\r\n")
