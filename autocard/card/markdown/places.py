"""Where a written text stands: its headings, its label, and its number among equal ones.

One rule: a place does not depend on the text that stands in it, so two slots with equal texts are
never confused.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from autocard.card.form.labels import Labels, words
from autocard.card.markdown import slots
from autocard.card.markdown.document import Document
from autocard.card.markdown.slots import Slot


@dataclass(frozen=True)
class Place:
    """One place in a card.

    Attributes:
        path: the headings above it, outermost first, without the card's title, as `words` returns
            them.
        section: which of the sections with this path it is in, counted from 0.
        sections: how many sections have this path.
        label: the label of its line or table row, as `words` returns it; "" where it stands between
            blank lines.
        number: which of the lines with this label, or of the visible blocks, of its section it is,
            counted from 0.
        numbers: how many of these the section has.
    """

    path: tuple[str, ...]
    section: int
    sections: int
    label: str
    number: int
    numbers: int

    def to_json(self) -> str:
        """Return the place as it is kept in the record."""
        return json.dumps(
            [list(self.path), self.section, self.sections, self.label, self.number, self.numbers],
            ensure_ascii=False,
        )

    @staticmethod
    def from_json(text: str) -> Place | None:
        """Return the place that `to_json` wrote; None: *text* is not one."""
        try:
            path, section, sections, label, number, numbers = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return None
        counts = (section, sections, number, numbers)
        if not isinstance(path, list) or not all(isinstance(word, str) for word in [*path, label]):
            return None
        if not all(isinstance(count, int) for count in counts):
            return None
        return Place(tuple(path), section, sections, label, number, numbers)


class Places:
    """Computes the place of any offset of one document."""

    def __init__(self, document: Document, labels: Labels, labelled: Sequence[Slot]) -> None:
        """*labelled*: the document's labelled lines and table rows, in order."""
        self._document = document
        self._labelled = sorted(labelled, key=lambda slot: slot.at)
        self._starts = [slot.at for slot in self._labelled]
        self._title = slots.title_section(document, labels)
        self._sections = self._numbered_sections()
        self._lines, self._line_counts = self._numbered_lines()

    def of_heading(self, offset: int) -> Place:
        """Return the place of the heading that begins at *offset*."""
        path, number = self._sections[self._document.section_at(offset) + 1]
        return Place(path, number, self._section_counts[path], "", 0, 0)

    def at(self, offset: int) -> Place:
        """Return the place of the text that begins at *offset*."""
        index = self._document.section_at(offset)
        path, section = self._sections[index]
        sections = self._section_counts[path]
        slot = self._slot_at(offset, index)
        if slot is None:
            blocks = self._document.sections[index].blocks
            shown = [block.start for block in blocks if block.kind != "comment"]
            return Place(path, section, sections, "", bisect_left(shown, offset), len(shown))
        label = _words(slot.label)
        count = self._line_counts[index, label]
        return Place(path, section, sections, label, self._lines[slot.at], count)

    def _slot_at(self, offset: int, section: int) -> Slot | None:
        """Return the labelled line or row that *offset* lies in.

        Its value begins there, or a comment that stands in the place of the value.
        """
        number = bisect_right(self._starts, offset) - 1
        if number < 0 or self._labelled[number].section != section:
            return None
        slot = self._labelled[number]
        if offset == slot.start:
            return slot
        line = self._document.body_line(offset)
        is_same_line = line >= 0 and line == self._document.body_line(slot.at)
        return slot if is_same_line else None

    def _numbered_sections(self) -> list[tuple[tuple[str, ...], int]]:
        """Return for each section its path, and how many sections with this path come before it."""
        counts: Counter[tuple[str, ...]] = Counter()
        title = None
        if self._title is not None:
            title = self._document.sections[self._title].path[0]
        numbered = []
        for section in self._document.sections:
            path = section.path
            if path[:1] == (title,):
                path = path[1:]
            key = tuple(_words(heading) for heading in path)
            numbered.append((key, counts[key]))
            counts[key] += 1
        self._section_counts = counts
        return numbered

    def _numbered_lines(self) -> tuple[dict[int, int], dict[tuple[int, str], int]]:
        """Return the number of each labelled line among those with its label, and all counts.

        Lines of one section are counted; they are found by the offset of their label.
        """
        counts: dict[tuple[int, str], int] = defaultdict(int)
        numbers = {}
        for slot in self._labelled:
            key = slot.section, _words(slot.label)
            numbers[slot.at] = counts[key]
            counts[key] += 1
        return numbers, counts


def _words(heading: str) -> str:
    """Return *heading* as it is compared; one without words (`***`) as it stands."""
    return words(heading) or heading.strip()
