"""Oracles of the base: what the first weights were, by their values, and which ids are made of folders' names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from truth.common import Said, Truth
from truth.observe import digest, statistics

MOST_OF_THEM = 0.9
"""Share of a file's tensors that a model must have to be made from it."""
SOME_OF_THEM = 0.5
"""The same where a head may have been left away."""
LIKE = 0.5
"""How far a random tensor's deviation may lie from that of a fresh one, as a share."""
SOME_VALUES = 64
"""Values of a tensor that tell a deviation."""


def base_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["model"]
    base = said["base_model"]
    if base:
        names_there = names_of_base(true)
        cached = f"models--{base.replace('/', '--')}"
        there = any(
            base == name or cached in name or name.endswith(f"/{base}") for name in names_there
        )
        # A local folder's own files may name its base: which they are is not known here, but that
        # it is a folder is.
        local = any(Path(name).is_dir() for name in names_there if name)
        yield "model.base_model", base, there or local or base == true.given.get("base_model")
        if said["base_model_relation"] and not said["adapters_merged"]:
            is_adapter = said["base_model_relation"] == "adapter"
            yield (
                "model.base_model_relation",
                said["base_model_relation"],
                is_adapter is true.adapters_are_trained,
            )
    if said["library_name"]:
        sentences = any(
            cls.__module__.startswith("sentence_transformers") for cls in type(true.whole).__mro__
        )
        is_peft = any(
            cls.__name__ in ("PeftModel", "PeftMixedModel") for cls in type(true.whole).__mro__
        )
        is_peft = is_peft or bool(true.adapters)  # transformers' own add_adapter saves PEFT's files
        right = "sentence-transformers" if sentences else "peft" if is_peft else "transformers"
        yield (
            "model.library_name",
            said["library_name"],
            said["library_name"] == right or said["adapters_merged"],
        )


def names_of_base(true: Truth) -> list[str]:
    names = [str(getattr(true.config, "_name_or_path", "") or "")]
    # a module of one's own around a model
    if true.config is None and hasattr(true.whole, "modules"):
        configs = [getattr(module, "config", None) for module in true.whole.modules()]
        names += [str(getattr(config, "_name_or_path", "") or "") for config in configs]
    return names + [
        str(getattr(one, "base_model_name_or_path", "") or "") for one in true.adapters.values()
    ]


# -- by the weights --------------------------------------------------------------------------------


def digests_of_file(file: Path) -> set[str]:
    """Return the digests of the tensors that a file has."""
    import torch
    from safetensors.torch import load_file

    tensors = (
        load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    )
    return {digest(one) for one in tensors.values()}


def digests_of_folder(folder: Path) -> set[str]:
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    return {one for file in files for one in digests_of_file(file)}


def rounded_digests_of_folder(folder: Path) -> list[set[str]]:
    """Return, for each tensor of the files, its digests as it lies there and as loading in half precision rounds it."""
    import torch
    from safetensors.torch import load_file

    found = []
    for file in sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin")):
        tensors = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, weights_only=True)
        )
        for one in tensors.values():
            rounded = (
                [one.to(torch.bfloat16), one.to(torch.float16)] if one.is_floating_point() else []
            )
            wide = (
                [half.to(torch.float32) for half in (one, *rounded)]
                if one.is_floating_point()
                else []
            )
            found.append({digest(form) for form in (one, *rounded, *wide)})
    return found


def folders_of(hub_id: str) -> list[Path]:
    """Return where the Hub's cache holds a model."""
    from huggingface_hub import constants

    return sorted(
        Path(constants.HF_HUB_CACHE).glob(f"models--{hub_id.replace('/', '--')}/snapshots/*")
    )


def weights_of_base(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold the base that is named, and "from scratch", against the weights with which training began."""
    said, begun = known["model"], set(true.observed.tensors_at_begin.values())
    if not begun or true.step_begin or known["run"]["earlier_run"] or true.observed.trained_before:
        return
    given = said["base_model"] is not None and said["base_model"] == true.given.get("base_model")
    if said["base_model"] and not given:
        there = [
            found
            for folder in folders_of(said["base_model"])
            if (found := rounded_digests_of_folder(folder))
        ]
        if there:
            enough = MOST_OF_THEM if true.adapters else SOME_OF_THEM
            shares = [
                sum(not one.isdisjoint(begun) for one in tensors) / len(tensors)
                for tensors in there
            ]
            fits = max(shares) >= enough or _starts_from_the_weights(true)
            if fits or not _were_cast(known):
                yield (
                    "model.base_model (weights)",
                    said["base_model"],
                    fits or bool(said["adapters_merged"]),
                )
        elif said["base_model_relation"] == "adapter" and _stands_on_a_folder(true, begun):
            yield "model.base_model (weights)", said["base_model"], False
    if "from scratch" in (said["base_model_description"] or ""):
        fresh = is_fresh(true)
        if fresh is not None:
            yield "model.base_model_description", said["base_model_description"], fresh


def _were_cast(known: dict[str, Any]) -> bool:
    """Return whether the weights are of another type than most files: then their digests tell nothing."""
    return known["precision"]["weights_dtype"] not in (None, "float32")


def _starts_from_the_weights(true: Truth) -> bool:
    """Return whether an adapter takes a part out of the base's weights when it is made, as PiSSA does."""
    return any(
        isinstance(getattr(one, "init_lora_weights", None), str) for one in true.adapters.values()
    )


def _stands_on_a_folder(true: Truth, begun: set[str]) -> bool:
    """Return whether the weights are those of a local folder that is no copy of a Hub repository."""
    for name in names_of_base(true):
        folder = Path(name)
        if (
            name
            and folder.is_dir()
            and "models--" not in name
            and not (folder / ".cache" / "huggingface").is_dir()
        ):
            there = digests_of_folder(folder)
            if there and len(there & begun) >= MOST_OF_THEM * len(there):
                return True
    return False


def is_fresh(true: Truth) -> bool | None:
    """Return whether the first weights look like those of a new model of the same class; None: no such model."""
    from transformers import PreTrainedModel

    from truth.replay import random_numbers_kept

    model = true.inner
    if not isinstance(model, PreTrainedModel) or true.adapters:
        return None
    with random_numbers_kept():
        try:
            made = type(model)(model.config)
        except (TypeError, ValueError, AttributeError):
            return None
    sizes = {name: one.numel() for name, one in made.named_parameters()}
    for name, (wanted, wanted_deviation) in statistics(made).items():
        if name not in true.observed.statistics_at_begin:
            continue
        mean, deviation = true.observed.statistics_at_begin[name]
        if wanted_deviation == 0:  # zeros or ones
            if deviation != 0 or abs(mean - wanted) > 1e-6:
                return False
        elif sizes[name] >= SOME_VALUES and abs(deviation / wanted_deviation - 1) > LIKE:
            return False
    return True


# -- ids -------------------------------------------------------------------------------------------


def front_matter(card: str) -> dict[str, Any]:
    found = re.match(r"---\r?\n(.*?)\r?\n---", card, re.DOTALL)
    told = yaml.safe_load(found[1]) if found else None
    return told if isinstance(told, dict) else {}


def _listed(value: Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value]) if one]


def ids_in(known: dict[str, Any], card: str) -> Iterator[tuple[str, str]]:
    """Yield (place, id) of each Hub id that record or card names."""
    front = front_matter(card)
    for place in ("base_model", "datasets"):
        yield from ((f"card: {place}", one) for one in _listed(front.get(place)))
    for tag in _listed(front.get("tags")):
        kind, _, name = tag.rpartition(":")
        if kind.startswith(("base_model", "dataset")):
            yield "card: tags", name
    for model in front.get("model-index") or ():
        for result in model.get("results") or ():
            yield from (
                ("card: model-index", one)
                for one in _listed((result.get("dataset") or {}).get("type"))
            )
    links = re.findall(r"\]\(https://huggingface\.co/(?:datasets/)?([\w.-]+(?:/[\w.-]+)?)\)", card)
    yield from (("card: link", one) for one in links)
    yield from (("model.base_model", one) for one in _listed(known["model"]["base_model"]))
    for kind in ("train", "eval"):
        yield from (
            (f"data.{kind}[].dataset_id", one["dataset_id"])
            for one in known["data"][kind]
            if one["dataset_id"]
        )


def folders_at_hand(true: Truth) -> Iterator[str]:
    """Yield the names of the local folders that a training was given or writes into."""
    words = getattr(true.trainer, "processing_class", None)
    names = [
        *names_of_base(true),
        str(true.args.output_dir),
        str(getattr(words, "name_or_path", "") or ""),
    ]
    for name in names:
        if name and Path(name).is_dir() and "models--" not in name:
            parts = Path(name).resolve().parts
            yield from {name, name.rstrip("/"), "/".join(parts[-2:]), parts[-1]}


def ids_of(known: dict[str, Any], card: str, true: Truth) -> Iterator[Said]:
    """Hold each id against the folders at hand: a folder's name is no id, unless a person gave it as one."""
    given = {str(true.given.get("base_model") or "")}
    given |= {str(one) for one in _listed(true.given.get("datasets"))}
    given |= {str(getattr(true.args, "hub_model_id", "") or "")}
    folders = set(folders_at_hand(true)) - given
    for place, name in ids_in(known, card):
        yield (
            f"{place} (id)",
            name,
            name not in folders and not (Path(name).is_dir() and name not in given),
        )
