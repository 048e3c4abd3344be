"""How many samples the optimizer steps of a leg consume, by the data loader in use.

Rule: a count is returned only where each batch's size is known, or where what is not known is too
little to show in a figure of three digits. Sizes are those of all processes together. Rows that
accelerate repeats, so that each process gets full batches, are processed and therefore counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from autocard.capture.observed import Observed
from autocard.capture.unwrap import config_of, without_wrappers
from autocard.errors import UnavailableError

_PLAIN_BATCH_SAMPLERS = frozenset({"BatchSampler", "DefaultBatchSampler"})
"""torch's and sentence-transformers' batch samplers that put rows into batches in order and leave
none out."""

_TOO_LITTLE_TO_SHOW = 0.005
"""Share of the samples whose batches may be of unknown size: the figure has three digits."""

_SAME_EPOCH = 1e-3
"""Epochs by which the Trainer's own count and the plan may differ."""

_DEPTH = 4


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data."""

    samples: int
    """Samples that all processes get."""
    batches: int
    """Batches that one process gets."""
    steps: int
    """Optimizer steps; the last one consumes what is left."""


@dataclass(frozen=True)
class Plan:
    """What an optimizer step consumes."""

    step_samples: int
    """Samples of a whole optimizer step."""
    accumulation: int
    """Batches of one process in a whole optimizer step."""
    epoch: Epoch | None = None
    """None: the loader does not tell how long a pass is."""

    def samples_of(self, steps: int) -> int:
        """Return the samples of the first *steps* steps; the last of each epoch may be shorter."""
        if self.epoch is None:
            return steps * self.step_samples
        epochs, rest = divmod(steps, self.epoch.steps)
        return epochs * self.epoch.samples + rest * self.step_samples

    def epochs_of(self, steps: int) -> float | None:
        """Return the epochs of the first *steps* steps, counted by batches as the Trainer does."""
        if self.epoch is None:
            return None
        epochs, rest = divmod(steps, self.epoch.steps)
        return epochs + rest * self.accumulation / self.epoch.batches

    def leaves(self) -> dict[str, int | None]:
        """Return the leaves of `record.Batch`."""
        epoch = self.epoch
        return {
            "step_samples": self.step_samples,
            "epoch_samples": None if epoch is None else epoch.samples,
            "epoch_steps": None if epoch is None else epoch.steps,
        }

    @property
    def effective_batch_size(self) -> int:
        """The samples of one optimizer step, or of an epoch where that has fewer."""
        return (
            self.step_samples if self.epoch is None else min(self.step_samples, self.epoch.samples)
        )


def plan(observed: Observed) -> Plan:
    """Return what an optimizer step and an epoch consume.

    Raises:
        UnavailableError: batches are not of one size.
    """
    batch = batch_size(observed)
    if batch is None:
        msg = "the batches have no fixed size"
        raise UnavailableError(msg)
    processes = max(observed.processes.count // processes_with_the_same_data(observed), 1)
    total = batch if _splits_batches(observed) else batch * processes
    accumulation = int(observed.argument("gradient_accumulation_steps"))
    return Plan(
        total * accumulation, accumulation, _epoch(observed, total, processes, accumulation)
    )


def samples_of_leg(observed: Observed, step_begin: int) -> int:
    """Return the samples that the leg's steps consumed, from the global step *step_begin* on.

    Raises:
        UnavailableError: the sizes of too many batches are not known.
    """
    made, steps = plan(observed), observed.progress.step
    if made.epoch is None:
        return _samples_of_unknown_passes(observed, made, step_begin)
    # The Trainer skips what the steps before a resume would have consumed by the present plan, or
    # starts an epoch.
    skipped = _steps_skipped(observed, made.epoch, step_begin)
    done = skipped + steps - step_begin
    expected = step_begin // made.epoch.steps + (made.epochs_of(done) or 0.0)
    if observed.progress.epoch is None or abs(observed.progress.epoch - expected) > _SAME_EPOCH:
        msg = (
            "the Trainer's count of epochs is not that of its data loader, as where an epoch "
            "was ended early"
        )
        raise UnavailableError(msg)
    return made.samples_of(done) - made.samples_of(skipped)


def _steps_skipped(observed: Observed, epoch: Epoch, step_begin: int) -> int:
    """Return the steps of the current epoch whose batches a resumed training skips."""
    if observed.arguments.get("ignore_data_skip", False):
        return 0
    return step_begin % epoch.steps


def _samples_of_unknown_passes(observed: Observed, made: Plan, step_begin: int) -> int:
    """Return the samples where only the last batches of each pass may not be full."""
    samples = (observed.progress.step - step_begin) * made.step_samples
    passes_ended = math.ceil(observed.progress.epoch or 1) - 1
    if step_begin or getattr(observed.train_dataloader, "end_of_dataloader", True):
        # The last batch may have been the last of its pass. (accelerate looks one batch ahead, and
        # says so.)
        passes_ended += 1
    parts = getattr(getattr(observed.train_dataloader, "dataset", None), "datasets", None)
    not_full = passes_ended * (len(parts) if isinstance(parts, list | dict) else 1)
    if not_full * made.step_samples > _TOO_LITTLE_TO_SHOW * samples:
        msg = "the data loader does not show how many rows its last batches held"
        raise UnavailableError(msg)
    return samples


def batch_size(observed: Observed) -> int | None:
    """Return the samples that the loader draws at once: as it was made, else as the arguments say.

    None: a batch sampler of the run's own decides, and does not tell.
    """
    drawn = batch_size_of_loader(observed)
    if drawn is not None or is_online(observed):
        return drawn or _by_arguments(observed)
    sampler = _batch_sampler(observed.train_dataloader)
    own = sampler is not None and type(sampler).__name__ != "BatchRebalanceSampler"
    return None if own else _by_arguments(observed)


def batch_size_of_loader(observed: Observed) -> int | None:
    """Return the samples that the loader draws at once; None: it does not say, or draws more."""
    if is_online(observed):  # the loader draws prompts for several steps at once
        return None
    loader = observed.train_dataloader
    drawn = getattr(_batch_sampler(loader), "batch_size", None) or getattr(
        loader, "batch_size", None
    )
    return drawn if isinstance(drawn, int) and drawn > 0 else None


def _by_arguments(observed: Observed) -> int | None:
    """Return the batch of one process by the arguments, or as `auto_find_batch_size` found it.

    A checkpoint brings back its own size in the state, which the Trainer uses for
    `auto_find_batch_size` alone.
    """
    asked = observed.arguments.get("train_batch_size")
    found = observed.progress.batch_size
    chosen = (
        found or asked if observed.arguments.get("auto_find_batch_size", False) else asked or found
    )
    return int(chosen) if chosen else None


def device_batch_size(observed: Observed) -> int | None:
    """Return the samples on one device, as `per_device_train_batch_size` counts them."""
    asked = observed.arguments.get("per_device_train_batch_size")
    if not observed.arguments.get("auto_find_batch_size", False):
        return asked
    batch = batch_size(observed)
    devices = max(observed.devices, 1)
    return batch // devices if batch else asked


def resumed_with_other_batches(observed: Observed) -> bool:
    """Return whether training was resumed from a checkpoint with another batch size."""
    asked = observed.arguments.get("train_batch_size")
    brought = observed.progress.batch_size
    if observed.arguments.get("auto_find_batch_size", False):
        return False
    return bool(asked and brought and asked != brought)


def is_online(observed: Observed) -> bool:
    """Return whether the trainer generates several completions of each prompt (TRL)."""
    return isinstance(observed.arguments.get("num_generations"), int)


def processes_with_the_same_data(observed: Observed) -> int:
    """Return how many processes work on the same samples (tensor, context, sequence parallelism).

    As accelerate's configuration says, or where there is none, as the model was loaded: the Trainer
    tells accelerate of the model's tensor parallelism, and of no other (transformers, trainer.py).

    Raises:
        UnavailableError: the model is split into pipeline stages.
    """
    parallel = observed.arguments.get("parallelism_config")
    if (
        int(
            getattr(getattr(config_of(observed.model), "distributed_config", None), "pp_size", None)
            or 1
        )
        > 1
    ):
        msg = (
            "the model is split into pipeline stages, and the Trainer does not show which "
            "samples a step takes"
        )
        raise UnavailableError(msg)
    if parallel is None:
        return int(getattr(without_wrappers(observed.model), "tp_size", None) or 1)
    product = 1
    for name in ("tp_size", "cp_size", "sp_size"):
        product *= int(getattr(parallel, name, 1) or 1)
    return product


# -- the loader ------------------------------------------------------------------------------------


def _epoch(observed: Observed, total: int, processes: int, accumulation: int) -> Epoch | None:
    """Return a pass of the loader, shared by the processes, which together draw *total* at once."""
    loader = observed.train_dataloader
    batches = length_of(loader)
    if not batches:
        return None
    # Generated completions always come in full batches.
    samples = (
        batches * total if is_online(observed) else _samples(loader, batches, total, processes)
    )
    if not samples:
        return None
    return Epoch(samples, batches, -(-batches // accumulation))


def _samples(loader: Any, batches: int, total: int, processes: int) -> int | None:
    """Return the samples of a pass; None: the loader does not tell."""
    sampler = _batch_sampler(loader)
    kind = type(sampler).__name__
    if kind == "BatchRebalanceSampler":
        tail = (
            max(sampler.remainder, sampler.dp_size * sampler.grad_accum) if sampler.has_tail else 0
        )
        return int(sampler.num_full_batches * sampler.effective_batch_size + tail)
    rows = length_of(getattr(sampler, "sampler", None))
    if kind not in _PLAIN_BATCH_SAMPLERS or rows is None:
        return None
    drop_last = bool(getattr(sampler, "drop_last", False))
    if processes == 1:
        return min(rows, batches * total) if drop_last else rows
    if type(loader).__name__ == "DataLoaderDispatcher":
        return _dispatched(rows, total, processes, drop_last=drop_last)
    return _sharded(
        getattr(loader, "batch_sampler", None), rows, batches * total, drop_last=drop_last
    )


def _sharded(shard: Any, rows: int, full: int, *, drop_last: bool) -> int | None:
    """Return the samples of a pass that is sharded: mostly *full* batches, with rows repeated."""
    if type(shard).__name__ != "BatchSamplerShard":
        return None
    return full if drop_last or getattr(shard, "even_batches", True) else rows


def length_of(of: Any) -> int | None:
    """Return the length of a loader, sampler or data set; None: it has none."""
    try:
        return len(of)
    except (TypeError, AttributeError, NotImplementedError):
        return None


def _dispatched(rows: int, total: int, processes: int, *, drop_last: bool) -> int | None:
    """Return the samples of a pass that one process draws for all; its last batch is padded."""
    rest = rows % total
    if drop_last:
        return None if rest else rows
    return rows - rest + -(-rest // processes) * processes


def _splits_batches(observed: Observed) -> bool:
    """Return whether each drawn batch is split over the processes."""
    loader = observed.train_dataloader
    if type(loader).__name__ == "DataLoaderDispatcher":
        return bool(getattr(loader, "split_batches", False))
    return bool(getattr(getattr(loader, "batch_sampler", None), "split_batches", False))


def _batch_sampler(loader: Any) -> Any:
    """Return what puts rows into batches, below what gives batches to processes or skips them."""
    batches = getattr(loader, "batch_sampler", None)
    for _ in range(_DEPTH):
        inner = getattr(batches, "batch_sampler", None)
        if inner is None:
            break
        batches = inner
    return batches
