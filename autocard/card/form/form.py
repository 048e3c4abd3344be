"""A document and the label table → which facts the form asks for, and what stands there now.

One rule: nothing is decided here about writing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.labels import Labels, words
from autocard.card.form.placeholders import Placeholder
from autocard.card.form.section_body import SectionBody
from autocard.card.form.slot_reader import SlotReader
from autocard.card.markdown import line_labels, slots
from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.slots import Slot
from autocard.card.quantity import asked_units


@dataclass(frozen=True)
class UnknownSlot:
    """A placeholder that asks for something that the label table does not have.

    Attributes:
        label: its label, or the heading above it.
        start: its offset.
        placeholder: its text.
    """

    label: str
    start: int
    placeholder: str


class Form:
    """What one document asks for.

    Attributes:
        labelled: all its labelled lines and table rows, in order.
        asked: the slots that ask for a fact of the label table, in order.
    """

    def __init__(self, document: Document, labels: Labels) -> None:
        """Read the slots of *document*."""
        self._document = document
        self.labelled = list(slots.labelled(document))
        self._label_starts = [slot.at for slot in self.labelled]
        self._reader = SlotReader(document, labels)
        lines = list(_lines(self._reader, self.labelled))
        self._title = slots.title(document, labels)
        if self._title is not None:
            lines.append(_title(self._reader, self._title))
        # A list of settings is an answer to its heading, also where each of them is a fact.
        self._known_labels = {asked.slot.at for asked in lines if not labels.is_asked(asked.fact)}
        bodies: list[AskedFact] = []
        for index in range(len(document.sections)):
            bodies += self._bodies(index, ())
        generated = sorted((body.slot.start, body.slot.end) for body in bodies if body.generated)
        lines = [line for line in lines if not _is_within(line.slot, generated)]
        self.asked = _in_order([*lines, *bodies])

    def without(self, ours: Collection[tuple[int, int]]) -> list[AskedFact]:
        """Return `asked` as it is if our own texts are no answer to their heading.

        *ours*: (start, end) of the texts that autocard wrote.
        """
        places_by_section: dict[int, list[tuple[int, int]]] = {}
        section_starts = [section.start for section in self._document.sections]
        for place in ours:
            section = bisect_right(section_starts, place[0]) - 1
            places_by_section.setdefault(section, []).append(place)
        kept = [asked for asked in self.asked if not _is_body_of(asked, places_by_section)]
        for section, places in places_by_section.items():
            kept += self._bodies(section, places)
        sorted_places = sorted(ours)
        return _in_order(asked for asked in kept if not _is_within(asked.slot, sorted_places))

    def unknown(self) -> Iterator[UnknownSlot]:
        """Yield what asks for something that the label table does not have."""
        known = {asked.slot.start for asked in self.asked}
        for slot in self.labelled:
            value = self._document.text[slot.start : slot.end]
            kind = self._reader.placeholder(value)
            if kind is not None and kind.notation != "blank" and slot.start not in known:
                yield UnknownSlot(slot.label, slot.start, value)
        known |= {slot.start for slot in self.labelled}
        for section in self._document.sections:
            for block in section.blocks:
                unknown = self._unknown_block(section, block)
                if unknown is not None and unknown.start not in known:
                    yield unknown

    def _unknown_block(self, section: Section, block: Block) -> UnknownSlot | None:
        """Return the placeholder that *block* is; None: it is none."""
        if block.kind not in ("paragraph", "list"):
            return None
        text = self._document.text
        start, end = line_labels.trim(text, block.start, block.end)
        if block.kind == "list":
            start = line_labels.after_marker(text, start, end)
        if start >= end or self._reader.placeholder(text[start:end]) is None:
            return None
        heading = section.path[-1] if section.path else ""
        return UnknownSlot(heading, start, text[start:end])

    def _bodies(self, index: int, ours: Collection[tuple[int, int]]) -> Iterator[AskedFact]:
        """Yield what the heading of a section and its placeholders ask for."""
        section = self._document.sections[index]
        if section.heading is None:
            return
        first = bisect_left(self._label_starts, section.start)
        after = bisect_left(self._label_starts, section.end)
        body = SectionBody(self._reader, index, self.labelled[first:after], self._known_labels)
        body.ours = list(ours)
        is_title = self._title is not None and self._title.section == index
        yield from body.asked(is_title=is_title)


def _is_body_of(asked: AskedFact, sections: Collection[int]) -> bool:
    return asked.slot.kind == "body" and asked.slot.section in sections


def _in_order(asked: Iterable[AskedFact]) -> list[AskedFact]:
    return sorted(asked, key=lambda each: each.slot.start)


def _is_within(slot: Slot, places: list[tuple[int, int]]) -> bool:
    """Return whether *slot* lies in one of *places*, which are in order."""
    if not places:
        return False
    number = bisect_right(places, (slot.start, places[-1][1])) - 1
    if number < 0:
        return False
    start, end = places[number]
    return start <= slot.start and slot.end <= end


def _lines(reader: SlotReader, found: Iterable[Slot]) -> Iterator[AskedFact]:
    """Yield the labelled slots whose label, or the variable in them, asks for a fact."""
    for slot in found:
        value = reader.document.text[slot.start : slot.end]
        meaning = reader.labels.fact(slot.label, slot.path)
        fact = meaning.fact if meaning is not None and not meaning.fallback else None
        kind = reader.empty(value, slot.section, fact or "")
        if fact is None and kind is not None:
            fact = reader.labels.variable(kind.variable)
        if fact and not _is_heading(reader.labels, slot, value, fact, kind):
            yield AskedFact(slot, fact, value, kind, units=_units(slot, kind))


def _units(slot: Slot, kind: Placeholder | None) -> tuple[str, ...]:
    """Return the units that a placeholder (`___ h`) and its label ask for."""
    behind = (kind.unit,) if kind is not None and kind.unit else ()
    return (*behind, *asked_units(slot.label))


def _is_heading(
    labels: Labels, slot: Slot, value: str, fact: str, kind: Placeholder | None
) -> bool:
    """Return whether *slot* is the head of a column or of a list, and no single figure."""
    if slot.head and kind is None:
        beside = labels.fact(value, slot.path)
        if beside is not None and beside.fact != fact:
            return True  # `| GPU | Hours | CO2 |`: the cell beside is a title, too
    is_figure = not slot.head and "\n" not in value
    return not is_figure and kind is None and labels.is_asked(fact)


def _title(reader: SlotReader, slot: Slot) -> AskedFact:
    value = reader.document.text[slot.start : slot.end]
    kind = reader.empty(value, slot.section)
    if kind is None and words(value) in reader.labels.titles:
        kind = Placeholder("bare")
    return AskedFact(slot, "model_id", value, kind)
