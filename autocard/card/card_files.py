"""The card and the record beside it on disk: read, and written in an order that survives a crash.

One rule: the record is written twice around the card. First what is about to be written is added to
what was written before, so that a crash between the two writes never makes a written text look like
a person's; then it gets what stands in the card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autocard import files
from autocard import record as records
from autocard.errors import RecordError
from autocard.record import RECORD_NAME, RunRecord

PENDING = " (being written)"
"""Suffix of a card's name in `slots` while the card is written."""

Slots = dict[str, dict[str, str]]
"""Card's file name → name of a written text → the text."""


@dataclass(frozen=True)
class CardText:
    """What was read of a card.

    Attributes:
        text: None: there is none.
        problem: why it cannot be used; None: it can.
    """

    text: str | None
    problem: str | None = None


@dataclass(frozen=True)
class EarlierRecord:
    """The record that lies beside a card.

    Attributes:
        record: None: there is none, or it cannot be read.
        slots: what was written into which card.
        problem: why it cannot be read; None: it can.
    """

    record: RunRecord | None = None
    slots: Slots = field(default_factory=dict)
    problem: str | None = None


def read_card(card: Path) -> CardText:
    """Return the card's text, or why it cannot be used."""
    try:
        return CardText(files.read_text(card))
    except FileNotFoundError:
        return CardText(None)
    except UnicodeDecodeError:
        return CardText(None, "it is not UTF-8 text")
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        return CardText(None, f"it cannot be read ({reason})")
    except ValueError:
        return CardText(None, "its name has a null character")


def read_record_beside(card: Path) -> EarlierRecord:
    """Return the record beside *card*."""
    path = card.parent / RECORD_NAME
    if not files.exists(path):
        return EarlierRecord()
    try:
        record = records.load(path, check_figures=False)
    except RecordError as exc:
        return EarlierRecord(problem=str(exc))
    slots = {name: dict(texts) for name, texts in record.slots.items()}
    return EarlierRecord(record, slots)


def write(
    target: Path,
    text: str,
    record: RunRecord,
    written: Mapping[str, str],
    before: Mapping[str, Mapping[str, str]],
    *,
    changed: bool,
) -> None:
    """Write the record, the card and the record again.

    Args:
        target: the card's file.
        text: the card.
        record: the record that goes beside it.
        written: what is ours in the card.
        before: the `slots` of the record that lies there.
        changed: whether the card's file has to be written.

    Raises:
        NotWrittenError: a file could not be written. What was there before is still there.
    """
    name = target.name
    path = target.parent / RECORD_NAME
    slots: Slots = {}
    for other, texts in before.items():
        if other not in (name, name + PENDING):
            slots[other] = dict(texts)
    if changed:
        waiting = dict(slots)
        if name in before:
            waiting[name] = dict(before[name])
        waiting[name + PENDING] = dict(written)
        _write_record(path, record, waiting)
        files.write_text(target, text)
    _write_record(path, record, {**slots, name: dict(written)})


def _write_record(path: Path, record: RunRecord, slots: Slots) -> None:
    files.write_text(path, records.to_json(record.model_copy(update={"slots": slots})))
