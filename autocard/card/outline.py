"""Facts that a form has no place for → sections at their customary place.

One rule: a section that the form has is never made a second time; what is missing comes after the nearest neighbour
that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from autocard.card.document import Document, Section
from autocard.card.labels import Labels, Part
from autocard.card.writing import Edit, Writer, end_of_text


@dataclass(frozen=True)
class Addition:
    """One added chunk.

    Attributes:
        edit: the change.
        texts: fact → its text in the chunk, as it will be read again.
    """

    edit: Edit
    texts: dict[str, str] = field(default_factory=dict)


class Outline:
    """Adds what is missing to one document."""

    def __init__(
        self,
        document: Document,
        labels: Labels,
        writer: Writer,
        line: Callable[[str], str],
        block: Callable[[str], str],
    ) -> None:
        """*line* and *block* return a fact's text in these two shapes."""
        self.document = document
        self.labels = labels
        self.writer = writer
        self.line = line
        self.block = block
        self._by_fact: dict[str, list[Section]] = {}
        self._by_name: dict[str, list[Section]] = {}
        for section in document.sections:
            if section.heading is None:
                continue
            fact = labels.heading(section.path[-1], section.path[:-1])
            if fact is not None and not fact[1]:
                self._by_fact.setdefault(fact[0], []).append(section)
            for name in labels.sections_of(section.path[-1]):
                self._by_name.setdefault(name, []).append(section)
        # The only heading of the first level is the card's title, whatever it says.
        self.has_title = sum(section.level == 1 for section in document.sections) == 1
        self.top = self._top_level()

    def additions(self, missing: set[str]) -> Iterator[Addition]:
        """Yield the sections for the facts in *missing*."""
        yield from self._under(None, self.labels.outline, missing)

    def _under(self, parent: Section | None, parts: tuple[Part, ...], missing: set[str]) -> Iterator[Addition]:
        level = parent.level + 1 if parent else self.top
        for number, part in enumerate(parts):
            wanted = missing & set(part.facts())
            if not wanted:
                continue
            section = self._section(part, parent)
            if section is None:
                yield self._add(part, wanted, part.level or level, self._place(parent, parts, number))
            else:
                yield from self._under(section, part.parts, missing)

    def _section(self, part: Part, parent: Section | None) -> Section | None:
        """Return the section of the document that *part* is, below *parent* if it can be."""
        found = list(self._by_fact.get(part.body, ())) if part.body else []
        if part.section:
            found += [section for section in self._by_name.get(part.section, ()) if section not in found]
            found.sort(key=lambda section: section.start)
        inside = [one for one in found if parent and parent.start <= one.start and one.extent <= parent.extent]
        return next(iter(inside or found), None)

    def _add(self, part: Part, wanted: set[str], level: int, place: int) -> Addition:
        texts: dict[str, str] = {}
        chunk = "\n\n".join(self._render(part, wanted, level, texts))
        return Addition(self.writer.section(place, chunk), texts)

    def _render(self, part: Part, wanted: set[str], level: int, texts: dict[str, str]) -> Iterator[str]:
        yield self.writer.heading(part.title, level)
        own = [fact for fact in part.lines if fact in wanted]
        if own:
            texts.update({fact: self.line(fact) for fact in own})
            yield "\n".join(self.writer.line(self.labels.title(fact), texts[fact]) for fact in own)
        if part.body in wanted:
            texts[part.body] = self.block(part.body)
            yield texts[part.body]
        for inner in part.parts:
            if wanted & set(inner.facts()):
                yield from self._render(inner, wanted, level + 1, texts)

    def _place(self, parent: Section | None, parts: tuple[Part, ...], number: int) -> int:
        """Return where the part *number* of *parts* goes, none of which may be there."""
        if parts[number].level:
            return len(self.document.text)
        for part in reversed(parts[:number]):
            if (section := self._section(part, parent)) is not None and self._sibling(section, parent):
                return self._end_of(section)
        for part in parts[number + 1 :]:
            if (section := self._section(part, parent)) is not None and self._sibling(section, parent):
                assert section.heading is not None  # noqa: S101 - only sections with headings are returned
                return section.heading.start
        if parent is not None:
            return self._end_of(parent)
        return len(self.document.text)

    def _sibling(self, section: Section, parent: Section | None) -> bool:
        """Return whether *section* stands where a part below *parent* would."""
        if parent is not None:
            return parent.start <= section.start and section.extent <= parent.extent
        return section.level <= self.top and not (self.has_title and section.level == 1)

    def _end_of(self, section: Section) -> int:
        """Return where *section* with its subsections ends, before comments that lead over to the next heading."""
        inner = [one for one in self.document.sections if section.start <= one.start and one.extent <= section.extent]
        return end_of_text(self.document, inner[-1])

    def _top_level(self) -> int:
        """Return the level that the document's main sections have."""
        mine = {part.section for part in self.labels.outline if part.section}
        levels = [section.level for name in mine for section in self._by_name.get(name, ())]
        return min((level for level in levels if level > 1 or not self.has_title), default=2)
