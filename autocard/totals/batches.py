"""What the optimizer steps of a run consumed, over all its legs; pure arithmetic.

A resumed training may go on with another batch size. Of steps that a later leg did again, only the
later ones are in the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocard.record import Batch, Leg


@dataclass(frozen=True)
class BatchInterval:
    """Optimizer steps that are in the weights and consumed batches of one size."""

    batch: Batch
    """What each of them consumed."""
    step_begin: int
    """Global step before the first of them."""
    step_end: int
    """Global step after the last of them."""


def stretches(legs: Sequence[Leg]) -> list[BatchInterval]:
    """Return the steps that are in the weights, in order; equal batches are one interval."""
    found: list[BatchInterval] = []
    for leg in legs:
        if leg.step_begin is None or leg.step_end is None:
            continue
        begin = leg.step_begin
        found = [_until(one, begin) for one in found if one.step_begin < begin]
        if leg.step_end <= begin:
            continue
        before = found[-1] if found else None
        if before is not None and before.batch == leg.batch and before.step_end == begin:
            found[-1] = BatchInterval(leg.batch, before.step_begin, leg.step_end)
        else:
            found.append(BatchInterval(leg.batch, begin, leg.step_end))
    return found


def _until(one: BatchInterval, step: int) -> BatchInterval:
    return BatchInterval(one.batch, one.step_begin, min(one.step_end, step))


def differ(legs: Sequence[Leg]) -> bool:
    """Return whether steps in the weights are known to have consumed batches of several sizes."""
    known = [one.batch for one in stretches(legs) if one.batch.step_samples is not None]
    return any(batch != known[0] for batch in known)


def epochs(legs: Sequence[Leg]) -> float | None:
    """Return how often the weights have seen the training data; None: some steps are not known."""
    total, reached = 0.0, 0
    for one in stretches(legs):
        batch = one.batch
        if one.step_begin != reached or not batch.step_samples:
            return None
        if not batch.epoch_samples or not batch.epoch_steps:
            return None
        samples = _samples(batch, one.step_end) - _samples(batch, one.step_begin)
        total += samples / batch.epoch_samples
        reached = one.step_end
    return total


def _samples(batch: Batch, step: int) -> int:
    """Return the samples of the first *step* steps; the last one of an epoch consumes the rest."""
    epochs_done, rest = divmod(step, batch.epoch_steps or 1)
    return epochs_done * (batch.epoch_samples or 0) + rest * (batch.step_samples or 0)
