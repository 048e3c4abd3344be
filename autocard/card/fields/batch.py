"""What an optimizer step consumed, in words: its unit, and other sizes before a resume."""

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


def effective_batch_size(record: RunRecord) -> str | None:
    """Return the samples of a step: "4 samples for each optimizer step up to step 100, then 2"."""
    training = record.training
    if training.effective_batch_size is None:
        return None
    detail = f" ({escape(training.batch_detail)})" if training.batch_detail else ""
    *earlier, last = _sizes(record) or [(training.effective_batch_size, 0)]
    if not earlier:
        return f"{_counted(training.effective_batch_size, record)}{detail} for each optimizer step"
    (size, end), *others = earlier
    text = f"{_counted(size, record)} for each optimizer step up to step {units.count(end)}"
    for size, end in others:
        text += f", then {units.count(size)} up to step {units.count(end)}"
    return f"{text}, then {units.count(last[0])}{detail}"


def _counted(size: int, record: RunRecord) -> str:
    unit = record.training.batch_unit
    return units.plural(size, _SINGULAR.get(unit, escape(unit)), escape(unit))


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
