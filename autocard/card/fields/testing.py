"""What it was tested on, by which metrics, with which results."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from autocard import units
from autocard.card.fact import Fact, code, escape, plain
from autocard.card.fields.procedure import data_sets
from autocard.card.fields.words import listed, table
from autocard.record import Metric, RunRecord

METRIC_DIGITS = 4
"""Significant digits of a metric: the trainer works it out exactly; how well it tells the truth it
does not know."""

_SPEED = (
    "runtime",
    "samples_per_second",
    "steps_per_second",
    "jit_compilation_time",
    "model_preparation_time",
)
"""Ends of names that time the evaluation and say nothing about the model."""

_PICTURE = re.compile(r"autocard_[a-z]{1,20}\.png")
_ENTITIES = str.maketrans(
    {"$": "&#36;", "{": "&#123;", "}": "&#125;", "\\": "&#92;", "|": "&#124;"}
)
"""What the Hub's formulas and templates would look at, beyond what `html.escape` does."""

_UNNAMED = "eval"
"""What the evaluation set without a name is called beside others."""

_POINTS = 20
"""Evaluations during training that are shown."""


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that tell how the model was evaluated."""
    results = measures(record)
    return {
        "testing_data": data_sets(record.data.eval),
        "testing_metrics": _metrics(results),
        "results": _results(record, results),
    }


def measures(record: RunRecord) -> list[Metric]:
    """Return the results that are about the model, not about the evaluation's speed."""
    return [metric for metric in record.evaluation.results if not metric.name.endswith(_SPEED)]


def shown(value: float) -> str:
    """Return a metric's value for people; counts exactly."""
    return units.count(value) if isinstance(value, int) else units.figure(value, METRIC_DIGITS)


def _metrics(results: list[Metric]) -> Fact | None:
    names = list(dict.fromkeys(metric.name for metric in results))
    if not names:
        return None
    own = [code(name) for name in names if name != "loss"]
    parts = []
    if "loss" in names:
        parts.append(f"{code('loss')} (the training objective, on the testing data)")
    if own:
        parts.append(f"{listed(own)} (as the run's own evaluation reported it)")
    return Fact(
        "; ".join(parts), "\n".join(f"- {part}" for part in parts) if len(parts) > 1 else None
    )


def _results(record: RunRecord, results: list[Metric]) -> Fact | None:
    blocks = [
        _diverged(record),
        _table(results, record.run.global_step),
        _rewards(record),
        _not_finite(record),
        _best(record),
        _course(record),
        _pictures(record),
    ]
    block = "\n\n".join(filter(None, blocks))
    if not block:
        return None
    named = any(metric.dataset for metric in results)
    line = "; ".join(
        f"{_where(one, named=named)}{escape(one.name)} {shown(one.value)}" for one in results
    )
    line = "; ".join(filter(None, [diverged(record), line]))
    other = _not_finite(record) or _best(record) or _rewards(record) or _training_loss(record)
    return Fact(line or other, block)


def _rewards(record: RunRecord) -> str | None:
    """Return the rewards that a policy's training logged last, in a sentence."""
    logged = record.evaluation.rewards
    if "reward" not in logged:
        return None
    length = "completions/mean_length"
    names = {"kl": "KL divergence from the reference model", length: "mean completion length"}
    functions = [name for name in logged if name.startswith("rewards/")]
    each = [
        f"of {code(name.removeprefix('rewards/').removesuffix('/mean'))} {shown(logged[name])}"
        for name in functions
    ]
    told = [f"mean reward {shown(logged['reward'])}" + (f" ({', '.join(each)})" if each else "")]
    told += [f"{words} {shown(logged[name])}" for name, words in names.items() if name in logged]
    told[-1] += " tokens" if length in logged else ""
    step = f" (step {units.count(int(logged['step']))})" if "step" in logged else ""
    return f"Rewards logged last{step}: {', '.join(told)}."


def _pictures(record: RunRecord) -> str | None:
    """Return the pictures beside the card, each in the form that fits the reader's page; HTML, without blank lines."""
    shown = []
    for name, seen in record.pictures.items():
        if _PICTURE.fullmatch(name):
            dark = f'<source media="(prefers-color-scheme: dark)" srcset="{name.removesuffix(".png")}_dark.png">'
            words = html.escape(plain(seen)).translate(_ENTITIES)
            shown.append(f'<picture>\n{dark}\n<img alt="{words}" src="{name}">\n</picture>')
    return "\n".join(shown) or None


def diverged(record: RunRecord) -> str | None:
    """Return that training diverged, and what shows it."""
    signs = record.evaluation.diverged
    return f"Training diverged: {listed([escape(sign) for sign in signs])}" if signs else None


def _diverged(record: RunRecord) -> str | None:
    said = diverged(record)
    return None if said is None else f"{said}."


def _not_finite(record: RunRecord) -> str | None:
    names = record.evaluation.not_finite
    return (
        f"Not a finite number at the last evaluation: {listed([code(name) for name in names])}."
        if names
        else None
    )


def _where(metric: Metric, *, named: bool) -> str:
    return f"{code(metric.dataset or _UNNAMED)}: " if named else ""


def _table(results: list[Metric], last_step: int | None) -> str | None:
    """Return one row for each figure; columns that say the same everywhere, or nothing, are left out.

    The step stands there where it is not *last_step*, that of the run's end.
    """
    if not results:
        return None
    named = any(one.dataset for one in results)
    columns = [
        ("Data", [code(one.dataset or _UNNAMED) if named else "" for one in results]),
        (
            "From",
            [
                f"{code('predict()')}" if one.split == "prediction" else code("evaluate()")
                for one in results
            ],
        ),
        ("Step", [units.count(one.step) if one.step is not None else "" for one in results]),
        ("Metric", [escape(one.name) for one in results]),
        ("Value", [shown(one.value) for one in results]),
    ]
    always = {"Metric", "Value"}
    if any(one.step not in {None, last_step} for one in results):
        always.add("Step")
    kept = [
        (head, cells)
        for head, cells in columns
        if head in always or (head != "Step" and _differ(cells))
    ]
    right = frozenset(number for number, (head, _) in enumerate(kept) if head in {"Step", "Value"})
    rows = zip(*(cells for _, cells in kept), strict=True)
    return table([head for head, _ in kept], rows, right)


def _differ(cells: list[str]) -> bool:
    return len(set(cells)) > 1 or (
        len(cells) == 1 and cells[0].strip("`") not in {"", "evaluate()"}
    )


def _best(record: RunRecord) -> str | None:
    best = record.evaluation.best
    if best is None or best.metric is None or best.value is None:
        return None
    step = f", at step {units.count(best.step)}" if best.step is not None else ""
    loaded = {
        True: "These are the weights of this model.",
        False: "This model's weights are those of the last step.",
    }
    verdict = f" {loaded[best.loaded]}" if best.loaded is not None else ""
    if "evaluation.best.loaded" in record.missing:
        verdict = " The model's weights were changed after that evaluation, outside the optimizer's steps."
    name = escape(best.metric.removeprefix("eval_"))
    return f"Best {name} during training: {shown(best.value)}{step}.{verdict}"


def _loss(record: RunRecord) -> str:
    loss = record.evaluation.train_loss
    return "" if loss is None else shown(loss)


def _training_loss(record: RunRecord) -> str:
    return f"training loss {_loss(record)}{_summed(record)}"


def _summed(record: RunRecord) -> str:
    """Return what the training losses are, where they are no means of their batches."""
    count, last = record.training.losses_summed, record.training.losses_summed_last
    if count is None:
        return ""
    fewer = "" if last is None else f", {units.count(last)} in the last step of an epoch"
    return f" (the sum over the {units.count(count)} batches of each step{fewer})"


def _course(record: RunRecord) -> str | None:
    """Return the evaluations during training, the best one in bold; the training loss alone where there were none."""
    loss = record.evaluation.train_loss
    mean = (
        None
        if loss is None
        else f"Training loss, mean over the {_span(record)}, as the Trainer logged it: {shown(loss)}{_summed(record)}."
    )
    points = _by_step(record.evaluation.history)
    if len(points) <= 1:
        return mean
    names = [
        name for name in _names(points) if not name.endswith(_SPEED) and not _counts(record, name)
    ]
    if not names:
        return mean
    best = record.evaluation.best
    shown_points = _chosen(points, None if best is None else best.step)
    # Of a training that diverged the last finite loss is not that of a later step.
    losses = {} if record.evaluation.diverged else _losses(record.evaluation.history, shown_points)
    rows = []
    for point in shown_points:
        cells = [
            _epoch(point.get("epoch")),
            _cell(point.get("step"), plain=True),
            *([_cell(losses.get(point.get("step")))] if losses else []),
            *(_cell(point.get(name)) for name in names),
        ]
        marked = best is not None and best.step is not None and point.get("step") == best.step
        rows.append([f"**{cell}**" if marked and cell else cell for cell in cells])
    training = [f"training loss{_summed(record)}"] if losses else []
    head = ["Epoch", "Step", *training, *(escape(name.removeprefix("eval_")) for name in names)]
    few = len(points) > _POINTS
    which = (
        f"{_POINTS} of {units.count(len(points))} evaluations, evenly chosen,"
        if few
        else "Evaluations"
    )
    mark = ", the best in bold" if best is not None and best.step is not None else ""
    mark += "; the training loss is the one that was logged last by then" if losses else ""
    course = f"{which} during training{mark}:\n\n{table(head, rows, frozenset(range(len(head))))}"
    return "\n\n".join(filter(None, [mean, course]))


def _chosen(
    points: list[dict[str, float | int | str]], best: int | None
) -> list[dict[str, float | int | str]]:
    """Return at most `_POINTS` of *points*: the first, the last, the best (its step), others at equal distances."""
    if len(points) <= _POINTS:
        return points
    there = [
        number
        for number, point in enumerate(points)
        if point.get("step") == best and best is not None
    ][:1]
    count = _POINTS - len(there)
    places = {round(number * (len(points) - 1) / (count - 1)) for number in range(count)} | set(
        there
    )
    return [points[number] for number in sorted(places)]


def _losses(
    history: Iterable[dict[str, float | int | str]], points: Iterable[dict[str, float | int | str]]
) -> dict[float | int | str | None, float | int | str]:
    """Return the step of each of *points* → the training loss that was logged last by then."""
    logged = [
        (step, point["loss"])
        for point in history
        if "loss" in point and isinstance(step := point.get("step"), int | float)
    ]
    found: dict[float | int | str | None, float | int | str] = {}
    for point in points:
        step = point.get("step")
        before = [loss for at, loss in logged if isinstance(step, int | float) and at <= step]
        if before:
            found[step] = before[-1]
    return found


def _by_step(history: Iterable[dict[str, float | int | str]]) -> list[dict[str, float | int | str]]:
    """Return the evaluations during training, one point for each step: of several sets together, of one the last."""
    points: dict[float | int | str | None, dict[str, float | int | str]] = {}
    every = list(history)
    ends = [
        index
        for index, point in enumerate(every)
        if "train_loss" in point and "total_flos" in point
    ]
    for point in every[: ends[-1] if ends else None]:
        if any(key.startswith("eval_") for key in point):
            points.setdefault(point.get("step"), {}).update(point)
    return list(points.values())


def _span(record: RunRecord) -> str:
    return "steps of the last leg" if len(record.legs) > 1 else "steps"


def _names(points: Iterable[dict[str, float | int | str]]) -> list[str]:
    return list(dict.fromkeys(key for point in points for key in point if key.startswith("eval_")))


def _counts(record: RunRecord, name: str) -> bool:
    """Return whether the column *name* is a counter of the trainer's, and no result."""
    return any(name.endswith(f"_{counter}") for counter in record.evaluation.counters)


def _epoch(value: float | str | None) -> str:
    """Return an epoch with at most two decimals."""
    return units.shortest(round(value, 2)) if isinstance(value, int | float) else _cell(value)


def _cell(value: float | str | None, *, plain: bool = False) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return escape(value)
    return units.shortest(value, METRIC_DIGITS + 2) if plain else shown(value)
