"""Whether a value on a card contradicts the record: one text about one fact against another.

One rule: only what can be compared is: figures of the same kind, and names that exclude each other.
A text without any says the same in other words, and is no contradiction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from autocard.card.check import measures, stated_names
from autocard.card.check.known_fact import Known
from autocard.card.check.measures import Figure
from autocard.card.check.model_names import names_other_model
from autocard.card.check.plain_numbers import other_numbers

_MAX_CHARACTERS = 2000
"""Of a text that is compared."""
_GIB_PER_GB = 2**30 / 1e9
_MODULES = frozenset({"lora_target_modules", "modules_to_save"})
_MODELS = frozenset({"base_model"})
_DATA = frozenset({"training_data", "dataset", "testing_data", "eval_dataset"})
_HARDWARE = frozenset({"hardware_type", "gpu", "gpu_count"})
_NUMBERLESS = frozenset(
    (
        *_MODELS,
        *_DATA,
        *_MODULES,
        "hardware_type",
        "gpu",
        "cpu",
        "model_id",
        "model_type",
        "model_specs",
        "cloud_region",
        "cloud_provider",
        "country",
        "training_regime",
        "optimizer",
        "quantization",
        "task",
        "commit",
        "script",
        "software",
        "framework",
        "framework_versions",
        "tokenizer",
        "start_date",
        "end_date",
        "training_date",
        "job_id",
        "repo",
        "license",
        "language",
    )
)
"""Facts whose figures, apart from those with a unit, say nothing alone."""
_NAMES: Mapping[str, Callable[[str], set[str]]] = {
    "format": stated_names.in_vocabulary("format"),
    "optimizer": stated_names.in_vocabulary("optimizer"),
    "schedule": stated_names.in_vocabulary("schedule"),
    "method": stated_names.in_vocabulary("method"),
    "cloud": stated_names.in_vocabulary("cloud"),
    "switch": stated_names.in_vocabulary("switch"),
    "CPU maker": stated_names.in_vocabulary("CPU maker"),
    "attention": stated_names.in_vocabulary("attention"),
    "framework": stated_names.in_vocabulary("framework"),
    "CPU model": stated_names.cpu_models,
    "word": stated_names.single_word,
    "class": stated_names.classes,
    "cloud region": stated_names.cloud_regions,
    "country": stated_names.countries,
}
_NAMES_OF: Mapping[str, tuple[str, ...]] = {
    "training_regime": ("format",),
    "quantization": ("format",),
    "optimizer": ("optimizer",),
    "lr_scheduler": ("schedule",),
    "method": ("method",),
    "cloud_provider": ("cloud",),
    "cloud_region": ("country", "cloud region"),
    "country": ("country",),
    "model_type": ("class",),
    "architecture": ("class",),
    "model_specs": ("class",),
    "hardware_type": ("CPU maker",),
    "cpu": ("CPU maker", "CPU model"),
    "attention": ("attention",),
    "framework": ("framework",),
    "library": ("word",),
    "tokenizer": ("word",),
    "distributed": ("word",),
    "workload_manager": ("word",),
    "gradient_checkpointing": ("switch",),
    "packing": ("switch",),
}
"""Fact → the kinds of names that exclude each other in it."""
_VERSION = re.compile(r"v?(\d+(?:\.\d+){1,3})(?![\d.])")
_IDENTIFIER = re.compile(r"\b[a-z]\w*_\w+|\b(?:query|key|value|dense|classifier|score|c_attn)\b")
_NO_DATA_NAMES = frozenset(
    (
        "confidential",
        "custom",
        "internal",
        "local",
        "mixed",
        "mixture",
        "none",
        "own",
        "private",
        "proprietary",
        "public",
        "secret",
        "several",
        "synthetic",
        "unknown",
        "various",
        "web",
    )
)
"""Words that say something of data, and name none."""
_OPEN_LIST = re.compile(r"\.\.\.|…|\betc\b|\band (?:others|more)\b|\ball\b", re.IGNORECASE)


def contradicts(fact: str, label: str, theirs: str, known: Known) -> bool:
    """Return whether *theirs*, a card's text for *fact*, says something that *known* denies.

    *label*: how the card calls it; it may name the unit.
    """
    theirs = measures.normal(theirs[:_MAX_CHARACTERS])
    known = replace(known, text=measures.normal(known.text[:_MAX_CHARACTERS]))
    if fact.endswith("_version"):
        return other_version(theirs, known.text)
    other = _WHOLE_TEXTS.get(fact)
    if other is not None:
        return other(theirs, known.text)
    return (
        (fact in _HARDWARE and _other_hardware(theirs, known))
        or _other_names(fact, theirs, known)
        or _other_figures(label, theirs, known)
        or (
            fact not in _NUMBERLESS
            and not known.is_text
            and other_numbers(fact, label, theirs, known)
        )
    )


def other_version(theirs: str, ours: str) -> bool:
    """Return whether *theirs* is another version; 2.1 may stand for 2.1.0+cu121."""
    stated, recorded = _VERSION.match(theirs.strip(" `*")), _VERSION.match(ours.strip(" `*"))
    if stated is None or recorded is None:
        return False
    short, long = sorted((stated[1], recorded[1]), key=len)
    return long != short and not long.startswith(f"{short}.")


# -- figures with a unit ---------------------------------------------------------------------------


def _other_figures(label: str, theirs: str, known: Known) -> bool:
    ours = accepted_values(known)
    for kind, figures in stated_figures(label, theirs).items():
        if ours.get(kind) and not _any_agrees(kind, figures, ours[kind]):
            return True
    return False


def accepted_values(known: Known) -> dict[str, set[float]]:
    """Return kind → the values that a card may give."""
    found = {kind: set(values) for kind, values in known.values.items()}
    for kind, figures in measures.figures(known.text).items():
        found.setdefault(kind, set()).update(figure.low for figure in figures)
    if "GPU time" in found and "time" in found:
        found["time"] |= found["GPU time"]
    if "time" in found and stated_names.NO_GPU.search(known.text):
        found["GPU time"] = {0.0}
    return found


def stated_figures(label: str, theirs: str) -> dict[str, list[Figure]]:
    """Return the figures of a card; a bare number is in the unit that the label asks for."""
    found = measures.figures(theirs)
    unit = measures.unit_of_label(label)
    if unit is None:
        return found
    kind, factor = unit
    if kind == "GPU time" and "time" in found:
        # "GPU hours: 12 h" are hours of GPUs.
        found = {**found, "GPU time": found["time"]}
        del found["time"]
    bare = re.fullmatch(rf"\W{{0,3}}(?:\w+\.? )?({measures.DIGITS})\W{{0,2}}", theirs)
    if not found and bare:
        found = measures.figures(f"{theirs.rstrip(' .*_')} {_unit_name(kind)}")
        scale = factor / measures.figures(f"1 {_unit_name(kind)}")[kind][0].low
        found = {
            kind: [
                replace(
                    one, low=one.low * scale, high=one.high * scale, rounding=one.rounding * scale
                )
                for one in found.get(kind, [])
            ]
        }
    return found


def _unit_name(kind: str) -> str:
    return {
        "time": "h",
        "GPU time": "GPU-hours",
        "energy": "kWh",
        "power": "W",
        "mass": "kg",
        "size": "GB",
        "intensity": "g/kWh",
    }.get(kind, kind.replace(" a second", "/s"))


def _any_agrees(kind: str, figures: Iterable[Figure], values: Iterable[float]) -> bool:
    factors = (1.0, _GIB_PER_GB, 1 / _GIB_PER_GB) if kind == "size" else (1.0,)
    return any(
        figure.agrees(value * factor)
        for figure in figures
        for value in values
        for factor in factors
    )


# -- names -----------------------------------------------------------------------------------------


def _other_names(fact: str, theirs: str, known: Known) -> bool:
    ours = f"{known.text} {known.words}"
    for kind in _NAMES_OF.get(fact, ()):
        their_names, our_names = _NAMES[kind](theirs), _NAMES[kind](ours)
        if their_names and our_names and not their_names & our_names:
            return True
    if fact == "training_regime":
        mixed = {stated_names.is_mixed(theirs), stated_names.is_mixed(known.text)}
        return mixed == {True, False} or (mixed == {True, None} and known.text.strip() == "fp32")
    return False


def _other_hardware(theirs: str, known: Known) -> bool:
    their_devices, our_devices = stated_names.devices(theirs), stated_names.devices(known.text)
    if stated_names.NO_GPU.search(known.text):
        return bool(their_devices) or bool(stated_names.device_counts(theirs) - {0})
    if stated_names.NO_GPU.search(theirs):
        return True
    if their_devices and not their_devices & our_devices:
        spelled = stated_names.normal_device(known.text)
        if not any(device in spelled for device in their_devices):
            return True
    counts = stated_names.device_counts(theirs)
    return bool(counts and known.gpus) and not counts & known.gpus


def _other_modules(theirs: str, ours: str) -> bool:
    their_names, our_names = set(_IDENTIFIER.findall(theirs)), set(_IDENTIFIER.findall(ours))
    if not their_names or not our_names:
        return False
    if their_names - our_names:
        return True
    return bool(our_names - their_names) and _OPEN_LIST.search(theirs) is None


def _other_data(theirs: str, ours: str) -> bool:
    their_ids, our_ids = stated_names.hub_ids(theirs), stated_names.hub_ids(ours)
    if not our_ids:
        return False
    if their_ids:
        return not {_last(one) for one in their_ids} & {_last(one) for one in our_ids}
    name = theirs.strip(" .`*_")
    word = name.lower()
    is_name = re.fullmatch(r"[a-z][\w-]+|[A-Z][A-Z\d_-]+", name) and word not in _NO_DATA_NAMES
    return bool(is_name) and not any(_is_part(word, one) for one in our_ids)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _is_part(word: str, name: str) -> bool:
    bare = re.sub(r"[\W_]", "", word)
    return bare in re.sub(r"[\W_]", "", name) or re.sub(r"[\W_]", "", _last(name)) in bare


_WHOLE_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    **dict.fromkeys(_MODELS, names_other_model),
    **dict.fromkeys(_DATA, _other_data),
    **dict.fromkeys(_MODULES, _other_modules),
}
"""Fact → how its texts are compared, where nothing else in them counts."""
