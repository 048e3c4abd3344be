"""The first facts that a reader wants, as plain text for a terminal: no Markdown in it."""

from __future__ import annotations

from collections.abc import Mapping

from autocard import units
from autocard.card.fact import plain
from autocard.card.fields import carbon, energy_figures, impact
from autocard.card.fields.results import diverged, early_step, measures, shown
from autocard.card.fields.words import joined, so_far
from autocard.record import RunRecord

_LEAVES = {
    "Base model": "model.base_model",
    "Training regime": "precision.regime",
    "Hardware": "hardware.gpus",
    "Hours used": "time.wall_clock_s",
    "Results": "evaluation.results",
    "Energy": "energy.total_kwh",
    "CO2eq": "emissions.co2eq_g",
}
"""What is shown → the leaf of the record whose reason explains its absence."""


def summary(record: RunRecord) -> dict[str, str]:
    """Return label → text; where a fact is not there, the text says why."""
    known = _known(record)
    return {label: known.get(label) or _why(record, leaf) for label, leaf in _LEAVES.items()}


def _known(record: RunRecord) -> Mapping[str, str | None]:
    model = record.model
    total, open_run = energy_figures.total(record), so_far(record)
    noted = f" ({open_run})" if open_run else ""
    base = model.base_model or model.base_model_description
    return {
        "Base model": plain(base) if base else None,
        "Training regime": record.precision.regime,
        "Hardware": impact.hardware_type(record, show=plain),
        "Hours used": impact.hours_used(record),
        "Results": joined([diverged(record), _results(record)], "; "),
        "Energy": f"{total} kWh at the devices{noted}" if total else None,
        "CO2eq": carbon.co2eq(record),
    }


def _results(record: RunRecord) -> str:
    """Return the results, as in "accuracy 0.91 (validation), loss 0.32 (validation)"."""
    results = []
    for metric in measures(record):
        step = early_step(record, metric)
        notes = [
            plain(metric.dataset) if metric.dataset else None,
            None if step is None else f"step {units.count(step)}",
        ]
        of = joined(notes)
        results.append(f"{plain(metric.name)} {shown(metric.value)}{f' ({of})' if of else ''}")
    return ", ".join(results)


def _why(record: RunRecord, leaf: str) -> str:
    reason = record.why_missing(leaf)
    if not reason or reason.startswith("not known"):
        return plain(reason or "not known")
    return f"not known: {plain(reason)}"
