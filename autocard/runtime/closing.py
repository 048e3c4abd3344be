"""`autocard close`: the record and the card of a run that was broken off.

Rule: the record is put together and the card is written by the same code as at a training's end;
here its parts are only looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard import files
from autocard.capture.model import artifacts
from autocard.card import card_files
from autocard.card.libraries.card_copies import CardCopies
from autocard.card.update import Outcome, update
from autocard.energy.ledger import ledger_files, left_behind
from autocard.energy.ledger.earlier_legs import EarlierLegs
from autocard.energy.ledger.ledger_files import LedgerFolders
from autocard.energy.location import given_later
from autocard.errors import UnavailableError
from autocard.record import Evaluation, Job, Leg, Run, RunRecord
from autocard.record.gaps import Gaps, Part
from autocard.runtime import unfinished_run
from autocard.runtime.assemble import RecordDraft, build_record
from autocard.runtime.left_runs import LeftRun
from autocard.runtime.leg_facts import LegFacts
from autocard.runtime.run_history import RunHistory
from autocard.runtime.saved_weights import seconds_of
from autocard.runtime.unfinished_run import PARTS
from autocard.totals import batches

NOT_YET = "not known yet"
"""Begins the reasons of what only the end of training shows."""
NO_LEDGER = "not measured: nothing that autocard measured of this run is there"
CUT_OFF = "training was cut off before it could be read"
LATER_RUN = "another run has written into the output folder since"
NOT_SAVED_HERE: dict[str, Any] = {"saved_bytes": None, "saved_dtype": None, "saved_files": []}
"""Leaves of the model that are those of the output folder, and not of a checkpoint."""


@dataclass(frozen=True)
class Closed:
    """What closing a run did."""

    record: RunRecord
    outcome: Outcome
    """Of writing the card."""
    changed: bool
    """Whether record or card changed."""
    wants_energy: bool
    """Whether the user wanted energy to be measured."""


def record_of(left: LeftRun, card: Path) -> RunRecord:
    """Return the record of *left*, whose place may have been given later beside its *card*."""
    earlier = card_files.read_record_beside(card).record
    unfinished = left.unfinished
    known = unfinished.record
    history = _history(left)
    legs = given_later.carried(history.legs(), earlier)
    own = [part.value for part in legs]
    why = history.why_earlier_missing(own)
    saved = _saved(left, known)
    gaps: dict[str, Gaps] = {
        "": _gaps(known),
        "legs": _why_no_legs(own, why),
        "model": saved.gaps,
    }
    parts: dict[str, Any] = {name: getattr(known, name) for name in PARTS}
    parts["model"] = known.model.model_copy(update=NOT_SAVED_HERE)
    parts["evaluation"] = _without_end(known.evaluation)
    parts["job"] = _job(known.job, own)
    record = build_record(
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
    return _with_added(record, earlier)


def _with_added(record: RunRecord, earlier: RunRecord | None) -> RunRecord:
    """Return *record* with what was added to the *earlier* record of the same run by a command.

    These are the marks of what was given later and, if no leg has changed since, the comparisons
    with other meters.
    """
    if earlier is None or earlier.run.id != record.run.id:
        return record
    later = {name: how for name, how in earlier.settings.items() if how == given_later.LATER}
    found: dict[str, Any] = {"settings": {**record.settings, **later}}
    if _ends(earlier) == _ends(record):
        compared = {
            path: why
            for path, why in earlier.missing.items()
            if path.partition(".")[0] == "reconciliations"
        }
        found["reconciliations"] = earlier.reconciliations
        found["missing"] = {**record.missing, **compared}
    return record.model_copy(update=found)


def _ends(record: RunRecord) -> list[tuple[str | None, str | None]]:
    return [(leg.id, leg.ended_at) for leg in record.legs]


def write(left: LeftRun, record: RunRecord, card: Path, template: str | None = None) -> Closed:
    """Write *record*, of the run *left*, and its *card*."""
    unfinished = left.unfinished
    settings = unfinished.own_settings()
    beside = card_files.read_record_beside(card).record
    # A library's card may stand in the place of a person's, which was put aside meanwhile.
    CardCopies(card).settle()
    outcome = update(
        card,
        record,
        template=template or unfinished.card.template,
        empty=settings.empty,
        extra={"tags": unfinished.card.tags},
        withheld=unfinished.card.withheld,
        detail=settings.detail,
        sections=settings.sections,
    )
    _clear_node(left)
    _keep_place(left, card)
    same = beside is not None and record.model_copy(update={"slots": beside.slots}) == beside
    return Closed(record, outcome, outcome.changed or not same, settings.emissions)


def _clear_node(left: LeftRun) -> None:
    """Move what the run left in this node's own folder to the output folder."""
    node, shared = left.unfinished.node_folder, left.output / ledger_files.FOLDER
    ticks = shared if node is None else Path(node)
    left_behind.clear(LedgerFolders(ticks, shared), left.run_id)


def _keep_place(left: LeftRun, card: Path) -> None:
    """Note in the working file of *left* that its *card* was put elsewhere."""
    path, place = unfinished_run.path_of(left.output, left.run_id), files.absolute(card)
    if place is None or place == files.absolute(left.card) or not files.exists(path):
        return
    plan = left.unfinished.card.model_copy(update={"path": str(place)})
    unfinished_run.write(path, left.unfinished.model_copy(update={"card": plan}))


def _history(left: LeftRun) -> RunHistory:
    unfinished = left.unfinished
    history, facts = RunHistory(unfinished.own_settings()), LegFacts()
    facts.take_batches(unfinished.batches)
    facts.take_settings(unfinished.hyperparameters)
    past = EarlierLegs(left.run_id, left.entries, unfinished.why_earlier_missing)
    history.take_up(past, left.run_id, left.newest_id, facts)
    return history


def _run(known: RunRecord, legs: list[Leg]) -> Run:
    if not legs:
        return known.run.model_copy(update={"status": "interrupted"})
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


def _job(known: Job, legs: list[Leg]) -> Job:
    """Return *known* with the processes that reported up to the end of the last leg."""
    if not legs:
        return known
    names = ("nodes_expected", "nodes_reporting", "processes_reporting")
    return known.model_copy(update={name: getattr(legs[-1], name) for name in names})


def _why_no_legs(legs: list[Leg], why_earlier: str | None) -> Gaps:
    if not legs:
        return {"": NO_LEDGER}
    return {"earlier": why_earlier} if why_earlier else {}


def _gaps(known: RunRecord) -> Gaps:
    """Return the reasons of what was not known; legs and their sums have reasons of their own."""
    kept = {
        path: CUT_OFF if why.startswith(NOT_YET) else why
        for path, why in known.missing.items()
        if path.partition(".")[0] not in ("legs", "energy", "emissions")
    }
    best = known.evaluation.best
    loaded = {} if best is None or best.loaded is None else {"evaluation.best.loaded": CUT_OFF}
    return {"time": CUT_OFF, "run.epochs": CUT_OFF, **loaded, **kept}


def _without_end(evaluation: Evaluation) -> Evaluation:
    """Return *evaluation* without a word on the model's weights at the end: there was none."""
    if evaluation.best is None:
        return evaluation
    best = evaluation.best.model_copy(update={"loaded": None})
    return evaluation.model_copy(update={"best": best})


def _saved(left: LeftRun, known: RunRecord) -> Part[dict[str, Any]]:
    """Return what the run left in its output folder, as `RecordDraft` takes it."""
    if left.has_successor:
        return Part({}, dict.fromkeys(("checkpoint_bytes", "checkpoint_has_optimizer"), LATER_RUN))
    folder, since_s = str(left.output), seconds_of(known.run.started_at)
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
