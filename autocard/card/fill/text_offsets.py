"""Where the texts that a fill writes stand in the new card.

One rule: offsets follow from the edits, never from a search for a text through the whole card.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from autocard.card.fill.written_text import ADDED
from autocard.card.markdown.edit import Edit


@dataclass(frozen=True)
class PlannedText:
    """A written text in the new card.

    Attributes:
        name: its name among the written texts, without a number.
        text: as it is remembered.
        at: offset in the old card where it stands, or where *edit* puts it.
        edit: the change that contains it; None: it stands there already.
        before: what stood in its place before it was written; None: that is not known.
    """

    name: str
    text: str
    at: int
    edit: Edit | None = None
    before: str | None = None


@dataclass(frozen=True)
class TextOffset:
    """A written text and its offset in the new card; -1: it has none."""

    offset: int
    text: PlannedText


@dataclass(frozen=True)
class _AppliedEdit:
    """Where the text of an edit stands in the new card."""

    start: int
    text: str


class TextOffsets:
    """Maps offsets of the old card to the new one."""

    def __init__(self, planned: Sequence[Edit], applied: Sequence[Edit], newline: str) -> None:
        """*planned*: the edits as decided, in order; *applied*: the same edits as made."""
        self._newline = newline
        self._ends = [edit.end for edit in applied]
        self._shifts = [0]
        self._applied: dict[int, _AppliedEdit] = {}
        for plan, edit in zip(planned, applied, strict=True):
            self._applied[id(plan)] = _AppliedEdit(edit.start + self._shifts[-1], edit.text)
            self._shifts.append(self._shifts[-1] + len(edit.text) - (edit.end - edit.start))

    def offsets(self, texts: Sequence[PlannedText]) -> list[TextOffset]:
        """Return *texts* in the order of the new card, those without an offset first."""
        found = [TextOffset(self._moved(text.at), text) for text in texts if text.edit is None]
        # Headings and texts of one edit are searched apart: a text may read like its heading.
        by_edit: dict[tuple[int, bool], list[PlannedText]] = {}
        for text in texts:
            if text.edit is not None:
                key = id(text.edit), text.name.startswith(ADDED)
                by_edit.setdefault(key, []).append(text)
        for (edit, _), edit_texts in by_edit.items():
            found += self._inside(edit, edit_texts)
        return sorted(found, key=lambda text: text.offset)

    def _moved(self, offset: int) -> int:
        """Return where *offset* of the old card, outside all edits, is now."""
        return offset + self._shifts[bisect_right(self._ends, offset)]

    def _inside(self, edit: int, texts: Sequence[PlannedText]) -> list[TextOffset]:
        """Return the offsets of texts that one edit (by its id) contains in this order.

        The search goes from the end: what stands before a text there is its label or heading, which
        may read like it.
        """
        applied = self._applied.get(edit, _AppliedEdit(0, ""))
        found = []
        bound = len(applied.text)
        for text in reversed(texts):
            index = applied.text.rfind(text.text.replace("\n", self._newline), 0, bound)
            if index < 0:
                found.append(TextOffset(-1, text))
            else:
                found.append(TextOffset(applied.start + index, text))
                bound = index
        return found[::-1]
