"""What an optimizer step consumed, in words: its unit, how completions were generated, another size after a resume."""

from __future__ import annotations

from autocard import units
from autocard.card.fact import escape
from autocard.record import RunRecord
from autocard.totals import batches

_ONE = {"samples": "sample", "completions": "completion", "packed sequences": "packed sequence"}


def effective_batch_size(record: RunRecord) -> str | None:
    """Return the samples of an optimizer step, as in "4 samples for each optimizer step up to step 100, then 2"."""
    training = record.training
    if training.effective_batch_size is None:
        return None
    *before, last = _sizes(record) or [(training.effective_batch_size, 0)]
    detail = f" ({escape(training.batch_detail)})" if training.batch_detail else ""
    if not before:
        return f"{_counted(training.effective_batch_size, record)}{detail} for each optimizer step"
    (first, until), *more = before
    said = f"{_counted(first, record)} for each optimizer step up to step {units.count(until)}"
    said += "".join(
        f", then {units.count(size)} up to step {units.count(end)}" for size, end in more
    )
    return f"{said}, then {units.count(last[0])}{detail}"


def _counted(size: int, record: RunRecord) -> str:
    unit = record.training.batch_unit
    return units.plural(size, _ONE.get(unit, escape(unit)), escape(unit))


def _sizes(record: RunRecord) -> list[tuple[int, int]]:
    """Return (samples of a step, last step with that) of all steps in the weights; empty: they are not all known."""
    found: list[tuple[int, int]] = []
    for one in batches.stretches(record.legs):
        size = one.batch.step_samples
        if size is None:
            return []
        size = min(size, one.batch.epoch_samples or size)
        if found and found[-1][0] == size:
            found.pop()
        found.append((size, one.step_end))
    return found
