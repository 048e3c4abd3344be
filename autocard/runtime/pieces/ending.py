"""Pieces of work at the end of training, at evaluations and at predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypeAlias

from autocard.capture.data import data
from autocard.capture.environment import hardware
from autocard.capture.evaluation import evaluation as evaluations
from autocard.capture.model import artifacts, model
from autocard.capture.training import throughput
from autocard.capture.training import training as trainings
from autocard.record import Evaluation
from autocard.record.gaps import Part
from autocard.runtime.run_state import Event, RunState
from autocard.runtime.saved_weights import is_whole

UsedBy: TypeAlias = Literal["evaluate", "predict"]
BARE = (
    "the weights in the output folder are those of the base, without the adapter that was trained"
)

# -- evaluations and predictions -------------------------------------------------------------------


def weights_evaluated(run: RunState, event: Event) -> bool:
    """Return whether an evaluation used other weights than the trained weights."""
    return run.facts.evaluated.look(event.observed, event.metrics)


def weights_predicted(run: RunState, event: Event) -> bool:
    """Return whether a prediction used other weights than the trained weights."""
    return run.facts.evaluated.look_at_prediction(event.observed)


def of_trained_weights(_run: RunState, event: Event) -> bool:
    """Return whether an evaluation counts for the trained weights."""
    return not event.of_others


def evaluation_set(run: RunState, event: Event) -> None:
    """Note the data of an evaluation."""
    _note_set(run, event, "evaluate")


def prediction_set(run: RunState, event: Event) -> None:
    """Note the data of a prediction."""
    _note_set(run, event, "predict")


def _note_set(run: RunState, event: Event, used_by: UsedBy) -> None:
    facts = run.facts
    found = data.evaluation_set(event.observed, event.metrics, used_by)
    if found is None:
        return
    facts.eval_sets[used_by, data.prefix(event.metrics)] = found
    log = facts.evaluated.of_others.without(event.observed.progress.log)
    facts.eval_sets = data.with_unique_names(facts.eval_sets, log)


def weights_of_last_step(run: RunState, event: Event) -> None:
    """Note the weights right after the last step."""
    run.facts.evaluated.last_step(event.observed.model)


# -- the end ---------------------------------------------------------------------------------------


def training(run: RunState, event: Event) -> Part[Any]:
    """Return `training` with the facts that only the steps show: loss, learning rates."""
    changes = run.facts.changes
    shown = trainings.Shown(
        run.facts.rates.until(event.step),
        changes.in_words(),
        changes.changed("learning rate"),
        changes.changed("gradient_accumulation_steps"),
    )
    begun = run.facts.parts["training"]
    return trainings.at_end(begun, event.observed, shown)


def has_training(run: RunState, _event: Event) -> bool:
    """Return whether `training` was captured at the begin."""
    return run.facts.parts.get("training") is not None


def trained_parameters(run: RunState, event: Event) -> None:
    """Note which parameters the steps have changed, whichever required gradients at the begin."""
    observed, parts = event.observed, run.facts.parts
    begun, changed = parts.get("model"), run.facts.steps.changed(observed.model)
    if begun is None or changed is None:
        return
    parts["model"] = model.as_trained(begun, observed.model, changed)
    total = begun.parameters_total if run.counted is None else run.counted[0]
    run.counted = total, changed.parameters


def stop_reason(_run: RunState, event: Event) -> str:
    """Return what stopped the training."""
    return event.observed.trainer.stop_reason()


def trained_weights(run: RunState, event: Event) -> None:
    """Note the weights that training ended with."""
    loads_best = bool(event.observed.arguments.get("load_best_model_at_end", False))
    run.facts.evaluated.trained(event.observed.model, loads_best=loads_best)


def fingerprint(run: RunState, event: Event) -> None:
    """Note some weights, to notice if the model is trained further after this run."""
    run.card_guard.note_weights(event.observed.model)


def evaluation(run: RunState, event: Event) -> Part[Evaluation]:
    """Return the results of evaluations."""
    facts = run.facts
    part: Part[Evaluation] = evaluations.capture(
        event.observed,
        predictions=facts.predictions,
        renamed=facts.renamed or {},
        of_others=facts.evaluated.of_others,
    )
    if not run.clock_was_set:
        return part
    history = throughput.without_times(part.value.history)
    return replace(part, value=part.value.model_copy(update={"history": history}))


def times(run: RunState, event: Event) -> Part[dict[str, Any]]:
    """Return the speeds and times that the trainer reports."""
    facts = run.facts
    # The trainer may be gone by now.
    observed = replace(event.observed, own_loss=facts.own_loss)
    part = throughput.time_parts(
        observed,
        step_begin=run.history.open.step,
        own=throughput.OwnSpeed(_attempt_s(run), run.clock_was_set),
        carried_flops=facts.carried_flops,
        # A leg that was broken off has no summary in the log. After a summary, evaluations do
        # not belong to the training.
        logged_in_training=facts.logged_in_training if facts.running else None,
    )
    # Of the model as it was trained: an adapter may have been merged or removed since.
    if facts.operations is None and observed.model is not None:
        facts.operations = throughput.operations_of(part)
    if facts.operations is None:
        return part
    return throughput.with_operations(part, facts.operations)


def _attempt_s(run: RunState) -> float | None:
    """Return the seconds of the last attempt, the only attempt that the Trainer times."""
    leg_s: float | None = run.history.own[-1].leg.wall_clock_s if run.history.own else None
    return None if leg_s is None else leg_s - run.facts.attempt_after_s


def peaks(run: RunState, event: Event) -> Part[Any]:
    """Return the peak memory per device and of the process."""
    return hardware.peaks(event.observed, run.history.name_here())


def of_all_nodes(run: RunState, event: Event) -> dict[str, Any]:
    """Return the parts of the record that describe all nodes."""
    gaps = dict(run.facts.gaps.get("hardware", {}))
    parts = run.coordinator.of_all(event.observed, run.facts.parts, gaps)
    run.facts.gaps["hardware"] = gaps
    return parts


# -- what was saved --------------------------------------------------------------------------------


def saved_bytes(run: RunState, event: Event) -> int | None:
    """Return the bytes of the weights in the output folder."""
    return artifacts.saved_bytes(*_saved(run, event))


def saved_dtype(run: RunState, event: Event) -> str | None:
    """Return the number format of these weights."""
    return artifacts.saved_dtype(*_saved(run, event))


def saved_files(run: RunState, event: Event) -> Any:
    """Return the names of the files that were saved."""
    return artifacts.saved_files(*_saved(run, event))


def _saved(run: RunState, event: Event) -> tuple[str, float, list[str]]:
    names = [adapter.name for adapter in run.facts.parts.get("adapters") or ()]
    return str(event.folder), run.facts.since_s, names


def checkpoint_bytes(run: RunState, event: Event) -> int | None:
    """Return the bytes of the newest checkpoint."""
    return artifacts.checkpoint_bytes(str(event.folder), run.facts.since_s)


def checkpoint_state(run: RunState, event: Event) -> bool | None:
    """Return whether the newest checkpoint holds the optimizer's state."""
    return artifacts.checkpoint_has_optimizer(str(event.folder), run.facts.since_s)


def leave_out_bare_base(run: RunState, _event: Event) -> None:
    """Ignore saved weights that are the bare base, saved after its adapters had been removed."""
    facts = run.facts
    if facts.under_adapters is None or not is_whole(facts.parts.get("files") or ()):
        return
    if facts.under_adapters.bare():
        facts.parts.update(saved=None, files=())
        facts.gaps["model.saved_bytes"] = {"": BARE}
