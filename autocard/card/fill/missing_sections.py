"""Facts that a form has no place for → sections at their customary place.

One rule: a section that the form has is never made a second time; what is missing comes after the
nearest neighbor that is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from autocard.card.fill.fill_state import FillState
from autocard.card.fill.section_finder import SectionFinder
from autocard.card.form.labels import LabelPart
from autocard.card.markdown.document import Section
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.html_spans import outside_html
from autocard.card.markdown.slots import Slot
from autocard.card.markdown.writer import below_lines


@dataclass(frozen=True)
class Addition:
    """One added chunk.

    Attributes:
        edit: the change.
        texts: fact → its text in the chunk, as it will be found again.
        headings: name of a section in the outline → its heading in the chunk.
        parent: number of the section that it is added to; None: it is one of the main sections.
    """

    edit: Edit
    texts: dict[str, str] = field(default_factory=dict)
    headings: dict[str, str] = field(default_factory=dict)
    parent: int | None = None


class MissingSections:
    """Adds what is missing to one document."""

    def __init__(self, state: FillState) -> None:
        """*state*: the fill; its facts are written, and its sections are those of the card."""
        self._state = state
        self._writer = state.writer
        self._document = state.document
        self._finder = SectionFinder(state.document, state.labels)

    def additions(self, missing: set[str]) -> Iterator[Addition]:
        """Yield the sections for the facts in *missing*, and the lines that our sections lack."""
        outline = self._state.labels.outline
        yield from self._below(None, outline, missing, self._finder.top_level)

    def _below(
        self, parent: Section | None, parts: tuple[LabelPart, ...], missing: set[str], level: int
    ) -> Iterator[Addition]:
        """Yield what is missing of *parts*, which stand below *parent* at *level*."""
        for number, part in enumerate(parts):
            wanted = missing & set(part.facts())
            if not wanted or part.asked:
                continue
            section = self._finder.section(part, parent)
            if section is not None:
                yield from self._lines(section, part, missing)
                yield from self._below(section, part.parts, missing, section.level + 1)
            elif inner := self._finder.inner_sections(part, parent):
                # The form has what stands in this section, but not the section: the rest goes
                # beside what it has.
                yield from self._below(parent, part.parts, missing, inner[0].level)
            elif (elsewhere := self._finder.elsewhere(part)) is not None:
                above = self._finder.above(elsewhere)
                yield from self._below(above, part.parts, missing, elsewhere.level)
            else:
                place = outside_html(self._document, self._finder.place(parent, parts, number))
                yield self._new_section(part, wanted, part.level or level, place, parent)

    def _lines(self, section: Section, part: LabelPart, missing: set[str]) -> Iterator[Addition]:
        """Yield the labelled lines that *section* lacks, if it is one that we added."""
        number = self._document.section_at(section.start)
        wanted = [fact for fact in part.lines if fact in missing]
        if number not in self._state.found.added or not wanted:
            return
        existing = self._lines_of(number)
        groups: dict[str, list[str]] = {}
        for fact in wanted:
            before = part.lines[: part.lines.index(fact)]
            above = [name for name in before if name in existing]
            groups.setdefault(above[-1] if above else "", []).append(fact)
        for above_fact, facts in groups.items():
            chunk = "\n".join(self._line(fact) for fact in facts)
            if above_fact:
                edit = self._writer.below(existing[above_fact], chunk)
            elif existing:
                first = min(existing.values(), key=lambda slot: slot.at)
                edit = self._writer.above(first, chunk)
            else:
                edit = self._writer.body(section.start, section.start, chunk)
            yield Addition(edit, {fact: self._state.line(fact) for fact in facts}, parent=number)

    def _lines_of(self, section: int) -> dict[str, Slot]:
        """Return fact → its labelled line in the section number *section*."""
        found: dict[str, Slot] = {}
        blocks = [text for text in self._state.found.ours if text.slot is None]
        for slot in self._writer.labelled:
            if slot.section != section or slot.kind != "line":
                continue
            if any(text.start <= slot.at < text.end for text in blocks):
                continue  # "CO2: 25.1 kWh × …" in our account of the energy
            meaning = self._state.labels.fact(slot.label, slot.path)
            if meaning is not None:
                found[meaning.fact] = slot
        return found

    def _line(self, fact: str) -> str:
        return self._writer.style.line(self._state.labels.title(fact), self._state.line(fact))

    def _new_section(
        self, part: LabelPart, wanted: set[str], level: int, place: int, parent: Section | None
    ) -> Addition:
        """Return the section *part* with the facts *wanted*."""
        number = self._document.section_at(parent.start) if parent else None
        addition = Addition(Edit(place, place, ""), parent=number)
        chunk = "\n\n".join(self._rendered(part, wanted, level, addition))
        return replace(addition, edit=self._writer.section(place, chunk))

    def _rendered(
        self, part: LabelPart, wanted: set[str], level: int, addition: Addition
    ) -> Iterator[str]:
        """Yield the blocks of a new section; its texts and headings are noted in *addition*."""
        heading = self._writer.style.heading(part.title, level)
        addition.headings[part.name] = heading
        yield heading
        if part.head in wanted:
            addition.texts[part.head] = self._state.block(part.head)
            yield addition.texts[part.head]
        lines = [fact for fact in part.lines if fact in wanted]
        addition.texts.update({fact: self._state.line(fact) for fact in lines})
        listed = "\n".join(self._line(fact) for fact in lines)
        block = ""
        if part.body in wanted:
            block = addition.texts[part.body] = self._state.block(part.body)
        if listed or block:
            yield below_lines(listed, block)
        for inner in part.parts:
            if wanted & set(inner.facts()):
                yield from self._rendered(inner, wanted, level + 1, addition)
