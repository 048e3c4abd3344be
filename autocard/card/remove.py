"""All that autocard wrote out of a card again; the form's placeholders stand where they stood.

One rule: a person's words stay to the byte, and the record beside the card stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autocard.card import card_files
from autocard.card.card_files import PENDING
from autocard.card.fill import new_card
from autocard.card.fill.restore import restore
from autocard.card.form.label_files import load
from autocard.card.report import Report
from autocard.errors import CardError, SettingsError


@dataclass(frozen=True)
class Removed:
    """What a removal did.

    Attributes:
        before: the card's text.
        text: the card's text without ours.
        reports: the slots that were cleared.
    """

    before: str
    text: str
    reports: tuple[Report, ...]


def remove(card: Path, *, dry_run: bool = False) -> Removed:
    """Take what autocard wrote out of *card*.

    With *dry_run* nothing is written, only returned.

    Raises:
        SettingsError: there is no such card, or no record beside it that says what autocard wrote.
        CardError: the card cannot be read, or cleared with certainty. Nothing was written.
        NotWrittenError: a file could not be written. What was there before is still there.
    """
    read = card_files.read_card(card)
    if read.text is None:
        msg = f"{card}: {read.problem or 'there is no such card'}. Nothing was written."
        raise CardError(msg) if read.problem else SettingsError(msg)
    earlier = card_files.read_record_beside(card)
    if earlier.record is None:
        found = earlier.problem or "there is no record (autocard.json) beside it"
        msg = (
            f"{card}: {found}, so it is not known which text autocard wrote. Nothing was removed. "
            "Put the record back, or edit the card by hand."
        )
        raise SettingsError(msg)
    written = {**earlier.slots.get(card.name + PENDING, {}), **earlier.slots.get(card.name, {})}
    try:
        restored = restore(read.text, written, load(new_card.label_files(None, card)))
    except CardError as exc:
        msg = f"{card}: {exc}. Nothing was written."
        raise CardError(msg) from exc
    if not dry_run and (restored.text != read.text or restored.slots != written):
        changed = restored.text != read.text
        card_files.write(
            card, restored.text, earlier.record, restored.slots, earlier.slots, changed=changed
        )
    cleared = tuple(report for report in restored.reports if report.state == "cleared")
    return Removed(read.text, restored.text, cleared)
