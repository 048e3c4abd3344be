"""How it was trained: data, preprocessing, number formats, hyperparameters, speeds and sizes."""

from __future__ import annotations

import html

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.batch import effective_batch_size
from autocard.card.fields.machines import peaks
from autocard.card.fields.resumed import resumed_settings, setting
from autocard.card.fields.words import (
    bullets,
    count_of,
    data_sentence,
    holes,
    listed,
    quantization,
    since,
)
from autocard.record import Dataset, Model, Preprocessing, RunRecord, Scalar, Training

_ENTITIES = str.maketrans(
    {"$": "&#36;", "{": "&#123;", "}": "&#125;", "\\": "&#92;", "|": "&#124;"}
)
"""What the Hub's formulas and templates would look at, beyond what `html.escape` does."""

_WHOLE_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""How the names of files with whole weights begin (transformers, utils/__init__.py)."""

_SAME = 0.01
"""Two figures of operations that differ by less say the same."""

_EARLY = {
    "stopped": "stopped before the planned end",
    "interrupted": "interrupted before the planned end",
}

_PADDING = {
    "longest": "to the longest row of each batch",
    "max_length": "to a fixed length",
    "none": "none by the collator",
}


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that tell how the model was trained."""
    return {
        "training_data": data_sets(record.data.train),
        "preprocessing": _preprocessing(record),
        "training_regime": _regime(record),
        "training_hyperparameters": _hyperparameters(record),
        "speeds_sizes_times": _speeds(record),
    }


def data_sets(sets: list[Dataset]) -> Fact | None:
    """Return a line for each data set; one alone stands as a sentence."""
    lines = [(f"{code(data.name)}: " if data.name else "") + data_sentence(data) for data in sets]
    if not lines:
        return None
    return Fact(
        "; ".join(lines), "\n".join(f"- {line}" for line in lines) if len(lines) > 1 else None
    )


def _preprocessing(record: RunRecord) -> Fact | None:
    made = record.data.preprocessing
    vocabulary = (
        f", vocabulary of {units.count(made.vocabulary_count)}"
        if made.vocabulary_count is not None
        else ""
    )
    sides = [("padded", made.padding_side), ("cut", made.truncation_side)]
    side = "".join(f", {done} on the {escape(where)}" for done, where in sides if where)
    entries = {
        "Tokenizer or processor": f"{code(made.tokenizer)}{vocabulary}{side}"
        if made.tokenizer
        else None,
        "Maximum sequence length" if made.max_length_applied else "Tokenizer's limit": _tokens(
            made.max_length
        ),
        _longest_label(record): _tokens(made.longest_input),
        "Batches made by": code(made.collator) if made.collator else None,
        "Masking": _masking(made),
        "Padding": _PADDING.get(made.padding or ""),
        "Packing": _packing(made.packing),
        "Chat template": f"SHA-256 {code(made.chat_template_sha256)}"
        if made.chat_template_sha256
        else None,
        "Images": ", ".join(filter(None, [_image_size(made.image_size_px), _normalization(made)]))
        or None,
        "Sound": f"{units.count(made.sampling_rate_hz)} Hz"
        if made.sampling_rate_hz is not None
        else None,
    }
    return _lines(entries)


def _masking(made: Preprocessing) -> str | None:
    """Return the share of tokens that the collator masks, and whether it masks whole words."""
    share = made.masking.get("probability")
    if not isinstance(share, int | float):
        return None
    unit = "tokens in whole words" if made.masking.get("whole_words") else "tokens"
    return f"{units.shortest(100 * share)} % of the {unit}"


def _normalization(made: Preprocessing) -> str | None:
    if not (made.image_mean and made.image_std):
        return None
    mean, std = (
        ", ".join(units.shortest(one) for one in each) for each in (made.image_mean, made.image_std)
    )
    return f"normalized with mean ({mean}) and standard deviation ({std})"


def _longest_label(record: RunRecord) -> str:
    """Return what the longest example was looked for in; rows of a record that does not say were the first ones."""
    made, rows = record.data.preprocessing, [data.rows for data in record.data.train]
    looked_at = made.longest_input_rows
    if looked_at is None:
        return "Longest example among the rows that were looked at"
    if None not in rows and sum(filter(None, rows)) <= looked_at:
        return "Longest example"
    return f"Longest example (first {units.plural(looked_at, 'row')})"


def _image_size(sides_px: list[int]) -> str | None:
    if len(sides_px) == 1:
        return f"shortest edge {units.plural(sides_px[0], 'pixel')}"
    return (
        f"{units.count(sides_px[0])} × {units.count(sides_px[1])} pixels (height × width)"
        if sides_px
        else None
    )


def _tokens(count: int | None) -> str | None:
    return None if count is None else units.plural(count, "token")


def _packing(packing: bool | None) -> str | None:  # noqa: FBT001 - three states, not a switch
    if packing is None:
        return None
    return "several rows in one sequence" if packing else "none, one row in one sequence"


def _lines(entries: dict[str, str | None]) -> Fact | None:
    """Return the entries as bullets, and in one line."""
    block = bullets(entries)
    return (
        None
        if block is None
        else Fact("; ".join(f"{label}: {text}" for label, text in entries.items() if text), block)
    )


def _regime(record: RunRecord) -> Fact | None:
    """Return the form's own term first, and in brackets what it does not say."""
    precision = record.precision
    if precision.regime is None:
        return None
    notes = [escape(precision.note)] if precision.note else []
    if precision.quantization:
        notes.append(f"base weights quantized: {quantization(precision.quantization)}")
    if precision.tf32:
        notes.append("fp32 matrix products may use TF32")
    return Fact(f"{precision.regime} ({'; '.join(notes)})" if notes else precision.regime)


def _hyperparameters(record: RunRecord) -> Fact | None:
    """Return what shapes the result in plain words, the settings that differ from the library's, the others folded."""
    training, run = record.training, record.run
    seed = training.seed
    entries = {
        "Length": _length(record),
        "Effective batch size": effective_batch_size(record),
        "Resumed with other settings": resumed_settings(record),
        "Optimizer": escape(training.optimizer) if training.optimizer else None,
        "Learning-rate schedule": escape(training.scheduler) if training.scheduler else None,
        "Seed": str(seed) if seed is not None else None,
        "Layers run with": _execution(training),
        "Reward functions": _reward_functions(training),
        "Ended": escape(run.stop_reason) if run.stop_reason else _EARLY.get(run.status or ""),
    }
    changed = [name for name in training.non_default if name in training.hyperparameters]
    values = {
        name: value for name, value in training.hyperparameters.items() if name not in changed
    }
    differing = ", ".join(
        f"{code(name)} {setting(training.hyperparameters[name])}" for name in changed
    )
    entries["Changed during training"] = (
        "; ".join(escape(words) for words in training.changed) or None
    )
    entries["Settings that differ from the library's defaults"] = differing or None
    block = bullets(entries)
    if block is None and not values:
        return None
    line = "; ".join(f"{label}: {text}" for label, text in entries.items() if text)
    return Fact(line or _plainly(values), "\n\n".join(filter(None, [block, _folded(values)])))


def _reward_functions(training: Training) -> str | None:
    """Return the functions that a policy was rewarded by, with their weights where these differ from 1."""
    each = training.reward_functions
    plain = all(weight == 1 for weight in each.values())
    shown = [
        code(name) + ("" if plain else f" (weight {units.shortest(weight)})")
        for name, weight in each.items()
    ]
    return listed(shown) or None


def _execution(training: Training) -> str | None:
    """Return what runs the layers: attention, kernels, compiling, checkpointing; what was off is not told."""
    attention = training.attention_implementation
    parts = [
        f"{code(attention)} attention" if attention else None,
        f"kernels of {listed([escape(name) for name in training.kernels])}"
        if training.kernels
        else None,
        "torch.compile" if training.compiled else None,
        "gradient checkpointing" if training.gradient_checkpointing else None,
    ]
    return ", ".join(filter(None, parts)) or None


def _length(record: RunRecord) -> str | None:
    run = record.run
    if run.global_step is None:
        return None
    planned = (
        f" of {units.count(run.max_steps)} planned"
        if run.max_steps not in (None, run.global_step)
        else ""
    )
    epochs = f" ({count_of(run.epochs, 'epoch')})" if run.epochs is not None else ""
    return f"{units.plural(run.global_step, 'optimizer step')}{planned}{epochs}"


def _plainly(values: dict[str, Scalar]) -> str:
    return ", ".join(f"{code(name)} {setting(value)}" for name, value in values.items())


def _folded(values: dict[str, Scalar]) -> str | None:
    """Return the settings at their defaults, folded away. One HTML block, so no Markdown and no blank line in it."""
    if not values:
        return None
    items = ", ".join(
        f"<code>{_html(name)}</code> {_html(str(value))}" for name, value in values.items()
    )
    summary = units.plural(len(values), "setting") + " at the library's default"
    return f"<details>\n<summary>{summary}</summary>\n<p>{items}</p>\n</details>"


def _html(text: str) -> str:
    return html.escape(" ".join(text.split())).translate(_ENTITIES)


def _speeds(record: RunRecord) -> Fact | None:
    time, run = record.time, record.run
    between = [units.instant(when) for when in (run.started_at, run.ended_at) if when]
    legs = f" (sum of {len(record.legs)} legs)" if len(record.legs) > 1 else ""
    speeds = [
        f"{units.number(value)} {unit}"
        for value, unit in (
            (time.samples_per_s, f"{escape(record.training.batch_unit)}/s"),
            (time.tokens_per_s, "tokens/s"),
            (time.steps_per_s, "optimizer steps/s"),
        )
        if value is not None
    ]
    before = since(record)
    legs += f" ({before})" if before else ""
    last = " (of the last leg)" if len(record.legs) > 1 else ""
    state = "without" if record.model.checkpoint_has_optimizer is False else "with"
    evaluation = (
        f"{units.duration(time.eval_s)}{last}, within the wall-clock time" if time.eval_s else None
    )
    return _lines(
        {
            "Start and end": " to ".join(between) if len(between) > 1 else None,
            "Wall-clock time": f"{units.duration(time.wall_clock_s)}{legs}"
            if time.wall_clock_s is not None
            else None,
            "Evaluation during training": evaluation,
            "Speed": f"{', '.join(speeds)}{last}" if speeds else None,
            "Input tokens seen": _tokens_seen(record),
            "Floating-point operations": _operations(record),
            "Estimate of the operations that were needed": _estimate(record),
            "Share of the devices' peak": _peak(record),
            "Size of the saved weights": _saved_size(record.model),
            f"Size of a checkpoint, {state} the optimizer's state": _size(
                record.model.checkpoint_bytes
            ),
            "Peak GPU memory": peaks(record),
        }
    )


def _tokens_seen(record: RunRecord) -> str | None:
    time = record.time
    if time.tokens is None:
        return None
    padding = {True: ", padding included", False: ", without padding", None: ""}[
        time.tokens_with_padding
    ]
    return f"{units.count(time.tokens)}{padding}"


def _operations(record: RunRecord) -> str | None:
    flops, method = record.time.flops, record.time.flops_method
    if flops is None:
        return None
    resumed = ", of all steps, those before training was resumed included" if holes(record) else ""
    return f"{units.operations(flops)}{resumed}{f', counted as {escape(method)}' if method else ''}"


def _estimate(record: RunRecord) -> str | None:
    """Return the estimate, where it says something else than the Trainer's figure."""
    time = record.time
    if (
        time.flops_estimate is None
        or time.flops is None
        or abs(time.flops_estimate / time.flops - 1) < _SAME
    ):
        return None
    method = f" ({escape(time.flops_estimate_method)})" if time.flops_estimate_method else ""
    return f"{units.operations(time.flops_estimate)}{method}"


def _peak(record: RunRecord) -> str | None:
    share, method = record.time.peak_share, record.time.peak_share_method
    if share is None:
        return None
    return f"{units.number(100 * share, 2)} %{f' ({escape(method)})' if method else ''}"


def _saved_size(model: Model) -> str | None:
    """Return the size, the folder of an adapter that PEFT saved in one of its own, and whole weights beside it."""
    size = _size(model.saved_bytes)
    if size is None:
        return None
    configs = [name for name in model.saved_files if name.endswith("/adapter_config.json")]
    if len(configs) == 1:
        return f"{size}, in {code(configs[0].rpartition('/')[0] + '/')}"
    whole = [name for name in model.saved_files if name.startswith(_WHOLE_WEIGHTS)]
    if whole and any(name.startswith("adapter_model.") for name in model.saved_files):
        return f"{size} (the adapter; {code(whole[0])} beside it holds whole weights)"
    return size


def _size(saved_bytes: int | None) -> str | None:
    return None if saved_bytes is None else units.size(saved_bytes)
