"""The model inside its wrappers: DDP, torch.compile, FSDP, sentence-transformers, PEFT.

All captures get "the model itself" here, so it is the same object for all of them. Reads attributes
only, and imports neither torch nor peft: wrappers are identified by the names of their classes and
attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_INSIDE = {
    "OptimizedModule": "_orig_mod",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "DeepSpeedEngine": "module",
}
"""Class of a wrapper → the attribute that holds what it wraps."""

_DEPTH = 8
"""Most wrappers that are taken off one after the other."""


def without_wrappers(model: Any) -> Any:
    """Return *model* without wrappers for compiling, sharding and data parallelism.

    PEFT's and sentence-transformers' stay.
    """
    for _ in range(_DEPTH):
        attribute = _INSIDE.get(type(model).__name__)
        inside = getattr(model, attribute, None) if attribute else None
        if inside is None:
            return model
        model = inside
    return model


def is_sentence_transformer(model: Any) -> bool:
    """Return whether *model* is one of the sentence-transformers library's classes."""
    return any(
        cls.__module__.split(".")[0] == "sentence_transformers" for cls in type(model).__mro__
    )


def is_peft_model(model: Any) -> bool:
    """Return whether *model* is a PeftModel or a PeftMixedModel (native adapters are neither)."""
    return any(cls.__name__ in {"PeftModel", "PeftMixedModel"} for cls in type(model).__mro__)


def adapted(model: Any) -> Any | None:
    """Return the object that has PEFT's configurations (`peft_config`); None: no adapter."""
    whole = without_wrappers(model)
    inner = whole
    if is_sentence_transformer(whole):
        inner = without_wrappers(getattr(whole, "transformers_model", None))
    if inner is None:
        return None
    native = bool(getattr(inner, "_hf_peft_config_loaded", False))
    if not is_peft_model(inner) and not native:
        return None
    configs = getattr(inner, "peft_config", None)
    return inner if isinstance(configs, Mapping) and configs else None


def core(model: Any) -> Any:
    """Return the innermost model: its class is the architecture, its `config` has the dimensions.

    A sentence-transformers model without a transformer inside is returned itself.
    """
    inner = without_wrappers(model)
    if is_sentence_transformer(inner):
        inner = without_wrappers(getattr(inner, "transformers_model", None) or inner)
    if not is_peft_model(inner):
        return inner
    base = getattr(inner, "base_model", inner)
    # A tuner (LoraModel, …) holds the model as `.model` (X-LoRA: its LoraModel); prompt learning
    # puts the model there.
    for _ in range(_DEPTH):
        if not type(base).__module__.startswith("peft.tuners"):
            break
        base = getattr(base, "lora_model", None) or base.model
    return without_wrappers(base)


def class_of(model: Any) -> type:
    """Return the class of *model* as its author wrote it; FSDP2 makes a subclass of it."""
    cls = type(model)
    bases = cls.__bases__
    if cls.__name__.startswith("FSDP") and len(bases) > 1 and bases[0].__name__ == "FSDPModule":
        return bases[1]
    return cls


def backbone(model: Any) -> Any | None:
    """Return the transformers model that *model* is, or the only one inside the user's module."""
    inner = core(model)
    if _is_transformers(inner):
        return inner
    if inner is None or not hasattr(inner, "named_children"):
        return None
    found = list(_transformers_inside(inner))
    return found[0] if len(found) == 1 else None


def original_name(name: str) -> str:
    """Return the *name* that a parameter had before PEFT put its layers around it."""
    return name.replace(".base_layer", "").replace(".original_module", "")


def _is_transformers(model: Any) -> bool:
    return any(cls.__name__ == "PreTrainedModel" for cls in type(model).__mro__)


def _transformers_inside(module: Any) -> Iterator[Any]:
    """Yield the outermost transformers models in *module*, each once."""
    for child in module.children():
        inner = core(child)
        if _is_transformers(inner):
            yield inner
        else:
            yield from _transformers_inside(inner)


def config_of(model: Any) -> Any | None:
    """Return the transformers configuration of *model*, or of the one model inside it."""
    config = getattr(core(model), "config", None)
    if not hasattr(config, "model_type"):
        config = getattr(backbone(model), "config", None)
    return config if hasattr(config, "to_dict") and hasattr(config, "model_type") else None


def quantization_of(model: Any) -> dict[str, Any] | None:
    """Return the quantization settings of the core; transformers has an object or a dictionary."""
    inner = core(model)
    settings = getattr(getattr(inner, "hf_quantizer", None), "quantization_config", None)
    if settings is None:
        settings = getattr(getattr(inner, "config", None), "quantization_config", None)
    if settings is None:
        return None
    if isinstance(settings, Mapping):
        return dict(settings)
    found = dict(settings.to_dict()) if hasattr(settings, "to_dict") else {}
    # Properties of the object win: to_dict leaves out what is at its default.
    for name in ("quant_method", "load_in_4bit", "load_in_8bit"):
        if hasattr(settings, name):
            found[name] = getattr(settings, name)
    return found
