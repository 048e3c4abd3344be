"""PEFT adapters: method and settings, by allow-list.

Only adapters that are active are told (TRL keeps a frozen "ref" beside the one it trains). A
setting that is not on the list is not told: configurations hold paths, prompts and token texts.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from autocard.capture.model import adapter_layers, continued_adapter
from autocard.capture.observed import Observed
from autocard.capture.unwrap import adapted, core, quantization_of
from autocard.record import Adapter
from autocard.record.gaps import Part, PartBuilder, joined

_METHODS = {
    "LORA": "LoRA",
    "ADALORA": "AdaLoRA",
    "IA3": "IA³",
    "LOHA": "LoHa",
    "LOKR": "LoKr",
    "OFT": "OFT",
    "BOFT": "BOFT",
    "HRA": "HRA",
    "VERA": "VeRA",
    "VBLORA": "VB-LoRA",
    "RANDLORA": "RandLoRA",
    "FOURIERFT": "FourierFT",
    "XLORA": "X-LoRA",
    "MISS": "MiSS",
    "C3A": "C3A",
    "ROAD": "RoAd",
    "SHIRA": "SHiRA",
    "LN_TUNING": "LN tuning",
    "POLY": "Polytropon",
    "TRAINABLE_TOKENS": "trainable tokens",
    "PROMPT_TUNING": "prompt tuning",
    "MULTITASK_PROMPT_TUNING": "multitask prompt tuning",
    "P_TUNING": "P-tuning",
    "PREFIX_TUNING": "prefix tuning",
    "ADAPTION_PROMPT": "adaption prompt (LLaMA-Adapter)",
    "CPT": "context-aware prompt tuning",
    "CARTRIDGE": "Cartridge (trained key-value prefix)",
    "ADAMSS": "AdaMSS",
    "BEFT": "BEFT",
    "DEFT": "DEFT",
    "DELORA": "DeLoRA",
    "FROD": "FRoD",
    "GLORA": "GLoRA",
    "GRALORA": "GraLoRA",
    "HIRA": "HiRA",
    "LILY": "Lily",
    "OSF": "OSF",
    "PEANUT": "PEANuT",
    "PSOFT": "PSOFT",
    "PVERA": "PVeRA",
    "SHADOW": "Shadow",
    "SUPERTUNING": "Supertuning",
    "TINYLORA": "TinyLoRA",
    "UNILORA": "UniLoRA",
    "WAVEFT": "WaveFT",
}
"""PEFT's names → the methods' own; of those not listed, PEFT's name is told."""

_LORA = """
r lora_alpha lora_dropout target_modules exclude_modules target_parameters bias use_dora use_rslora use_qalora
init_lora_weights rank_pattern alpha_pattern modules_to_save layers_to_transform layers_pattern layer_replication
lora_bias fan_in_fan_out trainable_token_indices ensure_weight_tying task_type
"""

_OTHERS = """
alpha apply_GS block_share block_size boft_block_num boft_block_size boft_dropout boft_n_butterfly_factor coft
d_initial decompose_both decompose_factor delora_lambda depth effective_rank encoder_dropout encoder_hidden_size
encoder_num_layers encoder_reparameterization_type feedforward_modules gralora_dropout gralora_k group_size
hira_dropout hybrid_r init_ia3_weights init_r init_weights lambda_pattern mask_type mini_r miss_dropout
module_dropout n_frequency n_skills n_splits n_tasks num_ranks num_tasks num_vectors num_virtual_tokens
oft_block_size poly_type prefix_projection projection_prng_key prompt_tuning_init proportional_parameters
randlora_alpha randlora_dropout rank_dropout scaling sparse sparsity target_r tfinal tinit token_indices topk
top_k_lora unilora_dropout use_effective_conv2d variant vblora_dropout vector_length vera_dropout very_sparse
adapter_layers adapter_len deltaT orth_reg_weight total_step xlora_depth xlora_dropout_p xlora_size
ab_svd_init act_fn auxiliary_loss_weight beta1 beta2 block_size_pattern cayley_neumann_eps decomposition_method
deft_dropout eps frod_dropout generator_seed global_scaling_weight init_logits_std init_scale init_theta_d_bound
init_v_bound init_vector_bank_bound layerwise_scalings n_frequency_pattern num_B num_cayley_neumann_terms
num_frozen_tokens num_subspaces opt_loss_decay_factor opt_weighted_loss_type para proj_seed projection_seed
prompt_tuning_init_task psoft_alpha psoft_dropout psoft_mag_a psoft_mag_b psoft_orth pvera_dropout
random_loc_seed random_seed rank_dropout_scale regularization_alpha select_top shadow_alpha shadow_dropout
shadow_hidden_size shadow_intermediate_size shadow_num_attention_heads shadow_num_hidden_layers share_embeddings
softmax_temperature sparse_rate stride_A subspace_rank svd_threshold theta_d_length tinylora_dropout u
update_hidden_size use_asa use_cayley_neumann use_dynamic_rank use_idwt use_trainable_adapters wavelet_family
weight_tying
"""

ALLOWED = frozenset((_LORA + _OTHERS).split())
"""Settings that may be told: numbers, flags, words of PEFT's own, and names of modules."""

_INITIALISATION = {
    "pissa": "PiSSA",
    "olora": "OLoRA",
    "corda": "CorDA",
    "eva": "EVA",
    "loftq": "LoftQ",
    "lora_ga": "LoRA-GA",
    "orthogonal": "orthogonal start",
    "mica": "MiCA",
}
_VARIANTS = {
    "use_rslora": "rank-stabilised",
    "use_qalora": "QA-LoRA",
    "alora_invocation_tokens": "activated: aLoRA",
    "arrow_config": "Arrow routing",
    "use_bdlora": "block-diagonal: BD-LoRA",
    "kasa_config": "KaSA",
    "velora_config": "VeLoRA",
    "monteclora_config": "MonteCLoRA",
}
"""Settings of LoraConfig that make a variant of it → its name (peft, tuners/lora/config.py)."""
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
        part.fields["method"] = _method(settings, quantization_of(observed.model))
    with part.guard("config"):
        part.fields["config"] = _config(name, holder, core(observed.model))
    with part.guard("continued"):
        part.fields.update(_before(name, settings, observed))
    with part.guard("peft_version_created"):
        created = _text(getattr(settings, "peft_version", None))
        why = "this configuration was made by a peft that did not say"
        part.put("peft_version_created", created, why)
    with part.guard("peft_version_runtime"):
        runtime = _text(getattr(sys.modules.get("peft"), "__version__", None))
        part.put("peft_version_runtime", runtime, "peft was not imported by the run")
    return part.build()


def _before(name: str, settings: Any, observed: Observed) -> dict[str, Any]:
    """Return what is known of an earlier training of the adapter; one of this process or run is told elsewhere."""
    inner, start = core(observed.model), observed.start
    if (
        start.resumed
        or start.trained_before
        or not continued_adapter.is_continued(inner, name, settings)
    ):
        return {}
    return {
        "continued": True,
        "earlier_run": continued_adapter.run_before(inner, name, observed.output_dir),
    }


def _active(holder: Any) -> list[str]:
    """Return the names of the adapters that take part, in the order in which they were made.

    X-LoRA is one adapter: those that it mixes are its parts, though PEFT calls them the active
    ones.
    """
    mixers = [name for name, settings in holder.peft_config.items() if _kind(settings) == "XLORA"]
    if mixers:
        return mixers
    names = getattr(holder, "active_adapters", None)
    if callable(names):  # native adapters: a method
        names = names()
    if isinstance(names, str):
        names = [names]
    active = set(names or ()) & set(holder.peft_config)
    if not active:
        chosen = getattr(holder, "active_adapter", None)
        active = (
            {chosen}
            if isinstance(chosen, str) and chosen in holder.peft_config
            else set(holder.peft_config)
        )
    return [name for name in holder.peft_config if name in active]


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
    # Its fields only: peft hangs more on it while it runs.
    for field in sorted(
        ALLOWED & {entry.name for entry in dataclasses.fields(settings)} - _without_effect(settings)
    ):
        value = _plain(getattr(settings, field, None))
        if field in adapter_layers.DERIVED and value in (0, None):
            value = adapter_layers.derived(model, name, field)
        if value is None or value in ([], {}):
            continue
        found[field] = sorted(value) if field in _MODULES and isinstance(value, list) else value
    if isinstance(found.get("target_modules"), list):
        found["target_modules"] = _short(
            adapter_layers.reached(found["target_modules"], model, name), model
        )
    if isinstance(found.get("modules_to_save"), list):
        found["modules_to_save"] = _there(found["modules_to_save"], model)
    parts = _parts(name, holder)
    return {**found, "mixed_adapters": parts} if parts else found


def _without_effect(settings: Any) -> set[str]:
    """Return the settings that PEFT has in every configuration of this kind, and does not use in this one."""
    kind = _kind(settings)
    if kind == "ADALORA":
        return {"r"}  # init_r and target_r are its ranks (peft, tuners/adalora/config.py)
    if kind == "PREFIX_TUNING" and not getattr(settings, "prefix_projection", False):
        return {"encoder_hidden_size"}  # there is no encoder
    if (
        kind == "P_TUNING"
        and _plain(getattr(settings, "encoder_reparameterization_type", None)) == "MLP"
    ):
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
    return [f"{part} ({_method(settings, None)}, r = {settings.r})" for part, settings in parts]


def _there(names: list[str], model: Any) -> list[str]:
    """Return those of *names* that *model* has: for a classifier PEFT names both "classifier" and "score"."""
    if not hasattr(model, "named_modules"):
        return names
    modules = [name for name, _ in model.named_modules()]
    return [
        name
        for name in names
        if any(module == name or module.endswith(f".{name}") for module in modules)
    ]


def _short(names: list[str], model: Any) -> list[str]:
    """Return *names* without the path through the layers, where every module of the last name is meant.

    PEFT turns "all-linear" into the full name of each layer of each block.
    """
    if not any("." in name for name in names) or not hasattr(model, "named_modules"):
        return names
    there = Counter(name.rpartition(".")[2] for name, _ in model.named_modules() if _is_place(name))
    meant = Counter(name.rpartition(".")[2] for name in names)
    whole = {last for last, times in meant.items() if times == there[last]}
    return sorted(whole | {name for name in names if name.rpartition(".")[2] not in whole})


def _is_place(name: str) -> bool:
    """Return whether *name* is a module of the model itself, not one that an adapter put inside it."""
    return not any(
        part in {"base_layer", "modules_to_save", "original_module"} for part in name.split(".")
    )


def _method(settings: Any, quantization: Mapping[str, Any] | None) -> str:
    kind = _kind(settings)
    if kind != "LORA":
        return _METHODS.get(kind, kind)
    method = "DoRA" if getattr(settings, "use_dora", False) else "LoRA"
    if quantization is not None and quantization.get("load_in_4bit"):
        method = f"Q{method}"
    extras = [words for name, words in _VARIANTS.items() if getattr(settings, name, None)]
    start = getattr(settings, "init_lora_weights", None)
    if isinstance(start, str):
        extras += [words for key, words in _INITIALISATION.items() if start.lower().startswith(key)]
    return f"{method} ({', '.join(extras)})" if extras else method
