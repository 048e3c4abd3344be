"""The table of words: which label or heading of a form asks for which fact. Data in templates/labels.yaml, and users'.

One rule: no form is known here, only words; a form that uses other words brings a file of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from autocard.errors import SettingsError

USER_FILE = "autocard.labels.yaml"
"""A user's own words, beside the card or beside the template."""

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
class Part:
    """One section of the customary outline.

    Attributes:
        title: its heading where we add it; "" for one that only marks a place.
        section: name of the section in the table, or "".
        body: the fact that its own text is.
        lines: facts that stand in it as labelled lines.
        level: heading level that it always has (0: that of its neighbours).
        parts: its subsections.
    """

    title: str
    section: str = ""
    body: str = ""
    lines: tuple[str, ...] = ()
    level: int = 0
    parts: tuple[Part, ...] = ()

    def facts(self) -> Iterator[str]:
        """Yield its own facts and those of its parts."""
        yield from self.lines
        if self.body:
            yield self.body
        for part in self.parts:
            yield from part.facts()


@dataclass(frozen=True)
class Labels:
    """The table, ready to be asked. Words are kept as `words` returns them."""

    kinds: dict[str, Kind]
    outline: tuple[Part, ...]
    variables: dict[str, str]
    titles: frozenset[str]
    boilerplate: tuple[str, ...]
    body_at_end: frozenset[str]
    section_bodies: dict[str, str]
    appended: frozenset[str]
    outdated: tuple[str, ...]
    names: set[str] = field(default_factory=set)
    _sections: dict[str, set[str]] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict)
    _under: dict[tuple[str, str], str] = field(default_factory=dict)
    _fallback: dict[str, str] = field(default_factory=dict)
    _below: set[str] = field(default_factory=set)

    def sections_of(self, heading: str) -> set[str]:
        """Return the names of the sections that *heading* is a word for."""
        return self._sections.get(words(heading), set())

    def heading(self, title: str, path: Sequence[str]) -> tuple[str, bool] | None:
        """Return the fact that the text below the heading *title* is, as `fact` does for labels."""
        sections = self.sections_of(title)
        own = {self.section_bodies[section] for section in sections if section in self.section_bodies}
        if own:
            # A section of its own, not one heading among several in it.
            above = {self.section_bodies.get(section) for one in path for section in self.sections_of(one)}
            if not own & above:
                return min(own), False
        return self.fact(title, path)

    def fact(self, label: str, path: Sequence[str]) -> tuple[str, bool] | None:
        """Return the fact that *label* asks for below the headings *path* (outermost first), or None.

        The second value says that it asks only if nothing else in the form does.
        """
        word = words(label)
        for heading in reversed(path) if word in self._below else ():
            for section in sorted(self.sections_of(heading)):
                if (section, word) in self._under:
                    return self._under[section, word], False
        if word in self._words:
            return self._words[word], False
        return (self._fallback[word], True) if word in self._fallback else None

    def part_of(self, body: str) -> Part | None:
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


@lru_cache(maxsize=4096)
def words(label: str) -> str:
    """Return *label* as it is compared: lower case, letters and digits, no numbering, nothing in brackets."""
    text = unicodedata.normalize("NFKC", label)
    text = _ASIDE.sub(" ", _LINK.sub(r"\1", text))
    # A letter in brackets that ends a word marks a plural: Language(s).
    found = _WORD.findall(text.lower().replace("_", " "))
    while len(found) > 1 and found[0].isdigit():
        del found[0]
    return " ".join(found)


def load(extra: Sequence[Path] = ()) -> Labels:
    """Return the table with the words of the files *extra* added to it.

    Raises:
        SettingsError: one of them cannot be read, or has a word in a place where there is none to be.
    """
    return _load(tuple(extra)) if extra else _shipped_labels()


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    text = (files("autocard") / "templates" / "labels.yaml").read_text(encoding="utf-8")
    raw: dict[str, Any] = yaml.safe_load(text)
    return raw


@lru_cache(maxsize=1)
def _shipped_labels() -> Labels:
    return _load(())


def _load(extra: tuple[Path, ...]) -> Labels:
    raw = _shipped()
    kinds: dict[str, Kind] = {}
    labels = Labels(
        kinds,
        tuple(_part(entry, raw["facts"]) for entry in raw["outline"]),
        {**raw["variables"]},
        frozenset(words(title) for title in raw["titles"]),
        tuple(raw["boilerplate"]),
        frozenset(raw["body_at_end"]),
        raw["section_bodies"],
        frozenset(raw["appended"]),
        tuple(raw["outdated"]),
    )
    _add(labels, raw, "labels.yaml")
    for path in extra:
        try:
            more = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as exc:
            msg = f"{path}: the file of labels cannot be read ({exc}). Nothing was done."
            raise SettingsError(msg) from exc
        _add(labels, more, str(path))
        labels.variables.update(_mapping(more, "variables", str(path)))
    labels.names.update(labels.kinds, labels.variables)
    return labels


def _walk(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        yield from _walk(part.parts)


def _mapping(raw: Any, key: str, where: str) -> dict[str, Any]:
    value = raw.get(key) if isinstance(raw, dict) else raw
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        msg = f"{where}: {key}: names and what stands for them are wanted. Nothing was done."
        raise SettingsError(msg)
    return value


def _texts(value: Any, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if texts is None:
        return []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        msg = f"{where}: a list of words is wanted. Nothing was done."
        raise SettingsError(msg)
    return texts


def _add(labels: Labels, raw: Any, where: str) -> None:
    for section, headings in _mapping(raw, "sections", where).items():
        for heading in _texts(headings, f"{where}: sections.{section}"):
            labels._sections.setdefault(words(heading), set()).add(section)  # noqa: SLF001
    for fact, entry in _mapping(raw, "facts", where).items():
        here = f"{where}: facts.{fact}"
        entry = {"words": entry} if isinstance(entry, list | str) else entry  # noqa: PLW2901
        _mapping({"": entry}, "", here)
        about = {key: entry[key] for key in ("title", "who", "record", "say_why", "guide", "instead") if key in entry}
        if fact in labels.kinds or "title" not in about:
            about = {**vars(labels.kinds.get(fact, Kind(fact, fact.replace("_", " ").capitalize()))), **about}
        labels.kinds[fact] = Kind(**{**about, "name": fact})
        for word in _texts(entry.get("words"), f"{here}.words"):
            labels._words[words(word)] = fact  # noqa: SLF001
        for word in _texts(entry.get("fallback"), f"{here}.fallback"):
            labels._fallback[words(word)] = fact  # noqa: SLF001
        for section, below in _mapping(entry, "under", here).items():
            for word in _texts(below, f"{here}.under.{section}"):
                labels._under[section, words(word)] = fact  # noqa: SLF001
                labels._below.add(words(word))  # noqa: SLF001


def _part(entry: dict[str, Any], facts: dict[str, Any]) -> Part:
    body = entry.get("body", "")
    return Part(
        title=entry.get("title") or (facts[body]["title"] if body else ""),
        section=entry.get("section", ""),
        body=body,
        lines=tuple(entry.get("lines", ())),
        level=entry.get("level", 0),
        parts=tuple(_part(part, facts) for part in entry.get("parts", ())),
    )
