"""How a text is put into a place: blanks around it, blank lines, the form's own style of headings and labels.

One rule: what is there stays; only blanks and newlines are added around what is written.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.html_spans import outside_html
from autocard.card.markdown.slots import Slot
from autocard.errors import CardError


@dataclass(frozen=True)
class Edit:
    """One change of the text.

    Attributes:
        start: offset of the first character that is replaced.
        end: offset after the last one.
        text: what stands there afterwards.
        order: the place among edits at the same offset.
        joins: a list of labelled lines above it may go on in it.
    """

    start: int
    end: int
    text: str
    order: int = 0
    joins: bool = False

    @property
    def key(self) -> tuple[int, bool, int]:
        """What edits are sorted by: what is put in before a place comes before what replaces it."""
        return self.start, self.end > self.start, self.order


_ITEM = re.compile(r"(?:[-+*]|\d{1,9}[.)])[ \t]")
_BLANKS = re.compile(r"\s*")
_PART = "<!-- -->"
"""What stands between two lists that would be one without it."""


def _ends_in_item(block: str) -> bool:
    """Return whether the last of *block* is a list, or goes on with an item's text."""
    last = block[block.rfind("\n\n") + 2 :] if "\n\n" in block else block
    return _ITEM.match(last) is not None or last.startswith((" ", "\t"))


class Writer:
    """Makes edits in the style of one document."""

    def __init__(self, document: Document, labelled: list[Slot]) -> None:
        """*labelled*: the document's labelled lines, whose style is taken over."""
        self.document = document
        self.labelled = labelled
        self._count = 0

    def inline(self, start: int, end: int, value: str) -> Edit:
        """Return the edit that puts *value* on a line, with a blank on each side where there is none."""
        text = self.document.text
        before, after = text[start - 1 : start], text[end : end + 1]
        lead = "" if start == 0 or before in " \t\n" else " "
        tail = "" if after in ("", " ", "\t", "\r", "\n") else " "
        # Where the text ends with a label, its value comes before whatever else is put at the end.
        return Edit(start, end, lead + value + tail, -1)

    def body(self, start: int, end: int, block: str) -> Edit:
        """Return the edit that puts *block* between blank lines (or after its heading, where one stood before)."""
        self._check(start)
        text, newline = self.document.text, self.document.newline
        lead = tail = ""
        if start > 0 and text[start - 1] != "\n":
            lead = newline * 2
        elif start > self.document.body and (start == end or not self._heading_ends(start)):
            line = self.document.body_line(start) - 1
            above = text[self.document.offset(line) : self.document.line_end(line)]
            keeps = start < end and above.rstrip().endswith("-->")
            lead = newline if above.strip() and not keeps else ""
        if start == end and start < len(text):
            below = text[start : self.document.line_end(self.document.body_line(start))]
            tail = newline * 2 if below.strip() else newline
        elif start < end:
            tail = self._after(end)
        return self._edit(
            start,
            end,
            lead + self._parted(start, end, block).replace("\n", newline) + tail,
            joins=True,
        )

    def swap(self, start: int, end: int, block: str) -> Edit:
        """Return the edit that puts *block* in the place of a text of ours between blank lines."""
        return self._edit(
            start,
            end,
            self._parted(start, end, block).replace("\n", self.document.newline),
            joins=True,
        )

    def _parted(self, start: int, end: int, block: str, *, may_join: bool = True) -> str:
        """Return *block* so that no list in it becomes one with a list, or takes in indented text, beside it.

        *may_join*: labelled lines may go on with a list of labelled lines above them.
        """
        if not _ITEM.match(block) and not _ends_in_item(block):
            return block
        text = self.document.text
        above = [
            one
            for one in self.document.sections[self.document.section_at(start)].blocks
            if one.end <= start
        ]
        below_list = bool(above) and above[-1].kind == "list" and _ITEM.match(block) is not None
        if below_list and not (may_join and self._has_labels(above[-1])):
            block = f"{_PART}\n\n{block}"
        blanks = _BLANKS.match(text, end)
        after = blanks.end() if blanks else end
        line = text.rfind("\n", end, after) + 1 or (end if text[end - 1 : end] == "\n" else 0)
        if line and _ends_in_item(block) and (after > line or _ITEM.match(text, after)):
            block = f"{block}\n\n{_PART}"
        return block

    def _has_labels(self, block: Block) -> bool:
        """Return whether *block* is a list of labelled lines, which ours may go on with."""
        return any(block.start <= slot.at < block.end and not slot.plain for slot in self.labelled)

    def section(self, place: int, chunk: str) -> Edit:
        """Return the edit that puts a new section at *place*, the start of a line or the end of the text."""
        self._check(place)
        text, newline = self.document.text, self.document.newline
        before = text[max(0, place - 4) : place]
        lead = "" if place == self.document.body and place == 0 else newline
        if before and not before.endswith("\n"):
            lead = newline * 2
        elif before.replace("\r", "").endswith("\n\n"):
            lead = ""
        below = (
            text[place : self.document.line_end(self.document.body_line(place))]
            if place < len(text)
            else ""
        )
        tail = (
            newline * 2
            if below.strip()
            else newline
            if place < len(text) or before.endswith("\n")
            else ""
        )
        return self._edit(place, place, lead + chunk.replace("\n", newline) + tail)

    def after_text(self, place: int, chunk: str) -> Edit:
        """Return the edit that puts *chunk* at *place*, below a person's text, whose last list it does not join."""
        return self.section(place, self._parted(place, place, chunk, may_join=False))

    def above(self, slot: Slot, lines: str) -> Edit:
        """Return the edit that puts labelled *lines* above that of *slot*."""
        start = self.document.offset(self.document.body_line(slot.at))
        return self._edit(
            start, start, lines.replace("\n", self.document.newline) + self.document.newline
        )

    def below(self, slot: Slot, lines: str) -> Edit:
        """Return the edit that puts labelled *lines* below that of *slot*."""
        text, newline = self.document.text, self.document.newline
        end = self.document.line_end(self.document.body_line(slot.end))
        after = text.find("\n", end)
        chunk = lines.replace("\n", newline)
        return (
            self._edit(end, end, newline + chunk)
            if after < 0
            else self._edit(after + 1, after + 1, chunk + newline)
        )

    def replace(self, start: int, end: int, chunk: str) -> Edit:
        """Return the edit that puts *chunk* there and nothing around it."""
        return self._edit(start, end, chunk.replace("\n", self.document.newline))

    def heading(self, title: str, level: int) -> str:
        """Return a heading as the document writes them."""
        if level <= 2 and self._setext:  # noqa: PLR2004 - there are no others with an underline
            return f"{title}\n{'=-'[level - 1] * max(3, len(title))}"
        mark = "#" * min(level, 6)
        return f"{mark} {title} {mark}" if self._closed else f"{mark} {title}"

    def line(self, label: str, value: str) -> str:
        """Return a labelled line as the document writes them."""
        marker, inside, tail = self._line_style
        return (
            f"{marker}**{label}:** {value}{tail}"
            if inside
            else f"{marker}**{label}**: {value}{tail}"
        )

    def _check(self, place: int) -> None:
        """Make sure that what is put at *place* can be seen there."""
        opened = self.document.open_end
        if 0 <= opened < place:
            line = self.document.line_number(opened)
            msg = f"line {line}: the comment or code block that begins here is never closed, so nothing can follow it"
            raise CardError(msg)

    def _edit(self, start: int, end: int, text: str, *, joins: bool = False) -> Edit:
        self._count += 1
        return Edit(start, end, text, self._count, joins)

    def _after(self, end: int) -> str:
        """Return what must follow a block that ends where a placeholder did."""
        text, newline = self.document.text, self.document.newline
        after = text.find("\n", end)
        if after < 0:
            return newline * 2 if text[end:].strip() else ""
        if text[end:after].strip():
            return "" if text[end:after].lstrip().startswith("<!--") else newline * 2
        below = text[after + 1 : self.document.line_end(self.document.body_line(after + 1))]
        plain = below.strip() and not below.lstrip().startswith(("<!--", "#"))
        return newline if plain else ""

    def _heading_ends(self, offset: int) -> bool:
        return any(
            section.start == offset and section.heading for section in self.document.sections
        )

    @cached_property
    def _setext(self) -> bool:
        marks = [s.heading.setext for s in self.document.sections if s.heading and s.level == 2]  # noqa: PLR2004
        return bool(marks) and all(marks)

    @cached_property
    def _closed(self) -> bool:
        text = self.document.text
        heads = [s.heading for s in self.document.sections if s.heading and not s.heading.setext]
        return bool(heads) and all(
            text[head.start : head.end].rstrip().endswith("#") for head in heads
        )

    @cached_property
    def _line_style(self) -> tuple[str, bool, str]:
        """Return (marker, whether the colon is inside the bold, what ends the line): the commonest in the document."""
        text = self.document.text
        styles: Counter[tuple[str, bool, str]] = Counter()
        for slot in self.labelled:
            if slot.kind != "line" or slot.plain:
                continue
            start = text.rfind("\n", 0, slot.at) + 1
            marker = text[start : slot.at].lstrip("\ufeff")
            inside = (
                text[slot.at : slot.at + 130]
                .partition("**")[2]
                .partition("**")[0]
                .rstrip()
                .endswith(":")
            )
            tail = (
                " <br>" if text[slot.end : slot.end + 8].strip().lower().startswith("<br") else ""
            )
            if marker in ("- ", "* ", "+ ") or tail:
                styles[marker, inside, tail] += 1
        return styles.most_common(1)[0][0] if styles else ("- ", True, "")


def leads_over(document: Document, block: Block) -> bool:
    """Return whether *block* shows nothing and may belong to what follows: a comment, and no tag that closes."""
    return block.kind == "comment" and not document.text.startswith("</", block.start)


def end_of_text(document: Document, section: Section) -> int:
    """Return where *section*'s own text ends, before comments or an open HTML element that lead over to a heading."""
    blocks = list(section.blocks)
    while (
        len(blocks) > 1
        and leads_over(document, blocks[-1])
        and any(one.kind != "comment" for one in blocks)
    ):
        blocks.pop()
    after = -1 if len(blocks) == len(section.blocks) else document.text.find("\n", blocks[-1].end)
    return outside_html(document, section.end if after < 0 else after + 1)


def apart(edits: list[Edit], newline: str) -> list[Edit]:
    """Return *edits*, in order, with a blank line between what two of them put at the same place."""
    found = edits[:1]
    for edit in edits[1:]:
        last = found[-1]
        if (
            edit.start == edit.end == last.end
            and last.start == last.end
            and last.text
            and edit.text
        ):
            gap = last.text[-4:].replace("\r", "")
            ends = len(gap) - len(gap.rstrip("\n"))
            starts = edit.text[:4].replace("\r", "")
            begins = len(starts) - len(starts.lstrip("\n"))
            edit = replace(edit, text=newline * max(0, 2 - ends - begins) + edit.text)  # noqa: PLW2901
        found.append(edit)
    return found
