"""What an optimizer step consumed, in words: its unit, its factors, other sizes before a resume."""

from __future__ import annotations

from autocard import units
from autocard.card.fact import escape
from autocard.record import RunRecord
from autocard.totals import batches

_SINGULAR = {
    "samples": "sample",
    "completions": "completion",
    "packed sequences": "packed sequence",
}
_USUAL = "samples"
"""The unit that goes without saying."""


def total_train_batch_size(record: RunRecord) -> str | None:
    """Return the samples of an optimizer step, with factors: "12 (4 per device × 3 devices)"."""
    training = record.training
    if training.effective_batch_size is None:
        return None
    detail = escape(training.batch_detail) if training.batch_detail else _factors(record)
    detail = f" ({detail})" if detail else ""
    *earlier, last = _sizes(record) or [(training.effective_batch_size, 0)]
    if not earlier:
        return _counted(training.effective_batch_size, record) + detail
    (size, end), *others = earlier
    text = f"{_counted(size, record)} up to step {units.count(end)}"
    for size, end in others:
        text += f", then {units.count(size)} up to step {units.count(end)}"
    return f"{text}, then {units.count(last[0])}{detail}"


def _counted(size: int, record: RunRecord) -> str:
    unit = record.training.batch_unit
    if unit == _USUAL:
        return units.count(size)
    return units.plural(size, _SINGULAR.get(unit, escape(unit)), escape(unit))


def _factors(record: RunRecord) -> str:
    """Return what the size is the product of; "": one factor alone, or they are not all known."""
    settings, size = record.training.hyperparameters, record.training.effective_batch_size
    per_device = settings.get("per_device_train_batch_size")
    accumulated = settings.get("gradient_accumulation_steps", 1)
    if not isinstance(per_device, int) or not isinstance(accumulated, int) or not size:
        return ""
    devices = _devices(record, size, per_device * accumulated)
    factors = []
    if devices > 1:
        factors.append(units.plural(devices, "device"))
    if accumulated > 1:
        factors.append(units.plural(accumulated, "accumulation step"))
    if not devices or not factors:
        return ""
    return " × ".join([f"{units.count(per_device)} per device", *factors])


def _devices(record: RunRecord, size: int, of_one: int) -> int:
    """Return how many devices of *of_one* samples make *size*; 0: not those that trained."""
    if not of_one or size % of_one:
        return 0
    devices = size // of_one
    gpus = sum(gpu.count for gpu in record.hardware.gpus)
    return devices if devices in {1, record.job.world_size, gpus} else 0


def _sizes(record: RunRecord) -> list[tuple[int, int]]:
    """Return (samples of a step, last step with that); empty: they are not all known."""
    sizes: list[tuple[int, int]] = []
    for stretch in batches.stretches(record.legs):
        size = stretch.batch.step_samples
        if size is None:
            return []
        size = min(size, stretch.batch.epoch_samples or size)
        if sizes and sizes[-1][0] == size:
            sizes.pop()
        sizes.append((size, stretch.step_end))
    return sizes
