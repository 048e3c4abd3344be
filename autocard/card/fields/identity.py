"""What the model is: title, summary, type, base, architecture, size, adapter, code."""

from __future__ import annotations

import re

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.adapter import adapter_label, adapter_text
from autocard.card.fields.base import UNTRAINED, base, is_untrained
from autocard.card.fields.model_summary import model_summary
from autocard.card.fields.words import bullets, commit, joined, listed, quantization
from autocard.record import Code, Model, RunRecord

_DIMENSIONS = {
    "hidden_size": "hidden size",
    "head_size": "head size",
    "query_key_head_size": "query-key head size",
    "value_head_size": "value head size",
    "intermediate_size": "intermediate size",
    "vocabulary": "vocabulary size",
    "context_length": "context length",
    "expert_intermediate_size": "expert intermediate size",
    "shared_expert_intermediate_size": "shared expert intermediate size",
    "state_size": "state size",
    "image_size": "image size",
    "patch_size": "patch size",
}
"""Dimensions that stand before their number: hidden size 384."""
_COUNTED = {
    "layers": ("layer", "layers"),
    "decoder_layers": ("decoder layer", "decoder layers"),
    "attention_heads": ("attention head", "attention heads"),
    "key_value_heads": ("key-value head", "key-value heads"),
    "experts": ("expert", "experts"),
    "experts_per_token": ("expert per token", "experts per token"),
    "shared_experts": ("shared expert", "shared experts"),
}
"""Dimensions that stand after their number, one and many: 6 layers."""

_PUBLIC_URL = re.compile(r"https?://[\w.~/:%+-]+", re.ASCII)
"""A remote that can be a link: https://github.com/org/repo; not git@host:repo."""

_MAX_LABELS = 30
"""Label names that are shown."""

_POLICY = ("aligned", "trained with", "distilled")
"""How the purposes begin that say more of a model than its task."""

_MILLION = 10**6
"""From here on a count stands in words, too."""


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that describe the model."""
    model = record.model
    return {
        "model_id": Fact(escape(model.name)) if model.name else None,
        "model_summary": model_summary(record),
        "model_type": _type(record),
        "base_model": base(record),
        "repo": _repo(record),
        "parameters": _as_fact(parameters(record)),
        "model_specs": _specs(record),
    }


def parameters(record: RunRecord) -> str | None:
    """Return the number of parameters, and how many of them were trained."""
    total, trained = record.model.parameters_total, record.model.parameters_trainable
    if is_untrained(record):
        return None if total is None else f"{_exactly(total)}, none {UNTRAINED}"
    if total is None:
        return None if trained is None else f"{_exactly(trained)} trained"
    if trained is None:
        return _exactly(total)
    if trained == total:
        return f"{_exactly(total)}, all trained"
    share = f" ({units.percent(trained, total)})" if total else ""
    return f"{_exactly(total)} in total, {_exactly(trained)} trained{share}"


def _exactly(number: int) -> str:
    """Return a count exactly, and a large one in words before: 22.7 M (22,713,216)."""
    if number < _MILLION:
        return units.count(number)
    return f"{units.amount(number)} ({units.count(number)})"


def _as_fact(line: str | None) -> Fact | None:
    return None if line is None else Fact(line)


def _type(record: RunRecord) -> Fact | None:
    """Return type, class and task; of a model that was aligned, that it was, and how."""
    model = record.model
    names = [code(name) for name in (model.model_type, model.architecture) if name]
    if not names:
        return None
    text = names[0]
    if len(names) > 1:
        text += f" ({names[1]})"
    task = _task_or_purpose(record)
    return Fact(f"{text}, {escape(task)}" if task else text)


def _task_or_purpose(record: RunRecord) -> str | None:
    purpose = "" if is_untrained(record) else record.training.purpose
    if not purpose.startswith(_POLICY):
        return record.model.task
    # "causal language modeling" is what it does; "causal language model aligned by DPO" what it is.
    noun = (record.model.task or "").replace("modeling", "model")
    return joined([noun, purpose], " ")


def _repo(record: RunRecord) -> Fact | None:
    """Return where the code is; without a public address a commit alone leads nowhere."""
    ran = record.code
    if not ran.remote:
        return None
    where = _remote(ran.remote)
    if ran.script:
        where += f", {code(ran.script)}"
    if ran.commit:
        where += f", at {code_commit(ran)}"
    if ran.note:
        where += f" ({escape(ran.note)})"
    return Fact(where)


def _remote(remote: str) -> str:
    if _PUBLIC_URL.fullmatch(remote) is None:
        return code(remote)
    shown = re.sub(r"^https?://", "", remote)
    return f"[{escape(shown)}]({remote})"


def code_commit(ran: Code) -> str:
    """Return the commit of the code, and whether other code ran."""
    changed = " with uncommitted changes" if ran.dirty else ""
    return f"{commit(ran.commit or '')}{changed}"


# -- specifications --------------------------------------------------------------------------------


def _specs(record: RunRecord) -> Fact | None:
    model, was_trained = record.model, not is_untrained(record)
    has_unsaved = was_trained and not model.adapters_merged
    unsaved = f"{'Also trained' if record.adapters else 'Trained'} but not saved with the adapter"
    entries = {
        "Architecture": _architecture(model),
        "Dimensions": _dimensions(model),
        "Labels": _labels(model.labels),
        "Parameters": parameters(record),
        "Trained modules": _modules(model.trained_modules if was_trained else []),
        "Trained only in some steps": _modules(model.trained_in_some_steps),
        unsaved: _modules(model.trained_unsaved if has_unsaved else []),
        "Objective": escape(record.training.objective) if record.training.objective else None,
        "Data types": _formats(record),
        "Quantization of the base model": quantization(record.precision.quantization),
    }
    for adapter in record.adapters:
        entries[adapter_label(record, adapter)] = adapter_text(adapter)
    block = bullets(entries)
    if block is None:
        return None
    count = f"parameters: {entries['Parameters']}" if entries["Parameters"] else None
    line = joined([entries["Architecture"], entries["Dimensions"], count], "; ")
    return Fact(line or " ".join(block.removeprefix("- ").split("\n- ")), block)


def _architecture(model: Model) -> str | None:
    if not model.architecture:
        return None
    kind = f" ({code(model.model_type)})" if model.model_type else ""
    return f"{code(model.architecture)}{kind}"


def _modules(names: list[str]) -> str | None:
    return ", ".join(code(name) for name in names) or None


def _formats(record: RunRecord) -> str | None:
    """Return the data types of weights, trained parameters and computation.

    One alone is the regime, which stands elsewhere.
    """
    precision = record.precision
    weights = "unquantized weights" if precision.quantization else "weights"
    formats = {
        weights: precision.weights_dtype,
        "trained parameters": precision.trainable_dtype,
        "computation": precision.compute_dtype,
        "saved weights": _saved_dtype(record),
    }
    known = {name: code(dtype) for name, dtype in formats.items() if dtype}
    if len(known) <= 1:
        return None
    dtypes = set(known.values())
    if len(dtypes) == 1:
        return f"{dtypes.pop()} for {listed(known)}"
    return ", ".join(f"{name} {dtype}" for name, dtype in known.items())


def _saved_dtype(record: RunRecord) -> str | None:
    """Return the format of the saved weights where it is not the one that they were trained in."""
    precision, model = record.precision, record.model
    is_adapter = bool(record.adapters) and not model.adapters_merged
    if precision.quantization and not is_adapter:
        return None  # a quantized base is not saved as it was kept
    trained = precision.trainable_dtype if is_adapter else precision.weights_dtype
    if trained is None or model.saved_dtype == trained:
        return None
    return model.saved_dtype


def _dimensions(model: Model) -> str | None:
    """Return the dimensions; of a model of parts, those of each part behind its name."""
    if not model.parts:
        return _sizes(model.dims)
    parts = []
    for name, dims in model.parts.items():
        sizes = _sizes(dims)
        if sizes:
            parts.append(f"{escape(name.replace('_', ' '))}: {sizes}")
    return "; ".join(parts) or None


def _sizes(dims: dict[str, int]) -> str | None:
    return ", ".join(_dimension(*item) for item in dims.items()) or None


def _dimension(name: str, value: int) -> str:
    if name in _COUNTED:
        return units.plural(value, *_COUNTED[name])
    return f"{_DIMENSIONS.get(name, name.replace('_', ' '))} {units.count(value)}"


def _labels(labels: list[str]) -> str | None:
    if not labels:
        return None
    names = ", ".join(escape(label) for label in labels[:_MAX_LABELS])
    more = len(labels) - _MAX_LABELS
    if more > 0:
        names += f" and {units.count(more)} more"
    return f"{names} ({units.plural(len(labels), 'label')})"
