"""Read the card that a library wrote, and repair the ids in it that the Hub refuses.

One rule: a text is read here, never filled; filling is `card.update`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard import files
from autocard import record as records
from autocard.card.fields import front_matter
from autocard.card.fill.fill import fill
from autocard.card.front.yaml_keys import front_values, is_generated, is_withheld, read_keys
from autocard.card.markdown.front_place import find_front_matter
from autocard.errors import CardError, RecordError
from autocard.record import RunRecord


@dataclass
class CardBefore:
    """A card before a library wrote."""

    card: Path
    text: str | None = None
    data: bytes | None = None
    """Its bytes; with *text* None: it is not UTF-8, or too large for a card."""
    special: bool = False
    """Whether it is a pipe, a device or a folder: nothing is read from it or written to it."""


KEPT_BYTES = 200_000_000
"""Largest file that is put back behind a library; what can be filled is far smaller
(`files.CARD_BYTES`)."""


def read(card: Path) -> CardBefore:
    """Return what stands at *card*.

    Raises:
        OSError: it cannot be read.
    """
    if card.exists() and not card.is_file():
        return CardBefore(card, special=True)
    try:
        data = files.read_bytes(card, KEPT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return CardBefore(card)
    if len(data) > files.CARD_BYTES:
        return CardBefore(card, None, data)
    try:
        return CardBefore(card, data.decode("utf-8"), data)
    except UnicodeDecodeError:
        return CardBefore(card, None, data)


def is_made_of(text: str, library_text: str) -> bool:
    """Return whether the card *text* was made of a library's card: it has most of its headings."""
    theirs = {line for line in library_text.splitlines() if line.startswith("## ")}
    there = theirs.intersection(text.splitlines())
    return 2 * len(there) >= len(theirs) > 0


def front(text: str | None) -> dict[str, Any]:
    """Return what the front matter of *text* loads to; nothing where it does not."""
    return front_values(text or "")


def is_tag(tag: str) -> bool:
    """Return whether the Hub takes *tag*: PEFT makes one of a local path."""
    return not is_generated("tags", tag)


def names_one_of(tag: str, withheld: Collection[str]) -> bool:
    """Return whether *tag* says that one of the *withheld* names is the base."""
    return is_withheld("tags", tag, withheld)


def is_true_tag(tag: str, record: RunRecord) -> bool:
    """Return whether *tag*, which a library wrote, is true of the run of *record*.

    PEFT names the base by the name that it was loaded by, and its method even where the adapter is
    merged by now.
    """
    model = record.model
    if tag.startswith("base_model:"):
        true_tag = f"base_model:{model.base_model_relation}:{model.base_model}"
        return model.base_model is not None and tag == true_tag
    if tag != "lora":
        return True
    return bool(record.adapters) and not model.adapters_merged


def repaired(text: str, record: RunRecord | None, withheld: Collection[str] = ()) -> str:
    """Return a library's card without ids that the Hub refuses or that are *withheld*.

    The Hub refuses local paths and empty values.
    """
    facts: dict[str, Any] = {}
    known_base = None
    if record is not None:
        names = ("base_model", "base_model_relation", "library_name")
        facts = {key: value for key, value in front_matter(record).items() if key in names}
        known_base = record.model.base_model
    foreign = (_foreign_bases(text, record) | frozenset(withheld)) - {known_base}
    text = _without_links(text, foreign, facts.get("base_model"))
    try:
        text = fill(text, {}, facts, remembered={}, withheld=foreign).text
        return _without_empty_base(text)
    except CardError:
        return text


def _without_empty_base(text: str) -> str:
    """Return *text* without a key `base_model` that has no value: PEFT writes one for "none"."""
    place, _ = find_front_matter(text, 0)
    if place is None:
        return text
    keys, _ = read_keys(text[place[0] : place[1]])
    key = keys.get("base_model")
    if key is None or key.data:
        return text
    return text[: place[0] + key.start] + text[place[0] + key.end :].lstrip("\r\n")


def _foreign_bases(text: str, record: RunRecord | None) -> frozenset[str]:
    """Return the bases that a library's card *text* names and that are not the record's."""
    if record is None:
        return frozenset()
    matter = front(text)
    bases, tags = matter.get("base_model"), matter.get("tags")
    names = [bases] if isinstance(bases, str) else list(bases or [])
    for tag in tags if isinstance(tags, list) else []:
        if str(tag).startswith("base_model:"):
            names.append(tag.rpartition(":")[2])
    return frozenset(map(str, names)) - {record.model.base_model}


def _without_links(text: str, names: Collection[str], base_model: str | None) -> str:
    """Return a library's card whose links to *names* lead to *base_model*, or are words."""
    instead = "a local checkpoint"
    if base_model:
        instead = f"[{base_model}](https://huggingface.co/{base_model})"
    for name in names:
        text = text.replace(f"[{name}](https://huggingface.co/{name})", instead)
    return text


def slots(card: Path) -> dict[str, str]:
    """Return slot → the text that we wrote into *card*, as the record beside it has it."""
    try:
        record = records.load(card.parent / records.RECORD_NAME, check_figures=False)
    except RecordError:
        return {}
    return dict(record.slots.get(card.name, {}))
