"""How many samples an optimizer step consumes, where an epoch is too short for whole steps."""

from __future__ import annotations

from typing import Any

from autocard.capture import Seen


def epoch_of(seen: Seen, batch: int, processes: int) -> tuple[int, int] | None:
    """Return (samples, optimizer steps) of an epoch, all processes together; None where the loader does not tell.

    *batch* samples are what one process takes at once, and *processes* see different data.
    """
    loader = seen.train_dataloader
    sampler = _sampler(loader)
    if hasattr(seen.args, "num_generations"):  # a prompt is many samples
        return None
    try:
        batches, samples = len(loader), len(sampler)
    except (TypeError, AttributeError, NotImplementedError):
        return None
    accumulation = int(seen.args.gradient_accumulation_steps)
    at_most = batches * batch * processes  # less than the samples, where the loader drops the last batch
    return (min(samples, at_most), -(-batches // accumulation)) if batches > 0 and samples > 0 else None


def done_by(step: int, epoch: tuple[int, int], whole: int) -> int:
    """Return the samples of the first *step* optimizer steps: the last one of each epoch takes what is left.

    *whole* is the number of samples of the others.
    """
    samples, steps = epoch
    return step // steps * samples + step % steps * whole


def _sampler(loader: Any) -> Any:
    """Return what draws the rows' numbers, below what makes batches of them and gives them to processes."""
    batches = getattr(loader, "batch_sampler", None)
    for _ in range(4):
        inner = getattr(batches, "batch_sampler", None)
        if inner is None:
            break
        batches = inner
    return getattr(batches, "sampler", None)
