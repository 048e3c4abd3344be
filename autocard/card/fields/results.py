"""Results of evaluations: which of them are about the model, their figures, their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocard import units
from autocard.card.fact import code, escape
from autocard.card.fields.words import listed, table
from autocard.record import Metric, RunRecord

METRIC_DIGITS = 4
"""Significant digits of a metric: the trainer computes it exactly, but it is one sample's."""

TIMINGS = (
    "runtime",
    "samples_per_second",
    "steps_per_second",
    "jit_compilation_time",
    "model_preparation_time",
)
"""Ends of names that time the evaluation and say nothing about the model."""

UNNAMED = "eval"
"""What the evaluation set without a name is called beside others."""


def measures(record: RunRecord) -> list[Metric]:
    """Return the results that are about the model, not about the evaluation's speed."""
    return [metric for metric in record.evaluation.results if not metric.name.endswith(TIMINGS)]


def early_step(record: RunRecord, metric: Metric) -> int | None:
    """Return the step of a result that is of weights which were trained further; None: it is not.

    Only a run that goes on or was interrupted has such results.
    """
    run = record.run
    if run.status in {"finished", "stopped"} or metric.step == run.global_step:
        return None
    return metric.step


def shown(value: float) -> str:
    """Return a metric's value for people; counts exactly."""
    return units.count(value) if isinstance(value, int) else units.figure(value, METRIC_DIGITS)


def diverged(record: RunRecord) -> str | None:
    """Return that training diverged, and what shows it."""
    signs = record.evaluation.diverged
    return f"Training diverged: {listed(map(escape, signs))}" if signs else None


def results_line(record: RunRecord, results: Sequence[Metric]) -> str:
    """Return the results in one line, with the step where the weights were trained further."""
    is_named = any(metric.dataset for metric in results)
    parts = []
    for metric in results:
        data = f"{code(metric.dataset or UNNAMED)}: " if is_named else ""
        step = early_step(record, metric)
        at = "" if step is None else f" (step {units.count(step)})"
        parts.append(f"{data}{escape(metric.name)} {shown(metric.value)}{at}")
    return "; ".join(parts)


# -- the table -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    head: str
    cells: list[str]
    is_shown: bool
    is_number: bool = False


def results_table(results: Sequence[Metric], last_step: int | None) -> str | None:
    """Return one row for each figure; columns that are the same everywhere, or empty, are left out.

    The step stands there where it is not *last_step*, that of the run's end.
    """
    if not results:
        return None
    data = _data_cells(results)
    origins = [_origin(metric) for metric in results]
    steps = ["" if metric.step is None else units.count(metric.step) for metric in results]
    has_other_steps = any(metric.step not in {None, last_step} for metric in results)
    columns = [
        _Column("Data", data, is_shown=_is_telling(data)),
        _Column("From", origins, is_shown=_is_telling(origins)),
        _Column("Step", steps, is_shown=has_other_steps, is_number=True),
        _Column("Metric", [escape(metric.name) for metric in results], is_shown=True),
        _Column(
            "Value", [shown(metric.value) for metric in results], is_shown=True, is_number=True
        ),
    ]
    columns = [column for column in columns if column.is_shown]
    right = frozenset(number for number, column in enumerate(columns) if column.is_number)
    rows = zip(*(column.cells for column in columns), strict=True)
    return table([column.head for column in columns], rows, right)


def _data_cells(results: Sequence[Metric]) -> list[str]:
    if not any(metric.dataset for metric in results):
        return [""] * len(results)
    return [code(metric.dataset or UNNAMED) for metric in results]


def _origin(metric: Metric) -> str:
    """Return the call that gave the figure."""
    return code("predict()") if metric.split == "prediction" else code("evaluate()")


def _is_telling(cells: Sequence[str]) -> bool:
    """Return whether a column has different cells, or one that is not what a reader expects."""
    if len(cells) == 1:
        return cells[0].strip("`") not in {"", "evaluate()"}
    return len(set(cells)) > 1
