"""Pieces of work that put the record together and write it and the card."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from autocard import record as records
from autocard.capture.data.data import as_part
from autocard.capture.training import consumed_samples
from autocard.card import plots
from autocard.errors import NotWrittenError, RecordError
from autocard.files import write_text
from autocard.guard import log_warning
from autocard.record import Evaluation, Leg, Run, RunRecord, Search
from autocard.record.gaps import Part
from autocard.runtime import search
from autocard.runtime.assemble import RecordDraft, build_record
from autocard.runtime.run_state import Event, RunState
from autocard.runtime.saved_weights import with_saved_weights
from autocard.totals import batches

NO_LENGTH = "the data set has no length, so there are no epochs to count"
NO_EPOCHS = "the trainer does not count epochs"
OTHER_BATCHES = (
    "training was resumed with another batch size, and what the steps before consumed is not known"
)
CHANGED = "the weights were changed after the last step or the best one was loaded"
SO_FAR = ("legs", "time", "energy", "emissions", "evaluation", "data.eval")
"""Parts of the record that are not known while training runs."""
SO_FAR_RUN = ("run.ended_at", "run.status", "run.epochs")
"""Leaves of `run` that are not known while training runs."""


def legs(run: RunState, _event: Event) -> list[Part[Leg]]:
    """Return the legs of the run, over all hosts."""
    parts = run.history.legs()
    earlier = run.history.why_earlier_missing(part.value for part in parts)
    run.facts.gaps["legs"] = {"earlier": earlier} if earlier else {}
    return parts


def has_legs(_run: RunState, event: Event) -> bool:
    """Return whether the run's legs could be put together."""
    return bool(event.legs)


def epochs(run: RunState, event: Event) -> float | Part[None] | None:
    """Return the epochs done; None, with the reason, where the Trainer's count is not what the weights have seen.

    The Trainer divides all steps by those of an epoch with the present batch size.
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
    """Return the evaluation; do not say of which step the model's weights are if they were changed since."""
    found: Evaluation | None = run.facts.parts.get("evaluation")
    if found is None or found.best is None or found.best.loaded is None:
        return found
    if not run.facts.evaluated.changed_since():
        return found
    best = found.best.model_copy(update={"loaded": None})
    return Part(found.model_copy(update={"best": best}), {"": CHANGED})


def record(run: RunState, event: Event) -> RunRecord:
    """Return the record of all that is known now."""
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
    """Return the leaves of `Run` about a run that had trained the weights before."""
    earlier = run.facts.earlier
    if earlier is None:
        return {}
    return {"earlier_run": earlier.run_id, "earlier_steps": earlier.steps}


def _search(run: RunState) -> Search:
    part = search.part(run.searches)
    run.facts.gaps["search"] = part.gaps
    return part.value


def record_so_far(run: RunState, event: Event) -> RunRecord:
    """Return the record of a run that is under way: what it is, not yet what it took."""
    step, planned = event.step, event.max_steps
    why = f"not known yet: training was at step {step} of {planned} when this was written"
    so_far = dict.fromkeys((*SO_FAR, *SO_FAR_RUN), why)
    history, facts = run.history, run.facts
    return build_record(
        RecordDraft(
            settings=run.settings,
            run=Run(
                id=history.run_id,
                started_at=history.open.at,
                global_step=step,
                max_steps=planned,
                **_earlier(run),
            ),
            legs=[],
            parts=facts.parts,
            gaps={**facts.gaps, "": so_far},
            counted=run.counted,
        )
    )


def saved_elsewhere(_run: RunState, event: Event) -> RunRecord | None:
    """Return the record with the files of another folder that the model was saved to."""
    if event.record is None or event.saved_to is None:
        return event.record
    return with_saved_weights(event.record, event.saved_to, elsewhere=True)


def wants_plots(run: RunState, event: Event) -> bool:
    """Return whether plots are drawn beside the card that this process writes."""
    return run.settings.plots and run.writes(event.observed) and not event.in_search


def pictures(run: RunState, event: Event) -> dict[str, str]:
    """Draw the plots beside the card; return file name → what one sees on it."""
    history = getattr(run.facts.parts.get("evaluation"), "history", ())
    of_run = [leg.value for leg in run.history.legs()]
    folder = run.card(event.folder).parent
    return plots.draw(plots.pictures_of(history, of_run), folder)


def has_record(_run: RunState, event: Event) -> bool:
    """Return whether the record could be made."""
    return event.record is not None


def is_saved_elsewhere(_run: RunState, event: Event) -> bool:
    """Return whether the record is asked for beside a model in another folder."""
    return event.record is not None and event.saved_to is not None


def card(run: RunState, event: Event) -> bool:
    """Write record and card."""
    if event.record is None:
        return False
    run.card_guard.write(run.card(event.folder), event.record)
    return True


def is_not_written(_run: RunState, event: Event) -> bool:
    """Return whether there is a record that could not be written beside its card."""
    return event.record is not None and not event.written


def keep_elsewhere(run: RunState, event: Event) -> None:
    """Write the record where that is possible, so that nothing measured is lost."""
    if event.record is None:
        return
    folder = run.elsewhere
    if folder is None:
        # A folder of a new name, for this user alone: others can neither foresee nor read what
        # is in it.
        folder = Path(tempfile.mkdtemp(prefix="autocard-"))
    path = folder / records.RECORD_NAME
    try:
        write_text(path, records.to_json(event.record))
    except NotWrittenError:
        if run.elsewhere is None:
            # made a moment ago, and there is nothing to find in it
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
    """Bring the card up to date before it is uploaded in the middle of training."""
    run.card_guard.push_begun(event.folder)


def newest(run: RunState, event: Event) -> bool:
    """Return whether the record beside the card is still the one of the leg that ended here."""
    path = run.card(event.folder).parent / records.RECORD_NAME
    try:
        found = records.load(path).legs
    except RecordError:
        return True  # it could not be written before
    return not found or found[-1].id == run.history.open.id
