"""The loss that a transformers model computes in its `forward`, where its code is known.

A loss is named where three things agree: `forward` belongs to a library, the code of that `forward`
uses the loss, and the loss is in the tables below (transformers 5.23, loss/loss_utils.py and
models/*/modeling_*.py). Code is read, never called.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

from autocard.capture.observed import OwnLoss
from autocard.capture.training.loss_source import of_library
from autocard.capture.unwrap import adapted, class_of, config_of, core

BY_PROBLEM_TYPE = "by problem type"
"""The loss of a classification head, which `config.problem_type` chooses."""

NEXT_TOKEN = "next-token cross-entropy"  # noqa: S105 - a loss
START_AND_END = "cross-entropy of start and end positions"
_MATCHING = "L1 and generalized IoU losses after bipartite matching"

_FUNCTIONS = {
    "ForCausalLMLoss": NEXT_TOKEN,
    "ForMaskedLMLoss": "cross-entropy",
    "ForTokenClassification": "cross-entropy",
    "ForQuestionAnsweringLoss": START_AND_END,
    "ForSequenceClassificationLoss": BY_PROBLEM_TYPE,
    "ForSemanticSegmentationLoss": "pixel-wise cross-entropy",
    "ForCTCLoss": "CTC loss",
    "ForObjectDetectionLoss": f"cross-entropy, {_MATCHING}",
    "DeformableDetrForObjectDetectionLoss": f"focal, {_MATCHING}",
}
"""Function that transformers' `model.loss_function` returns → its loss."""

_KINDS = {
    "CrossEntropyLoss": "cross-entropy",
    "cross_entropy": "cross-entropy",
    "BCEWithLogitsLoss": "binary cross-entropy",
    "binary_cross_entropy_with_logits": "binary cross-entropy",
    "MSELoss": "mean squared error",
    "mse_loss": "mean squared error",
    "L1Loss": "L1 loss",
    "l1_loss": "L1 loss",
    "CTCLoss": "CTC loss",
    "ctc_loss": "CTC loss",
    "KLDivLoss": "KL divergence",
    "kl_div": "KL divergence",
    "image_text_contrastive_loss": "contrastive image-text loss",
    "clip_loss": "contrastive image-text loss",
    "contrastive_loss": "contrastive loss",
    "logsigmoid": "sigmoid image-text loss",
    "NLLLoss": "other",
    "nll_loss": "other",
    "nll": "other",
    "SmoothL1Loss": "other",
    "smooth_l1_loss": "other",
    "HuberLoss": "other",
    "BCELoss": "other",
    "binary_cross_entropy": "other",
    "CosineEmbeddingLoss": "other",
    "MarginRankingLoss": "other",
}
"""Name in the code of `forward` → kind of loss; "other" is a sign of a loss that is not named here.
"""

_CLASSIFIER = frozenset({"cross-entropy", "binary cross-entropy", "mean squared error"})
"""What the `forward` of a classification head uses that follows `config.problem_type`."""

_CROSS_ENTROPY = {
    "ForQuestionAnswering": START_AND_END,
    "ForQuestionAnsweringSimple": START_AND_END,
    "ForCausalLM": NEXT_TOKEN,
    "LMHeadModel": NEXT_TOKEN,
    "ForSemanticSegmentation": "pixel-wise cross-entropy",
}
"""Suffix of a class → its cross-entropy, where that alone says too little."""

_PAIRS = frozenset({"contrastive image-text loss", "sigmoid image-text loss"})
_PRETRAINING = frozenset(
    """
    AlbertForPreTraining BertForPreTraining BigBirdForPreTraining ElectraForPreTraining
    ErnieForPreTraining FNetForPreTraining MegatronBertForPreTraining MobileBertForPreTraining
    """.split()  # noqa: SIM905 - read more easily than quoted ones
)
"""Classes whose one kind of loss is the whole of it; others add losses of their own."""
_SIGMOID_PAIRS = "Siglip"
"""Families whose `logsigmoid` is a loss of pairs of images and texts."""
_SOUND_PAIRS = "Clap"

_ROUTER = "load_balancing_loss_func"
_COEFFICIENTS = ("router_aux_loss_coef", "aux_loss_coef", "moe_loss_weight")
_LAYERS = 16
"""Wrappers around a function that are taken off one after the other."""


@dataclass(frozen=True)
class ModelLoss:
    """What a model's `forward` computes."""

    words: str | None = None
    """The loss in words, or BY_PROBLEM_TYPE; None: it is not known."""
    own: OwnLoss | None = None
    """Code of the run's own that computes it; None: a library's does."""
    extra: str | None = None
    """An auxiliary loss that is added to it, in words."""

    @property
    def of_pairs(self) -> str | None:
        """The loss in words, where it compares images or sounds with texts."""
        return (
            self.words
            if self.words in _PAIRS or self.words == "contrastive audio-text loss"
            else None
        )


def names_used(function: Any) -> frozenset[str]:
    """Return the names that the code of *function* uses."""
    return frozenset(_names(getattr(function, "__code__", None)))


def uses_a_loss(used: frozenset[str]) -> bool:
    """Return whether a loss function of torch or transformers is among the names *used*."""
    return not used.isdisjoint(_KINDS)


def loss_of(model: Any) -> ModelLoss:
    """Return the loss that *model* computes."""
    found = _of_core(model)
    extra = " + ".join(filter(None, [found.extra, adapter_loss(model)]))
    return replace(found, extra=extra or None)


def _of_core(model: Any) -> ModelLoss:
    """Return the loss that *model*'s core computes."""
    inner = core(model)
    if inner is None or not hasattr(inner, "forward"):
        return ModelLoss()
    forward = forward_of(inner)
    if not of_library(forward):
        used = names_used(forward)
        return ModelLoss(
            own=OwnLoss(f"forward of {class_of(inner).__name__}", calls_library="forward" in used)
        )
    used = names_used(forward)
    routes = _ROUTER in used and _routes(inner) and _follows_config(forward)
    extra = router_loss(_coefficient(inner)) if routes else None
    if "loss_function" in used:
        function = getattr(inner, "loss_function", None)
        if function is None or not of_library(function):
            name = getattr(function, "__name__", None) or type(function).__name__
            return ModelLoss(
                own=OwnLoss(f"loss_function: {name}", calls_library=False), extra=extra
            )
        return ModelLoss(words=_FUNCTIONS.get(getattr(function, "__name__", "")), extra=extra)
    return ModelLoss(words=_inline(inner, forward, used), extra=extra)


def adapter_loss(model: Any) -> str | None:
    """Return what PEFT's tuner adds to the model's loss, in words (AdaLoRA)."""
    holder = adapted(model)
    tuner = getattr(holder, "base_model", None)
    if not any(cls.__name__ == "AdaLoraModel" for cls in type(tuner).__mro__):
        return None
    settings = getattr(holder, "peft_config", {}).get(
        getattr(tuner, "trainable_adapter_name", None)
    )
    weight = getattr(settings, "orth_reg_weight", None)
    return f"{weight:g} × orthogonality regularization of AdaLoRA" if weight else None


def router_loss(coefficient: float | None) -> str | None:
    """Return a router's load-balancing loss in words; None: its coefficient turns it off."""
    if coefficient is None:
        return "load-balancing loss of the router"
    return f"{coefficient:g} × load-balancing loss of the router" if coefficient else None


def forward_of(model: Any) -> Any:
    """Return the function behind *model*'s `forward`, without decorators and autocast."""
    own = vars(model).get("forward")
    function = _unwrapped(own) if own is not None else None
    if function is None or str(getattr(function, "__module__", "")).partition(".")[0] in {
        "torch",
        "accelerate",
    }:
        function = _unwrapped(type(model).forward)
    return function


def _unwrapped(function: Any) -> Any:
    for _ in range(_LAYERS):
        inside = next(
            (
                made
                for name in ("__func__", "__wrapped__", "func")
                if (made := getattr(function, name, None)) is not None
            ),
            None,
        )
        if inside is None:
            return function
        function = inside
    return function


def _names(code: CodeType | None) -> Iterator[str]:
    """Yield the names that *code* and the functions inside it use."""
    if code is None:
        return
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _inline(model: Any, forward: Any, used: frozenset[str]) -> str | None:
    """Return the loss that *forward* computes itself, with torch's functions or a loss module."""
    if str(getattr(forward, "__module__", "")).partition(".")[0] in {
        "liger_kernel",
        "unsloth",
        "unsloth_zoo",
    }:
        # their fused form of the model's own loss
        return _of_suffix(model, "cross-entropy", only_language_models=True)
    kinds = {_KINDS[name] for name in used if name in _KINDS}
    for name, module in getattr(model, "_modules", {}).items():
        if name in used and type(module).__module__ == "torch.nn.modules.loss":
            kinds.add(_KINDS.get(type(module).__name__, "other"))
    if len(kinds) != 1:
        return BY_PROBLEM_TYPE if kinds == _CLASSIFIER else _of_two_kinds(model, kinds)
    return _of_one_kind(model, kinds.pop())


def _of_one_kind(model: Any, kind: str) -> str | None:
    """Return the loss of a model whose code uses one *kind* of loss."""
    if _ends(model, "ForPreTraining") and class_of(model).__name__ not in _PRETRAINING:
        return None
    if kind == "cross-entropy":
        return _of_suffix(model, kind)
    if kind == "L1 loss":
        return "L1 loss of the masked patches" if _ends(model, "ForMaskedImageModeling") else None
    if kind == "sigmoid image-text loss":
        return kind if _begins(model, _SIGMOID_PAIRS) else None
    if kind == "contrastive loss":
        return "contrastive audio-text loss" if _begins(model, _SOUND_PAIRS) else None
    return (
        kind
        if kind in {"binary cross-entropy", "CTC loss", "contrastive image-text loss"}
        else None
    )


def _of_two_kinds(model: Any, kinds: set[str]) -> str | None:
    """Return the loss of models that use two kinds: SigLIP's, a segmentation's."""
    if kinds == {"sigmoid image-text loss", "other"} and _begins(model, _SIGMOID_PAIRS):
        return "sigmoid image-text loss"
    labels = getattr(config_of(model), "num_labels", None)
    if kinds == {"cross-entropy", "binary cross-entropy"} and _ends(
        model, "ForSemanticSegmentation"
    ):
        return "pixel-wise cross-entropy" if isinstance(labels, int) and labels > 1 else None
    return None


def _of_suffix(model: Any, kind: str, *, only_language_models: bool = False) -> str | None:
    suffix = next((one for one in _CROSS_ENTROPY if _ends(model, one)), None)
    words = _CROSS_ENTROPY.get(suffix or "", kind)
    return None if only_language_models and words != NEXT_TOKEN else words


def _begins(model: Any, prefix: str) -> bool:
    return any(cls.__name__.startswith(prefix) for cls in class_of(model).__mro__)


def _ends(model: Any, suffix: str) -> bool:
    return any(cls.__name__.endswith(suffix) for cls in class_of(model).__mro__)


def _configs(model: Any) -> list[Any]:
    """Return the configuration of *model* and that of the language model in it."""
    config: Any = config_of(model)
    return [config, config.get_text_config()] if hasattr(config, "get_text_config") else [config]


def _routes(model: Any) -> bool:
    """Return whether a mixture of experts returns what its load-balancing loss is computed from."""
    return any(getattr(one, "output_router_logits", False) is True for one in _configs(model))


def _follows_config(forward: Any) -> bool:
    """Return whether *forward* itself asks the configuration for router logits (Switch)."""
    given = inspect.signature(forward).parameters.get("output_router_logits")
    return given is None or given.default is not False


def _coefficient(model: Any) -> float | None:
    for owner in (model, *_configs(model)):
        for name in _COEFFICIENTS:
            value = getattr(owner, name, None)
            if isinstance(value, int | float):
                return float(value)
    return None
