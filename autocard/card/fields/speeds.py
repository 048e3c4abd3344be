"""Speeds, sizes and times of a training in words."""

from __future__ import annotations

import re

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.machines import peaks
from autocard.card.fields.words import bullets, cut_off, holes, joined, labelled_line, since
from autocard.record import Model, RunRecord

_WHOLE_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""How the names of files with whole weights begin (transformers, utils/__init__.py)."""

_SIX_ND = "6 × parameters without embeddings × input tokens"
"""How the record's account of the Trainer's figure begins."""
_SIX_ND_SHORT = (
    "6ND, as logged by the Trainer; includes padding, excludes embeddings, attention and evaluation"
)
_BY_TRAINED_PARTS = "a model, from the Trainer's figure: for each token 2 × parameters"
"""How the record's account of the estimate begins."""
_BY_TRAINED_PARTS_SHORT = (
    "excludes unneeded gradients of frozen parameters, embeddings, attention and recomputation"
)
_OF_EXPERTS = "; of experts, those that a token is sent to"
"""How that account ends for a mixture of experts."""

_SAME = 0.01
"""Two figures of operations that differ by less mean the same."""


def speeds(record: RunRecord) -> Fact | None:
    """Return the figures as bullets, and in one line."""
    state = "without" if record.model.checkpoint_has_optimizer is False else "with"
    entries = {
        "Start and end": _start_and_end(record),
        "Wall-clock time": _wall_clock(record),
        "Evaluation time": _evaluation_time(record),
        "Throughput": _throughput(record),
        "Input tokens seen": _tokens_seen(record),
        "Training FLOPs": _flops(record),
        "Estimated training FLOPs": _estimate(record),
        "Model FLOPs utilization (MFU)": _peak_share(record),
        "Size of saved weights": _saved_size(record.model),
        f"Checkpoint size, {state} optimizer state": _size(record.model.checkpoint_bytes),
        "Peak GPU memory": peaks(record),
    }
    block = bullets(entries)
    return None if block is None else Fact(labelled_line(entries), block)


def _start_and_end(record: RunRecord) -> str | None:
    run = record.run
    if not run.started_at or not run.ended_at:
        return None
    text = f"{units.instant(run.started_at)} to {units.instant(run.ended_at)}"
    return f"{text} (last reading)" if cut_off(record) else text


def _wall_clock(record: RunRecord) -> str | None:
    if record.time.wall_clock_s is None:
        return None
    text = units.duration(record.time.wall_clock_s)
    if len(record.legs) > 1:
        text += f" (sum of {len(record.legs)} starts)"
    without = since(record)
    return f"{text} ({without})" if without else text


def _last_leg(record: RunRecord) -> str:
    return " (last start only)" if len(record.legs) > 1 else ""


def _evaluation_time(record: RunRecord) -> str | None:
    if not record.time.eval_s:
        return None
    length = units.duration(record.time.eval_s)
    of_start = " of the last start" if len(record.legs) > 1 else ""
    return f"{length} (included in the wall-clock time{of_start})"


def _throughput(record: RunRecord) -> str | None:
    time = record.time
    rates = {
        f"{escape(record.training.batch_unit)}/s": time.samples_per_s,
        "tokens/s": time.tokens_per_s,
        "optimizer steps/s": time.steps_per_s,
    }
    speeds = [f"{units.number(rate)} {unit}" for unit, rate in rates.items() if rate is not None]
    return f"{', '.join(speeds)}{_last_leg(record)}" if speeds else None


def _tokens_seen(record: RunRecord) -> str | None:
    time = record.time
    if time.tokens is None:
        return None
    if time.tokens_with_padding is None:
        return units.count(time.tokens)
    padding = "including padding" if time.tokens_with_padding else "without padding"
    return f"{units.count(time.tokens)} ({padding})"


def _flops(record: RunRecord) -> str | None:
    flops, method = record.time.flops, record.time.flops_method
    if flops is None:
        return None
    notes = []
    if method:
        notes.append(flops_method(method))
    if holes(record):
        notes.append("all steps, including those before the resume")
    return joined([units.operations(flops), f"({'; '.join(notes)})" if notes else None], " ")


def flops_method(method: str) -> str:
    """Return what the Trainer's count of FLOPs is, in short."""
    return _SIX_ND_SHORT if method.startswith(_SIX_ND) else escape(method)


def _estimate(record: RunRecord) -> str | None:
    """Return the estimate, where it differs from the Trainer's figure."""
    time = record.time
    if time.flops_estimate is None or time.flops is None:
        return None
    if abs(time.flops_estimate / time.flops - 1) < _SAME:
        return None
    method = time.flops_estimate_method or ""
    short = escape(method)
    if method.startswith(_BY_TRAINED_PARTS):
        active = "; active experts only" if method.endswith(_OF_EXPERTS) else ""
        short = _BY_TRAINED_PARTS_SHORT + active
    return joined([units.operations(time.flops_estimate), f"({short})" if short else None], " ")


def _peak_share(record: RunRecord) -> str | None:
    share, method = record.time.peak_share, record.time.peak_share_method
    if share is None:
        return None
    text = f"{units.number(100 * share, units.MODELLED)} %"
    return f"{text} ({escape(_peak_method(method))})" if method else text


def _peak_method(method: str) -> str:
    """Return how the share was computed; records of version 0.1.0 say "figure" for the peak."""
    method = method.replace("the estimate /", "estimated FLOPs /")
    return re.sub(r"dense (\S+) figure for", r"dense \1 peak for", method)


def _saved_size(model: Model) -> str | None:
    """Return the size, an adapter's own folder, and whole weights beside an adapter."""
    size = _size(model.saved_bytes)
    if size is None:
        return None
    configs = [name for name in model.saved_files if name.endswith("/adapter_config.json")]
    if len(configs) == 1:
        return f"{size}, in {code(configs[0].rpartition('/')[0] + '/')}"
    whole = [name for name in model.saved_files if name.startswith(_WHOLE_WEIGHTS)]
    has_adapter = any(name.startswith("adapter_model.") for name in model.saved_files)
    if whole and has_adapter:
        return f"{size} (adapter only; {code(whole[0])} beside it holds the full weights)"
    return size


def _size(saved_bytes: int | None) -> str | None:
    return None if saved_bytes is None else units.size(saved_bytes)
