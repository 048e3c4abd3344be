"""`autocard close`: the record and the card of a run that was broken off.

Rule: the record is put together and the card is written by the same code as at a training's end;
here its parts are only looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard.capture.model import artifacts
from autocard.card import card_files
from autocard.card.libraries.card_copies import CardCopies
from autocard.card.update import Outcome, update
from autocard.energy.ledger.earlier_legs import EarlierLegs
from autocard.energy.location import given_later
from autocard.errors import UnavailableError
from autocard.record import Job, Leg, Run, RunRecord
from autocard.record.gaps import Gaps, Part
from autocard.runtime.assemble import RecordDraft, build_record
from autocard.runtime.left_runs import LeftRun
from autocard.runtime.leg_facts import LegFacts
from autocard.runtime.run_history import RunHistory
from autocard.runtime.saved_weights import seconds_of
from autocard.totals import batches

PARTS = (
    "model",
    "adapters",
    "precision",
    "training",
    "data",
    "evaluation",
    "hardware",
    "software",
    "code",
    "job",
)
"""Keys of the record whose parts were captured when training began."""
NOT_YET = "not known yet"
"""Begins the reasons of what only the end of training shows."""
CUT_OFF = "not known: training was cut off before it could be read"


@dataclass(frozen=True)
class Closed:
    """What closing a run did."""

    record: RunRecord
    outcome: Outcome
    """Of writing the card."""
    changed: bool
    """Whether record or card changed."""


def card_of(left: LeftRun) -> Path:
    """Return the path of the card of *left*."""
    given = left.unfinished.card.path
    return left.output / "README.md" if given is None else Path(given)


def record_of(left: LeftRun, earlier: RunRecord | None) -> RunRecord:
    """Return the record of *left*.

    Args:
        left: a run that was broken off.
        earlier: the record beside its card: a place may have been given there after a leg.
    """
    unfinished = left.unfinished
    known = unfinished.record
    history = _history(left)
    legs = given_later.carried(history.legs(), earlier)
    why = history.why_earlier_missing(part.value for part in legs)
    saved = _saved(left.output, known)
    gaps: dict[str, Gaps] = {
        "": _gaps(known),
        "legs": {"earlier": why} if why else {},
        "model": saved.gaps,
    }
    own = [part.value for part in legs]
    parts: dict[str, Any] = {name: getattr(known, name) for name in PARTS}
    parts["job"] = _job(known.job, own[-1])
    return build_record(
        RecordDraft(
            settings=unfinished.own_settings(),
            run=_run(known, own),
            legs=legs,
            parts=parts,
            gaps=gaps,
            search=known.search,
            **saved.value,
        )
    )


def write(left: LeftRun, record: RunRecord, template: str | None = None) -> Outcome:
    """Write *record* and the card of *left*."""
    card, unfinished = card_of(left), left.unfinished
    settings = unfinished.own_settings()
    # A library's card may stand in the place of a person's, which was put aside meanwhile.
    CardCopies(card).settle()
    return update(
        card,
        record,
        template=template or unfinished.card.template,
        empty=settings.empty,
        extra={"tags": unfinished.card.tags},
        withheld=unfinished.card.withheld,
        detail=settings.detail,
        sections=settings.sections,
    )


def close(left: LeftRun, template: str | None = None) -> Closed:
    """Write record and card of *left*."""
    beside = card_files.read_record_beside(card_of(left)).record
    record = record_of(left, beside)
    outcome = write(left, record, template)
    same = beside is not None and record.model_copy(update={"slots": beside.slots}) == beside
    return Closed(record, outcome, outcome.changed or not same)


def _history(left: LeftRun) -> RunHistory:
    unfinished = left.unfinished
    history, facts = RunHistory(unfinished.own_settings()), LegFacts()
    facts.take_batches(unfinished.batches)
    facts.take_settings(unfinished.hyperparameters)
    past = EarlierLegs(left.run_id, left.entries, unfinished.why_earlier_missing)
    history.take_up(past, left.run_id, left.entries[-1].leg.id, facts)
    return history


def _run(known: RunRecord, legs: list[Leg]) -> Run:
    first, last = legs[0], legs[-1]
    reached = last.step_end
    return known.run.model_copy(
        update={
            "started_at": first.started_at,
            "ended_at": last.ended_at,
            "status": last.status,
            "global_step": reached,
            "epochs": _epochs(known.run, legs, reached),
        }
    )


def _epochs(run: Run, legs: list[Leg], reached: int | None) -> float | None:
    """Return the epochs up to the step *reached*; None: they are not known."""
    counted = batches.epochs(legs)
    if counted is None and reached == run.global_step:
        return run.epochs
    return counted


def _job(known: Job, leg: Leg) -> Job:
    """Return *known* with the processes that reported up to the end of *leg*, the last one."""
    names = ("nodes_expected", "nodes_reporting", "processes_reporting")
    return known.model_copy(update={name: getattr(leg, name) for name in names})


def _gaps(known: RunRecord) -> Gaps:
    """Return the reasons of what was not known; legs and their sums have reasons of their own."""
    kept = {
        path: CUT_OFF if why.startswith(NOT_YET) else why
        for path, why in known.missing.items()
        if path.partition(".")[0] not in ("legs", "energy", "emissions")
    }
    return {"time": CUT_OFF, "run.epochs": CUT_OFF, **kept}


def _saved(output: Path, known: RunRecord) -> Part[dict[str, Any]]:
    """Return what lies in the folder *output*, as `RecordDraft` takes it."""
    folder, since_s = str(output), seconds_of(known.run.started_at)
    names = [adapter.name for adapter in known.adapters]
    found: dict[str, Any] = {
        "saved_bytes": artifacts.saved_bytes(folder, since_s, names),
        "saved_dtype": artifacts.saved_dtype(folder, since_s, names),
        "saved_files": artifacts.saved_files(folder, since_s, names),
    }
    try:
        found["checkpoint_bytes"] = artifacts.checkpoint_bytes(folder, since_s)
        found["checkpoint_has_optimizer"] = artifacts.checkpoint_has_optimizer(folder, since_s)
    except UnavailableError as exc:
        leaves = ("checkpoint_bytes", "checkpoint_has_optimizer")
        return Part(found, dict.fromkeys(leaves, str(exc)))
    return Part(found)
