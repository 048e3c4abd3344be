"""The table of words from its files: the shipped templates/labels.yaml, and those that users bring.

One rule: a user's file is data and nothing else; what it gets wrong is said with its place, before
anything is written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from autocard import files
from autocard.card.fact import plain
from autocard.card.fill import sanitize
from autocard.card.form.labels import Kind, LabelPart, Labels, words
from autocard.card.front import yaml_reader
from autocard.card.front.yaml_reader import YamlError
from autocard.errors import SettingsError

USER_FILE = "autocard.labels.yaml"
"""A user's own words, beside the card or beside the template."""

_KEYS = ("sections", "facts", "variables", "titles", "placeholders", "boilerplate")
_FACT_KEYS = ("title", "who", "record", "say_why", "guide", "instead", "words", "under", "fallback")
_LONGEST = 200
"""Characters of a heading or label."""
_MOST = 10_000
"""Words in one list."""
_ACTIVE = re.compile(r"[<`\[\]]|://")
_WHO = ("machine", "suggested", "person")


def load(extra: Sequence[Path] = ()) -> Labels:
    """Return the table with the words of the files *extra* added to it.

    Raises:
        SettingsError: one of them cannot be read, or has a word in a place where there is none to
            be.
    """
    return _load(tuple(extra)) if extra else _shipped_labels()


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    text = (resources.files("autocard") / "templates" / "labels.yaml").read_text(encoding="utf-8")
    raw: dict[str, Any] = yaml_reader.load(text)
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
        more = yaml_reader.load(files.read_text(path, files.SMALL_BYTES).removeprefix("\ufeff"))
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        line = (
            f" in line {exc.line + 1}"
            if isinstance(exc, YamlError) and exc.line is not None
            else ""
        )
        msg = f"{path}: the file of labels cannot be read{line} ({reason}). Nothing was done."
        raise SettingsError(msg) from exc
    more = _mapping(more, "", where)
    _known(more, _KEYS, where)
    _only_known_names(more, where)
    _add(labels, more, where, own=True)
    for name, fact in _mapping(more.get("variables"), "variables", where).items():
        labels.variables[name] = _fact(fact, f"{where}: variables.{name}")
    labels.titles.update(words(title) for title in _texts(more.get("titles"), f"{where}: titles"))
    labels.boilerplate += tuple(_texts(more.get("boilerplate"), f"{where}: boilerplate"))
    asks = _texts(more.get("placeholders"), f"{where}: placeholders")
    labels.placeholders.update(" ".join(text.lower().split()) for text in asks)


def _only_known_names(more: dict[str, Any], where: str) -> None:
    """Refuse sections and facts that the shipped table does not have: a name mistyped would ask for nothing."""
    shipped = _shipped()
    for section in _mapping(more.get("sections"), "sections", where):
        _choose(section, shipped["sections"], f"{where}: sections.{section}", "section")
    for fact, entry in _mapping(more.get("facts"), "facts", where).items():
        _choose(fact, shipped["facts"], f"{where}: facts.{fact}", "fact")
        for section in (
            _mapping(entry.get("under"), "under", where) if isinstance(entry, dict) else ()
        ):
            _choose(
                section, shipped["sections"], f"{where}: facts.{fact}.under.{section}", "section"
            )


def _fact(value: Any, where: str) -> str:
    """Return *value*, the name of a fact; empty: it stands for nothing that autocard knows."""
    name = _text("" if value is None else value, where)
    if name:
        _choose(name, _shipped()["facts"], where, "fact")
    return name


def _choose(name: str, known: Collection[str], where: str, what: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name[:_LONGEST], known, n=1)
    hint = (
        f"did you mean {close[0]}?"
        if close
        else f"{what}s are those of autocard's templates/labels.yaml."
    )
    msg = f"{_short(where)}: there is no {what} {_short(name)!r}; {hint} Nothing was done."
    raise SettingsError(msg)


def _known(entry: dict[str, Any], keys: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in keys:
            msg = f"{where}: {_short(key)}: there is no such key; there are {', '.join(keys)}. Nothing was done."
            raise SettingsError(msg)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        msg = f"{_short(where)}: text is wanted, this is {type(value).__name__}. Nothing was done."
        raise SettingsError(msg)
    return value


def _heading(value: Any, where: str) -> str:
    """Return *value*, which becomes a heading or a label where autocard adds one."""
    text = _text(value, where)
    if (
        len(text) > _LONGEST
        or plain(text) != text
        or _ACTIVE.search(text)
        or sanitize.line(text) != text
    ):
        msg = f"{_short(where)}: a word or title of one line is wanted, without HTML, links or code. Nothing was done."
        raise SettingsError(msg)
    return text


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


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
    if (
        not isinstance(texts, list)
        or not all(isinstance(text, str) for text in texts)
        or len(texts) > _MOST
    ):
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
            title = _heading(found[0], f"{where}: sections.{section}")
            labels.outline = tuple(_named(part, section, title) for part in labels.outline)
    for fact, entry in _mapping(raw.get("facts"), "facts", where).items():
        _add_fact(labels, fact, entry, f"{where}: facts.{fact}", own=own)


def _add_fact(labels: Labels, fact: str, entry: Any, here: str, *, own: bool) -> None:
    entry = _mapping({"words": entry} if isinstance(entry, list | str) else entry, "", here)
    _known(entry, _FACT_KEYS, here)
    if entry.get("who", "person") not in _WHO:
        msg = f"{here}: who: one of {', '.join(_WHO)} is wanted. Nothing was done."
        raise SettingsError(msg)
    found = _texts(entry.get("words"), f"{here}.words")
    about = _about(entry, here)
    if own and found:
        about = {"title": _heading(found[0], f"{here}.words"), **about}
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


def _about(entry: dict[str, Any], here: str) -> dict[str, Any]:
    """Return what *entry* says of a fact, beside the words that ask for it."""
    keys = ("title", "who", "record", "say_why", "guide", "instead")
    about = {str(key): entry[key] for key in keys if key in entry}
    for key, value in about.items():
        if key == "say_why":
            if not isinstance(value, bool):
                msg = f"{here}.say_why: true or false is wanted. Nothing was done."
                raise SettingsError(msg)
        elif key == "title":
            _heading(value, f"{here}.title")
        elif key == "instead":
            _fact(value, f"{here}.instead")
        else:
            _text(value, f"{here}.{key}")
    return about


def _named(part: LabelPart, name: str, title: str) -> LabelPart:
    """Return *part* with the heading *title* in it where its section, or what its text is, is called *name*."""
    parts = tuple(_named(inner, name, title) for inner in part.parts)
    return replace(
        part, parts=parts, title=title if part.title and part.name == name else part.title
    )


def _part(entry: dict[str, Any], facts: dict[str, Any]) -> LabelPart:
    body = entry.get("body", "")
    return LabelPart(
        title=entry.get("title") or (facts[body]["title"] if body else ""),
        section=entry.get("section", ""),
        body=body,
        lines=tuple(entry.get("lines", ())),
        level=entry.get("level", 0),
        asked=entry.get("asked", False),
        parts=tuple(_part(part, facts) for part in entry.get("parts", ())),
    )
