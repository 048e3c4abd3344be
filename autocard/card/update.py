"""A record into the card beside it: read, fill, write the card and the record beside it.

One rule: a card that cannot be filled safely is left alone, and the new card goes beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from autocard.card import card_files
from autocard.card import suggest as suggesting
from autocard.card.card_files import PENDING, CardText, EarlierRecord, Slots
from autocard.card.card_filler import CardFiller, FillOrder
from autocard.card.fact import Fact
from autocard.card.fill import base_statements, new_card
from autocard.card.form.label_files import load
from autocard.card.report import Filled, Report
from autocard.card.selection import Selection
from autocard.errors import CardError
from autocard.record import RunRecord

__all__ = ["PENDING", "Outcome", "Standing", "path_beside", "update"]


@dataclass(frozen=True)
class Outcome:
    """What an update did.

    Attributes:
        card: the file with the facts: the card, or the one beside it.
        text: its text.
        changed: whether the card's text differs from what was in the file (with *dry_run*: would).
        before: the text that was there; None: there was none.
        reports: what became of each slot.
        warnings: what a person should read: whole sentences, each once.
        left_alone: why the existing card was not filled; None: it was.
        proposed: facts that were proposed rather than known.
    """

    card: Path
    text: str
    changed: bool
    before: str | None
    reports: tuple[Report, ...]
    warnings: tuple[str, ...] = ()
    left_alone: str | None = None
    proposed: frozenset[str] = frozenset()

    @property
    def suggested(self) -> tuple[Report, ...]:
        """The slots with a proposal, which a person has to check."""
        written = ("filled", "refreshed", "same")
        return tuple(
            report
            for report in self.reports
            if report.slot in self.proposed and report.state in written
        )

    @property
    def kept(self) -> tuple[Report, ...]:
        """The slots with a person's text where the record has another."""
        return tuple(report for report in self.reports if report.state == "kept")


@dataclass(frozen=True)
class Standing:
    """What counts as the existing card if the file has another one: a trainer has overwritten it.

    Attributes:
        text: the card; None: there was none.
        ours: slots that autocard wrote into it by another record (such as the Hub's), beside those
            it remembers.
        remembered: those it remembers, where it is another card than the file's; None: those of
            the record beside it.
    """

    text: str | None
    ours: Mapping[str, str] = field(default_factory=dict)
    remembered: Mapping[str, str] | None = None


@dataclass(frozen=True)
class _Result:
    """A card that was filled.

    Attributes:
        target: the file it goes to.
        filled: the card.
        before: the text that was in the file; None: there was none.
        problem: why the existing card was left alone; None: it was filled.
    """

    target: Path
    filled: Filled
    before: str | None
    problem: str | None = None


def update(
    card: Path,
    record: RunRecord,
    *,
    template: str | None = None,
    empty: str = "comment",
    overwrite: Collection[str] = (),
    dry_run: bool = False,
    standing: Standing | None = None,
    extra: Mapping[str, object] | None = None,
    suggest: bool = False,
    withheld: Collection[str] = (),
    detail: str | None = None,
    sections: tuple[str, ...] | None = None,
) -> Outcome:
    """Put the facts of *record* into *card*, and *record* beside it as `autocard.json`.

    Args:
        card: path of the card; made where there is none. A symbolic link is followed and stays one.
        record: the run's record; the `slots` that count are those of the file beside the card, not
            its own.
        template: shipped name or path, for a new card; None: the Hub's own template.
        empty: how a new card shows what is empty: "comment" or "placeholder".
        overwrite: names or labels of slots that are written even over a person's text.
        dry_run: write nothing, only return what would be written.
        standing: what counts as the card, where that is not what the file has.
        extra: keys of the front matter that others bring (a trainer's tags); the record's values go
            before them.
        suggest: propose what only a person can decide (license, developers, citation), marked as
            such.
        withheld: names that the front matter may not show as the base model: local folders that the
            model was loaded from.
        detail: "standard", "full" or "brief"; None: as the last fill of the card.
        sections: names of the sections that are written; None: as the last fill of the card.

    Raises:
        SettingsError: the template or a file of labels cannot be used. Nothing was written.
        NotWrittenError: a file could not be written. What was there before is still there.
        AbandonedError: it took too long and the caller has gone on.
    """
    earlier = card_files.read_record_beside(card)
    in_file = card_files.read_card(card)
    existing = in_file if standing is None else CardText(standing.text)
    slots = _slots(card, earlier, standing)
    before = Selection.of({**slots.get(card.name + PENDING, {}), **slots.get(card.name, {})})
    selection = before.changed(detail, sections)
    local_bases = base_statements.local_bases(card.parent, record)
    order = FillOrder(
        card_name=card.name,
        record=record,
        labels=load(new_card.label_files(template, card)),
        template=template,
        empty=empty,
        overwrite=overwrite,
        extra=extra,
        ours=standing.ours if standing else {},
        withheld=frozenset(withheld) - {record.model.base_model} | local_bases,
        slots=slots,
        earlier_record=earlier.record,
        selection=selection,
        before=before,
    )
    proposed = _proposals(order, card, existing.text or "", suggest=suggest)
    filler = CardFiller(replace(order, proposed=proposed))
    if earlier.problem is not None:
        filler.warnings.append(
            f"{earlier.problem} So what autocard wrote into {card.name} before counts as a "
            "person's text and is kept."
        )
    result = _fill(filler, card, existing, in_file)
    filled = result.filled
    changed = filled.text != result.before
    if not dry_run:
        written = {**filled.slots, **selection.written()}
        card_files.write(result.target, filled.text, record, written, slots, changed=changed)
    return Outcome(
        result.target,
        filled.text,
        changed,
        result.before,
        filled.reports,
        tuple(filler.warnings),
        result.problem,
        filler.proposals(),
    )


def _proposals(order: FillOrder, card: Path, text: str, *, suggest: bool) -> dict[str, Fact]:
    """Return what is proposed for the card *text*; without *suggest*, what stands there already."""
    if suggest:
        return suggesting.suggestions(order.record, card.parent)
    return suggesting.kept(order.slots.get(card.name, {}), text)


def _slots(card: Path, earlier: EarlierRecord, standing: Standing | None) -> Slots:
    """Return what was written into the cards of the folder."""
    if standing is None or standing.remembered is None:
        return earlier.slots
    return {**earlier.slots, card.name: dict(standing.remembered)}


def _fill(filler: CardFiller, card: Path, existing: CardText, in_file: CardText) -> _Result:
    """Fill the *existing* card; a card that cannot be filled is left alone, with one beside it."""
    problem = existing.problem
    if existing.text is not None:
        try:
            return _Result(card, filler.fill_existing(card.name, existing.text), in_file.text)
        except CardError as exc:
            problem = str(exc)
    if problem is None:
        return _Result(card, filler.new(), in_file.text)
    target = path_beside(card)
    filler.warnings.append(
        f"{card.name}: {problem}. It was left alone; the new card is {target.name}, beside it. "
        f"Put {card.name} right and run: autocard fill {card.name}"
    )
    beside = card_files.read_card(target).text
    filled = _fill_again(filler, target.name, beside) or filler.new()
    return _Result(target, filled, beside, problem)


def _fill_again(filler: CardFiller, name: str, text: str | None) -> Filled | None:
    """Fill the card beside another time, if it is there and can be filled."""
    if text is None:
        return None
    try:
        return filler.fill_existing(name, text)
    except CardError:
        return None


def path_beside(card: Path) -> Path:
    """Return the path of the card that is written beside one which cannot be filled."""
    return card.with_name(f"{card.stem}.autocard{card.suffix}")
