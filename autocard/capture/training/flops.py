"""Floating-point operations: an estimate, and the share of the devices' peak.

The Trainer counts 6 × parameters × tokens for every run. Of these six, two are the forward pass,
two the gradients of the activations, and two those of the weights (Kaplan et al. 2020,
arXiv:2001.08361, section 2.1); the last two are not worked out for weights that are frozen, and the
two before not below the first trained one (`gradients`). The share of the peak is "model FLOPs
utilization" (Chowdhery et al. 2022, arXiv:2204.02311, appendix B), without the attention's own
products and without what is recomputed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocard.capture.training.gradient_flops import TrainedWeight, in_order, operations_per_token
from autocard.capture.unwrap import adapted, core
from autocard.errors import UnavailableError
from autocard.record import Gpu

ESTIMATE_METHOD = (
    "a model, from the Trainer's figure: for each token 2 × parameters (forward pass) + 2 × "
    "parameters after the first "
    "trained one (gradients of activations) + 2 × trained parameters (their gradients); "
    "padding is in it, embeddings, "
    "attention products and recomputation are not"
)
"""What the estimate counts."""
_OTHER_PARTS = (
    "vision_config",
    "audio_config",
    "image_config",
    "speech_config",
    "perceiver_config",
    "encoder",
)
"""Parts of a model's configuration that say that it is shown more than text."""
OF_EXPERTS = "; of experts, those that a token is sent to"

PEAK_FLOPS = {
    "V100-SXM2": {"float16": 125e12, "float32": 15.7e12},
    "V100-PCIE": {"float16": 112e12, "float32": 14e12},
    "Tesla T4": {"float16": 65e12, "float32": 8.1e12},
    "A100": {"float16": 312e12, "bfloat16": 312e12, "tf32": 156e12, "float32": 19.5e12},
    "A10": {"float16": 125e12, "bfloat16": 125e12, "tf32": 62.5e12, "float32": 31.2e12},
    "A30": {"float16": 165e12, "bfloat16": 165e12, "tf32": 82e12, "float32": 10.3e12},
    "A40": {"float16": 149.7e12, "bfloat16": 149.7e12, "tf32": 74.8e12, "float32": 37.4e12},
    "L4": {"float16": 121e12, "bfloat16": 121e12, "tf32": 60e12, "float32": 30.3e12},
    "L40S": {"float16": 362.05e12, "bfloat16": 362.05e12, "tf32": 183e12, "float32": 91.6e12},
    "H100 PCIe": {"float16": 756e12, "bfloat16": 756e12, "tf32": 378e12, "float32": 51e12},
    "H100 80GB HBM3": {"float16": 989e12, "bfloat16": 989e12, "tf32": 494e12, "float32": 67e12},
    "H200": {"float16": 989e12, "bfloat16": 989e12, "tf32": 494e12, "float32": 67e12},
}
"""Words in the driver's product name → format of the products → operations per second of dense
matrix products.

NVIDIA's data sheets of these boards (V100, T4, A100, A10, A30, A40, L4, L40S, H100, H200), without
sparsity: where a sheet gives only the doubled figure "with sparsity", half of it. Boards that are
not here have no share.
"""

PEAK_METHOD = (
    "estimated FLOPs / (device-seconds × {tera:g} TFLOPS, NVIDIA's dense {kind} peak for {name})"
)


def estimate(model: Any, total_flos: float) -> float:
    """Return the operations of training *model*, by the Trainer's own count *total_flos*.

    Raises:
        UnavailableError: the parameters cannot be told apart any more, or there are none but
            embeddings.
    """
    inner = core(model)
    if not hasattr(inner, "named_parameters"):
        msg = "there is no model whose parameters could be counted"
        raise UnavailableError(msg)
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in inner.modules()):
        msg = (
            "FSDP has flattened the parameters, so that trained and frozen ones cannot be "
            "distinguished"
        )
        raise UnavailableError(msg)
    if getattr(getattr(inner, "config", None), "is_encoder_decoder", False):
        msg = "the Trainer counts the encoder's tokens only, and the decoder's are not known"
        raise UnavailableError(msg)
    if _learns_a_prompt(model):
        msg = "the tokens of the learned prompt are not among those that the Trainer counts"
        raise UnavailableError(msg)
    weights = _weights(inner)
    counted = sum(weight.size for weight in weights if not weight.embedding)
    if not counted:
        msg = "the model has no parameters but embeddings"
        raise UnavailableError(msg)
    tokens = total_flos / (6 * counted)
    return tokens * operations_per_token(inner, weights, _used_experts(inner))


def check_counted(model: Any) -> None:
    """Check that the Trainer's figure counts tokens.

    Raises:
        UnavailableError: it counts values of another input, or leaves out what other parts of the
            model are shown.
    """
    name = getattr(model, "main_input_name", None) or getattr(
        core(model), "main_input_name", "input_ids"
    )
    if name != "input_ids":
        msg = f"the Trainer multiplies parameters by the numbers in {name}, which are no tokens"
        raise UnavailableError(msg)
    config = getattr(core(model), "config", None)
    others = [part for part in _OTHER_PARTS if getattr(config, part, None) is not None]
    if others:
        msg = (
            "the model has parts for images or sound, and the Trainer counts the tokens of "
            "texts only"
        )
        raise UnavailableError(msg)


def _learns_a_prompt(model: Any) -> bool:
    """Return whether an adapter adds tokens of its own, as prompt tuning does."""
    configs = getattr(adapted(model), "peft_config", None) or {}
    return any(bool(getattr(config, "is_prompt_learning", False)) for config in configs.values())


def estimate_method(model: Any) -> str:
    """Return what `estimate` counts in *model*."""
    return ESTIMATE_METHOD + (OF_EXPERTS if _used_experts(core(model)) < 1 else "")


def _weights(model: Any) -> list[TrainedWeight]:
    """Return each parameter, with embeddings as `num_parameters` leaves them out."""
    embeddings = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if any(
            cls.__name__ == "Embedding" and cls.__module__.startswith("torch.")
            for cls in type(module).__mro__
        )
    }
    return in_order(
        [
            TrainedWeight(name, _size(parameter), bool(parameter.requires_grad), name in embeddings)
            for name, parameter in model.named_parameters()
        ]
    )


def _size(parameter: Any) -> int:
    if type(parameter).__name__ == "Params4bit":
        return int(parameter.numel()) * 2 * int(parameter.element_size())
    return int(getattr(parameter, "ds_numel", None) or parameter.numel())


def _used_experts(model: Any) -> float:
    """Return the share of the experts that each token is sent to; 1 where there are none."""
    config: Any = getattr(model, "config", None)
    if hasattr(config, "get_text_config"):
        config = config.get_text_config()
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    there = next(
        (
            count
            for name in names
            if isinstance(count := getattr(config, name, None), int) and count > 0
        ),
        0,
    )
    used = getattr(config, "num_experts_per_tok", None)
    return min(used / there, 1.0) if there and isinstance(used, int) and used > 0 else 1.0


def peak_share(
    operations: float | None,
    gpu_s: float | None,
    gpus: Sequence[Gpu],
    kind: str | None,
    *,
    tf32: bool = False,
) -> tuple[float, str]:
    """Return (share of the devices' peak, how it was worked out).

    Args:
        operations: the estimate.
        gpu_s: device-seconds of the same steps.
        gpus: of the run; of one model.
        kind: format of most matrix products.
        tf32: whether float32 products may use TF32.

    Raises:
        UnavailableError: one of these is not known, or the board is not in the table.
    """
    if not operations or not gpu_s or not gpus:
        msg = (
            "no GPU was used"
            if operations and not gpus
            else "operations or device time are not known"
        )
        raise UnavailableError(msg)
    if len({gpu.name for gpu in gpus}) > 1:
        msg = "the GPUs are of several models"
        raise UnavailableError(msg)
    name = gpus[0].name
    words = next(
        (key for key in sorted(PEAK_FLOPS, key=len, reverse=True) if _is_board(key, name)), None
    )
    peaks: Mapping[str, float] = PEAK_FLOPS.get(words or "", {})
    kind = "tf32" if tf32 and kind == "float32" else kind
    if kind is None or "MIG" in name or kind not in peaks:
        msg = f"autocard has no figure for the peak of {name} in {kind}"
        raise UnavailableError(msg)
    peak = peaks[kind]
    return operations / (gpu_s * peak), PEAK_METHOD.format(tera=peak / 1e12, kind=kind, name=name)


def _is_board(key: str, name: str) -> bool:
    """Return whether *key* stands in *name* as whole words.

    "A10" is neither in "A100" nor in "A10G".
    """
    return (
        f" {key} ".lower() in f" {name.replace('-', ' ')} ".lower()
        or f" {key}-".lower() in f" {name}-".lower()
    )
