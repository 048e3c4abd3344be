"""Adapters in words: method, version, settings, without what is switched off."""

from __future__ import annotations

import json
from typing import Any

from autocard import units
from autocard.card.fact import code, escape
from autocard.card.fields.words import inline
from autocard.record import Adapter, RunRecord

_SETTINGS = {
    "r": "r",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "target_modules": "target modules",
    "modules_to_save": "fully trained modules",
    "bias": "bias",
    "num_virtual_tokens": "virtual tokens",
    "mixed_adapters": "adapters mixed",
}
"""Adapter settings with a plainer name than PEFT's, in the order of the card; the others follow."""

_IN_METHOD = {
    "use_dora": "dora",
    "use_rslora": "rank-stabili",  # records of version 0.1.0 spell it with an s
    "use_qalora": "qa-lora",
    "use_bdlora": "bd-lora",
}
"""Settings that the method's name has already → how it has them, in lower case."""

_ON_BY_DEFAULT = frozenset({"init_lora_weights", "init_weights", "init_ia3_weights"})
"""Settings whose default is on: the adapter starts as one that changes nothing."""


def adapter_label(record: RunRecord, adapter: Adapter) -> str:
    """Return the label of *adapter*, with its name where there are several."""
    label = "Adapter" if len(record.adapters) == 1 else f"Adapter {code(adapter.name)}"
    if record.model.adapters_merged:
        label += " (merged into the saved weights)"
    return label


def adapter_text(adapter: Adapter) -> str:
    """Return method and settings."""
    method = escape(adapter.method) if adapter.method else "method not recorded"
    text = f"{method}{_versions(adapter)}{_continued(adapter)}"
    settings = _telling_settings(adapter)
    order = [name for name in _SETTINGS if name in settings]
    order += sorted(settings.keys() - _SETTINGS.keys())
    words = "; ".join(_setting(name, settings[name]) for name in order)
    return f"{text}: {words}" if words else text


def _continued(adapter: Adapter) -> str:
    if not adapter.continued:
        return ""
    if adapter.earlier_run:
        return f", continued from the adapter of run {escape(adapter.earlier_run)}"
    return ", continued from a previously trained adapter"


def _versions(adapter: Adapter) -> str:
    """Return the PEFT that ran, and the one that made the configuration where that is another."""
    ran, made = adapter.peft_version_runtime, adapter.peft_version_created
    if not ran:
        return ""
    other = f", configuration created with PEFT {inline(made)}" if made and made != ran else ""
    return f" (PEFT {inline(ran)}{other})"


def _telling_settings(adapter: Adapter) -> dict[str, Any]:
    """Return the settings that are not off and not at a default that changes nothing."""
    telling = {}
    method = (adapter.method or "").lower()
    for name, value in adapter.config.items():
        if _is_in_method(name, value, method):
            is_telling = False
        elif name in _ON_BY_DEFAULT:
            is_telling = value is not True
        else:
            is_off = value is None or value is False or value in ([], {}, "", "none")
            is_telling = not is_off and name != "task_type"
        if is_telling:
            telling[name] = value
    return telling


def _is_in_method(name: str, value: Any, method: str) -> bool:
    """Return whether *method*, in lower case, names the setting: "LoRA (PiSSA)", "DoRA"."""
    if name in _IN_METHOD:
        return _IN_METHOD[name] in method
    return name == "init_lora_weights" and isinstance(value, str) and value.lower() in method


def _setting(name: str, value: Any) -> str:
    label = _SETTINGS.get(name, code(name))
    if isinstance(value, list):
        return f"{label}: {', '.join(code(str(item)) for item in value)}"
    if value is True:
        return label if name in _SETTINGS else f"{label} on"
    if isinstance(value, dict):
        return f"{label} = {code(json.dumps(value, ensure_ascii=False))}"
    if isinstance(value, float):
        value = units.setting(value)
    return f"{label} = {escape(value) if isinstance(value, str) else value}"
