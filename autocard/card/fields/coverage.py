"""What the energy total covers, in words: repeated steps, what is apart, nodes without a report."""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.energy_figures import unreported_part
from autocard.card.fields.words import holes, so_far
from autocard.record import RunRecord, Search
from autocard.totals.energy_sums import BOUNDARY

_EARLIER_BOUNDARIES = {
    "training from its first moment to its last, with the evaluations and checkpoints in between: "
    "GPU boards, CPU packages and memory. Set-up before it and evaluation after it are measured "
    "apart. Not counted: what other processes did before and after, disks, network, fans, losses "
    "of power supplies, earlier runs, and the making of the hardware": BOUNDARY,
}
"""What records of 0.1.0 have → the same in the words of today."""
_BACKENDS = {"optuna": "Optuna", "ray": "Ray Tune", "wandb": "W&B Sweeps"}
"""Name of a search's backend in transformers → what people call it."""


def boundary(record: RunRecord) -> Iterator[str]:
    """Yield what the total covers."""
    if record.energy.boundary:
        text = _EARLIER_BOUNDARIES.get(record.energy.boundary, record.energy.boundary)
        yield f"Included: {escape(text)}."


def going_on(record: RunRecord) -> Iterator[str]:
    """Yield that the run went on when this was written."""
    open_run = so_far(record)
    if open_run:
        yield (
            f"Training went on when this was written: the figures are those {open_run}, "
            "not those of the whole run."
        )


def apart(record: RunRecord) -> Iterator[str]:
    """Yield what was measured before and after training, and is not in the total."""
    energy = record.energy
    outside = []
    if energy.setup_kwh:
        outside.append(f"set-up {units.kwh(energy.setup_kwh, units.MODELLED)}")
    elif energy.reported_setup_kwh:
        least = units.kwh(energy.reported_setup_kwh, units.MODELLED)
        outside.append(f"set-up at least {least} (not measured on every node or in every start)")
    if energy.evaluation_kwh:
        evaluation = units.kwh(energy.evaluation_kwh, units.MODELLED)
        outside.append(f"evaluation after training {evaluation}")
    if outside:
        yield f"Measured, but not in the total: {' and '.join(outside)}."


def search(record: RunRecord) -> Iterator[str]:
    """Yield what the trials of a hyperparameter search took."""
    if record.search.trials:
        yield _search(record.search)


def _search(search: Search) -> str:
    backends = search.backend.split(" and ") if search.backend else []
    notes = (
        [" and ".join(_BACKENDS.get(name, escape(name)) for name in backends)] if backends else []
    )
    if search.trials_unfinished:
        notes.append(f"{units.count(search.trials_unfinished)} of them pruned or failed")
    text = f"Hyperparameter search: {units.plural(search.trials, 'trial')}"
    if notes:
        text += f" ({', '.join(notes)})"
    text += f", {units.duration(search.wall_clock_s)}"
    if search.total_kwh is not None:
        text += f", {units.kwh(search.total_kwh, units.MODELLED)}"
    elif search.reported_kwh:
        text += f", at least {units.kwh(search.reported_kwh, units.MODELLED)}"
    else:
        text += ", energy not measured"
    return f"{text}, not included in the total."


# -- steps done twice ------------------------------------------------------------------------------


def repeated(record: RunRecord) -> Iterator[str]:
    """Yield what was done twice, after an interruption or by choice."""
    if record.time.repeated_steps:
        yield _repeated_steps(record, record.time.repeated_steps)


def _repeated_steps(record: RunRecord, repeated_steps: int) -> str:
    """Return what repeated steps took, as in "0.31 kWh of the total (1.2 %) went into …"."""
    is_least = any(leg.steps_unseen for leg in record.legs)
    is_estimated = any(leg.repeated_source.startswith("estimated") for leg in record.legs)
    spent = _spent_on_repeated(record)
    begin = " and ".join(spent) or "An unknown part of the energy"
    if is_least and spent:
        begin = f"At least {begin}"
    least = "at least " if is_least else ""
    end = " (estimated from the mean of longer stretches)" if is_estimated else ""
    steps = units.plural(repeated_steps, "step")
    return f"{begin} went into {least}{steps} that {_why_repeated(record)}{end}."


def _spent_on_repeated(record: RunRecord) -> list[str]:
    kwh, total_kwh = record.energy.repeated_kwh, record.energy.total_kwh
    spent = []
    if kwh and total_kwh:
        share = units.percent(kwh, total_kwh)
        spent.append(f"{units.kwh(kwh, units.MODELLED)} of the total ({share})")
    if record.time.repeated_s:
        spent.append(units.duration(record.time.repeated_s))
    return spent


def _why_repeated(record: RunRecord) -> str:
    """Return why steps were done twice: they had to be only where a leg did not end by itself."""
    legs = [leg for leg in record.legs if leg.repeated_steps]
    if all(leg.status == "interrupted" for leg in legs):
        return "had to be repeated after interruptions"
    forced = sum(leg.repeated_steps or 0 for leg in legs if leg.status == "interrupted")
    part = f", {units.count(forced)} of them after interruptions" if forced else ""
    return f"were done again from a checkpoint{part}"


# -- what is not included --------------------------------------------------------------------------


def not_included(record: RunRecord) -> Iterator[str]:
    """Yield which steps, processes and nodes the total leaves out."""
    run = record.run
    before = holes(record)
    if before:
        yield f"Training was resumed from a run that was not recorded: {before}."
    if run.earlier_run:
        steps = units.plural(run.earlier_steps, "step")
        yield (
            f"Training continued from weights that run {escape(run.earlier_run)} had trained for "
            f"{steps} in the same process; those steps are not included."
        )
    for path, reason in record.missing.items():
        if path.startswith("legs.") and path.endswith(".tail"):
            yield f"Start {int(path.split('.')[1]) + 1}: {escape(reason)}."
    if unreported_part(record) is None:  # else that stands in the place of the total
        yield from _processes_without_report(record)
        yield from _nodes_without_report(record)


def _processes_without_report(record: RunRecord) -> Iterator[str]:
    reporting = record.job.processes_reporting
    if not record.legs or reporting is None:
        return
    processes = record.legs[-1].processes
    if reporting < processes:
        yield (
            f"{units.count(reporting)} of {units.count(processes)} training processes reported "
            "at the end; the energy of the others comes from the meters of their machines."
        )


def _nodes_without_report(record: RunRecord) -> Iterator[str]:
    expected, reporting = record.job.nodes_expected, record.job.nodes_reporting
    if expected is None or reporting is None:
        return
    if reporting < expected:
        yield (
            f"Only {units.count(reporting)} of {units.count(expected)} nodes reported; "
            "the energy of the others is not included."
        )
