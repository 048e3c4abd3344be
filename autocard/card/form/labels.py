"""The table of words: which label or heading of a form asks for which fact. Read by `labelfile`.

One rule: no form is known here, only words; a form that uses other words brings a file of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

_LINK = re.compile(r"\[([^\[\]]*)\]\([^()]*\)")
_ASIDE = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|<[^<>]*>")
_WORD = re.compile(r"\w+")

Who = Literal["machine", "suggested", "person"]


@dataclass(frozen=True)
class Kind:
    """What the table says of one fact.

    Attributes:
        name: the template variable.
        title: the label or heading under which we add it.
        who: who can know it.
        record: path of the leaf whose reason explains its absence, or "".
        say_why: whether a new card's readers are told that reason.
        guide: what a person should write there.
        instead: a fact that answers in its place where it is missing, or "".
    """

    name: str
    title: str
    who: Who = "machine"
    record: str = ""
    say_why: bool = False
    guide: str = ""
    instead: str = ""


@dataclass(frozen=True)
class LabelPart:
    """One section of the customary outline.

    Attributes:
        title: its heading where we add it; "" for one that only marks a place.
        section: name of the section in the table, or "".
        body: the fact that its own text is.
        lines: facts that stand in it as labelled lines.
        level: heading level that it always has (0: that of its neighbours).
        asked: it is filled where a form has it, and never added.
        parts: its subsections.
    """

    title: str
    section: str = ""
    body: str = ""
    lines: tuple[str, ...] = ()
    level: int = 0
    asked: bool = False
    parts: tuple[LabelPart, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in the memory: its section, or the fact that its text is."""
        return self.section or self.body

    def facts(self) -> Iterator[str]:
        """Yield its own facts and those of its parts."""
        yield from self.lines
        if self.body:
            yield self.body
        for part in self.parts:
            yield from part.facts()


@dataclass(kw_only=True)
class Labels:
    """The table, ready to be asked. Words are kept as `words` returns them.

    Attributes:
        outline: what a card has, in customary order.
        variables: other names of facts in template variables.
        titles: titles that are a form's own, not a model's.
        boilerplate: beginnings of a form's own sentences.
        body_at_end: facts that stand after the labelled lines of their section.
        section_bodies: section → the fact that its own text is.
        appended: facts that are added to their section even where a person wrote something.
        outdated: beginnings of sentences that a filled card does not need.
        placeholders: whole texts, lower case, that a user's form has where nothing stands yet.
        kinds: fact → what the table says of it.
        names: variables that mean something.
        sections_by_word, fact_by_word, fallback: word → what it asks for.
        under: (section, word) → the fact that the word asks for only there; *below*: these words.
    """

    outline: tuple[LabelPart, ...]
    variables: dict[str, str]
    titles: set[str]
    boilerplate: tuple[str, ...]
    body_at_end: frozenset[str]
    section_bodies: dict[str, str]
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

    def heading(self, title: str, path: Sequence[str]) -> tuple[str, bool] | None:
        """Return the fact that the text below the heading *title* is, as `fact` does for labels."""
        sections = self.sections_of(title)
        own = {
            self.section_bodies[section] for section in sections if section in self.section_bodies
        }
        if own:
            # A section of its own, not one heading among several in it.
            above = {
                self.section_bodies.get(section)
                for one in path
                for section in self.sections_of(one)
            }
            if not own & above:
                return min(own), False
        return self.fact(title, path)

    def fact(self, label: str, path: Sequence[str]) -> tuple[str, bool] | None:
        """Return the fact that *label* asks for below the headings *path* (outermost first), or None.

        The second value says that it asks only if nothing else in the form does.
        """
        word = words(label)
        for heading in reversed(path) if word in self.below else ():
            for section in sorted(self.sections_of(heading)):
                if (section, word) in self.under:
                    return self.under[section, word], False
        if word in self.fact_by_word:
            return self.fact_by_word[word], False
        return (self.fallback[word], True) if word in self.fallback else None

    def is_section_heading(self, heading: str) -> bool:
        """Return whether *heading* is the heading of a section, or asks for a fact: then it is not a card's title."""
        word = words(heading)
        if not word or word in self.titles:
            return False
        asks = word in self.fact_by_word and self.fact_by_word[word] != "model_id"
        return (
            asks
            or word in self.sections_by_word
            or word in self.fallback
            or word in self.section_titles
        )

    @cached_property
    def section_titles(self) -> set[str]:
        """The headings under which autocard adds sections, as `words` returns them."""
        return {words(part.title) for part in _walk(self.outline) if part.title}

    @cached_property
    def main_sections(self) -> set[str]:
        """Names of the sections at the top of the outline."""
        return {part.section for part in self.outline if part.section}

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
    """Return *label* as it is compared: lower case, letters and digits, no numbering, nothing in brackets."""
    text = unicodedata.normalize("NFKC", label)
    text = _ASIDE.sub(" ", _LINK.sub(r"\1", text))
    # A letter in brackets that ends a word marks a plural: Language(s).
    found = _WORD.findall(text.lower().replace("_", " "))
    while len(found) > 1 and found[0].isdigit():
        del found[0]
    return " ".join(found)


def _walk(parts: Sequence[LabelPart]) -> Iterator[LabelPart]:
    for part in parts:
        yield part
        yield from _walk(part.parts)
