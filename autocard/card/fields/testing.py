"""What the model was tested on, by which metrics, with which results."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autocard import units
from autocard.card.fact import Fact, code, escape, plain
from autocard.card.fields.data_sets import data_sets
from autocard.card.fields.evaluation_course import course, training_loss
from autocard.card.fields.html_text import html_text
from autocard.card.fields.results import diverged, measures, results_line, results_table, shown
from autocard.card.fields.words import joined, listed
from autocard.record import Metric, RunRecord

_PICTURE = re.compile(r"autocard_[a-z]{1,20}\.png")
"""A picture that autocard drew: autocard_loss.png."""


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that describe how the model was evaluated."""
    results = measures(record)
    return {
        "testing_data": data_sets(record.data.eval),
        "testing_metrics": _metrics(results),
        "results": _results(record, results),
    }


def _metrics(results: Sequence[Metric]) -> Fact | None:
    names = list(dict.fromkeys(metric.name for metric in results))
    parts = []
    if "loss" in names:
        parts.append(f"{code('loss')} (training objective on the testing data)")
    others = [code(name) for name in names if name != "loss"]
    if others:
        parts.append(f"{listed(others)} (as reported during evaluation)")
    if not parts:
        return None
    block = "\n".join(f"- {part}" for part in parts) if len(parts) > 1 else None
    return Fact("; ".join(parts), block)


def _results(record: RunRecord, results: Sequence[Metric]) -> Fact | None:
    divergence = diverged(record)
    blocks = [
        f"{divergence}." if divergence else None,
        results_table(results, record.run.global_step),
        _rewards(record),
        _not_finite(record),
        _best(record),
        course(record),
        _pictures(record),
    ]
    block = joined(blocks, "\n\n")
    if not block:
        return None
    line = joined([divergence, results_line(record, results)], "; ")
    other = _not_finite(record) or _best(record) or _rewards(record) or training_loss(record)
    return Fact(line or other, block)


def _rewards(record: RunRecord) -> str | None:
    """Return the rewards that a policy's training logged last, in a sentence."""
    logged = record.evaluation.rewards
    if "reward" not in logged:
        return None
    functions = []
    for name, value in logged.items():
        if name.startswith("rewards/"):  # rewards/<function>/mean
            function = name.removeprefix("rewards/").removesuffix("/mean")
            functions.append(f"of {code(function)} {shown(value)}")
    parts = [f"mean reward {shown(logged['reward'])}"]
    if functions:
        parts[0] += f" ({', '.join(functions)})"
    if "kl" in logged:
        parts.append(f"KL divergence from the reference model {shown(logged['kl'])}")
    if "completions/mean_length" in logged:
        length = shown(logged["completions/mean_length"])
        parts.append(f"mean completion length {length} tokens")
    step = f" (step {units.count(int(logged['step']))})" if "step" in logged else ""
    return f"Last logged rewards{step}: {', '.join(parts)}."


def _not_finite(record: RunRecord) -> str | None:
    names = record.evaluation.not_finite
    if not names:
        return None
    return f"Not finite at the last evaluation: {listed(map(code, names))}."


def _best(record: RunRecord) -> str | None:
    """Return the best evaluation, and whether the model has the weights of it."""
    best = record.evaluation.best
    if best is None or best.metric is None or best.value is None:
        return None
    name = escape(best.metric.removeprefix("eval_"))
    step = f" at step {units.count(best.step)}" if best.step is not None else ""
    text = f"Best {name} during training: {shown(best.value)}{step}."
    if "evaluation.best.loaded" in record.missing and record.run.status == "interrupted":
        return text
    if "evaluation.best.loaded" in record.missing:
        return f"{text} The weights were changed after that evaluation outside the optimizer steps."
    if best.loaded is None:
        return text
    if best.loaded:
        return f"{text} These are the weights of this model."
    return f"{text} This model has the weights of the last step."


def _pictures(record: RunRecord) -> str | None:
    """Return the pictures beside the card as HTML without blank lines; each has a dark version."""
    pictures = []
    for name, alt in record.pictures.items():
        if _PICTURE.fullmatch(name):
            dark = f"{name.removesuffix('.png')}_dark.png"
            pictures.append(
                "<picture>\n"
                f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">\n'
                f'<img alt="{html_text(plain(alt))}" src="{name}">\n'
                "</picture>"
            )
    return "\n".join(pictures) or None
