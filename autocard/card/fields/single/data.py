"""Single figures of data and evaluation: names, rows, tokens, lengths, losses."""

from __future__ import annotations

from collections.abc import Sequence

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.data_sets import data_name, data_sets
from autocard.card.fields.results import early_step, measures, shown
from autocard.card.fields.single.values import EXACT, fact, tokens, yes_or_no
from autocard.card.fields.words import joined
from autocard.card.quantity import Quantity
from autocard.record import Dataset, Metric, RunRecord

_LOSSES = ("loss", "eval_loss")


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the figures of data and evaluation, one by one."""
    made = record.data.preprocessing
    return {
        "dataset": _names(record.data.train),
        "eval_dataset": _names(record.data.eval),
        "train_samples": _rows(record.data.train),
        "eval_samples": _rows(record.data.eval),
        "dataset_tokens": _dataset_tokens(record.data.train),
        "tokens_seen": _tokens_seen(record),
        "max_length": _max_length(record),
        "packing": yes_or_no(made.packing),
        "tokenizer": fact(code(made.tokenizer) if made.tokenizer else None),
        "final_train_loss": _final_loss(record),
        "train_loss": _mean_loss(record),
        "eval_loss": _eval_loss(record),
        "best_metric": _best(record),
    }


def _names(sets: Sequence[Dataset]) -> Fact | None:
    """Return the names of data sets; below a heading, a line on each."""
    names = list(dict.fromkeys(data_name(data) for data in sets))
    whole = data_sets(list(sets))
    return Fact(", ".join(names), whole.body()) if names and whole else None


def _rows(sets: Sequence[Dataset]) -> Fact | None:
    """Return the rows of all *sets*; None: those of one are not known."""
    rows = [data.rows for data in sets]
    if not rows or None in rows:
        return None
    total = sum(count or 0 for count in rows)
    unit = " packed sequences" if any(data.packed for data in sets) else ""
    counted = Quantity(total, "count", EXACT, after=unit)
    return Fact(f"{units.count(total)}{unit}", quantities=(counted,))


def _dataset_tokens(sets: Sequence[Dataset]) -> Fact | None:
    counts = [data.tokens for data in sets]
    if not counts or None in counts:
        return None
    return tokens(sum(count or 0 for count in counts))


def _tokens_seen(record: RunRecord) -> Fact | None:
    time = record.time
    if time.tokens_with_padding is None:
        return tokens(time.tokens)
    note = ", including padding" if time.tokens_with_padding else ", without padding"
    return tokens(time.tokens, note)


def _max_length(record: RunRecord) -> Fact | None:
    """Return the length at which rows are cut, or the tokenizer's limit, and which it is."""
    made = record.data.preprocessing
    limit = "" if made.max_length_applied else " (the tokenizer's limit)"
    return tokens(made.max_length, limit)


# -- losses ----------------------------------------------------------------------------------------


def _final_loss(record: RunRecord) -> Fact | None:
    """Return the training loss that was logged last, and where; else the mean of all steps."""
    if record.evaluation.diverged or record.training.losses_summed is not None:
        return None
    for point in reversed(record.evaluation.history):
        loss, step = point.get("loss"), point.get("step")
        if isinstance(loss, int | float):
            where = ""
            if isinstance(step, int | float):
                where = f" (logged at step {units.shortest(float(step), 9)})"
            return Fact(f"{shown(float(loss))}{where}")
    return _mean_loss(record)


def _mean_loss(record: RunRecord) -> Fact | None:
    loss = record.evaluation.train_loss
    if loss is None or record.training.losses_summed is not None:
        return None
    span = "the steps of the last start" if len(record.legs) > 1 else "all steps"
    return Fact(f"{shown(loss)} (mean over {span})")


def _eval_loss(record: RunRecord) -> Fact | None:
    evaluated = [metric for metric in measures(record) if metric.split == "evaluation"]
    losses = [metric for metric in evaluated if metric.name in _LOSSES]
    return fact(joined(_named(record, metric, losses) for metric in losses))


def _named(record: RunRecord, metric: Metric, among: Sequence[Metric]) -> str:
    """Return the figure, with its data set where there are several, and an early one's step."""
    step = early_step(record, metric)
    notes = joined(
        [
            code(metric.dataset) if len(among) > 1 and metric.dataset else None,
            None if step is None else f"step {units.count(step)}",
        ]
    )
    return f"{shown(metric.value)} ({notes})" if notes else shown(metric.value)


def _best(record: RunRecord) -> Fact | None:
    best = record.evaluation.best
    if best is None or best.value is None:
        return None
    name = f"{escape(best.metric)} " if best.metric else ""
    where = "" if best.step is None else f" at step {units.count(best.step)}"
    return Fact(f"{name}{shown(best.value)}{where}")
