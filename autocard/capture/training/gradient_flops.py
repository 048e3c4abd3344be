"""Operations of a training step for each token, by the gradients that autograd computes.

A matrix costs two operations for each of its numbers in the forward pass, two more where its input
needs a gradient, and two more where it is trained itself (Kaplan et al. 2020, arXiv:2001.08361,
section 2.1). An input needs a gradient where something before it is trained: nothing flows below
the first trained parameter. The order of the modules is taken for the order in which they run, but
for norms that stand behind what they feed and projections that share one input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SAME_INPUT = (
    frozenset({"q_proj", "k_proj", "v_proj"}),
    frozenset({"query", "key", "value"}),
    frozenset({"q_lin", "k_lin", "v_lin"}),
    frozenset({"q", "k", "v"}),
    frozenset({"query_proj", "key_proj", "value_proj"}),
    frozenset({"gate_proj", "up_proj"}),
    frozenset({"w1", "w3"}),
)
"""Names of modules of one parent that are given the same input (transformers, models/)."""

_MLPS = (("mlp",), ("feed_forward",), ("block_sparse_moe",))
_FEEDS = {
    "input_layernorm": (("self_attn",), ("attention",), ("mixer",)),
    "post_attention_layernorm": _MLPS,
    "pre_feedforward_layernorm": _MLPS,
}
"""Norm of a layer → names of the modules beside it that run after it."""

_OF_WHOLE_SEQUENCES = frozenset({"pooler", "pre_classifier", "classifier"})
"""Modules of a sequence classifier that see one vector of each sequence: too little to count."""
_CLASSIFIERS = ("ForSequenceClassification", "ForMultipleChoice", "ForNextSentencePrediction")


@dataclass(frozen=True)
class TrainedWeight:
    """One parameter that is multiplied with each token."""

    name: str
    size: float
    """Numbers in it."""
    trained: bool
    embedding: bool = False
    """Looked up, and not multiplied."""


def in_order(weights: list[TrainedWeight]) -> list[TrainedWeight]:
    """Return *weights* in the order in which they run.

    Llama and its relatives name a layer's norms behind what these feed.
    """
    first_of = _first_weights(weights)
    places = [_runs_at(weight.name, place, first_of) for place, weight in enumerate(weights)]
    return [weights[place] for place in sorted(range(len(weights)), key=places.__getitem__)]


def _first_weights(weights: list[TrainedWeight]) -> dict[str, int]:
    """Return module → the place of the first weight in it."""
    first_of: dict[str, int] = {}
    for place, weight in enumerate(weights):
        parts = weight.name.split(".")
        for depth in range(1, len(parts)):
            first_of.setdefault(".".join(parts[:depth]), place)
    return first_of


def _runs_at(name: str, place: int, first_of: dict[str, int]) -> float:
    """Return the *place* of a weight, or one just before the modules that its module feeds."""
    parts = name.split(".")
    for depth, part in enumerate(parts):
        modules = [".".join([*parts[:depth], *fed]) for fed in _FEEDS.get(part, ())]
        fed_at = [first_of[module] for module in modules if module in first_of]
        if fed_at and min(fed_at) < place:
            return min(fed_at) - 0.5
    return place


def operations_per_token(model: Any, weights: list[TrainedWeight], used_experts: float) -> float:
    """Return the operations for each token of a forward and a backward pass.

    Args:
        model: the innermost one.
        weights: its parameters, in order.
        used_experts: share of the experts that a token is sent to.
    """
    first = _first_trained(model, weights)
    if first is None:
        return 2 * sum(weight.size for weight in weights if not weight.embedding)
    beside = _beside(weights[first].name) if first >= 0 else ()
    total = 0.0
    for number, weight in [
        *enumerate(weights),
        *((len(weights), one) for one in _tied_heads(model)),
    ]:
        if weight.embedding or _is_unused(model, weight.name):
            continue
        needs_gradient = number > first and not weight.name.startswith(beside)
        share = used_experts if ".experts." in weight.name else 1.0
        total += weight.size * share * (2 + 2 * needs_gradient + 2 * weight.trained)
    return total


def _first_trained(model: Any, weights: list[TrainedWeight]) -> int | None:
    """Return the place of the first trained parameter.

    -1: the embeddings' output is made to need a gradient.
    """
    if any(getattr(module, "_require_grads_hook", None) is not None for module in model.modules()):
        # transformers' enable_input_require_grads, for checkpointed layers below an adapter
        return -1
    return next((number for number, weight in enumerate(weights) if weight.trained), None)


def _beside(name: str) -> tuple[str, ...]:
    """Return the beginnings of the names of what shares its input with the parameter *name*.

    >>> _beside("layers.1.attention.query.lora_A.default.weight")
    ('layers.1.attention.key.', 'layers.1.attention.query.base_layer.', 'layers.1.attention.value.')
    """
    parts = name.split(".")
    found = []
    if "lora_A" in parts:
        found.append(".".join(parts[: parts.index("lora_A")]) + ".base_layer.")
    for place, part in enumerate(parts):
        for group in _SAME_INPUT:
            if part in group:
                parent = ".".join(parts[:place])
                found += [f"{parent}.{other}." for other in group - {part}]
    return tuple(sorted(found))


def _tied_heads(model: Any) -> Iterator[TrainedWeight]:
    """Yield the output layer where it shares the weights of the embeddings."""
    if not hasattr(model, "get_output_embeddings") or not hasattr(model, "get_input_embeddings"):
        return
    try:
        head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    except NotImplementedError:  # a model without text
        return
    weight = _weight_of(head)
    if weight is not None and weight is _weight_of(embeddings):
        yield TrainedWeight("tied output layer", float(weight.numel()), bool(weight.requires_grad))


def _weight_of(module: Any) -> Any:
    return getattr(module, "weight", None)


def _is_unused(model: Any, name: str) -> bool:
    """Return whether the parameter *name* is not multiplied with each token."""
    parts = set(name.split("."))
    if "original_module" in parts:  # PEFT keeps it beside the copy that is trained
        return True
    return type(model).__name__.endswith(_CLASSIFIERS) and not parts.isdisjoint(_OF_WHOLE_SEQUENCES)
