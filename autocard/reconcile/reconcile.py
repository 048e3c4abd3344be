"""A comparison into the record, and into the cards that stand beside it.

Rule: the record is written where it lies, as `fill` writes it; of the cards, only those that
autocard has filled are filled again; the same source again takes the place of what it said before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autocard import files
from autocard import record as records
from autocard.card.update import PENDING, Outcome, update
from autocard.errors import MeterError
from autocard.reconcile import ask, compare, jobs, meters, sacct
from autocard.record import Reconciliation, RunRecord

TIMEOUT_S = 60.0
"""For sacct: accounting databases of large centres take their time."""


@dataclass(frozen=True)
class ReconcileRequest:
    """What a person wants compared; of the sources, one at most.

    Attributes:
        text: what sacct printed.
        kwh: what a meter of the house read.
        source: which meter that is, in words.
        jobs: ids of Slurm's jobs; none: the record's.
        timeout_s: how long sacct may take.
    """

    text: str | None = None
    kwh: float | None = None
    source: str = ""
    jobs: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True)
class ReconcileOutcome:
    """What came of it.

    Attributes:
        one: the comparison.
        why: leaf of it → why it is None.
        record: with the comparison in it.
        cards: the cards beside the record, each with what became of it.
        changed: whether the record or a card differs from what was there.
    """

    one: Reconciliation
    why: dict[str, str]
    record: RunRecord
    cards: tuple[tuple[Path, Outcome], ...]
    changed: bool


def reconcile(path: Path, asked: ReconcileRequest, *, dry_run: bool = False) -> ReconcileOutcome:
    """Compare, and put the outcome into the record at *path* (a file, or a folder that holds one) and its cards.

    Raises:
        RecordError: there is no record, or it cannot be read.
        MeterError: the figure cannot be had, or is another job's. Nothing was written.
        NotWrittenError: a file could not be written. What was there before is still there.
    """
    file = path / records.RECORD_NAME if files.is_folder(path) else path
    before = records.load(file)
    one, why = compare.compare(before, metered(before, asked))
    after = put(before, one, why)
    trials = [(card, update(card, after, dry_run=True)) for card in _cards(file, before)]
    # A card that cannot be filled stays as it is, and no other is made in its place.
    free = [card for card, trial in trials if trial.left_alone is None]
    changed = after != before or any(trial.changed for card, trial in trials if card in free)
    if not dry_run:
        trials = [(card, update(card, after) if card in free else trial) for card, trial in trials]
        if not free:
            files.write_text(file, records.to_json(after))
    return ReconcileOutcome(one, why, after, tuple(trials), changed)


def metered(record: RunRecord, asked: ReconcileRequest) -> meters.Metered:
    """Return the figure that is asked for; of nobody in particular: Slurm's of the record's job, else the nodes' own.

    Raises:
        MeterError: it cannot be had.
    """
    if asked.kwh is not None:
        return meters.by_person(record, asked.kwh, asked.source)
    ids, by_person = (asked.jobs, True) if asked.jobs else (_own_jobs(record), False)
    if asked.text is not None:
        return meters.by_slurm(
            record, jobs.chosen(sacct.read(asked.text), ids, by_person=by_person)
        )
    if asked.jobs or (ids and ask.is_there()):
        starts = sacct.read(ask.ask(ids, asked.timeout_s))
        return meters.by_slurm(record, jobs.chosen(starts, ids, by_person=by_person), in_utc=True)
    if record.energy.node_meter_kwh is not None:
        return meters.by_nodes(record)
    msg = (
        "there is nothing to compare with: "
        + ("no sacct on this machine" if ids else "the record names no job of Slurm")
        + ", and no meter of the nodes was read. Give what sacct printed: --sacct FILE, or - to paste it; a job: --job "
        "ID; or a meter's figure: --kwh N --source TEXT"
    )
    raise MeterError(msg)


def _own_jobs(record: RunRecord) -> tuple[str, ...]:
    """Return the number that Slurm gave to the record's job, if it was Slurm; of an array, the task's."""
    job = record.job
    if job.array_job_id is not None and job.array_task_id is not None:
        job_id = f"{job.array_job_id}_{job.array_task_id}"
    else:
        job_id = job.job_id or ""
    return (job_id,) if job.workload_manager == "slurm" and sacct.JOB.fullmatch(job_id) else ()


def put(record: RunRecord, one: Reconciliation, why: dict[str, str]) -> RunRecord:
    """Return *record* with *one* in it, in the place of what the same source said before."""
    there = list(record.reconciliations)
    same = [
        n for n, other in enumerate(there) if (other.kind, other.source) == (one.kind, one.source)
    ]
    number = same[0] if same else len(there)
    there[number : number + 1] = [one]
    path = f"reconciliations.{number}."
    missing = {name: reason for name, reason in record.missing.items() if not name.startswith(path)}
    missing.update({path + leaf: reason for leaf, reason in why.items()})
    return record.model_copy(update={"reconciliations": there, "missing": missing})


def _cards(file: Path, record: RunRecord) -> list[Path]:
    """Return the cards beside the record that hold texts of ours."""
    if file.name != records.RECORD_NAME:
        return []
    names = dict.fromkeys(name.removesuffix(PENDING) for name in record.slots)
    return [
        file.parent / name
        for name in names
        if Path(name).name == name and (file.parent / name).is_file()
    ]
