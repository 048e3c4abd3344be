"""PEFT adapters: method and settings, by allow-list.

Only active adapters are recorded (TRL keeps a frozen "ref" beside the one it trains). A setting
that is not on the list is left out: configurations hold paths, prompts and token texts.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from autocard.capture.model import adapter_layers, continued_adapter
from autocard.capture.model.peft_names import ALLOWED, INITIALIZATIONS, METHODS, VARIANTS
from autocard.capture.observed import Observed
from autocard.capture.unwrap import adapted, core, quantization_of
from autocard.record import Adapter
from autocard.record.gaps import Part, PartBuilder, joined

_OF_ADAPTERS = frozenset({"base_layer", "modules_to_save", "original_module"})
"""Names that PEFT gives to modules that it puts inside the model's."""
_MODULES = ("target_modules", "exclude_modules", "modules_to_save", "feedforward_modules")


def capture(observed: Observed) -> Part[list[Adapter]]:
    """Return the active adapters; an empty list where none is trained, as in a full fine-tune."""
    holder = adapted(observed.model)
    if holder is None or not adapter_layers.is_trained(holder):
        return Part([])
    return joined(_one(name, holder, observed) for name in _active(holder))


def _one(name: str, holder: Any, observed: Observed) -> Part[Adapter]:
    part = PartBuilder(Adapter, f"adapters.{name}")
    part.fields["name"] = name
    settings = holder.peft_config[name]
    with part.guard("method"):
        part.fields["method"] = method_of(settings, quantization_of(observed.model))
    with part.guard("config"):
        part.fields["config"] = _config(name, holder, core(observed.model))
    with part.guard("continued"):
        part.fields.update(_before(name, settings, observed))
    with part.guard("peft_version_created"):
        created = _text(getattr(settings, "peft_version", None))
        why = "the PEFT version that made the configuration did not record itself"
        part.put("peft_version_created", created, why)
    with part.guard("peft_version_runtime"):
        runtime = _text(getattr(sys.modules.get("peft"), "__version__", None))
        part.put("peft_version_runtime", runtime, "peft was not imported by the run")
    return part.build()


def _before(name: str, settings: Any, observed: Observed) -> dict[str, Any]:
    """Return what is known of an earlier training of the adapter, in another process and run.

    Earlier trainings of this process or run are recorded elsewhere.
    """
    inner, start = core(observed.model), observed.start
    if start.resumed or start.trained_before:
        return {}
    if not continued_adapter.is_continued(inner, name, settings):
        return {}
    earlier_run = continued_adapter.run_before(inner, name, observed.output_dir)
    return {"continued": True, "earlier_run": earlier_run}


def _active(holder: Any) -> list[str]:
    """Return the names of the active adapters, in the order in which they were made.

    X-LoRA is one adapter: those that it mixes are its parts, though PEFT calls them active.
    """
    mixers = [name for name, settings in holder.peft_config.items() if _kind(settings) == "XLORA"]
    if mixers:
        return mixers
    names = getattr(holder, "active_adapters", None)
    if callable(names):  # native adapters: a method
        names = names()
    if isinstance(names, str):
        names = [names]
    active = [name for name in holder.peft_config if name in set(names or ())]
    if active:
        return active
    chosen = getattr(holder, "active_adapter", None)
    if isinstance(chosen, str) and chosen in holder.peft_config:
        return [chosen]
    return list(holder.peft_config)


def _kind(settings: Any) -> str:
    return str(getattr(settings.peft_type, "value", settings.peft_type))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _plain(value: Any) -> Any:
    """Return *value* as JSON has it, in a fixed order; enums become their values."""
    value = getattr(value, "value", value)
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    return value if isinstance(value, str | int | float | bool) or value is None else None


def _config(name: str, holder: Any, model: Any) -> dict[str, Any]:
    """Return the settings of the adapter *name* as they took effect."""
    settings = holder.peft_config[name]
    found = {}
    # Its fields only: PEFT sets more attributes while it runs.
    fields = {entry.name for entry in dataclasses.fields(settings)}
    for field in sorted((ALLOWED & fields) - _without_effect(settings)):
        value = _plain(getattr(settings, field, None))
        if field in adapter_layers.DERIVED and value in (0, None):
            value = adapter_layers.derived(model, name, field)
        if value is None or value in ([], {}):
            continue
        found[field] = sorted(value) if field in _MODULES and isinstance(value, list) else value
    if isinstance(found.get("target_modules"), list):
        targets = adapter_layers.reached(found["target_modules"], model, name)
        found["target_modules"] = _short(targets, model)
    if isinstance(found.get("modules_to_save"), list):
        found["modules_to_save"] = _there(found["modules_to_save"], model)
    parts = _parts(name, holder)
    return {**found, "mixed_adapters": parts} if parts else found


def _without_effect(settings: Any) -> set[str]:
    """Return the settings that configurations of this kind have and this one does not use."""
    kind = _kind(settings)
    if kind == "ADALORA":
        return {"r"}  # init_r and target_r are its ranks (peft, tuners/adalora/config.py)
    if kind == "PREFIX_TUNING" and not getattr(settings, "prefix_projection", False):
        return {"encoder_hidden_size"}  # there is no encoder
    encoder = _plain(getattr(settings, "encoder_reparameterization_type", None))
    if kind == "P_TUNING" and encoder == "MLP":
        return {"encoder_num_layers", "encoder_dropout"}  # those of the LSTM
    return set()


def _parts(name: str, holder: Any) -> list[str]:
    """Return the adapters that the X-LoRA adapter *name* mixes: name, method, rank."""
    if _kind(holder.peft_config[name]) != "XLORA":
        return []
    parts = [
        (part, settings)
        for part, settings in holder.peft_config.items()
        if _kind(settings) != "XLORA"
    ]
    return [f"{part} ({method_of(settings)}, r = {settings.r})" for part, settings in parts]


def _there(names: list[str], model: Any) -> list[str]:
    """Return those of *names* that *model* has.

    For a classifier PEFT names both "classifier" and "score".
    """
    if not hasattr(model, "named_modules"):
        return names
    modules = [f".{name}" for name, _ in model.named_modules()]
    return [name for name in names if any(module.endswith(f".{name}") for module in modules)]


def _short(names: list[str], model: Any) -> list[str]:
    """Return *names* without the path through the layers, where all modules of a name are meant.

    PEFT turns "all-linear" into the full name of each layer of each block.
    """
    if not any("." in name for name in names) or not hasattr(model, "named_modules"):
        return names
    there = Counter(name.rpartition(".")[2] for name, _ in model.named_modules() if _is_place(name))
    meant = Counter(name.rpartition(".")[2] for name in names)
    whole = {last for last, times in meant.items() if times == there[last]}
    return sorted(whole | {name for name in names if name.rpartition(".")[2] not in whole})


def _is_place(name: str) -> bool:
    """Return whether *name* is a module of the model itself and not of an adapter inside it."""
    return _OF_ADAPTERS.isdisjoint(name.split("."))


def allowed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings on the list of an adapter's saved configuration."""
    found = {name: _plain(settings[name]) for name in sorted(ALLOWED & settings.keys())}
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def method_of(settings: Any, quantization: Mapping[str, Any] | None = None) -> str:
    """Return the method of an adapter in words; *quantization*: settings of its base."""
    kind = _kind(settings)
    if kind != "LORA":
        return METHODS.get(kind, kind)
    method = "DoRA" if getattr(settings, "use_dora", False) else "LoRA"
    if quantization is not None and quantization.get("load_in_4bit"):
        method = f"Q{method}"
    extras = [words for name, words in VARIANTS.items() if getattr(settings, name, None)]
    start = getattr(settings, "init_lora_weights", None)
    if isinstance(start, str):
        extras += [words for key, words in INITIALIZATIONS.items() if start.lower().startswith(key)]
    return f"{method} ({', '.join(extras)})" if extras else method
