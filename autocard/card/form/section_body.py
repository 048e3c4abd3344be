"""The text below one heading: which part of it answers the heading, and where a fact would go.

One rule: comments, advice in italics, a form's own sentences and labelled lines are no answer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal, NamedTuple

from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.labels import LabelMeaning, Labels
from autocard.card.form.placeholders import Placeholder
from autocard.card.form.slot_reader import SlotReader, is_no_answer
from autocard.card.markdown import line_labels
from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.section_end import may_belong_below
from autocard.card.markdown.slots import Slot

_BOLD = "**"
_TWO_MARKS = 2


class _Part(NamedTuple):
    """What one block of a section is.

    Attributes:
        role: labelled (a labelled line or the value of one), placeholder, content (an answer), or
            inert (it shows nothing, or is the form's own).
        start: offset of the placeholder, or of the block.
        end: offset after it.
        block: the block.
        number: its number in the section.
    """

    role: Literal["labelled", "placeholder", "content", "inert"]
    start: int
    end: int
    block: Block
    number: int


class SectionBody:
    """One section's own text.

    Attributes:
        ours: (start, end) of texts that autocard wrote, which are no answer.
    """

    def __init__(
        self, reader: SlotReader, index: int, own_labels: list[Slot], known_labels: set[int]
    ) -> None:
        """Prepare the section number *index*.

        Args:
            reader: reads the values of the document.
            index: number of the section.
            own_labels: labelled slots of the section.
            known_labels: offsets of the document's labels whose fact is known.
        """
        self.ours: list[tuple[int, int]] = []
        self._reader = reader
        self._document = reader.document
        self._labels = reader.labels
        self._index = index
        self._section = reader.document.sections[index]
        self._own_labels = own_labels
        self._known_labels = known_labels

    def asked(self, *, is_title: bool) -> Iterator[AskedFact]:
        """Yield what the placeholders with variables ask for, and what the heading itself does."""
        meaning = self._meaning(is_title=is_title)
        content: list[Block] = []
        is_answered = False
        for part in self._parts():
            if part.role == "content":
                content.append(part.block)
            if part.role != "placeholder":
                continue
            if content and self._is_caption_of(part, content[-1]):
                # `**Metrics**⏎⏎[More Information Needed]`: it asks for what the bold words name,
                # and they are no answer to the heading.
                content.pop()
                continue
            asked = self._placeholder_slot(part, meaning, is_answered=is_answered)
            if asked is not None:
                is_answered = is_answered or (meaning is not None and asked.fact == meaning.fact)
                yield asked
        if meaning is not None and not is_answered:
            yield self._answer(meaning, content)

    def _named(self) -> LabelMeaning | None:
        """Return the single figure that the heading names: asked for by a placeholder alone."""
        path = self._section.path
        meaning = self._labels.fact(path[-1], path[:-1])
        return meaning if meaning is not None and self._labels.is_asked(meaning.fact) else None

    def _meaning(self, *, is_title: bool) -> LabelMeaning | None:
        """Return the fact that the heading asks for."""
        if is_title:
            return LabelMeaning("model_summary", fallback=True)
        path = self._section.path
        return self._labels.heading(path[-1], path[:-1])

    def _placeholder_slot(
        self, part: _Part, meaning: LabelMeaning | None, *, is_answered: bool
    ) -> AskedFact | None:
        """Return the slot that a placeholder is: for its variable's fact, or the heading's."""
        heading = meaning or self._named()
        fact = heading.fact if heading else ""
        kind = self._reader.empty(self._words(part), self._index, fact)
        named = self._labels.variable(kind.variable) if kind else None
        if named is not None:
            return self._slot(part.start, part.end, named, kind)
        if meaning is None and heading is not None:
            return self._slot(part.start, part.end, heading.fact, kind)
        if meaning is None or is_answered:
            return None
        return self._slot(part.start, part.end, meaning.fact, kind, fallback=meaning.fallback)

    def _answer(self, meaning: LabelMeaning, content: list[Block]) -> AskedFact:
        """Return the slot of the heading's own text, or the place where that would go."""
        kind: Placeholder | None = None
        if content:
            start, end = content[0].start, content[-1].end
            if self._reader.is_generated(self._document.text[start:end], self._index):
                kind = Placeholder("generated")
        else:
            at_end = meaning.fact in self._labels.body_at_end
            start = end = _empty_body_place(
                self._document, self._labels, self._section, at_end=at_end
            )
            kind = Placeholder("blank")
        return self._slot(start, end, meaning.fact, kind, fallback=meaning.fallback)

    def _slot(
        self, start: int, end: int, fact: str, kind: Placeholder | None, *, fallback: bool = False
    ) -> AskedFact:
        path = self._section.path
        slot = Slot("body", path[-1], path, start, end, self._index)
        return AskedFact(slot, fact, self._document.text[start:end], kind, fallback)

    def _parts(self) -> Iterator[_Part]:
        labelled = self._labelled_blocks()
        for number, block in enumerate(self._section.blocks):
            if number in labelled:
                yield _Part("labelled", block.start, block.end, block, number)
            else:
                yield self._part(block, number)

    def _part(self, block: Block, number: int) -> _Part:
        """Return what *block*, which is no labelled line, is."""
        text, start, end = self._document.text, block.start, block.end
        inert = _Part("inert", start, end, block, number)
        if block.kind in ("comment", "rule") or self._is_ours(block):
            return inert
        content = _Part("content", start, end, block, number)
        if block.kind not in ("paragraph", "list"):
            return content
        is_inert = block.kind == "paragraph" and is_no_answer(text[start:end], self._labels)
        if is_inert:
            # A placeholder may stand on the last line below the form's advice.
            last_line = text.rfind("\n", start, end) + 1
            if last_line <= start:
                return inert
            start = last_line
        start, end = line_labels.trim(text, start, end)
        placeholder = _Part("placeholder", start, end, block, number)
        if self._asks(self._words(placeholder)) or self._is_declined(placeholder):
            return placeholder
        return inert if is_inert else content

    def _is_declined(self, part: _Part) -> bool:
        """Return whether "N/A" stands below a heading that asks for a machine's fact."""
        path = self._section.path
        meaning = self._labels.fact(path[-1], path[:-1])
        fact = meaning.fact if meaning else ""
        return self._reader.declined(self._words(part), fact) is not None

    def _words(self, part: _Part) -> str:
        """Return the text of a placeholder, without the mark of a list item."""
        start = part.start
        if part.block.kind == "list":
            start = line_labels.after_marker(self._document.text, start, part.end)
        return self._document.text[start : part.end]

    def _is_ours(self, block: Block) -> bool:
        return any(start <= block.start and block.end <= end for start, end in self.ours)

    def _is_caption_of(self, placeholder: _Part, caption: Block) -> bool:
        """Return whether *caption* is a paragraph in bold directly above *placeholder*."""
        above = self._section.blocks[placeholder.number - 1]
        if caption is not above or caption.kind != "paragraph":
            return False
        start, end = line_labels.trim(self._document.text, caption.start, caption.end)
        text = self._document.text[start:end]
        is_bold = text.startswith(_BOLD) and text.endswith(_BOLD)
        return is_bold and text.count(_BOLD) == _TWO_MARKS

    def _labelled_blocks(self) -> set[int]:
        """Return the numbers of the blocks that are labelled lines, or the values of some."""
        starts = [block.start for block in self._section.blocks]
        found = set()
        for slot in self._own_labels:
            if not self._is_label(slot):
                continue
            for offset in (slot.at, slot.start):
                number = bisect_right(starts, offset) - 1
                if number < 0:
                    continue
                block_end = max(self._section.blocks[number].end, starts[number] + 1)
                if offset < block_end:
                    found.add(number)
        return found

    def _is_label(self, slot: Slot) -> bool:
        """Return whether *slot* is a labelled line rather than an answer.

        A list item that merely looks like `word: value` is an answer, unless the word is known.
        """
        if slot.at in self._known_labels:
            return not slot.loose or self._asks(self._document.text[slot.start : slot.end])
        if slot.plain:
            return False
        return slot.start == slot.end or self._asks_below(slot)

    def _asks_below(self, slot: Slot) -> bool:
        """Return whether the placeholder of *slot* stands in a block below its label."""
        text = self._document.text
        return "\n" in text[slot.at : slot.start] and self._asks(text[slot.start : slot.end])

    def _asks(self, value: str) -> bool:
        return bool(value) and self._reader.placeholder(value) is not None


def place_of_first_text(document: Document, labels: Labels, section: Section) -> int:
    """Return where a text goes that is to stand first in *section*, after its guidance."""
    return _empty_body_place(document, labels, section, at_end=False)


def _empty_body_place(document: Document, labels: Labels, section: Section, *, at_end: bool) -> int:
    """Return where the text of an empty body goes: the start of a line, or the end of the text.

    That is after guidance and before labelled lines, or (*at_end*) after everything.
    """
    place = section.start
    for block in section.blocks:
        if at_end:
            # A comment after the last words may belong to the next heading.
            if may_belong_below(document, block) and place > section.start:
                continue
        elif block.kind != "comment" and not _is_advice_block(document, labels, block):
            break
        newline = document.text.find("\n", block.end)
        place = len(document.text) if newline < 0 else newline + 1
    return place


def _is_advice_block(document: Document, labels: Labels, block: Block) -> bool:
    text = document.text[block.start : block.end]
    return block.kind == "paragraph" and is_no_answer(text, labels)
