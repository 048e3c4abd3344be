"""Cards whose labels the table of words does not have, such as a form in another language."""

from __future__ import annotations

from autocard.card.form.form import Form
from autocard.card.form.labels import Labels, words
from autocard.card.markdown.document import Document

_LEAST = 3
"""Labels that make a form."""


def find(document: Document, labels: Labels) -> list[str]:
    """Return the labels of the card's own if the table has none of them; else nothing.

    Below headings that the table has, labels are the table's or our own.
    """
    form = Form(document, labels)
    known = {asked.slot.at for asked in form.asked if asked.slot.kind in ("line", "cell")}
    own: dict[str, None] = {}
    for slot in form.labelled:
        if slot.plain or any(labels.is_section_heading(heading) for heading in slot.path):
            continue
        if slot.at in known:
            return []
        if words(slot.label):
            own[slot.label] = None
    return list(own) if len(own) >= _LEAST else []
