"""What runs the model's layers: attention function, kernels, torch.compile, gradient checkpointing.

Read from the modules themselves where they show it; a flag of the arguments is believed only for
what the Trainer does with it after its callbacks have seen the model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from autocard.capture.observed import Observed
from autocard.capture.unwrap import config_of
from autocard.errors import UnavailableError
from autocard.record.gaps import PartBuilder

_KERNELS = {
    "liger_kernel": "liger-kernel",
    "transformer_engine": "Transformer Engine",
    "unsloth": "Unsloth",
    "unsloth_zoo": "Unsloth",
    "flash_attn": "flash-attn",
    "xformers": "xFormers",
    "apex": "Apex",
    "kernels": "kernels",
    "fla": "flash-linear-attention",
    "mamba_ssm": "mamba-ssm",
}
"""Package whose layers or forward functions stand in a model → its name for people."""


def fill(
    part: PartBuilder[Any], observed: Observed, environ: Mapping[str, str] = os.environ
) -> None:
    """Fill in what runs the layers: checkpointing, compilation, attention function, kernels."""
    modules = list(observed.model.modules()) if observed.model is not None else []
    with part.guard("gradient_checkpointing"):
        part.fields["gradient_checkpointing"] = _checkpoints(observed, modules)
    with part.guard("compiled"):
        part.fields["compiled"] = _is_compiled(observed, modules, environ)
    with part.guard("attention_implementation"):
        part.fields["attention_implementation"] = _attention(observed.model, modules)
    with part.guard("kernels"):
        part.fields["kernels"] = _kernels(observed, modules)


def _checkpoints(observed: Observed, modules: list[Any]) -> bool:
    """Return whether a module recomputes its activations; transformers sets a flag on layers."""
    flags = [getattr(module, "gradient_checkpointing", None) for module in modules]
    if any(flag is not None for flag in flags):
        return any(flag is True for flag in flags)
    if observed.arguments.get("gradient_checkpointing", False):
        msg = "requested, but the model does not show whether it is in effect"
        raise UnavailableError(msg)
    return False


def _is_compiled(observed: Observed, modules: list[Any], environ: Mapping[str, str]) -> bool:
    """Return whether torch.compile wraps the model or a module, or accelerate will wrap it.

    It wraps a module (`torch.compile(model)`), its call (`model.compile()`), or its `forward`.
    """
    if any(_compiles(module) for module in (observed.model, *modules)):
        return True
    return bool(observed.arguments.get("torch_compile", False)) or environ.get(
        "ACCELERATE_DYNAMO_BACKEND", "no"
    ).lower() not in {"", "no"}


def _compiles(module: Any) -> bool:
    """Return whether torch.compile wraps *module*, its call or its `forward`."""
    if (
        type(module).__name__ == "OptimizedModule"
        or getattr(module, "_compiled_call_impl", None) is not None
    ):
        return True
    forward = getattr(module, "forward", None)
    forward = getattr(forward, "__func__", forward)
    # torch.compiler.disable marks what it wraps in the same way, and says so.
    compiled = getattr(forward, "_torchdynamo_orig_callable", None) is not None
    return compiled and not getattr(forward, "_torchdynamo_disable", False)


def _attention(model: Any, modules: list[Any]) -> str:
    config = config_of(model)
    name = getattr(config, "_attn_implementation", None)
    if not isinstance(name, str) or not name:
        msg = "the model has no configuration of transformers that names its attention function"
        raise UnavailableError(msg)
    # Convolutional and state-space models have the setting too ("eager"), and nothing that it could
    # be about.
    kinds = {type(module).__name__.lower() for module in modules}
    if not any("attention" in kind or "attn" in kind for kind in kinds):
        msg = "the model has no attention layers"
        raise UnavailableError(msg)
    # A kernel of the Hub is named by its repository; a path would be the user's own.
    return name if not name.startswith(("/", ".", "~")) else "a kernel from a local folder"


def _kernels(observed: Observed, modules: list[Any]) -> list[str]:
    """Return the packages whose layers, or whose forward functions, the model's modules have."""
    packages = set()
    for module in modules:
        packages.add(type(module).__module__.partition(".")[0])
        own = vars(module).get("forward")
        if own is not None:
            packages.add(str(getattr(own, "__module__", "")).partition(".")[0])
    found = {_KERNELS[package] for package in packages if package in _KERNELS}
    if observed.arguments.get("use_liger_kernel", False):
        found.add(_KERNELS["liger_kernel"])
    return sorted(found)
