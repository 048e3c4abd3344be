"""Put a comparison with a meter into the record, and into the cards that stand beside it.

Rule: the record is written where it lies, as `fill` writes it; of the cards, only those that
autocard has filled are filled again; a comparison replaces the earlier one with the same source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autocard import files
from autocard import record as records
from autocard.card.update import PENDING, Outcome, update
from autocard.errors import MeterError
from autocard.reconcile import ask, compare, jobs, meters, sacct
from autocard.reconcile.leg_jobs import ids_of_run
from autocard.record import Reconciliation, RunRecord
from autocard.record.gaps import under, without

TIMEOUT_S = 60.0
"""For sacct: accounting databases of large centers take their time."""


@dataclass(frozen=True)
class ReconcileRequest:
    """What a person wants compared; of the sources, one at most.

    Attributes:
        text: what sacct printed.
        kwh: what a meter of the house read.
        source: which meter that is, in words.
        jobs: ids of Slurm's jobs; none: those of the run's legs.
        timeout_s: how long sacct may take.
    """

    text: str | None = None
    kwh: float | None = None
    source: str = ""
    jobs: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True)
class ReconcileOutcome:
    """The comparison, and what became of the record and its cards.

    Attributes:
        comparison: of the meter's figure with the record.
        reasons: leaf of it → why it is None.
        record: with the comparison in it.
        cards: the cards beside the record, each with what became of it.
        changed: whether the record or a card differs from what was there.
    """

    comparison: Reconciliation
    reasons: Mapping[str, str]
    record: RunRecord
    cards: tuple[tuple[Path, Outcome], ...]
    changed: bool


def reconcile(path: Path, request: ReconcileRequest, *, dry_run: bool = False) -> ReconcileOutcome:
    """Compare, and write the comparison into the record at *path* and its cards.

    Raises:
        RecordError: there is no record, or it cannot be read.
        MeterError: the figure cannot be had, or is another job's. Nothing was written.
        NotWrittenError: a file could not be written. What was there before is still there.
    """
    file = path / records.RECORD_NAME if files.is_folder(path) else path
    before = records.load(file)
    comparison, reasons = compare.compare(before, metered(before, request))
    after = put(before, comparison, reasons)
    cards = [(card, update(card, after, dry_run=True)) for card in _cards(file, before)]
    # A card that cannot be filled stays as it is, and no other is made in its place.
    fillable = {card for card, trial in cards if trial.left_alone is None}
    card_changes = any(trial.changed for card, trial in cards if card in fillable)
    if not dry_run:
        cards = [
            (card, update(card, after) if card in fillable else trial) for card, trial in cards
        ]
        if not fillable:  # else the update of a card has written the record
            files.write_text(file, records.to_json(after))
    changed = after != before or card_changes
    return ReconcileOutcome(comparison, reasons, after, tuple(cards), changed)


def metered(record: RunRecord, request: ReconcileRequest) -> meters.Metered:
    """Return the figure that *request* asks for.

    Without a source that is Slurm's figure for all jobs of the run, else that of the nodes' meters.

    Raises:
        MeterError: it cannot be had.
    """
    if request.kwh is not None:
        return meters.by_person(record, request.kwh, request.source)
    by_person = bool(request.jobs)
    ids = request.jobs or ids_of_run(record)
    if request.text is not None:
        selection = jobs.select_starts(sacct.read(request.text), ids, by_person=by_person)
        return meters.by_slurm(record, selection)
    if by_person or (ids and ask.has_sacct()):
        printed = ask.run_sacct(ids, request.timeout_s)
        selection = jobs.select_starts(sacct.read(printed), ids, by_person=by_person)
        return meters.by_slurm(record, selection, in_utc=True)
    if record.energy.node_meter_kwh is not None:
        return meters.by_nodes(record)
    why = "no sacct on this machine" if ids else "the record names no job of Slurm"
    msg = (
        f"there is nothing to compare with: {why}, and no meter of the nodes was read. "
        "Give what sacct printed: --sacct FILE, or - to paste it; a job: --job ID; "
        "or a meter's figure: --kwh N --source TEXT"
    )
    raise MeterError(msg)


def put(record: RunRecord, comparison: Reconciliation, reasons: Mapping[str, str]) -> RunRecord:
    """Return *record* with *comparison* in the place of an earlier one with the same source."""
    comparisons = list(record.reconciliations)
    number = _place(comparisons, comparison)
    comparisons[number : number + 1] = [comparison]
    path = f"reconciliations.{number}"
    missing = {**without(record.missing, path), **under(path, reasons)}
    return record.model_copy(update={"reconciliations": comparisons, "missing": missing})


def _place(comparisons: list[Reconciliation], comparison: Reconciliation) -> int:
    """Return the number of the one that *comparison* replaces, or the next free number."""
    for number, other in enumerate(comparisons):
        if (other.kind, other.source) == (comparison.kind, comparison.source):
            return number
    return len(comparisons)


def _cards(file: Path, record: RunRecord) -> list[Path]:
    """Return the cards beside the record that hold written texts."""
    if file.name != records.RECORD_NAME:
        return []
    names = dict.fromkeys(name.removesuffix(PENDING) for name in record.slots)
    beside = [file.parent / name for name in names if Path(name).name == name]
    return [card for card in beside if card.is_file()]
