"""What TRL's trainers optimize, by the class of their arguments (TRL 0.19 to 1.16).

A class of TRL that is not listed here is named and its loss is not: a subclass of GRPOConfig need
not be GRPO.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from autocard.capture.observed import Method
from autocard.capture.training.loss_source import package_of
from autocard.capture.training.model_loss import NEXT_TOKEN, router_loss
from autocard.trainers.loss_tokens import tokens_with_loss

_DPO = {
    "sigmoid": "sigmoid",
    "hinge": "hinge",
    "ipo": "IPO",
    "exo_pair": "EXO-pair",
    "nca_pair": "NCA-pair",
    "robust": "robust DPO",
    "bco_pair": "BCO-pair",
    "sppo_hard": "SPPO-hard",
    "aot": "AOT",
    "aot_pair": "AOT-pair",
    "aot_unpaired": "AOT-unpaired",
    "apo_zero": "APO-zero",
    "apo_down": "APO-down",
    "discopop": "DiscoPOP",
    "sft": "SFT",
    "sigmoid_norm": "sigmoid-norm",
}
"""Loss type of DPOConfig → its name for people."""
_POLICY = {"grpo": "", "dr_grpo": ", Dr. GRPO loss"}
"""Loss type of GRPOConfig → what it adds; the others are acronyms."""


def method_of(args: Any, trainer: Any = None) -> Method | None:
    """Return what TRL's arguments *args* optimize; None: they are not TRL's."""
    cls = next((one for one in type(args).__mro__ if package_of(one.__module__) == "trl"), None)
    name = "" if cls is None else cls.__name__
    if name in {"", "_BaseConfig", "BaseConfig"}:
        return None
    make = _METHODS.get(name)
    if make is None:
        kind = name.removesuffix("Config")
        other = Method(f"training with TRL's {kind}Trainer", f"trained with {kind}")
        return _with_router_loss(other, trainer)
    return _with_router_loss(make(args, trainer), trainer)


def _with_router_loss(method: Method, trainer: Any) -> Method:
    """Return *method* with the loss that balances a mixture of experts, where *trainer* adds it."""
    enabled = getattr(trainer, "aux_loss_enabled", False) is True
    coefficient = getattr(trainer, "router_aux_loss_coef", getattr(trainer, "aux_loss_coef", None))
    extra = router_loss(coefficient) if enabled else None
    if not extra:
        return method
    return replace(method, words=f"{method.words} + {extra}", name=method.without_loss)


def _simple(words: str, purpose: str) -> Callable[[Any, Any], Method]:
    return lambda _args, _trainer: Method(words, purpose)


def _fine_tuning(args: Any, trainer: Any) -> Method:
    """Supervised fine-tuning: which loss, on which tokens."""
    kind = getattr(args, "loss_type", "nll")
    loss = (
        f"dynamic fine-tuning loss (DFT), {NEXT_TOKEN} weighted by probability"
        if kind == "dft"
        else NEXT_TOKEN
    )
    smoothing = getattr(args, "label_smoothing_factor", 0) or 0
    smoothed = f", label smoothing {smoothing:g}" if smoothing and kind != "dft" else ""
    words = f"supervised fine-tuning ({loss}{tokens_with_loss(args, trainer)}){smoothed}"
    return Method(words, name="supervised fine-tuning")


def _preference(args: Any, _: Any) -> Method:
    """DPO and the losses that TRL's DPOTrainer offers in its place, one or several with weights."""
    chosen = getattr(args, "loss_type", None) or ["sigmoid"]
    kinds = [chosen] if isinstance(chosen, str) else list(chosen)
    weights = getattr(args, "loss_weights", None) or [1.0] * len(kinds)
    smoothing = getattr(args, "label_smoothing", 0) or 0
    smoothed = f", label smoothing {smoothing:g}" if smoothing else ""
    if kinds == ["ipo"]:
        return Method(f"identity preference optimization (IPO){smoothed}", "aligned with IPO")
    names = [_DPO.get(str(kind), str(kind)) for kind in kinds]
    words = "direct preference optimization (DPO)"
    if len(kinds) > 1:
        words += ", loss " + " + ".join(
            f"{weight:g} × {name}" for name, weight in zip(names, weights, strict=False)
        )
    elif kinds != ["sigmoid"]:
        words += f", {names[0]} loss"
    return Method(words + smoothed, "aligned with DPO")


def _contrastive(args: Any, _: Any) -> Method:
    kind = getattr(args, "loss_type", "sigmoid")
    if kind == "simpo":
        if not getattr(args, "cpo_alpha", 1.0):
            return Method("simple preference optimization (SimPO)", "aligned with SimPO")
        return Method(
            "contrastive preference optimization (CPO), SimPO loss", "aligned with CPO-SimPO"
        )
    other = f", {_DPO.get(kind, kind)} loss" if kind != "sigmoid" else ""
    return Method(f"contrastive preference optimization (CPO){other}", "aligned with CPO")


def _kto(args: Any, _: Any) -> Method:
    unpaired = getattr(args, "loss_type", "kto") == "apo_zero_unpaired"
    words = "Kahneman-Tversky optimization (KTO)" + (", unpaired APO-zero loss" if unpaired else "")
    return Method(words, "aligned with KTO")


def _online(args: Any, _: Any) -> Method:
    kind = getattr(args, "loss_type", "sigmoid")
    other = f", {_DPO.get(str(kind), kind)} loss" if kind != "sigmoid" else ""
    return Method(f"online direct preference optimization (DPO){other}", "aligned with online DPO")


def _group_relative(args: Any, _: Any) -> Method:
    kind = getattr(args, "loss_type", "grpo")
    loss = _POLICY.get(kind, f", {str(kind).upper()} loss")
    sequence = getattr(args, "importance_sampling_level", "token") == "sequence"
    level = ", sequence-level importance sampling" if sequence else ""
    return Method(f"group relative policy optimization (GRPO){loss}{level}", "trained with GRPO")


_REWARD = Method(
    "reward modeling (pairwise preferences)",
    "trained as a reward model (pairwise preferences)",
    task="reward model (pairwise preferences)",
)

_METHODS: dict[str, Callable[[Any, Any], Method]] = {
    "SFTConfig": _fine_tuning,
    "DPOConfig": _preference,
    "KTOConfig": _kto,
    "CPOConfig": _contrastive,
    "GRPOConfig": _group_relative,
    "OnlineDPOConfig": _online,
    "RewardConfig": lambda _args, _trainer: _REWARD,
    "RLOOConfig": _simple("REINFORCE leave-one-out (RLOO)", "trained with RLOO"),
    "PPOConfig": _simple("proximal policy optimization (PPO)", "trained with PPO"),
    "GMPOConfig": _simple("geometric-mean policy optimization (GMPO)", "trained with GMPO"),
    "ORPOConfig": _simple("odds-ratio preference optimization (ORPO)", "aligned with ORPO"),
    "TPOConfig": _simple("triple preference optimization (TPO)", "aligned with TPO"),
    "BCOConfig": _simple("binary classifier optimization (BCO)", "aligned with BCO"),
    "NashMDConfig": _simple("Nash mirror descent", "aligned with Nash mirror descent"),
    "XPOConfig": _simple("exploratory preference optimization (XPO)", "aligned with XPO"),
    "GKDConfig": _simple(
        "generalized knowledge distillation (GKD)", "distilled from a teacher model (GKD)"
    ),
    "DistillationConfig": _simple(
        "on-policy distillation (generalized Jensen-Shannon divergence from a teacher model)",
        "distilled from a teacher model",
    ),
    "PRMConfig": _simple("process reward modeling", "trained as a process reward model"),
}
"""Class of TRL's arguments → its method."""
