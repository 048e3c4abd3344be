"""The table of words from its files: the shipped templates/labels.yaml, and those that users bring.

One rule: a user's file is data and nothing else; what it gets wrong is said with its place, before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from autocard.card.labels import Kind, Labels, Part, words
from autocard.errors import SettingsError

USER_FILE = "autocard.labels.yaml"
"""A user's own words, beside the card or beside the template."""

_KEYS = ("sections", "facts", "variables", "titles", "placeholders", "boilerplate")
_FACT_KEYS = ("title", "who", "record", "say_why", "guide", "instead", "words", "under", "fallback")
_WHO = ("machine", "suggested", "person")


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
    labels = Labels(
        outline=tuple(_part(entry, raw["facts"]) for entry in raw["outline"]),
        variables={**raw["variables"]},
        titles={words(title) for title in raw["titles"]},
        boilerplate=tuple(raw["boilerplate"]),
        body_at_end=frozenset(raw["body_at_end"]),
        section_bodies=raw["section_bodies"],
        appended=frozenset(raw["appended"]),
        outdated=tuple(raw["outdated"]),
    )
    _add(labels, raw, "labels.yaml", own=False)
    for path in extra:
        _add_file(labels, path)
    labels.names.update(labels.kinds, labels.variables)
    return labels


def _add_file(labels: Labels, path: Path) -> None:
    where = str(path)
    try:
        more = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as exc:
        msg = f"{path}: the file of labels cannot be read ({exc}). Nothing was done."
        raise SettingsError(msg) from exc
    _known(_mapping(more, "", where) if more is not None else {}, _KEYS, where)
    more = more or {}
    _add(labels, more, where, own=True)
    labels.variables.update(_mapping(more.get("variables"), "variables", where))
    labels.titles.update(words(title) for title in _texts(more.get("titles"), f"{where}: titles"))
    labels.boilerplate += tuple(_texts(more.get("boilerplate"), f"{where}: boilerplate"))
    asks = _texts(more.get("placeholders"), f"{where}: placeholders")
    labels.placeholders.update(" ".join(text.lower().split()) for text in asks)


def _known(entry: dict[str, Any], keys: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in keys:
            msg = f"{where}: {key}: there is no such key; there are {', '.join(keys)}. Nothing was done."
            raise SettingsError(msg)


def _mapping(value: Any, key: str, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        msg = f"{where}: {key + ': ' if key else ''}names and what stands for them are wanted. Nothing was done."
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


def _add(labels: Labels, raw: dict[str, Any], where: str, *, own: bool) -> None:
    """Add sections and facts; where autocard adds one itself, it is called by the first of a user's *own* words."""
    for section, headings in _mapping(raw.get("sections"), "sections", where).items():
        found = _texts(headings, f"{where}: sections.{section}")
        for heading in found:
            labels.sections_by_word.setdefault(words(heading), set()).add(section)
        if own and found:
            labels.outline = tuple(_named(part, section, found[0]) for part in labels.outline)
    for fact, entry in _mapping(raw.get("facts"), "facts", where).items():
        _add_fact(labels, fact, entry, f"{where}: facts.{fact}", own=own)


def _add_fact(labels: Labels, fact: str, entry: Any, here: str, *, own: bool) -> None:
    entry = _mapping({"words": entry} if isinstance(entry, list | str) else entry, "", here)
    _known(entry, _FACT_KEYS, here)
    if entry.get("who", "person") not in _WHO:
        msg = f"{here}: who: one of {', '.join(_WHO)} is wanted. Nothing was done."
        raise SettingsError(msg)
    found = _texts(entry.get("words"), f"{here}.words")
    about = {key: entry[key] for key in ("title", "who", "record", "say_why", "guide", "instead") if key in entry}
    if own and found:
        about = {"title": found[0], **about}
    there = labels.kinds.get(fact, Kind(fact, fact.replace("_", " ").capitalize()))
    labels.kinds[fact] = replace(there, **about)
    if own and "title" in about:
        labels.outline = tuple(_named(part, fact, about["title"]) for part in labels.outline)
    for word in found:
        labels.fact_by_word[words(word)] = fact
    for word in _texts(entry.get("fallback"), f"{here}.fallback"):
        labels.fallback[words(word)] = fact
    for section, below in _mapping(entry.get("under"), "under", here).items():
        for word in _texts(below, f"{here}.under.{section}"):
            labels.under[section, words(word)] = fact
            labels.below.add(words(word))


def _named(part: Part, name: str, title: str) -> Part:
    """Return *part* with the heading *title* in it where its section, or what its text is, is called *name*."""
    parts = tuple(_named(inner, name, title) for inner in part.parts)
    return replace(part, parts=parts, title=title if part.title and part.name == name else part.title)


def _part(entry: dict[str, Any], facts: dict[str, Any]) -> Part:
    body = entry.get("body", "")
    return Part(
        title=entry.get("title") or (facts[body]["title"] if body else ""),
        section=entry.get("section", ""),
        body=body,
        lines=tuple(entry.get("lines", ())),
        level=entry.get("level", 0),
        asked=entry.get("asked", False),
        parts=tuple(_part(part, facts) for part in entry.get("parts", ())),
    )
