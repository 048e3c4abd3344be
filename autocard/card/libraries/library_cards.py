"""What is read from a card that somebody else wrote, and the one thing that is repaired in it.

One rule: a text is looked at here, never filled; filling is `card.update`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocard import files

if TYPE_CHECKING:
    from autocard.record import RunRecord


@dataclass
class CardBefore:
    """A card before the host wrote."""

    card: Path
    text: str | None = None
    data: bytes | None = None
    """What stood there; not None and *text* None: it is not UTF-8, or too large for a card."""
    special: bool = False
    """Whether it is a pipe, a device or a folder, which nothing is read from or written to."""


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


def front(text: str | None) -> dict[str, Any]:
    """Return what the front matter of *text* loads to; nothing where it does not."""
    from autocard.card.front.yaml_keys import front_values  # noqa: PLC0415

    return front_values(text or "")


def is_tag(tag: str) -> bool:
    """Return whether the Hub takes *tag*: PEFT makes one of a local path."""
    from autocard.card.front.yaml_keys import is_generated  # noqa: PLC0415

    return not is_generated("tags", tag)


def names_one_of(tag: str, withheld: Collection[str]) -> bool:
    """Return whether *tag* says that one of the *withheld* names is the base."""
    from autocard.card.front.yaml_keys import is_withheld  # noqa: PLC0415

    return is_withheld("tags", tag, withheld)


def is_true_tag(tag: str, record: RunRecord) -> bool:
    """Return whether *tag*, which a library wrote, holds for what *record* tells.

    PEFT names the base by the name that it was loaded by, and its method even where the adapter is
    merged by now.
    """
    model = record.model
    if tag.startswith("base_model:"):
        return (
            model.base_model is not None
            and tag == f"base_model:{model.base_model_relation}:{model.base_model}"
        )
    return tag != "lora" or bool(record.adapters and not model.adapters_merged)


def repaired(text: str, record: RunRecord | None, withheld: Collection[str] = ()) -> str:
    """Return a host's card without the ids that the Hub refuses or that are *withheld*: local paths, empty values."""
    from autocard.card.fields import front_matter  # noqa: PLC0415
    from autocard.card.fill.fill import fill  # noqa: PLC0415
    from autocard.card.front.yaml_keys import read_keys  # noqa: PLC0415
    from autocard.card.markdown.document import find_front_matter  # noqa: PLC0415
    from autocard.errors import CardError  # noqa: PLC0415

    names = ("base_model", "base_model_relation", "library_name")
    front = (
        {key: value for key, value in front_matter(record).items() if key in names}
        if record is not None
        else {}
    )
    known = record.model.base_model if record is not None else None
    foreign = (_foreign_bases(text, record) | frozenset(withheld)) - {known}
    text = _without_links(text, foreign, front.get("base_model"))
    try:
        text = fill(text, {}, front, remembered={}, withheld=foreign).text
        place, _ = find_front_matter(text, 0)
        key = read_keys(text[place[0] : place[1]])[0].get("base_model") if place else None
    except CardError:
        return text
    if place is None or key is None or key.data:
        return text
    # empty: PEFT's word for "none"
    return text[: place[0] + key.start] + text[place[0] + key.end :].lstrip("\r\n")


def _foreign_bases(text: str, record: RunRecord | None) -> frozenset[str]:
    """Return the bases that a library's card *text* names and that are not the record's."""
    if record is None:
        return frozenset()
    matter = front(text)
    bases, tags = matter.get("base_model"), matter.get("tags")
    named = [bases] if isinstance(bases, str) else list(bases or [])
    tagged = [
        tag
        for tag in (tags if isinstance(tags, list) else [])
        if str(tag).startswith("base_model:")
    ]
    named += [tag.rpartition(":")[2] for tag in tagged]
    return frozenset(str(name) for name in named) - {record.model.base_model}


def _without_links(text: str, names: Collection[str], base_model: str | None) -> str:
    """Return a library's card whose links to *names* on the Hub lead to the base, or are words where there is none."""
    instead = (
        f"[{base_model}](https://huggingface.co/{base_model})"
        if base_model
        else "a local checkpoint"
    )
    for name in names:
        text = text.replace(f"[{name}](https://huggingface.co/{name})", instead)
    return text


def slots(card: Path) -> dict[str, str]:
    """Return what the record beside *card* remembers that we wrote into it."""
    from autocard import record as records  # noqa: PLC0415
    from autocard.errors import RecordError  # noqa: PLC0415

    try:
        return dict(
            records.load(card.parent / records.RECORD_NAME, check_figures=False).slots.get(
                card.name, {}
            )
        )
    except RecordError:
        return {}
