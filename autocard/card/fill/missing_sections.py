"""Facts that a form has no place for → sections at their customary place.

One rule: a section that the form has is never made a second time; what is missing comes after the
nearest neighbour that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from autocard.card.form.labels import LabelPart, Labels
from autocard.card.markdown import slots
from autocard.card.markdown.document import Document, Section
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.html_spans import outside_html
from autocard.card.markdown.section_end import end_of_text
from autocard.card.markdown.slots import Slot
from autocard.card.markdown.writer import Writer


@dataclass(frozen=True)
class Addition:
    """One added chunk.

    Attributes:
        edit: the change.
        texts: fact → its text in the chunk, as it will be read again.
        headings: name of a section in the outline → its heading in the chunk.
        parent: number of the section that it is added to; None: it is one of the main sections.
    """

    edit: Edit
    texts: dict[str, str] = field(default_factory=dict)
    headings: dict[str, str] = field(default_factory=dict)
    parent: int | None = None


class Outline:
    """Adds what is missing to one document."""

    def __init__(
        self,
        document: Document,
        labels: Labels,
        writer: Writer,
        line: Callable[[str], str],
        block: Callable[[str], str],
        *,
        added: Collection[int] = (),
    ) -> None:
        """*line* and *block* return a fact's text in these two shapes; *added*: sections that are ours."""
        self.added = added
        self.document = document
        self.labels = labels
        self.writer = writer
        self.line = line
        self.block = block
        self.title = slots.title_section(document, labels)
        self.has_title = (
            self.title is not None and sum(section.level == 1 for section in document.sections) == 1
        )
        self._by_fact: dict[str, list[Section]] = {}
        self._by_name: dict[str, list[Section]] = {}
        for number, section in enumerate(document.sections):
            if section.heading is None or number == self.title:
                continue
            fact = labels.heading(section.path[-1], section.path[:-1])
            if fact is not None and not fact[1]:
                self._by_fact.setdefault(fact[0], []).append(section)
            for name in labels.sections_of(section.path[-1]):
                self._by_name.setdefault(name, []).append(section)
        self.top = self._top_level()

    def additions(self, missing: set[str]) -> Iterator[Addition]:
        """Yield the sections for the facts in *missing*, and the lines that sections of ours lack."""
        yield from self._under(None, self.labels.outline, missing, self.top)

    def _under(
        self, parent: Section | None, parts: tuple[LabelPart, ...], missing: set[str], level: int
    ) -> Iterator[Addition]:
        for number, part in enumerate(parts):
            wanted = missing & set(part.facts())
            if not wanted or part.asked:
                continue
            section = self._section(part, parent)
            if section is not None:
                yield from self._lines(section, part, missing)
                yield from self._under(section, part.parts, missing, section.level + 1)
            elif inner := self._inner(part, parent):
                # The form has what stands in this section, but not the section: the rest goes
                # beside what it has.
                yield from self._under(parent, part.parts, missing, inner[0].level)
            elif (elsewhere := self._elsewhere(part)) is not None:
                yield from self._under(self._above(elsewhere), part.parts, missing, elsewhere.level)
            else:
                place = outside_html(self.document, self._place(parent, parts, number))
                yield self._add(part, wanted, part.level or level, place, parent)

    def _section(self, part: LabelPart, parent: Section | None) -> Section | None:
        """Return the section of the document that *part* is, below *parent* if it can be."""
        found = list(self._by_fact.get(part.body, ())) if part.body else []
        if part.section:
            found += self._by_name.get(part.section, ())
            found.sort(key=lambda section: section.start)
        inside = [
            one
            for one in found
            if parent and parent.start <= one.start and one.extent <= parent.extent
        ]
        return next(iter(inside or found), None)

    def _inner(self, part: LabelPart, parent: Section | None) -> list[Section]:
        """Return the sections of the document that are parts of *part*, which is not there, and stand in its place."""
        if part.body or part.lines:
            return []
        found = [self._section(one, parent) or self._inner(one, parent) for one in part.parts]
        flat = [one for entry in found for one in (entry if isinstance(entry, list) else [entry])]
        return sorted(
            (one for one in flat if self._sibling(one, parent)), key=lambda one: one.start
        )

    def _elsewhere(self, part: LabelPart) -> Section | None:
        """Return a section of the form that belongs into *part*, which is not there, and stands by itself."""
        if part.body or part.lines:
            return None
        for one in part.parts:
            section = self._section(one, None) or self._elsewhere(one)
            above = self._above(section) if section else None
            if section is not None and (
                above is None or not self.labels.sections_of(above.path[-1])
            ):
                return section
        return None

    def _above(self, section: Section) -> Section | None:
        """Return the section that *section* is a subsection of."""
        before = self.document.sections[: self.document.section_at(section.start)]
        return next(
            (one for one in reversed(before) if one.heading and one.level < section.level), None
        )

    def _lines(self, section: Section, part: LabelPart, missing: set[str]) -> Iterator[Addition]:
        """Yield the labelled lines that *section* lacks, if it is one that we added."""
        number = self.document.section_at(section.start)
        wanted = [fact for fact in part.lines if fact in missing]
        if number not in self.added or not wanted:
            return
        lines = {
            fact: self.writer.style.line(self.labels.title(fact), self.line(fact))
            for fact in wanted
        }
        there: dict[str, Slot] = {}
        for slot in self.writer.labelled:
            known = (
                self.labels.fact(slot.label, slot.path)
                if slot.section == number and slot.kind == "line"
                else None
            )
            if known is not None:
                there[known[0]] = slot
        groups: dict[str, list[str]] = {}
        for fact in wanted:
            above = [name for name in part.lines[: part.lines.index(fact)] if name in there]
            groups.setdefault(above[-1] if above else "", []).append(fact)
        for above_all, facts in groups.items():
            chunk = "\n".join(lines[fact] for fact in facts)
            if above_all:
                edit = self.writer.below(there[above_all], chunk)
            elif there:
                edit = self.writer.above(min(there.values(), key=lambda slot: slot.at), chunk)
            else:
                edit = self.writer.body(section.start, section.start, chunk)
            yield Addition(edit, {fact: self.line(fact) for fact in facts}, parent=number)

    def _add(
        self, part: LabelPart, wanted: set[str], level: int, place: int, parent: Section | None
    ) -> Addition:
        made = Addition(
            Edit(place, place, ""),
            parent=self.document.section_at(parent.start) if parent else None,
        )
        chunk = "\n\n".join(self._render(part, wanted, level, made))
        return replace(made, edit=self.writer.section(place, chunk))

    def _render(
        self, part: LabelPart, wanted: set[str], level: int, made: Addition
    ) -> Iterator[str]:
        heading = self.writer.style.heading(part.title, level)
        made.headings[part.name] = heading
        yield heading
        own = [fact for fact in part.lines if fact in wanted]
        if own:
            made.texts.update({fact: self.line(fact) for fact in own})
            yield "\n".join(
                self.writer.style.line(self.labels.title(fact), made.texts[fact]) for fact in own
            )
        if part.body in wanted:
            made.texts[part.body] = self.block(part.body)
            yield made.texts[part.body]
        for inner in part.parts:
            if wanted & set(inner.facts()):
                yield from self._render(inner, wanted, level + 1, made)

    def _place(self, parent: Section | None, parts: tuple[LabelPart, ...], number: int) -> int:
        """Return where the part *number* of *parts* goes, none of which may be there."""
        if parts[number].level:
            return len(self.document.text)
        for part in reversed(parts[:number]):
            if there := self._siblings(part, parent):
                return self._end_of(there[-1])
        for part in parts[number + 1 :]:
            if there := self._siblings(part, parent):
                assert there[0].heading is not None  # noqa: S101 - only sections with headings are returned
                return there[0].heading.start
        if parent is not None:
            return self._end_of_own(parent)
        return len(self.document.text)

    def _siblings(self, part: LabelPart, parent: Section | None) -> list[Section]:
        """Return the sections that *part* is, or that are parts of it, where they stand beside each other."""
        section = self._section(part, parent)
        if section is None:
            return self._inner(part, parent)
        return [section] if self._sibling(section, parent) else []

    def _sibling(self, section: Section, parent: Section | None) -> bool:
        """Return whether *section* stands where a part below *parent* would."""
        if parent is not None:
            return (
                section is not parent
                and parent.start <= section.start
                and section.extent <= parent.extent
            )
        return section.level <= self.top and not (self.has_title and section.level == 1)

    def _end_of_own(self, parent: Section) -> int:
        """Return where *parent* ends, before a last subsection that merely stands there because it is the last."""
        last = [
            one
            for part in self.labels.outline
            if part.level
            for one in [self._section(part, parent)]
            if one is not None
            and one is not parent
            and self._sibling(one, parent)
            and one.extent == parent.extent
        ]
        if last and last[0].heading is not None:
            return last[0].heading.start
        return self._end_of(parent)

    def _end_of(self, section: Section) -> int:
        """Return where *section* with its subsections ends, before comments that lead over to the next heading."""
        inner = [
            one
            for one in self.document.sections
            if section.start <= one.start and one.extent <= section.extent
        ]
        return end_of_text(self.document, inner[-1])

    def _top_level(self) -> int:
        """Return the level that the document's main sections have."""
        for number, section in enumerate(self.document.sections):
            is_main = section.level == 1 and number != self.title
            if is_main and self.labels.is_section_heading(section.path[-1]):
                return 1
        mine = {part.section for part in self.labels.outline if part.section}
        levels = [section.level for name in mine for section in self._by_name.get(name, ())]
        levels = levels or [
            section.level for sections in self._by_name.values() for section in sections
        ]
        return min((level for level in levels if level > 1 or not self.has_title), default=2)
