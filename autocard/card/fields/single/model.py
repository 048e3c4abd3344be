"""Single figures of the model: method, adapter, sizes, dimensions."""

from __future__ import annotations

from typing import Any

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.base import from_scratch, is_untrained
from autocard.card.fields.single.values import EXACT, fact, memory, tokens
from autocard.card.fields.words import joined, quantization
from autocard.card.quantity import Quantity
from autocard.record import Adapter, Model, RunRecord

_NO_LORA = "none (no LoRA adapter)"
_DIMENSIONS = {
    "layers": ("layers",),
    "hidden_size": ("hidden_size",),
    "attention_heads": ("attention_heads",),
    "vocabulary_size": ("vocabulary",),
}
"""Fact → its names among the dimensions of a model."""
_MILLION = 10**6


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the figures of the model and its adapters, one by one."""
    model = record.model
    found = {
        "method": fact(method(record)),
        "lora_r": _lora(record, "r"),
        "lora_alpha": _lora(record, "lora_alpha"),
        "lora_dropout": _lora(record, "lora_dropout"),
        "lora_target_modules": _lora(record, "target_modules"),
        "lora_bias": _lora(record, "bias"),
        "modules_to_save": _lora(record, "modules_to_save"),
        "quantization": _quantization(record),
        "parameters_total": _count(model.parameters_total),
        "parameters_trainable": _trainable(record),
        "model_size": _size(model),
        "saved_size": memory(model.saved_bytes),
        "architecture": fact(code(model.architecture) if model.architecture else None),
        "task": fact(escape(model.task) if model.task else None),
        "context_length": tokens(model.dims.get("context_length")),
        "library": fact(escape(model.library_name) if model.library_name else None),
    }
    for name, keys in _DIMENSIONS.items():
        size = next((model.dims[key] for key in keys if key in model.dims), None)
        found[name] = None if size is None else Fact(units.count(size))
    return found


def method(record: RunRecord) -> str | None:
    """Return how the weights were changed: "LoRA on a quantized base, aligned with DPO"."""
    if is_untrained(record):
        return None
    how = _adapters(record) or _whole_weights(record.model)
    purpose = escape(record.training.purpose) if record.training.purpose else None
    return joined([how, purpose]) or None


def _adapters(record: RunRecord) -> str | None:
    names = dict.fromkeys(adapter.method for adapter in record.adapters if adapter.method)
    text = " and ".join(map(escape, names))
    if not text:
        return None
    bits = (record.precision.quantization or {}).get("bits")
    if record.precision.quantization:
        text += f" on a {bits}-bit base" if bits else " on a quantized base"
    return text


def _whole_weights(model: Model) -> str | None:
    """Return whether all weights were trained, where there is no adapter."""
    total, trained = model.parameters_total, model.parameters_trainable
    if from_scratch(model):
        return "training from scratch"
    if total is None or trained is None or not (model.base_model or model.base_model_description):
        return None
    if trained == total:
        return "full fine-tuning"
    return f"fine-tuning of {units.percent(trained, total)} of the parameters" if total else None


# -- adapters --------------------------------------------------------------------------------------


def _lora(record: RunRecord, name: str) -> Fact | None:
    """Return a setting of the LoRA adapter; of several adapters, those of each."""
    if record.why_missing("adapters") or record.model.parameters_total is None:
        return None
    adapters = [adapter for adapter in record.adapters if name in adapter.config]
    if not adapters:
        has_settings = any("r" in adapter.config for adapter in record.adapters)
        return Fact("none" if has_settings else _NO_LORA)
    values = {adapter.name: _value(adapter, name) for adapter in adapters}
    if len(set(values.values())) == 1:
        return Fact(next(iter(values.values())))
    return Fact(joined(f"{value} ({code(adapter)})" for adapter, value in values.items()))


def _value(adapter: Adapter, name: str) -> str:
    value: Any = adapter.config[name]
    if isinstance(value, list):
        return ", ".join(code(str(item)) for item in value) or "none"
    if isinstance(value, float):
        return units.shortest(value)
    return "none" if value is None else escape(str(value))


def _quantization(record: RunRecord) -> Fact | None:
    if record.why_missing("precision.quantization") or record.precision.weights_dtype is None:
        return None
    return Fact(quantization(record.precision.quantization) or "none")


# -- sizes -----------------------------------------------------------------------------------------


def _exactly(count: int) -> str:
    """Return a count; a large one in words, too: 22.7 M (22,713,216)."""
    if count < _MILLION:
        return units.count(count)
    return f"{units.amount(count)} ({units.count(count)})"


def _count(count: int | None) -> Fact | None:
    if count is None:
        return None
    return Fact(_exactly(count), quantities=(Quantity(count, "count", EXACT),))


def _trainable(record: RunRecord) -> Fact | None:
    """Return the parameters that were trained, and their share."""
    model = record.model
    total, trained = model.parameters_total, model.parameters_trainable
    if trained is None or is_untrained(record):
        return None
    share = f" ({units.percent(trained, total)})" if total else ""
    counted = Quantity(trained, "count", EXACT, after=share)
    return Fact(_exactly(trained) + share, quantities=(counted,))


def _size(model: Model) -> Fact | None:
    """Return the parameters, or where bytes are asked for the size of the saved weights."""
    total = model.parameters_total
    if total is None:
        return None
    quantities = [Quantity(total, "count", EXACT)]
    if model.saved_bytes is not None:
        quantities.append(Quantity(model.saved_bytes, "memory"))
    return Fact(f"{_exactly(total)} parameters", quantities=tuple(quantities))
