"""The speed and the work of training: the Trainer's own times, tokens and operations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocard.capture.evaluation.training_log import (
    is_summary,
    number,
    prefix_of,
    summary_of,
    thinned,
)
from autocard.capture.observed import Observed
from autocard.capture.training import consumed_samples, flops
from autocard.errors import UnavailableError
from autocard.record.gaps import Part, PartBuilder

TIMES = (
    "_runtime",
    "_samples_per_second",
    "_steps_per_second",
    "_tokens_per_second",
    "_model_preparation_time",
)
"""How the names of what the Trainer takes from its clock end."""
FLOPS_METHOD = (
    "6 × parameters without embeddings × input tokens (forward and backward pass); padding is "
    "counted, frozen "
    "parameters like trained ones, attention products and evaluation not: the Trainer's own figure"
)
"""What `state.total_flos` counts (transformers, trainer.py, `floating_point_ops`)."""

NO_SUMMARY = "the trainer logged no summary: training did not finish"
NO_LOG = "the trainer keeps no log"
CLOCK_SET = (
    "the machine's clock was set during training, and the Trainer takes its times from that clock"
)
CLOSE = 0.2
"""Part by which the Trainer's runtime may differ from ours: other callbacks work outside of our
window."""
CLOSE_S = 1.0
"""Seconds by which it may, however short the leg."""


@dataclass(frozen=True)
class OwnSpeed:
    """What our own clock, which is never set, says of the leg."""

    leg_s: float | None = None
    """How long the leg took; None: not known."""
    clock_was_set: bool = False
    """Whether the machine's clock was seen to have been set during the leg."""

    def agrees(self, runtime_s: float | None) -> bool:
        """Return whether the Trainer's *runtime_s* of the leg can be true."""
        if runtime_s is None or runtime_s <= 0 or self.clock_was_set:
            return False
        return self.leg_s is None or abs(runtime_s - self.leg_s) <= max(CLOSE * self.leg_s, CLOSE_S)


NOT_TIMED = OwnSpeed()


def time_parts(
    observed: Observed,
    step_begin: int,
    own: OwnSpeed = NOT_TIMED,
    *,
    carried_flops: float = 0.0,
    logged_in_training: int | None = None,
) -> Part[dict[str, Any]]:
    """Return speeds, evaluation time, tokens and operations of `record.Time`.

    Speeds and evaluation are those of the leg that began at the global step *step_begin*; tokens
    and operations are the whole run's, as the trainer carries them over a resume. *carried_flops*
    are those that the trainer had counted of an attempt that was broken off, when this leg began.
    Where the Trainer's clock was set, *own* stands. *logged_in_training* is how many entries the
    trainer's log had after the last evaluation during training; None: training came to its end,
    which the log shows.
    """
    part = PartBuilder(dict[str, Any], "time")
    log = thinned(observed.progress.log)
    in_training = log
    if logged_in_training is not None:
        in_training = thinned(observed.progress.log[:logged_in_training])
    with part.guard("eval_s"):
        part.fields["eval_s"] = _eval_s(in_training, step_begin, own)
    with part.guard("steps_per_s"):
        _fill_speeds(part, observed, log, step_begin, own)
    part.gaps["tokens_with_padding"] = "it is not known how the tokens were counted"
    with part.guard("tokens"):
        part.fields["tokens"], with_padding = _tokens(observed, log, step_begin)
        part.fields["tokens_with_padding"] = with_padding
        if with_padding is not None:
            del part.gaps["tokens_with_padding"]
    part.gaps["flops_method"] = "the trainer counted no operations"
    with part.guard("flops"):
        part.fields["flops"] = _flops(observed, carried_flops)
        part.fields["flops_method"] = FLOPS_METHOD
        del part.gaps["flops_method"]
    part.gaps["flops_estimate_method"] = "there is no estimate"
    with part.guard("flops_estimate"):
        why_none = part.gaps.get("flops", "the trainer counted no operations")
        part.fields["flops_estimate"] = _estimate(observed, part.fields.get("flops"), why_none)
        part.fields["flops_estimate_method"] = flops.estimate_method(observed.model)
        del part.gaps["flops_estimate_method"]
    with part.guard("tokens_per_s"):
        tokens = part.fields.get("tokens")
        part.fields["tokens_per_s"] = _tokens_per_s(log, step_begin, tokens, own)
    return part.build()


def _flops(observed: Observed, carried_flops: float) -> float:
    """Return the operations that the trainer counted.

    Raises:
        UnavailableError: it counted none, or not those of this model or of this attempt alone.
    """
    if not observed.progress.flops:
        msg = (
            "the trainer counted no operations: it knows them only for models with its own "
            "interface"
        )
        raise UnavailableError(msg)
    flops.check_counted(observed.model)
    return _without_a_crashed_attempt(observed, carried_flops)


def _estimate(observed: Observed, counted: float | None, why_none: str) -> float:
    """Estimate the operations from those *counted* by the trainer.

    Raises:
        UnavailableError: nothing was counted (*why_none*), or it is not known what was computed.
    """
    if counted is None:
        raise UnavailableError(why_none)
    if observed.own_loss is not None and observed.own_loss.runs_model:
        msg = (
            f"the run's own code ({observed.own_loss.where}) may run the model more than once "
            "for each batch"
        )
        raise UnavailableError(msg)
    return flops.estimate(observed.model, counted)


def operations_of(part: Part[dict[str, Any]]) -> Part[dict[str, Any]]:
    """Return what *part*, leaves of `record.Time`, holds of operations."""
    return Part(
        {name: value for name, value in part.value.items() if name.startswith("flops")},
        {name: reason for name, reason in part.gaps.items() if name.startswith("flops")},
    )


def with_operations(
    part: Part[dict[str, Any]], earlier: Part[dict[str, Any]]
) -> Part[dict[str, Any]]:
    """Return *part* with its operations replaced by those known *earlier*."""
    now = operations_of(part)
    values = {name: value for name, value in part.value.items() if name not in now.value}
    gaps = {name: reason for name, reason in part.gaps.items() if name not in now.gaps}
    return Part({**values, **earlier.value}, {**gaps, **earlier.gaps})


def _without_a_crashed_attempt(observed: Observed, carried_flops: float) -> float:
    """Return the Trainer's count without that of an attempt that was broken off."""
    counted = observed.progress.flops
    if carried_flops and observed.processes.count > 1:
        msg = "the trainer's figure includes FLOPs of an aborted attempt, of each process"
        raise UnavailableError(msg)
    return counted - carried_flops


def _runtime_s(entry: Mapping[str, Any] | None, own: OwnSpeed) -> float | None:
    """Return the leg's seconds: the Trainer's if plausible, else ours; None: no summary."""
    if entry is None:
        return None
    told_s = number(entry.get("train_runtime"))
    return told_s if own.agrees(told_s) else own.leg_s


def without_times(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return *history* without what the Trainer took from its clock."""
    return [
        {key: value for key, value in entry.items() if not key.endswith(TIMES)} for entry in history
    ]


def _eval_s(log: Sequence[Mapping[str, Any]], step_begin: int, own: OwnSpeed) -> float:
    """Return the seconds of evaluations between the leg's first step and the summary.

    Raises:
        UnavailableError: the Trainer's clock was set.
    """
    found = []
    for entry in log:
        if is_summary(entry):
            break
        prefix = prefix_of(entry)
        if prefix is not None and (entry.get("step", 0) > step_begin or step_begin == 0):
            found.append(float(entry[f"{prefix}_runtime"]))
    total_s = math.fsum(found)
    longer = own.leg_s is not None and total_s > own.leg_s * (1 + CLOSE) + CLOSE_S
    if found and (own.clock_was_set or longer or min(found) < 0):
        raise UnavailableError(CLOCK_SET)
    return total_s


def _fill_speeds(
    part: PartBuilder[dict[str, Any]],
    observed: Observed,
    log: Sequence[Mapping[str, Any]],
    step_begin: int,
    own: OwnSpeed,
) -> None:
    """Fill in samples and optimizer steps per second of the leg, evaluations and saving included.

    Steps are those done, not those planned: older trainers divide the whole plan by the time of a
    leg that was resumed or stopped early.
    """
    entry = summary_of(log)
    runtime_s = _runtime_s(entry, own)
    done = observed.progress.step - step_begin
    if entry is None or not runtime_s or done <= 0:
        msg = NO_SUMMARY if observed.trainer.keeps_log() else NO_LOG
        part.gaps["samples_per_s"] = msg
        raise UnavailableError(msg)
    part.fields["steps_per_s"] = done / runtime_s
    with part.guard("samples_per_s"):
        timed = own.agrees(number(entry.get("train_runtime")))
        if observed.train_dataloader is not None:
            samples = consumed_samples.samples_of_leg(observed, step_begin)
            part.fields["samples_per_s"] = samples / runtime_s
        elif not timed:
            raise UnavailableError(CLOCK_SET)
        else:
            samples_per_s = _trainer_samples_per_s(observed, entry, done, runtime_s)
            part.fields["samples_per_s"] = samples_per_s


def _trainer_samples_per_s(
    observed: Observed, entry: Mapping[str, Any], done: int, runtime_s: float
) -> float:
    """Return the Trainer's own figure, corrected where it divided a whole plan by a part's time."""
    samples_per_s, told = (
        number(entry.get("train_samples_per_second")),
        number(entry.get("train_steps_per_second")),
    )
    if not samples_per_s or samples_per_s < 0:
        msg = "the trainer did not count its samples"
        raise UnavailableError(msg)
    planned = observed.progress.max_steps / runtime_s
    if (
        told
        and done != observed.progress.max_steps
        and math.isclose(told, planned, rel_tol=0.01, abs_tol=0.001)
    ):
        return samples_per_s * done / runtime_s / planned
    return samples_per_s


def _tokens_per_s(
    log: Sequence[Mapping[str, Any]], step_begin: int, tokens: int | None, own: OwnSpeed
) -> float:
    """Return tokens per second of a run of one leg, by the runtime in the trainer's summary."""
    runtime_s = _runtime_s(summary_of(log), own)
    if tokens is None or not runtime_s:
        msg = "the trainer did not count tokens, or training did not finish"
        raise UnavailableError(msg)
    if step_begin:
        msg = "the tokens are those of all starts, the time that of the last one"
        raise UnavailableError(msg)
    return tokens / runtime_s


def _tokens(
    observed: Observed, log: Sequence[Mapping[str, Any]], step_begin: int
) -> tuple[int, bool | None]:
    """Return the counted input tokens, and whether padding is among them (None: not known)."""
    asked = observed.arguments.get("include_num_input_tokens_seen", "no")
    if asked not in {"no", False, None} and observed.progress.input_tokens:
        return observed.progress.input_tokens, _counts_padding(observed, asked)
    counted = next(
        (tokens for entry in reversed(log) if (tokens := number(entry.get("num_tokens")))), None
    )
    if not counted:
        msg = "the trainer did not count tokens; include_num_input_tokens_seen makes it"
        raise UnavailableError(msg)
    carried = observed.progress.input_tokens
    if step_begin and not carried:
        msg = "after a resume, TRL counts the tokens of the last start only"
        raise UnavailableError(msg)
    return int(carried or counted), False  # TRL sums attention masks


def _counts_padding(observed: Observed, asked: Any) -> bool | None:
    """Return whether the Trainer's token count includes padding; None: not known.

    As `_track_num_input_tokens` counts (transformers, trainer.py).

    Without padding it sums the attention mask, else looks for the token that pads; with neither it
    counts everything.
    """
    if asked != "non_padding":
        return True
    columns = (
        getattr(getattr(observed.train_dataloader, "dataset", None), "column_names", None) or ()
    )
    known = (
        "attention_mask" in columns
        or getattr(observed.processing_class, "pad_token_id", None) is not None
    )
    return False if known else None
