"""Versions of what ran.

Only libraries that the run imported, by allow-list; of the system only its kind and release,
nothing of the machine.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Any

from autocard._version import __version__
from autocard.capture.observed import Observed
from autocard.capture.unwrap import adapted, config_of, quantization_of, without_wrappers
from autocard.record.gaps import Part, PartBuilder

LIBRARIES = {
    "torch": "torch",
    "transformers": "transformers",
    "peft": "peft",
    "accelerate": "accelerate",
    "datasets": "datasets",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "huggingface_hub": "huggingface_hub",
    "trl": "trl",
    "sentence-transformers": "sentence_transformers",
    "bitsandbytes": "bitsandbytes",
    "deepspeed": "deepspeed",
    "flash-attn": "flash_attn",
    "xformers": "xformers",
    "liger-kernel": "liger_kernel",
    "unsloth": "unsloth",
    "axolotl": "axolotl",
    "torchao": "torchao",
    "transformer_engine": "transformer_engine",
    "triton": "triton",
    "vllm": "vllm",
    "optimum": "optimum",
    "setfit": "setfit",
    "evaluate": "evaluate",
    "scikit-learn": "sklearn",
    "numpy": "numpy",
}
"""Name for people (and of the distribution) → module whose import shows that the run used it."""


_ONLY_WHERE_USED = frozenset(
    {"peft", "trl", "sentence-transformers", "bitsandbytes", "deepspeed", "flash-attn"}
)
"""Libraries that other libraries import: their versions are recorded only if this run used them."""


def capture(observed: Observed) -> Part[dict[str, str]]:
    """Return name → version."""
    part: PartBuilder[dict[str, str]] = PartBuilder(dict, "software")
    part.fields["python"] = platform.python_version()
    part.fields["autocard"] = __version__
    with part.guard(""):
        part.fields.update(_libraries(observed))
    with part.guard("codecarbon"):
        # It measures in a process of its own, so it is not among the imported modules.
        version = _installed("codecarbon") if observed.settings.emissions else None
        if version:
            part.fields["codecarbon"] = version
    with part.guard("cuda"):
        part.fields.update(_cuda())
    with part.guard("os"):
        part.fields["os"] = _system()
    return part.build()


def _libraries(observed: Observed) -> dict[str, str]:
    """Return name → version of the libraries that the run imported and used."""
    used = _used(observed)
    found = {}
    for name, module in LIBRARIES.items():
        if module not in sys.modules or (name in _ONLY_WHERE_USED and name not in used):
            continue
        version = _version(name, sys.modules[module])
        if version:
            found[name] = version
    return found


def _used(observed: Observed) -> set[str]:
    """Return the libraries that the run's objects come from, or are configured with."""
    whole = None if observed.model is None else without_wrappers(observed.model)
    bases = [cls.__module__ for thing in (whole, observed.optimizer) for cls in type(thing).__mro__]
    packages = {name.partition(".")[0] for name in bases} | observed.trainer.libraries()
    packages.add(type(getattr(observed.optimizer, "optimizer", None)).__module__.partition(".")[0])
    found = {name for name, module in LIBRARIES.items() if module in packages}
    if observed.model is None:
        return found
    if adapted(observed.model) is not None:
        found.add("peft")
    method = (quantization_of(observed.model) or {}).get("quant_method")
    if str(getattr(method, "value", method)) == "bitsandbytes":
        found.add("bitsandbytes")
    if "flash_attention" in str(getattr(config_of(observed.model), "_attn_implementation", "")):
        found.add("flash-attn")
    if observed.trainer.deepspeed() is not None:
        found.add("deepspeed")
    return found


def _version(name: str, module: Any) -> str | None:
    version = getattr(module, "__version__", None)
    return str(version) if isinstance(version, str) and version else _installed(name)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cuda() -> dict[str, str]:
    """Return the versions of CUDA, cuDNN and NCCL of torch's build; empty if it uses no GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not getattr(torch.version, "cuda", None) or not torch.cuda.is_initialized():
        return {}
    found = {"cuda": str(torch.version.cuda)}
    number = torch.backends.cudnn.version()
    if number:
        # 90100 is 9.1.0; up to 8.x it was 8902 for 8.9.2 (cudnn.h).
        thousand = 10000 if number >= 10000 else 1000  # noqa: PLR2004
        found["cudnn"] = f"{number // thousand}.{number % thousand // 100}.{number % 100}"
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        found["nccl"] = ".".join(str(part) for part in torch.cuda.nccl.version())
    return found


def _system() -> str:
    """Return the kind of system and its release family: "Linux (Ubuntu 22.04)", "Darwin 23"."""
    kind = platform.system() or "unknown"
    if kind == "Linux":
        try:
            release = platform.freedesktop_os_release()
        except OSError:
            return kind
        words = " ".join(filter(None, (release.get("NAME"), release.get("VERSION_ID"))))
        return f"{kind} ({words})" if words else kind
    return f"{kind} {platform.release().split('.')[0]}".strip()
