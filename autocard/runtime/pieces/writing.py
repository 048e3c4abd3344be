"""Pieces of work that assemble the record and write it with the card."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from autocard import record as records
from autocard.capture.data.data import as_part
from autocard.capture.training import consumed_samples
from autocard.card import card_files, plots
from autocard.energy.location import given_later
from autocard.errors import NotWrittenError, RecordError
from autocard.files import write_text
from autocard.guard import log_warning
from autocard.record import Evaluation, Job, Leg, Run, RunRecord, Search
from autocard.record.gaps import Part
from autocard.runtime import search
from autocard.runtime.assemble import RecordDraft, build_record
from autocard.runtime.pieces import ending
from autocard.runtime.run_state import Event, RunState
from autocard.runtime.saved_weights import with_saved_weights
from autocard.totals import batches, energy_sums

NO_LENGTH = "the dataset has no length, so there are no epochs to count"
NO_EPOCHS = "the trainer does not count epochs"
OTHER_BATCHES = (
    "training was resumed with another batch size, and what the steps before consumed is not known"
)
CHANGED = "the weights were changed after the last step or the best one was loaded"
NOT_YET = (
    "run.ended_at",
    "run.status",
    "time.eval_s",
    "time.samples_per_s",
    "time.steps_per_s",
    "time.tokens",
    "time.tokens_with_padding",
    "time.tokens_per_s",
    "time.flops",
    "time.flops_method",
    "time.flops_estimate",
    "time.flops_estimate_method",
    "evaluation.train_loss",
    "hardware.peak_memory_bytes",
    "hardware.peak_ram_bytes",
    "job.processes_reporting",
    "model.checkpoint_bytes",
    "model.checkpoint_has_optimizer",
)
"""Leaves of the record that are known when training has ended."""


def legs(run: RunState, event: Event) -> list[Part[Leg]]:
    """Return the legs of the run, over all hosts."""
    parts = given_later.carried(run.history.legs(), event.earlier_record)
    earlier = run.history.why_earlier_missing(part.value for part in parts)
    run.facts.gaps["legs"] = {"earlier": earlier} if earlier else {}
    return parts


def earlier_record(run: RunState, event: Event) -> RunRecord | None:
    """Return the record beside the card: it may have a place that was given after a leg."""
    return card_files.read_record_beside(run.card(event.folder)).record


def has_legs(_run: RunState, event: Event) -> bool:
    """Return whether the run's legs could be assembled."""
    return bool(event.legs)


def epochs(run: RunState, event: Event) -> float | Part[None] | None:
    """Return the epochs done, or None with the reason if the Trainer's count is wrong.

    The Trainer divides all steps by those of an epoch with the present batch size, which is wrong
    after a resume with another batch size.
    """
    observed, data = event.observed, run.facts.parts.get("data")
    own_legs = [leg.value for leg in event.legs or ()]
    if data is not None and data.train and data.train[0].rows is None:
        return Part(None, {"": NO_LENGTH})
    if consumed_samples.resumed_with_other_batches(observed) or batches.differ(own_legs):
        counted = batches.epochs(own_legs)
        return Part(None, {"": OTHER_BATCHES}) if counted is None else counted
    epoch = observed.progress.epoch
    return Part(None, {"": NO_EPOCHS}) if epoch is None else epoch


def best_evaluation(run: RunState, _event: Event) -> Evaluation | Part[Evaluation] | None:
    """Return the evaluation; without the step of the model's weights if they have changed since."""
    found: Evaluation | None = run.facts.parts.get("evaluation")
    if found is None or found.best is None or found.best.loaded is None:
        return found
    if not run.facts.evaluated.changed_since():
        return found
    best = found.best.model_copy(update={"loaded": None})
    return Part(found.model_copy(update={"best": best}), {"": CHANGED})


def record(run: RunState, event: Event) -> RunRecord:
    """Return the record with all known facts."""
    facts, own_legs = run.facts, event.legs or []
    first, last = own_legs[0].value, own_legs[-1].value
    parts = dict(facts.parts)
    if event.evaluation is not None:
        parts["evaluation"] = event.evaluation
    return build_record(
        RecordDraft(
            settings=run.settings,
            run=_run(run, event, first, last),
            legs=own_legs,
            parts=parts,
            gaps=facts.gaps,
            eval_sets=[as_part(one) for one in facts.eval_sets.values()],
            counted=run.counted,
            saved_bytes=parts.get("saved"),
            saved_dtype=parts.get("dtype"),
            saved_files=parts.get("files") or (),
            checkpoint_bytes=parts.get("checkpoint"),
            checkpoint_has_optimizer=parts.get("checkpoint_state"),
            pictures=parts.get("pictures") or {},
            peaks=parts.get("peaks"),
            search=_search(run),
            times=parts.get("times", {}),
        )
    )


def _run(run: RunState, event: Event, first: Leg, last: Leg) -> Run:
    stopped = last.status == "stopped"
    return Run(
        id=run.history.run_id,
        started_at=first.started_at,
        ended_at=last.ended_at,
        status=last.status,
        global_step=event.step,
        max_steps=event.max_steps,
        epochs=event.epochs,
        stop_reason=(run.facts.stop_reason or "") if stopped else "",
        **_earlier(run),
    )


def _earlier(run: RunState) -> dict[str, Any]:
    """Return the leaves of `Run` about an earlier run of the same weights."""
    earlier = run.facts.earlier
    if earlier is None:
        return {}
    return {"earlier_run": earlier.run_id, "earlier_steps": earlier.steps}


def _search(run: RunState) -> Search:
    part = search.part(run.searches, run.written_trials or ())
    run.facts.gaps["search"] = part.gaps
    return part.value


def legs_so_far(run: RunState, event: Event) -> list[Part[Leg]]:
    """Return the legs of the run, the open leg included: its newest reading, brought up to now."""
    measured = None if run.meter is None else run.meter.so_far
    own_legs = run.history.legs_so_far(event.step, measured, _not_yet(event))
    parts = given_later.carried(own_legs, event.earlier_record)
    earlier = run.history.why_earlier_missing(part.value for part in parts)
    run.facts.gaps["legs"] = {"earlier": earlier} if earlier else {}
    return parts


def _not_yet(event: Event) -> str:
    planned = event.max_steps
    return f"not known yet: training was at step {event.step} of {planned} when this was written"


def evaluation_so_far(run: RunState, event: Event) -> Part[Evaluation]:
    """Return the results of evaluations up to now; no best weights have been loaded yet."""
    part = ending.evaluation(run, event)
    if part.value.best is None or part.value.best.loaded is None:
        return part
    best = part.value.best.model_copy(update={"loaded": False})
    return replace(part, value=part.value.model_copy(update={"best": best}))


def record_so_far(run: RunState, event: Event) -> RunRecord:
    """Return the record of an unfinished run, with what it has used and reached up to now.

    It has no status: the run goes on. What only the end of training shows is a gap.
    """
    facts, own_legs = run.facts, event.legs or []
    parts = dict(facts.parts)
    if event.evaluation is not None:
        parts["evaluation"] = event.evaluation
    if parts.get("job") is not None and own_legs:
        parts["job"] = _job_so_far(parts["job"], own_legs[-1].value)
    begun = own_legs[0].value.started_at if own_legs else run.history.open.at
    made = build_record(
        RecordDraft(
            settings=run.settings,
            run=Run(
                id=run.history.run_id,
                started_at=begun,
                global_step=event.step,
                max_steps=event.max_steps,
                epochs=event.epochs,
                **_earlier(run),
            ),
            legs=own_legs,
            parts=parts,
            gaps={**facts.gaps, "": dict.fromkeys(NOT_YET, _not_yet(event))},
            eval_sets=[as_part(one) for one in facts.eval_sets.values()],
            counted=run.counted,
            search=_search(run),
        )
    )
    energy = made.energy.model_copy(update={"boundary": energy_sums.BOUNDARY_SO_FAR})
    return made.model_copy(update={"energy": energy})


def _job_so_far(job: Job, leg: Leg) -> Job:
    """Return *job*; how many processes report is known when they do, at the end of training."""
    known = {"nodes_reporting": leg.nodes_reporting, "processes_reporting": None}
    return job.model_copy(update=known)


def saved_elsewhere(_run: RunState, event: Event) -> RunRecord | None:
    """Return the record with the files of another folder that the model was saved to."""
    if event.record is None or event.saved_to is None:
        return event.record
    return with_saved_weights(event.record, event.saved_to, elsewhere=True)


def wants_plots(run: RunState, event: Event) -> bool:
    """Return whether plots are drawn beside the card that this process writes."""
    return run.settings.plots and run.writes(event.observed) and not event.in_search


def pictures(run: RunState, event: Event) -> dict[str, str]:
    """Draw the plots beside the card; return file name → description."""
    history = getattr(run.facts.parts.get("evaluation"), "history", ())
    of_run = [leg.value for leg in run.history.legs()]
    folder = run.card(event.folder).parent
    return plots.draw(plots.pictures_of(history, of_run), folder)


def has_record(_run: RunState, event: Event) -> bool:
    """Return whether the record could be assembled."""
    return event.record is not None


def is_saved_elsewhere(_run: RunState, event: Event) -> bool:
    """Return whether the record is for a model saved to another folder."""
    return event.record is not None and event.saved_to is not None


def card(run: RunState, event: Event) -> bool:
    """Write record and card."""
    if event.record is None:
        return False
    run.latest.record, run.latest.card = event.record, None
    run.latest.card = run.card_guard.write(run.card(event.folder), event.record)
    return True


def is_not_written(_run: RunState, event: Event) -> bool:
    """Return whether a record could not be written beside its card."""
    return event.record is not None and not event.written


def keep_elsewhere(run: RunState, event: Event) -> None:
    """Write the record to another folder, so that no measurement is lost."""
    if event.record is None:
        return
    folder = run.elsewhere
    if folder is None:
        # A folder with a random name, for this user only: others can neither predict its name nor
        # read its files.
        folder = Path(tempfile.mkdtemp(prefix="autocard-"))
    path = folder / records.RECORD_NAME
    try:
        write_text(path, records.to_json(event.record))
    except NotWrittenError:
        if run.elsewhere is None:
            # The folder was just made and has nothing of value in it.
            shutil.rmtree(folder, ignore_errors=True)
        raise
    run.elsewhere = folder
    log_warning(
        "autocard: the card was not written. The record is kept in %s; "
        "later: autocard fill CARD --record %s",
        path,
        path,
    )


def push(run: RunState, event: Event) -> None:
    """Update the card before an upload during training."""
    run.card_guard.push_begun(event.folder)


def checkpoint_card(run: RunState, event: Event) -> None:
    """Write the card of a checkpoint whose folder was made after the model's save."""
    run.card_guard.checkpoint_saved(event.folder / f"checkpoint-{event.step}")


def newest(run: RunState, event: Event) -> bool:
    """Return whether the record beside the card is still that of the leg that ended here."""
    path = run.card(event.folder).parent / records.RECORD_NAME
    try:
        found = records.load(path).legs
    except RecordError:
        return True  # it could not be written earlier
    return not found or found[-1].id == run.history.open.id
