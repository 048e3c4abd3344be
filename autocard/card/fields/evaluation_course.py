"""The evaluations during training as a table, and the training loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.results import METRIC_DIGITS, TIMINGS, shown
from autocard.card.fields.words import joined, table
from autocard.record import RunRecord

_MAX_POINTS = 20
"""Evaluations during training that are shown."""

Value = float | int | str
Point = Mapping[str, Value]
"""One entry of the trainer's log: name → value, with its step and epoch."""


def training_loss(record: RunRecord) -> str:
    """Return the mean training loss, as a results line without results has it."""
    loss = record.evaluation.train_loss
    return f"training loss {'' if loss is None else shown(loss)}{_sum_note(record)}"


def course(record: RunRecord) -> str | None:
    """Return the mean training loss and the evaluations during training, the best one in bold."""
    return joined([mean_loss(record), _evaluations(record)], "\n\n") or None


def mean_loss(record: RunRecord) -> str | None:
    """Return the mean training loss as a sentence."""
    loss = record.evaluation.train_loss
    if loss is None:
        return None
    last_start = ", last start only" if len(record.legs) > 1 else ""
    return f"Mean training loss{last_start}: {shown(loss)}{_sum_note(record)}."


def _sum_note(record: RunRecord) -> str:
    """Return what the training losses are, where they are no means of their batches."""
    count, last = record.training.losses_summed, record.training.losses_summed_last
    if count is None:
        return ""
    fewer = "" if last is None else f", {units.count(last)} in the last step of an epoch"
    return f" (sum over the {units.count(count)} batches of each step{fewer})"


def _evaluations(record: RunRecord) -> str | None:
    """Return the table, with a sentence before it; None: there was no more than one evaluation."""
    points = _evaluation_points(record.evaluation.history)
    names = _metric_names(record, points)
    if len(points) <= 1 or not names:
        return None
    best_step = record.evaluation.best.step if record.evaluation.best else None
    points_shown = _evenly_chosen(points, best_step)
    losses: dict[Value | None, Value] = {}
    # Of a training that diverged the last finite loss is not that of a later step.
    if not record.evaluation.diverged:
        losses = _losses_by_step(record.evaluation.history, points_shown)
    head = ["Epoch", "Step"]
    if losses:
        head.append(f"Training loss{_sum_note(record)}")
    head += [_column(name) for name in names]
    rows = [_row(point, names, losses, best_step) for point in points_shown]
    notes = []
    if len(points) > _MAX_POINTS:
        notes.append(f"{_MAX_POINTS} of {units.count(len(points))} evaluations, evenly spaced")
    if best_step is not None:
        notes.append("best in bold")
    if losses:
        notes.append("training loss: last logged value")
    note = f" ({'; '.join(notes)})" if notes else ""
    body = table(head, rows, frozenset(range(len(head))))
    return f"Evaluation history{note}:\n\n{body}"


def _column(name: str) -> str:
    """Return the title of a metric's column."""
    return "Validation loss" if name == "eval_loss" else escape(name.removeprefix("eval_"))


# -- points of the log -----------------------------------------------------------------------------


def _evaluation_points(history: Sequence[Point]) -> list[dict[str, Value]]:
    """Return the evaluations during training, one point for each step; several sets are joined."""
    points: dict[Value | None, dict[str, Value]] = {}
    for point in history[: _end_of_training(history)]:
        if any(key.startswith("eval_") for key in point):
            points.setdefault(point.get("step"), {}).update(point)
    return list(points.values())


def _end_of_training(history: Sequence[Point]) -> int:
    """Return the index of the Trainer's last summary, with keys train_loss and total_flos."""
    for index in reversed(range(len(history))):
        if "train_loss" in history[index] and "total_flos" in history[index]:
            return index
    return len(history)


def _metric_names(record: RunRecord, points: Iterable[Point]) -> list[str]:
    """Return the names of the columns: neither timings nor counters of the trainer."""
    names = dict.fromkeys(key for point in points for key in point if key.startswith("eval_"))
    counters = tuple(f"_{counter}" for counter in record.evaluation.counters)
    return [name for name in names if not name.endswith(TIMINGS + counters)]


def _evenly_chosen(points: Sequence[Point], best_step: int | None) -> Sequence[Point]:
    """Return at most `_MAX_POINTS` of *points*: first, last, best, others evenly chosen."""
    if len(points) <= _MAX_POINTS:
        return points
    chosen = set()
    if best_step is not None:
        of_best = [n for n, point in enumerate(points) if point.get("step") == best_step]
        chosen.update(of_best[:1])
    count = _MAX_POINTS - len(chosen)
    chosen.update(round(number * (len(points) - 1) / (count - 1)) for number in range(count))
    return [points[number] for number in sorted(chosen)]


def _losses_by_step(history: Iterable[Point], points: Iterable[Point]) -> dict[Value | None, Value]:
    """Return the step of each of *points* → the training loss that was logged last by then."""
    logged = []
    for point in history:
        step = point.get("step")
        if "loss" in point and isinstance(step, int | float):
            logged.append((step, point["loss"]))
    losses: dict[Value | None, Value] = {}
    for point in points:
        step = point.get("step")
        if not isinstance(step, int | float):
            continue
        before = [loss for logged_at, loss in logged if logged_at <= step]
        if before:
            losses[step] = before[-1]
    return losses


# -- cells -----------------------------------------------------------------------------------------


def _row(
    point: Point,
    names: Iterable[str],
    losses: Mapping[Value | None, Value],
    best_step: int | None,
) -> list[str]:
    """Return the cells of *point*, in bold if it is the best one."""
    step = point.get("step")
    row = [_epoch(point.get("epoch")), _step(step)]
    if losses:
        row.append(_cell(losses.get(step)))
    row += [_cell(point.get(name)) for name in names]
    if best_step is None or step != best_step:
        return row
    return [f"**{cell}**" if cell else cell for cell in row]


def _epoch(value: Value | None) -> str:
    """Return an epoch with at most two decimals."""
    return units.shortest(round(value, 2)) if isinstance(value, int | float) else _cell(value)


def _step(value: Value | None) -> str:
    if value is None or isinstance(value, str):
        return _cell(value)
    return units.shortest(value, METRIC_DIGITS + 2)


def _cell(value: Value | None) -> str:
    if value is None:
        return ""
    return escape(value) if isinstance(value, str) else shown(value)
