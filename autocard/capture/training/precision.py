"""Number formats of training: the six terms of the Hub's template, by what the model holds.

The rule: T, the format of the trainable parameters, and A, the format that autocast or a sharding
policy imposes on the forward pass, decide the term; flags are believed only where the model bears
them out (fp16 on a CPU, say, imposes nothing). To be called when training begins: `*_full_eval`
casts weights later and says nothing about training.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from autocard.capture.observed import Observed
from autocard.capture.unwrap import quantization_of, without_wrappers
from autocard.errors import UnavailableError
from autocard.record import Precision, Regime, Scalar
from autocard.record.gaps import Part, PartBuilder

_NAMES = {
    "float32": "float32",
    "float": "float32",
    "fp32": "float32",
    "no": None,
    "float16": "float16",
    "half": "float16",
    "fp16": "float16",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "fp8": "fp8",
}
_HALF = {"float16": "fp16", "bfloat16": "bf16"}
_MIXED: dict[str, Regime] = {
    "float16": "fp16 mixed precision",
    "bfloat16": "bf16 mixed precision",
    "fp8": "fp8 mixed precision",
}
_NOT_MIXED: dict[str, Regime] = {
    "float16": "fp16 non-mixed precision",
    "bfloat16": "bf16 non-mixed precision",
}

_QUANTIZATION = {
    "quant_method": "method",
    "bits": "bits",
    "bnb_4bit_quant_type": "type",
    "bnb_4bit_compute_dtype": "compute_dtype",
    "bnb_4bit_use_double_quant": "double_quantization",
    "bnb_4bit_quant_storage": "storage_dtype",
    "group_size": "group_size",
    "desc_act": "desc_act",
    "sym": "symmetric",
    "version": "version",
    "weights": "weights",
    "nbits": "bits",
    "quant_type": "type",
    "fmt": "type",
}
"""Settings of transformers' quantization configurations → our names; the others are not told."""


@dataclass
class Formats:
    """How many values of each format the model holds."""

    trainable: Counter[str] = field(default_factory=Counter)
    """Format → numbers in trainable parameters."""
    frozen: Counter[str] = field(default_factory=Counter)
    """Format → numbers in frozen parameters; floating point only."""


_MOST_WRAPPERS = 32
"""Wrappers of a forward() that are searched."""


def capture(observed: Observed) -> Part[Precision]:
    """Return the number formats when training begins."""
    part = PartBuilder(Precision, "precision")
    formats, imposed = Formats(), None
    with part.guard("weights_dtype"):
        formats = count_formats(observed.model)
        part.fields["weights_dtype"] = _most(
            formats.trainable + formats.frozen, "the model has no floating-point weights"
        )
    with part.guard("trainable_dtype"):
        part.fields["trainable_dtype"] = _most(formats.trainable, "no parameter asks for gradients")
    with part.guard("quantization"):
        part.fields["quantization"] = _quantization(observed.model)
    with part.guard("compute_dtype"):
        imposed = imposed_format(observed)
        part.fields["compute_dtype"] = _compute(formats, imposed, part.fields.get("quantization"))
    with part.guard("regime"):
        part.fields["regime"], part.fields["note"] = term(
            formats, imposed, _sharded_in_fp32(observed, imposed)
        )
    with part.guard("tf32"):
        part.fields["tf32"] = _tf32(observed)
    part.put("note", part.fields.get("note"), "the term is exact")
    return part.build()


def count_formats(model: Any) -> Formats:
    """Return how many numbers *model* holds in each floating-point format."""
    found = Formats()
    for parameter in model.parameters():
        size = int(getattr(parameter, "ds_numel", None) or parameter.numel())
        if parameter.requires_grad:
            found.trainable[_name(parameter.dtype)] += size
        elif parameter.dtype.is_floating_point:
            found.frozen[_name(parameter.dtype)] += size
    return found


def term(
    formats: Formats,
    imposed: str | None,
    sharded_in_fp32: bool = False,  # noqa: FBT001, FBT002
) -> tuple[Regime, str | None]:
    """Return the term of the Hub's template and what it does not say (or None).

    *imposed* is the format of the forward pass by autocast, DeepSpeed or FSDP (None: that of the
    weights); *sharded_in_fp32* says that a sharding library keeps float32 masters beside the
    weights it shows.

    Raises:
        UnavailableError: none of the six terms fits.
    """
    if not formats.trainable:
        msg = "no parameter asks for gradients, so nothing was trained in any format"
        raise UnavailableError(msg)
    trained = _most(formats.trainable, "")
    some = _others(formats.trainable, trained)
    if imposed == "fp8":
        return _MIXED["fp8"], some
    if imposed in _MIXED and (trained == "float32" or sharded_in_fp32):
        return _MIXED[imposed], some
    if trained in _NOT_MIXED:
        notes = [some] if some else []
        if imposed in _HALF:
            notes.insert(
                0,
                f"autocast to {_HALF[imposed]}, weights and optimizer in {_HALF[trained]}",
            )
        return _NOT_MIXED[trained], "; ".join(notes) or None
    if trained != "float32":
        msg = f"trainable parameters in {trained}, for which the template has no term"
        raise UnavailableError(msg)
    base = _most(formats.frozen, "") if formats.frozen else None
    if base in _HALF:
        note = f"frozen base in {_HALF[base]}, trainable parameters in fp32, no autocast"
        return _MIXED[base], "; ".join(filter(None, (note, some)))
    return "fp32", some


def imposed_format(observed: Observed) -> str | None:
    """Return the format imposed on the forward pass (float16, bfloat16, fp8); None: none."""
    model = observed.model
    if _has_fp8_layers(model):
        return "fp8"
    deepspeed = _deepspeed(observed)
    if deepspeed is not None:
        return deepspeed or None
    policy = _sharding_policy(model)
    if policy is not None:
        return policy
    for wrapped in (model, without_wrappers(model)):
        if "_original_forward" in getattr(wrapped, "__dict__", {}):
            # accelerate wraps forward() in autocast and leaves the original here (accelerator.py,
            # prepare_model).
            found = _autocast_format(wrapped.forward)
            return found or _NAMES.get(str(observed.arguments.get("mixed_precision")))
    return None


def _autocast_format(forward: Any) -> str | None:
    """Return the format of the torch.autocast object inside a wrapped forward()."""
    waiting = [forward]
    for _ in range(_MOST_WRAPPERS):
        if not waiting:
            break
        function = waiting.pop()
        if _is_autocast(function) and hasattr(function, "fast_dtype"):
            return _name(function.fast_dtype) if getattr(function, "_enabled", True) else None
        waiting += _wrapped_by(function)
    return None


def _is_autocast(value: Any) -> bool:
    return type(value).__name__ == "autocast"


def _wrapped_by(function: Any) -> list[Any]:
    """Return the functions that *function* wraps, and the autocast objects in its closure."""
    names = ("__func__", "__wrapped__", "model_forward")
    attributes = [getattr(function, name, None) for name in names]
    contents = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return [value for value in attributes if value is not None] + [
        value for value in contents if _is_autocast(value) or callable(value)
    ]


def _has_fp8_layers(model: Any) -> bool:
    return any(
        type(module).__name__ == "Float8Linear"
        or type(module).__module__.startswith("transformer_engine")
        for module in model.modules()
    )


def _deepspeed(observed: Observed) -> str | None:
    """Return the format in DeepSpeed's configuration; "": float32, None: no DeepSpeed."""
    config = observed.trainer.deepspeed()
    if config is None:
        return None
    for key, flags in (("bf16", ("bf16", "bf16_full_eval")), ("fp16", ("fp16", "fp16_full_eval"))):
        enabled = config.get(key, {}).get("enabled", False)
        if enabled == "auto":
            enabled = any(observed.arguments.get(flag, False) for flag in flags)
        if enabled:
            return _NAMES[key]
    return ""


def _sharding_policy(model: Any) -> str | None:
    """Return the format of the parameters in FSDP's forward pass, as FSDP itself holds it."""
    policy = (
        getattr(model, "mixed_precision", None)
        if type(model).__name__ == "FullyShardedDataParallel"
        else None
    )
    if policy is None and any(cls.__name__ == "FSDPModule" for cls in type(model).__mro__):
        state = model._get_fsdp_state()  # noqa: SLF001 - FSDP2 has no other way to tell
        policy = getattr(state, "_mp_policy", None)
    dtype = getattr(policy, "param_dtype", None)
    name = None if dtype is None else _name(dtype)
    return name if name in _HALF else None


def _sharded_in_fp32(observed: Observed, imposed: str | None) -> bool:
    """Return whether DeepSpeed keeps float32 masters of half-precision weights."""
    return imposed is not None and bool(_deepspeed(observed))


def _compute(formats: Formats, imposed: str | None, quantization: dict[str, Scalar] | None) -> str:
    if imposed is not None:
        return imposed
    stored = (quantization or {}).get("compute_dtype")
    if isinstance(stored, str):
        return stored
    return _most(formats.trainable + formats.frozen, "the model has no floating-point weights")


def _quantization(model: Any) -> dict[str, Scalar] | None:
    settings = quantization_of(model)
    if settings is None:
        msg = "the base is not quantized"
        raise UnavailableError(msg)
    found: dict[str, Scalar] = {}
    for theirs, ours in _QUANTIZATION.items():
        value = settings.get(theirs)
        value = getattr(value, "value", value)
        if type(value).__name__ == "dtype":
            value = _name(value)
        if isinstance(value, str | int | float | bool):
            found.setdefault(ours, value)
    for bits in (4, 8):
        if settings.get(f"load_in_{bits}bit"):
            found["bits"] = bits
    if found.get("bits") == 8:  # noqa: PLR2004 - the 4-bit settings are there with their defaults, and mean nothing
        for name in ("type", "compute_dtype", "double_quantization", "storage_dtype"):
            found.pop(name, None)
    if isinstance(found.get("compute_dtype"), str):
        found["compute_dtype"] = _NAMES.get(str(found["compute_dtype"])) or found["compute_dtype"]
    return found


def _tf32(observed: Observed) -> bool:
    torch = sys.modules.get("torch")
    device = getattr(observed.device, "type", None)
    if torch is None or device != "cuda":
        msg = "TF32 is a format of NVIDIA GPUs, and training ran on none"
        raise UnavailableError(msg)
    matmul = torch.backends.cuda.matmul
    # torch 2.9 on; asking the old flag fails once the new one was set
    if hasattr(torch.backends, "fp32_precision"):
        return str(matmul.fp32_precision) == "tf32"
    return bool(matmul.allow_tf32)


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _most(formats: Counter[str], why_none: str) -> str:
    if not formats:
        raise UnavailableError(why_none)
    return max(sorted(formats), key=formats.__getitem__)


def _others(formats: Counter[str], most: str) -> str | None:
    """Return a note on trainable parameters of other formats than *most*, or None."""
    total = sum(formats.values())
    parts = [
        f"{size / total:.0%} of them in {name}"
        for name, size in sorted(formats.items())
        if name != most
    ]
    return f"trainable parameters mostly in {most}, {', '.join(parts)}" if parts else None
