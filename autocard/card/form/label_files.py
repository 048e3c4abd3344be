"""The label table from its files: the shipped templates/labels.yaml, and those that users bring.

One rule: a user's file is data and nothing else; a mistake in it is reported with its place, before
anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from autocard import files
from autocard.card.fact import plain
from autocard.card.fill import sanitize
from autocard.card.form.label_checks import (
    LONGEST,
    Where,
    check_keys,
    check_name,
    mapping,
    shortened,
    text,
    texts,
)
from autocard.card.form.labels import Kind, LabelPart, Labels, words
from autocard.card.front import yaml_reader
from autocard.card.front.yaml_reader import YamlError
from autocard.errors import SettingsError

TABLE = "labels.yaml"
"""The shipped table; other languages stand beside it."""
USER_FILE = "autocard.labels.yaml"
"""A user's own words, beside the card or beside the template."""

_KEYS = ("sections", "facts", "variables", "titles", "placeholders", "boilerplate")
_KIND_KEYS = ("title", "who", "record", "say_why", "guide", "instead", "unit", "asked")
"""Keys of a fact beside the words that ask for it."""
_FACT_KEYS = (*_KIND_KEYS, "words", "under", "fallback")
_ACTIVE = re.compile(r"[<`\[\]]|://")
"""What could be HTML, code or a link: `<b>`, `[x](https://…)`."""
_WHO = ("machine", "suggested", "person")


def load(extra: Sequence[Path] = ()) -> Labels:
    """Return the table with the words of the files *extra* added to it.

    Raises:
        SettingsError: one of them cannot be read, or has a wrong key, name or value.
    """
    return _load(tuple(extra)) if extra else _shipped_labels()


@lru_cache(maxsize=1)
def shipped_table() -> dict[str, Any]:
    """Return the shipped table as it stands in its file."""
    file = resources.files("autocard") / "templates" / "labels.yaml"
    raw: dict[str, Any] = yaml_reader.load(file.read_text(encoding="utf-8"))
    return raw


@lru_cache(maxsize=1)
def _shipped_labels() -> Labels:
    return _load(())


def _load(extra: tuple[Path, ...]) -> Labels:
    raw = shipped_table()
    labels = Labels(
        outline=tuple(_part(entry, raw["facts"]) for entry in raw["outline"]),
        variables={**raw["variables"]},
        titles={words(title) for title in raw["titles"]},
        boilerplate=tuple(raw["boilerplate"]),
        body_at_end=frozenset(raw["body_at_end"]),
        section_bodies=raw["section_bodies"],
        section_facts=raw["section_facts"],
        appended=frozenset(raw["appended"]),
        outdated=tuple(raw["outdated"]),
        placeholders=set(raw["placeholders"]),
    )
    _add(labels, raw, Where("labels.yaml"), is_users=False)
    for language in _languages():
        _add_language(labels, language)
    for path in extra:
        _add_file(labels, path)
    labels.names.update(labels.kinds, labels.variables)
    return labels


@lru_cache(maxsize=1)
def _languages() -> tuple[dict[str, Any], ...]:
    """Return the shipped words in other languages: templates/labels.de.yaml and the like."""
    folder = resources.files("autocard") / "templates"
    names = sorted(file.name for file in folder.iterdir() if file.name.startswith("labels."))
    contents = [(folder / name).read_text(encoding="utf-8") for name in names if name != TABLE]
    return tuple(yaml_reader.load(each) for each in contents)


def _add_language(labels: Labels, raw: Mapping[str, Any]) -> None:
    """Add the words of another language; where they are English words too, those count."""
    for section, headings in raw["sections"].items():
        for heading in headings:
            labels.sections_by_word.setdefault(words(heading), set()).add(section)
    for fact, names in raw["facts"].items():
        for name in names:
            labels.fact_by_word.setdefault(words(name), fact)
    for placeholder in raw["placeholders"]:
        labels.placeholders |= {placeholder.lower(), f"[{placeholder.lower()}]"}


def _add_file(labels: Labels, path: Path) -> None:
    """Add the words of a user's file."""
    found, where = _read(path)
    more = mapping(found, "", where.file)
    check_keys(more, _KEYS, where.file)
    _check_names(more, where)
    _add(labels, more, where, is_users=True)
    for name, fact in mapping(more.get("variables"), "variables", where.file).items():
        labels.variables[name] = _fact_name(fact, where.key(f"variables.{name}"))
    labels.titles.update(words(title) for title in texts(more.get("titles"), where.key("titles")))
    labels.boilerplate += tuple(texts(more.get("boilerplate"), where.key("boilerplate")))
    placeholders = texts(more.get("placeholders"), where.key("placeholders"))
    labels.placeholders.update(" ".join(each.lower().split()) for each in placeholders)


def _read(path: Path) -> tuple[object, Where]:
    """Return the YAML of a user's file, and where its keys stand.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        content = files.read_text(path, files.SMALL_BYTES).removeprefix("\ufeff")
        found: object = yaml_reader.load(content)
        lines = yaml_reader.key_lines(content)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        line = ""
        if isinstance(exc, YamlError) and exc.line is not None:
            line = f" in line {exc.line + 1}"
        msg = f"{path}: the file of labels cannot be read{line} ({reason}). Nothing was done."
        raise SettingsError(msg) from exc
    return found, Where(str(path), lines)


def _check_names(more: dict[str, Any], where: Where) -> None:
    """Refuse sections and facts that the shipped table lacks: a typo would ask for nothing."""
    sections, facts = shipped_table()["sections"], shipped_table()["facts"]
    for section in mapping(more.get("sections"), "sections", where.file):
        check_name(section, sections, where.key(f"sections.{section}"), "section")
    for fact, entry in mapping(more.get("facts"), "facts", where.file).items():
        check_name(fact, facts, where.key(f"facts.{fact}"), "fact")
        if not isinstance(entry, dict):
            continue
        for section in mapping(entry.get("under"), "under", where.file):
            place = where.key(f"facts.{fact}.under.{section}")
            check_name(section, sections, place, "section")


def _fact_name(value: object, where: str) -> str:
    """Return *value*, the name of a fact; empty: it is the variable of no fact."""
    name = text("" if value is None else value, where)
    if name:
        check_name(name, shipped_table()["facts"], where, "fact")
    return name


def _heading(value: object, where: str) -> str:
    """Return *value*, which becomes a heading or a label where autocard adds one."""
    title = text(value, where)
    is_one_line = plain(title) == title and sanitize.line(title) == title
    if len(title) > LONGEST or not is_one_line or _ACTIVE.search(title):
        msg = (
            f"{shortened(where)}: a word or title of one line is wanted, without HTML, links or "
            "code. Nothing was done."
        )
        raise SettingsError(msg)
    return title


def _add(labels: Labels, raw: dict[str, Any], where: Where, *, is_users: bool) -> None:
    """Add sections and facts.

    The first of a user's words for a section or fact becomes the title under which it is added.
    """
    for section, value in mapping(raw.get("sections"), "sections", where.file).items():
        headings = texts(value, where.key(f"sections.{section}"))
        for heading in headings:
            labels.sections_by_word.setdefault(words(heading), set()).add(section)
        if is_users and headings:
            _rename(labels, section, _heading(headings[0], where.key(f"sections.{section}")))
    for fact, entry in mapping(raw.get("facts"), "facts", where.file).items():
        _add_fact(labels, fact, entry, where.key(f"facts.{fact}"), is_users=is_users)


def _add_fact(labels: Labels, fact: str, entry: object, where: str, *, is_users: bool) -> None:
    """Add one fact; an *entry* that is a list has only the words that ask for it."""
    if isinstance(entry, list | str):
        entry = {"words": entry}
    keys = mapping(entry, "", where)
    check_keys(keys, _FACT_KEYS, where)
    if keys.get("who", "person") not in _WHO:
        msg = f"{where}: who: one of {', '.join(_WHO)} is wanted. Nothing was done."
        raise SettingsError(msg)
    labels_of_fact = texts(keys.get("words"), f"{where}.words")
    kind = _kind_values(keys, where)
    if is_users and labels_of_fact:
        kind = {"title": _heading(labels_of_fact[0], f"{where}.words"), **kind}
    default = Kind(fact, fact.replace("_", " ").capitalize())
    labels.kinds[fact] = replace(labels.kinds.get(fact, default), **kind)
    if is_users and "title" in kind:
        _rename(labels, fact, kind["title"])
    _add_words(labels, fact, labels_of_fact, keys, where)


def _add_words(
    labels: Labels, fact: str, own: list[str], keys: Mapping[str, object], where: str
) -> None:
    """Add the words that ask for a fact: anywhere, as a fallback, and in single sections."""
    for word in own:
        labels.fact_by_word[words(word)] = fact
    for word in texts(keys.get("fallback"), f"{where}.fallback"):
        labels.fallback[words(word)] = fact
    for section, below in mapping(keys.get("under"), "under", where).items():
        for word in texts(below, f"{where}.under.{section}"):
            labels.under[section, words(word)] = fact
            labels.below.add(words(word))


def _kind_values(keys: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the values of a fact beside the words that ask for it, checked."""
    values = {key: keys[key] for key in _KIND_KEYS if key in keys}
    for key, value in values.items():
        if key in ("say_why", "asked"):
            if not isinstance(value, bool):
                msg = f"{where}.{key}: true or false is wanted. Nothing was done."
                raise SettingsError(msg)
        elif key == "title":
            _heading(value, f"{where}.title")
        elif key == "instead":
            _fact_name(value, f"{where}.instead")
        else:
            text(value, f"{where}.{key}")
    return values


def _rename(labels: Labels, name: str, title: str) -> None:
    """Give the section or fact called *name* the heading *title* in the outline."""
    labels.outline = tuple(_renamed(part, name, title) for part in labels.outline)


def _renamed(part: LabelPart, name: str, title: str) -> LabelPart:
    parts = tuple(_renamed(inner, name, title) for inner in part.parts)
    if part.title and part.name == name:
        return replace(part, parts=parts, title=title)
    return replace(part, parts=parts)


def _part(entry: dict[str, Any], facts: dict[str, Any]) -> LabelPart:
    """Return one part of the shipped outline."""
    body = entry.get("body", "")
    title = facts[body]["title"] if body else ""
    return LabelPart(
        title=entry.get("title") or title,
        section=entry.get("section", ""),
        body=body,
        lines=tuple(entry.get("lines", ())),
        level=entry.get("level", 0),
        asked=entry.get("asked", False),
        before=entry.get("before", ""),
        head=entry.get("head", ""),
        parts=tuple(_part(part, facts) for part in entry.get("parts", ())),
    )
