"""How a text is put into a place: blanks around it, blank lines, lists that do not run together.

One rule: what is there stays; only blanks and newlines are added around what is written.
"""

from __future__ import annotations

import re

from autocard.card.markdown.document import Block, Document
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.slots import Slot
from autocard.card.markdown.style import Style
from autocard.errors import CardError

_ITEM = re.compile(r"(?:[-+*]|\d{1,9}[.)])[ \t]")
"""The beginning of a list item: `- a`, `12. a`."""
_LABELED_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\*\*|__)")
"""The beginning of a labelled line: `- **Hours used:** …`."""
_BLANKS = re.compile(r"\s*")
LIST_SEPARATOR = "<!-- -->"
"""What stands between two lists that would be one without it."""


def below_lines(lines: str, block: str) -> str:
    """Return labelled *lines* (which may be none) with *block* below them, as the lists of two."""
    is_list = _ITEM.match(block) is not None and _LABELED_ITEM.match(block) is None
    separator = LIST_SEPARATOR if lines and is_list else ""
    return "\n\n".join(piece for piece in (lines, separator, block) if piece)


class Writer:
    """Makes edits of one document.

    Attributes:
        style: how the document writes headings and labelled lines.
    """

    def __init__(self, document: Document, labelled: list[Slot]) -> None:
        """*labelled*: the document's labelled lines."""
        self.document = document
        self.labelled = labelled
        self.style = Style(document, labelled)
        self._count = 0

    def inline(self, start: int, end: int, value: str) -> Edit:
        """Return the edit that puts *value* on a line, with a blank on each side."""
        text = self.document.text
        before, after = text[start - 1 : start], text[end : end + 1]
        lead = "" if start == 0 or before in " \t\n" else " "
        tail = "" if after in ("", " ", "\t", "\r", "\n") else " "
        # Where the text ends with a label, its value comes before all else that is put at the end.
        return Edit(start, end, lead + value + tail, -1)

    def body(self, start: int, end: int, block: str) -> Edit:
        """Return the edit that puts *block* between blank lines.

        It follows its heading without one where the text that it replaces did.
        """
        self._check(start)
        lead, tail = self._body_lead(start, end), self._body_tail(start, end)
        content = self._apart_from_lists(start, end, block)
        return self._edit(start, end, lead + self._lines(content) + tail, joins=True)

    def _body_lead(self, start: int, end: int) -> str:
        text, newline = self.document.text, self.document.newline
        if start > 0 and text[start - 1] != "\n":
            return newline * 2
        if start <= self.document.body or (start < end and self._heading_ends(start)):
            return ""
        line = self.document.body_line(start) - 1
        above = text[self.document.offset(line) : self.document.line_end(line)]
        follows_comment = start < end and above.rstrip().endswith("-->")
        return newline if above.strip() and not follows_comment else ""

    def _body_tail(self, start: int, end: int) -> str:
        newline = self.document.newline
        if start < end:
            return self._after_replaced(end)
        if start >= len(self.document.text):
            return ""
        return newline * 2 if self._rest_of_line(start).strip() else newline

    def replaced_block(self, start: int, end: int, block: str) -> Edit:
        """Return the edit that puts *block* in the place of a written text between blank lines."""
        content = self._apart_from_lists(start, end, block)
        return self._edit(start, end, self._lines(content), joins=True)

    def section(self, place: int, chunk: str) -> Edit:
        """Return the edit that puts a new section at *place*: the start of a line or the end."""
        self._check(place)
        lead, tail = self._section_lead(place), self._section_tail(place)
        return self._edit(place, place, lead + self._lines(chunk) + tail)

    def _section_lead(self, place: int) -> str:
        text, newline = self.document.text, self.document.newline
        before = text[max(0, place - 4) : place]
        if before and not before.endswith("\n"):
            return newline * 2
        if before.replace("\r", "").endswith("\n\n"):
            return ""
        return "" if place == self.document.body == 0 else newline

    def _section_tail(self, place: int) -> str:
        text, newline = self.document.text, self.document.newline
        if place < len(text):
            return newline * 2 if self._rest_of_line(place).strip() else newline
        return newline if text.endswith("\n", 0, place) else ""

    def below_text(self, place: int, chunk: str) -> Edit:
        """Return the edit that puts *chunk* at *place*, below a person's text.

        It does not continue the person's last list.
        """
        content = self._apart_from_lists(place, place, chunk, may_join=False)
        return self.section(place, content)

    def above(self, slot: Slot, lines: str) -> Edit:
        """Return the edit that puts labelled *lines* above that of *slot*."""
        start = self.document.offset(self.document.body_line(slot.at))
        return self._edit(start, start, self._lines(lines) + self.document.newline)

    def below(self, slot: Slot, lines: str) -> Edit:
        """Return the edit that puts labelled *lines* below that of *slot*."""
        text, newline = self.document.text, self.document.newline
        end = self.document.line_end(self.document.body_line(slot.end))
        after = text.find("\n", end)
        if after < 0:
            return self._edit(end, end, newline + self._lines(lines))
        return self._edit(after + 1, after + 1, self._lines(lines) + newline)

    def replace(self, start: int, end: int, chunk: str) -> Edit:
        """Return the edit that puts *chunk* there and nothing around it."""
        return self._edit(start, end, self._lines(chunk))

    def _apart_from_lists(self, start: int, end: int, block: str, *, may_join: bool = True) -> str:
        """Return *block* with separators where a list would run together with the text beside it.

        *may_join*: labelled lines may continue a list of labelled lines above them.
        """
        begins_with_list = _ITEM.match(block) is not None
        # With a blank line between them, items of one list stand far apart.
        may_join = may_join and _LABELED_ITEM.match(block) is not None
        ends_with_list = _ends_in_item(block)
        if begins_with_list and self._follows_list(start, may_join=may_join):
            block = f"{LIST_SEPARATOR}\n\n{block}"
        if ends_with_list and self._precedes_list(end):
            block = f"{block}\n\n{LIST_SEPARATOR}"
        return block

    def _follows_list(self, start: int, *, may_join: bool) -> bool:
        """Return whether a list at *start* would continue the list above it, and must not."""
        blocks = self.document.sections[self.document.section_at(start)].blocks
        above = [block for block in blocks if block.end <= start]
        if not above or above[-1].kind != "list":
            return False
        return not (may_join and self._has_labels(above[-1]))

    def _precedes_list(self, end: int) -> bool:
        """Return whether what follows *end* is an item or indented: a list would take it in."""
        text = self.document.text
        blanks = _BLANKS.match(text, end)
        after = blanks.end() if blanks else end
        line = text.rfind("\n", end, after) + 1
        if not line and text[end - 1 : end] == "\n":
            line = end
        return bool(line) and (after > line or _ITEM.match(text, after) is not None)

    def _has_labels(self, block: Block) -> bool:
        """Return whether *block* is a list of labelled lines, which ours may continue."""
        bold = [slot.at for slot in self.labelled if not slot.plain]
        return any(block.start <= offset < block.end for offset in bold)

    def _check(self, place: int) -> None:
        """Check that a text at *place* would be visible.

        Raises:
            CardError: it would stand in a comment or code block that is never closed.
        """
        opened = self.document.open_end
        if 0 <= opened < place:
            line = self.document.line_number(opened)
            msg = (
                f"line {line}: the comment or code block that begins here is never closed, "
                "so nothing can follow it"
            )
            raise CardError(msg)

    def _edit(self, start: int, end: int, text: str, *, joins: bool = False) -> Edit:
        self._count += 1
        return Edit(start, end, text, self._count, joins)

    def _lines(self, text: str) -> str:
        """Return *text* with the line endings of the document."""
        return text.replace("\n", self.document.newline)

    def _after_replaced(self, end: int) -> str:
        """Return what must follow a block that ends where a placeholder did."""
        text, newline = self.document.text, self.document.newline
        after = text.find("\n", end)
        if after < 0:
            return newline * 2 if text[end:].strip() else ""
        rest = text[end:after]
        if rest.strip():
            return "" if rest.lstrip().startswith("<!--") else newline * 2
        below = self._rest_of_line(after + 1)
        is_text = below.strip() and not below.lstrip().startswith(("<!--", "#"))
        return newline if is_text else ""

    def _rest_of_line(self, offset: int) -> str:
        end = self.document.line_end(self.document.body_line(offset))
        return self.document.text[offset:end]

    def _heading_ends(self, offset: int) -> bool:
        for section in self.document.sections:
            if section.start == offset and section.heading:
                return True
        return False


def _ends_in_item(block: str) -> bool:
    """Return whether the last paragraph of *block* is a list, or continues an item."""
    last = block[block.rfind("\n\n") + 2 :] if "\n\n" in block else block
    return _ITEM.match(last) is not None or last.startswith((" ", "\t"))
