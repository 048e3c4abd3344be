"""The parts of the outline in one document: which sections they are, or where they would go."""

from __future__ import annotations

from autocard.card.form.labels import LabelPart, Labels
from autocard.card.markdown import slots
from autocard.card.markdown.document import Document, Section
from autocard.card.markdown.section_end import end_of_text


class SectionFinder:
    """Finds sections of one document.

    Attributes:
        top_level: the heading level of the document's main sections.
    """

    def __init__(self, document: Document, labels: Labels) -> None:
        """*labels*: which heading is which section."""
        self._document = document
        self._labels = labels
        self._title = slots.title_section(document, labels)
        first_level = [section for section in document.sections if section.level == 1]
        self._has_title = self._title is not None and len(first_level) == 1
        """Whether the title is the only heading of level 1."""
        self._by_fact: dict[str, list[Section]] = {}
        self._by_name: dict[str, list[Section]] = {}
        for number, section in enumerate(document.sections):
            if section.heading is None or number == self._title:
                continue
            meaning = labels.heading(section.path[-1], section.path[:-1])
            if meaning is not None and not meaning.fallback:
                self._by_fact.setdefault(meaning.fact, []).append(section)
            for name in labels.sections_of(section.path[-1]):
                self._by_name.setdefault(name, []).append(section)
        self.top_level = self._top_level()

    def section(self, part: LabelPart, parent: Section | None) -> Section | None:
        """Return the section of the document that *part* is, below *parent* if it can be."""
        found = list(self._by_fact.get(part.body, ())) if part.body else []
        if part.section:
            found += self._by_name.get(part.section, ())
            found.sort(key=lambda section: section.start)
        inside = [section for section in found if parent and _contains(parent, section)]
        return next(iter(inside or found), None)

    def inner_sections(self, part: LabelPart, parent: Section | None) -> list[Section]:
        """Return the sections of the document that are parts of *part*.

        *part* itself is not there; they stand in its place.
        """
        if part.body or part.lines:
            return []
        found: list[Section] = []
        for inner in part.parts:
            section = self.section(inner, parent)
            found += [section] if section else self.inner_sections(inner, parent)
        in_place = [section for section in found if self._is_sibling(section, parent)]
        return sorted(in_place, key=lambda section: section.start)

    def elsewhere(self, part: LabelPart) -> Section | None:
        """Return a section of the form that belongs into *part*, and stands by itself.

        *part* itself is not there.
        """
        if part.body or part.lines:
            return None
        for inner in part.parts:
            section = self.section(inner, None) or self.elsewhere(inner)
            if section is None:
                continue
            above = self.above(section)
            if above is None or not self._labels.sections_of(above.path[-1]):
                return section
        return None

    def above(self, section: Section) -> Section | None:
        """Return the section that *section* is a subsection of."""
        before = self._document.sections[: self._document.section_at(section.start)]
        for candidate in reversed(before):
            if candidate.heading and candidate.level < section.level:
                return candidate
        return None

    def place(self, parent: Section | None, parts: tuple[LabelPart, ...], number: int) -> int:
        """Return the offset where the part *number* of *parts* goes: beside its neighbors."""
        if parts[number].level:
            return len(self._document.text)
        for part in reversed(parts[:number]):
            before = self._siblings(part, parent)
            if before:
                before += self._swapped_with(part, parts, parent)
                return max(map(self._end_of, before))
        for part in parts[number + 1 :]:
            after = self._siblings(part, parent)
            if after and after[0].heading is not None:
                return after[0].heading.start
        if parent is not None:
            return self._end_of_own(parent)
        return len(self._document.text)

    def _swapped_with(
        self, part: LabelPart, parts: tuple[LabelPart, ...], parent: Section | None
    ) -> list[Section]:
        """Return the sections of *parts* that *part* stands before in some cards."""
        found: list[Section] = []
        for other in parts:
            if part.before and part.before == other.section:
                found += self._siblings(other, parent)
        return found

    def _siblings(self, part: LabelPart, parent: Section | None) -> list[Section]:
        """Return the sections that *part* is, or that are parts of it, in their place."""
        section = self.section(part, parent)
        if section is None:
            return self.inner_sections(part, parent)
        return [section] if self._is_sibling(section, parent) else []

    def _is_sibling(self, section: Section, parent: Section | None) -> bool:
        """Return whether *section* stands where a part below *parent* would."""
        if parent is not None:
            return section is not parent and _contains(parent, section)
        is_title = self._has_title and section.level == 1
        return section.level <= self.top_level and not is_title

    def _end_of_own(self, parent: Section) -> int:
        """Return where *parent* ends, before a section that always stands at the card's end."""
        for part in self._labels.outline:
            section = self.section(part, parent) if part.level else None
            if section is None or not self._is_sibling(section, parent):
                continue
            if section.extent == parent.extent and section.heading is not None:
                return section.heading.start
        return self._end_of(parent)

    def _end_of(self, section: Section) -> int:
        """Return where *section* with its subsections ends, before comments of what follows."""
        inner = [other for other in self._document.sections if _contains(section, other)]
        return end_of_text(self._document, inner[-1])

    def _top_level(self) -> int:
        for number, section in enumerate(self._document.sections):
            is_main = section.level == 1 and number != self._title
            if is_main and self._labels.is_section_heading(section.path[-1]):
                return 1
        main: list[Section] = []
        for name in self._labels.main_sections:
            main += self._by_name.get(name, [])
        if not main:
            for sections in self._by_name.values():
                main += sections
        levels = [section.level for section in main]
        return min((level for level in levels if level > 1 or not self._has_title), default=2)


def _contains(outer: Section, inner: Section) -> bool:
    return outer.start <= inner.start and inner.extent <= outer.extent
