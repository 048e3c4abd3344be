"""The dimensions of a model, and of each part of it: text and vision, encoder and decoder.

Names come from transformers' configurations. Where one has a size that no tensor has, such as that
of dense layers where all layers are experts, the tensors decide. The modules decide where layers
were cut off, or where the configuration has a default that the model does not use
(`built_dimensions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from autocard.capture.model import built_dimensions

_DIMS = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "decoder_layers": ("decoder_layers", "num_decoder_layers"),
    "hidden_size": ("hidden_size", "d_model", "n_embd", "dim"),
    "attention_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "key_value_heads": ("num_key_value_heads",),
    "head_size": ("head_dim", "d_kv"),
    "intermediate_size": (
        "intermediate_size",
        "n_inner",
        "d_ff",
        "ffn_dim",
        "encoder_ffn_dim",
        "hidden_dim",
    ),
    "vocabulary": ("vocab_size",),
    "context_length": ("max_position_embeddings", "n_positions", "n_ctx"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "experts_per_token": ("num_experts_per_tok",),
    "expert_intermediate_size": ("moe_intermediate_size",),
    "shared_experts": ("n_shared_experts",),
    "shared_expert_intermediate_size": ("shared_expert_intermediate_size",),
    "state_size": ("state_size", "ssm_state_size", "mamba_d_state"),
    "image_size": ("image_size",),
    "patch_size": ("patch_size",),
}
"""Our name of a dimension → its names in transformers' configurations; the first one counts."""

_ENCODER = {
    "layers": ("encoder_layers", "num_layers"),
    "attention_heads": ("encoder_attention_heads", "num_heads"),
    "intermediate_size": ("encoder_ffn_dim", "d_ff"),
    "context_length": ("max_source_positions",),
}
_DECODER = {
    "layers": ("decoder_layers", "num_decoder_layers"),
    "attention_heads": ("decoder_attention_heads", "num_heads"),
    "intermediate_size": ("decoder_ffn_dim", "d_ff"),
    "context_length": ("max_target_positions",),
}
"""The same of an encoder and a decoder that one configuration describes (Whisper, T5, BART)."""

_PART_NAMES = {"text_config": "text", "vision_config": "vision", "audio_config": "audio"}
"""Configurations inside a configuration → the part's name; others are called as they are, without
"_config"."""

_POSITIONS_FROM_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm"}
)
"""Families that count positions from the padding index + 1 (modeling_roberta.py): their table is
that much longer."""

_EXPERTS = ".experts."


def dims(config: Any, model: Any = None) -> dict[str, int]:
    """Return the dimensions in a transformers configuration; of several parts, the text's."""
    if config is None:
        return {}
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    found = _named(_DIMS, text, config)
    if text.model_type in _POSITIONS_FROM_PADDING and "context_length" in found:
        padding = getattr(text, "pad_token_id", None)
        found["context_length"] -= padding + 1 if _is_count(padding) else 0
    if _has_latent_attention(text):
        # `head_dim` is then the part of queries and keys that is rotated
        found.pop("head_size", None)
        found["query_key_head_size"] = text.qk_nope_head_dim + text.qk_rope_head_dim
        found.update(_named({"value_head_size": ("v_head_dim",)}, text))
    if model is None:
        return found
    if "expert_intermediate_size" in found and not _has_dense_layers(model, found):
        found.pop("intermediate_size", None)
    return _as_built(found, text, model)


def parts(config: Any, model: Any = None) -> dict[str, dict[str, int]]:
    """Return the dimensions of each part of a model, by its name; empty: the model has one part."""
    if config is None:
        return {}
    inside = {name: _of_part(name, part, model) for name, part in _configurations(config)}
    inside = {name: sizes for name, sizes in inside.items() if len(sizes) > 1}
    if len(inside) > 1:
        return {
            _PART_NAMES.get(name, name.removesuffix("_config")): sizes
            for name, sizes in inside.items()
        }
    if not getattr(config, "is_encoder_decoder", False):
        return {}
    encoder, decoder = _named(_ENCODER, config), _named(_DECODER, config)
    if not encoder.get("layers") or not decoder.get("layers"):
        return {}
    told = {*encoder, *decoder, "decoder_layers"}
    shared = {name: size for name, size in dims(config, model).items() if name not in told}
    if model is not None:
        count = built_dimensions.layers(model, config, encoder["layers"], "encoder")
        encoder = _with_layers(encoder, "layers", count)
        count = built_dimensions.layers(model, config, decoder["layers"], "decoder")
        decoder = _with_layers(decoder, "layers", count)
    found = {"encoder": encoder, "decoder": decoder}
    return {**found, "both": shared} if shared else found


def _as_built(found: dict[str, int], config: Any, model: Any) -> dict[str, int]:
    """Return the dimensions *found* in *config* that *model* has, with its layers counted."""
    sizes = dict(found)
    if "vocabulary" in sizes and not built_dimensions.has_vocabulary(model, sizes["vocabulary"]):
        del sizes["vocabulary"]
    if "image_size" in sizes and not built_dimensions.reads_image_size(model, config):
        del sizes["image_size"]
    side = "encoder" if "decoder_layers" in sizes else None
    if "layers" in sizes:
        count = built_dimensions.layers(model, config, sizes["layers"], side)
        sizes = _with_layers(sizes, "layers", count)
    if "decoder_layers" in sizes:
        count = built_dimensions.layers(model, config, sizes["decoder_layers"], "decoder")
        sizes = _with_layers(sizes, "decoder_layers", count)
    return sizes


def _with_layers(sizes: dict[str, int], name: str, count: int | None) -> dict[str, int]:
    """Return *sizes* with *count* as the size *name*; None: without it."""
    changed = {key: count if key == name else size for key, size in sizes.items()}
    return {key: size for key, size in changed.items() if size is not None}


def _of_part(name: str, part: Any, model: Any) -> dict[str, int]:
    sizes = dims(part, model)
    # what such a configuration says of words is left over from another
    if name in ("vision_config", "audio_config"):
        sizes.pop("vocabulary", None)
    return sizes


def _configurations(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield the configurations inside *config* by their names."""
    for name, value in vars(config).items():
        if hasattr(value, "to_dict") and hasattr(value, "model_type") and not name.startswith("_"):
            yield name, value


def _named(names: dict[str, tuple[str, ...]], *sources: Any) -> dict[str, int]:
    found = {}
    for ours, theirs in names.items():
        values = (getattr(source, name, None) for name in theirs for source in sources)
        counts = [value for value in values if _is_count(value)]
        if counts:
            found[ours] = counts[0]
    return found


def _has_latent_attention(config: Any) -> bool:
    """Return whether heads have a part with and one without positions.

    That is multi-head latent attention (DeepSeek).
    """
    names = ("qk_nope_head_dim", "qk_rope_head_dim")
    return all(_is_count(getattr(config, name, None)) for name in names)


def _has_dense_layers(model: Any, sizes: dict[str, int]) -> bool:
    """Return whether a layer of *model* beside its experts has the dense layers' size."""
    size = sizes.get("intermediate_size")
    return any(
        size in weight.shape
        for name, weight in model.named_parameters()
        if "mlp" in name and _EXPERTS not in f".{name}" and "shared_expert" not in name
    )


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
