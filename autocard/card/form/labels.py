"""Look up which label or heading of a form asks for which fact, in templates/labels.yaml.

`label_files` reads the table.

One rule: the table has words, never forms; a form that uses other words brings a file of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from autocard.card.quantity import without_unit

_LINK = re.compile(r"\[([^\[\]]*)\]\([^()]*\)")
"""A link, whose text counts: `[Hours used](https://…)`."""
_ASIDE = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|<[^<>]*>")
"""What does not count in a label: `[optional]`, `(NLP)`, `<br>`."""
_WORD = re.compile(r"\w+")

Who = Literal["machine", "suggested", "person"]


class LabelMeaning(NamedTuple):
    """What a label or heading asks for.

    Attributes:
        fact: the template variable.
        fallback: it asks only if nothing else in the form does.
    """

    fact: str
    fallback: bool


@dataclass(frozen=True)
class Kind:
    """One fact of the table.

    Attributes:
        name: the template variable.
        title: the label or heading under which we add it.
        who: who can fill it.
        record: path of the leaf whose reason explains its absence, or "".
        say_why: whether a new card shows that reason to its readers.
        guide: what a person should write there.
        instead: a fact that answers in its place where it is missing, or "".
        unit: unit of its figure, or "".
        asked: it is filled where a form asks for it, and never added: a figure that stands among
            others in the text of a section.
    """

    name: str
    title: str
    who: Who = "machine"
    record: str = ""
    say_why: bool = False
    guide: str = ""
    instead: str = ""
    unit: str = ""
    asked: bool = False


@dataclass(frozen=True)
class LabelPart:
    """One section of the customary outline.

    Attributes:
        title: its heading where we add it; "" for one that only marks a place.
        section: name of the section in the table, or "".
        body: the fact that its own text is.
        lines: facts that stand in it as labelled lines.
        level: heading level that it always has (0: that of its neighbors).
        asked: it is filled where a form has it, and never added.
        before: a main section that it stands before in some cards; what follows comes after both.
        head: a fact that stands first in it where it has no place of its own.
        parts: its subsections.
    """

    title: str
    section: str = ""
    body: str = ""
    lines: tuple[str, ...] = ()
    level: int = 0
    asked: bool = False
    before: str = ""
    head: str = ""
    parts: tuple[LabelPart, ...] = ()

    @property
    def name(self) -> str:
        """Its name among the written texts: its section, or the fact that its text is."""
        return self.section or self.body

    def facts(self) -> Iterator[str]:
        """Yield its own facts and those of its parts."""
        if self.head:
            yield self.head
        yield from self.lines
        if self.body:
            yield self.body
        for part in self.parts:
            yield from part.facts()


@dataclass(kw_only=True)
class Labels:
    """The table, indexed for look-up. Words are kept as `words` returns them.

    Attributes:
        outline: what a card has, in customary order.
        variables: other names of facts in template variables.
        titles: titles that are a form's own, not a model's.
        boilerplate: beginnings of a form's own sentences.
        body_at_end: facts that stand after the labelled lines of their section.
        section_bodies: section → the fact that its own text is.
        section_facts: section → facts that belong to it, beside those that the outline has in it.
        appended: facts that are added to their section even where a person wrote something.
        outdated: beginnings of sentences that a filled card does not need.
        placeholders: whole texts, lower case, that a user's form has where nothing stands yet.
        kinds: fact → its entry in the table.
        names: variables that mean something.
        sections_by_word, fact_by_word, fallback: word → what it asks for.
        under: (section, word) → the fact that the word asks for only in that section.
        below: the words of `under`.
    """

    outline: tuple[LabelPart, ...]
    variables: dict[str, str]
    titles: set[str]
    boilerplate: tuple[str, ...]
    body_at_end: frozenset[str]
    section_bodies: dict[str, str]
    section_facts: dict[str, list[str]]
    appended: frozenset[str]
    outdated: tuple[str, ...]
    placeholders: set[str] = field(default_factory=set)
    kinds: dict[str, Kind] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    sections_by_word: dict[str, set[str]] = field(default_factory=dict)
    fact_by_word: dict[str, str] = field(default_factory=dict)
    under: dict[tuple[str, str], str] = field(default_factory=dict)
    fallback: dict[str, str] = field(default_factory=dict)
    below: set[str] = field(default_factory=set)

    def sections_of(self, heading: str) -> set[str]:
        """Return the names of the sections that *heading* is a word for."""
        return self.sections_by_word.get(words(heading), set())

    def heading(self, title: str, path: Sequence[str]) -> LabelMeaning | None:
        """Return the fact that the text below the heading *title* is, as `fact` does for labels."""
        own = self._section_bodies_of(title)
        if own:
            above: set[str] = set()
            for heading in path:
                above |= self._section_bodies_of(heading)
            # A section of its own, not one heading among several in it.
            if not own & above:
                return LabelMeaning(min(own), fallback=False)
        meaning = self.fact(title, path)
        # "## Method" is the heading of a chapter, and no question for a word.
        return None if meaning is not None and self.is_asked(meaning.fact) else meaning

    def is_asked(self, fact: str) -> bool:
        """Return whether *fact* is filled only where a form asks for it."""
        return fact in self.kinds and self.kinds[fact].asked

    def is_machines(self, fact: str) -> bool:
        """Return whether a machine fills *fact*."""
        return fact in self.kinds and self.kinds[fact].who == "machine"

    def _section_bodies_of(self, heading: str) -> set[str]:
        """Return the facts that the texts of the sections called *heading* are."""
        sections = self.sections_of(heading)
        return {self.section_bodies[name] for name in sections if name in self.section_bodies}

    def fact(self, label: str, path: Sequence[str]) -> LabelMeaning | None:
        """Return the fact that *label* asks for below the headings *path*, outermost first."""
        word = words(label)
        for each in (word, words(without_unit(label))):
            fact = self._fact_in_section(each, path) or self.fact_by_word.get(each)
            if fact is not None:
                return LabelMeaning(fact, fallback=False)
        if word in self.fallback:
            return LabelMeaning(self.fallback[word], fallback=True)
        return None

    def _fact_in_section(self, word: str, path: Sequence[str]) -> str | None:
        """Return the fact that *word* asks for only in a section of *path*, the innermost first."""
        if word not in self.below:
            return None
        for heading in reversed(path):
            for section in sorted(self.sections_of(heading)):
                if (section, word) in self.under:
                    return self.under[section, word]
        return None

    def is_section_heading(self, heading: str) -> bool:
        """Return whether *heading* names a section or asks for a fact, so is no card's title."""
        word = words(heading)
        if not word or word in self.titles:
            return False
        if word in self.fact_by_word and self.fact_by_word[word] != "model_id":
            return True
        tables = (self.sections_by_word, self.fallback, self.section_titles)
        return any(word in table for table in tables)

    @cached_property
    def section_titles(self) -> set[str]:
        """The headings under which autocard adds sections, as `words` returns them."""
        return {words(part.title) for part in _walk(self.outline) if part.title}

    @cached_property
    def main_sections(self) -> set[str]:
        """Names of the sections at the top of the outline."""
        return {part.section for part in self.outline if part.section}

    @cached_property
    def homes(self) -> dict[str, frozenset[str]]:
        """Fact → names of the sections that it belongs to: its own and those around it."""
        found = {fact: {section} for section, facts in self.section_facts.items() for fact in facts}
        for part in self.outline:
            _add_homes(found, part, frozenset())
        return {fact: frozenset(sections) for fact, sections in found.items()}

    @cached_property
    def heads(self) -> frozenset[str]:
        """Facts that stand first in a section, or below the summary, without a place of theirs."""
        return frozenset(part.head for part in _walk(self.outline) if part.head)

    def part_with_head(self, fact: str) -> LabelPart | None:
        """Return the part of the outline in which *fact* stands first."""
        return next((part for part in _walk(self.outline) if part.head == fact), None)

    def part_of(self, body: str) -> LabelPart | None:
        """Return the part of the outline whose own text is the fact *body*."""
        return next((part for part in _walk(self.outline) if part.body == body), None)

    def variable(self, name: str) -> str | None:
        """Return the fact that a template variable called *name* stands for, or None."""
        if name in self.kinds:
            return name
        return self.variables.get(name) or None

    def title(self, fact: str) -> str:
        """Return the label under which *fact* is added."""
        return self.kinds[fact].title if fact in self.kinds else fact.replace("_", " ").capitalize()


@lru_cache(maxsize=65536)
def words(label: str) -> str:
    """Return *label* as it is compared: words in lower case, no numbering, nothing in brackets.

    >>> words("2.1 Language(s) [NLP]")
    'language'
    """
    text = unicodedata.normalize("NFKC", label)
    text = _ASIDE.sub(" ", _LINK.sub(r"\1", text))
    found = _WORD.findall(text.lower().replace("_", " "))
    while len(found) > 1 and found[0].isdigit():
        del found[0]
    return " ".join(found)


def _walk(parts: Sequence[LabelPart]) -> Iterator[LabelPart]:
    for part in parts:
        yield part
        yield from _walk(part.parts)


def _add_homes(found: dict[str, set[str]], part: LabelPart, around: frozenset[str]) -> None:
    """Add the sections of the facts in *part*, which stands in the sections *around*."""
    homes = around | {part.section} if part.section else around
    for fact in (part.head, part.body, *part.lines):
        if fact and homes:
            found.setdefault(fact, set()).update(homes)
    for inner in part.parts:
        _add_homes(found, inner, homes)
