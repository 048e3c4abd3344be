"""How a document writes headings and labelled lines, so that ours look like its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from autocard.card.markdown.document import Document, Heading
from autocard.card.markdown.slots import Slot

_LOWEST_SETEXT_LEVEL = 2
"""Headings that are underlined have level 1 (`===`) or 2 (`---`)."""
_LOWEST_LEVEL = 6
_LABEL_LENGTH = 130
"""Characters within which a bold label ends."""
_BULLETS = ("- ", "* ", "+ ")


@dataclass(frozen=True)
class LineStyle:
    """How labelled lines are written.

    Attributes:
        marker: what stands before the label: `- `.
        colon_in_bold: `**Label:**` rather than `**Label**:`.
        tail: what ends the line: ` <br>`.
    """

    marker: str = "- "
    colon_in_bold: bool = True
    tail: str = ""


class Style:
    """The style of one document."""

    def __init__(self, document: Document, labelled: list[Slot]) -> None:
        """*labelled*: the document's labelled lines."""
        self._document = document
        self._labelled = labelled

    def heading(self, title: str, level: int) -> str:
        """Return a heading as the document writes them."""
        if level <= _LOWEST_SETEXT_LEVEL and self._underlined:
            return f"{title}\n{'=-'[level - 1] * max(3, len(title))}"
        mark = "#" * min(level, _LOWEST_LEVEL)
        return f"{mark} {title} {mark}" if self._closed else f"{mark} {title}"

    def line(self, label: str, value: str) -> str:
        """Return a labelled line as the document writes them."""
        style = self._line_style
        bold = f"**{label}:**" if style.colon_in_bold else f"**{label}**:"
        return f"{style.marker}{bold} {value}{style.tail}"

    @cached_property
    def _headings(self) -> list[Heading]:
        return [section.heading for section in self._document.sections if section.heading]

    @cached_property
    def _underlined(self) -> bool:
        """Whether headings of level 2 are underlined (`Title⏎-----`)."""
        marks = [
            heading.setext for heading in self._headings if heading.level == _LOWEST_SETEXT_LEVEL
        ]
        return bool(marks) and all(marks)

    @cached_property
    def _closed(self) -> bool:
        """Whether headings end as they begin: `## Title ##`."""
        text = self._document.text
        marked = [heading for heading in self._headings if not heading.setext]
        return bool(marked) and all(
            text[heading.start : heading.end].rstrip().endswith("#") for heading in marked
        )

    @cached_property
    def _line_style(self) -> LineStyle:
        """The most frequent style of labelled lines."""
        styles: Counter[LineStyle] = Counter()
        for slot in self._labelled:
            if slot.kind != "line" or slot.plain:
                continue
            style = self._style_of(slot)
            if style.marker in _BULLETS or style.tail:
                styles[style] += 1
        return styles.most_common(1)[0][0] if styles else LineStyle()

    def _style_of(self, slot: Slot) -> LineStyle:
        text = self._document.text
        start = text.rfind("\n", 0, slot.at) + 1
        label = text[slot.at : slot.at + _LABEL_LENGTH].partition("**")[2].partition("**")[0]
        has_break = text[slot.end : slot.end + 8].strip().lower().startswith("<br")
        return LineStyle(
            marker=text[start : slot.at].lstrip("\ufeff"),
            colon_in_bold=label.rstrip().endswith(":"),
            tail=" <br>" if has_break else "",
        )
