"""What a session has gathered → one frozen `RunRecord`, in which every missing fact has its reason.

Computes nothing but the joining of parts: sums are `job`'s, facts are the captures'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from autocard import guard, units
from autocard.capture.model.artifacts import (
    ADAPTER_CONFIG,
    ADAPTERS,
    WHOLE,
    saved_bytes,
    saved_dtype,
    saved_files,
)
from autocard.capture.training.flops import peak_share
from autocard.errors import ImpossibleFigureError, UnavailableError
from autocard.record import (
    Code,
    Data,
    Dataset,
    Evaluation,
    Hardware,
    Job,
    Leg,
    Model,
    Precision,
    Run,
    RunRecord,
    Search,
    Time,
    Training,
    empty_leaves,
    unexplained,
)
from autocard.record.gaps import Gaps, Part, joined, under
from autocard.record.limits import without_impossible
from autocard.record.public_names import with_public_names
from autocard.settings import Settings
from autocard.totals import totals

PUBLISHED_SETTINGS = (
    "base_model",
    "datasets",
    "country_iso_code",
    "region",
    "geolocate",
    "carbon_intensity_g_per_kwh",
    "market_based_co2eq_g",
    "pue",
    "wue_l_per_kwh",
    "cpu_power_w",
    "ram_power_w",
    "measure_power_secs",
    "emissions",
)
"""Settings that shape a figure; the others may hold paths of the machine."""

UNSEEN = (
    "the operations are those of all steps, and the time of the first of them is not recorded here"
)
NOT_SAVED = "the weights were not in the output folder when this was written"
_FORMAT_NOT_SAID = "the weights are no safetensors of numbers, whose header says their format"
NOT_LOOKED_FOR = "autocard did not look for this"
"""The reason of last resort. A test holds that no real run's record contains it."""

_PARTIAL = re.compile(r"legs\.\d+\.hosts(\.\d+\.devices)?|hardware\.gpus")
"""Paths of lists that may hold some and not all: their reason says who is not in them."""

_EMPTY: dict[str, Any] = {
    "model": Model,
    "adapters": list,
    "precision": Precision,
    "training": Training,
    "data": Data,
    "evaluation": Evaluation,
    "hardware": Hardware,
    "software": dict,
    "code": Code,
    "job": Job,
}


@dataclass
class RecordDraft:
    """All that a session knows, before it is frozen."""

    settings: Settings
    run: Run
    legs: Sequence[Part[Leg]]
    parts: Mapping[str, Any]
    """Key of the record → its part, where the capture succeeded."""
    gaps: Mapping[str, Gaps]
    """Path of a part → the gaps in it; "": the record."""
    eval_sets: Sequence[Part[Dataset]] = ()
    """Evaluation data sets, as they were seen at evaluations."""
    counted: tuple[int | None, int | None] | None = None
    """Parameters (total, trainable) before anything sharded them."""
    saved_bytes: int | None = None
    """Weights in the output folder."""
    checkpoint_bytes: int | None = None
    """Of the newest checkpoint."""
    checkpoint_has_optimizer: bool | None = None
    """Whether it holds the optimizer's state."""
    saved_dtype: str | None = None
    """Number format of these weights."""
    saved_files: Sequence[str] = ()
    """Names of what lies beside them."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Pictures beside the card → what one sees on them."""
    peaks: tuple[dict[str, int], int | None] | None = None
    """Peak bytes per device, and of the process."""
    search: Search = field(default_factory=Search)
    """Trainings of a hyperparameter search before this one."""
    times: Mapping[str, Any] = field(default_factory=dict)
    """What the trainer says of its own speed."""


def build_record(draft: RecordDraft) -> RunRecord:
    """Return the record of *draft*."""
    parts = {key: draft.parts.get(key, make()) for key, make in _EMPTY.items()}
    model = _model(draft, parts["model"])
    parts["model"] = model.value
    parts["hardware"] = _hardware(draft, parts["hardware"])
    eval_sets = joined(draft.eval_sets)
    if eval_sets.value:
        parts["data"] = parts["data"].model_copy(update={"eval": eval_sets.value})
    possible = [_possible(leg, number) for number, leg in enumerate(draft.legs)]
    marked = totals.with_emissions(totals.with_repeats(possible))
    legs = joined(marked)
    sums = _sums(draft, parts["hardware"], marked)
    time = _time(draft, sums.time, parts, legs.value)
    record = RunRecord(
        run=draft.run,
        legs=legs.value,
        time=time.value,
        energy=sums.energy.value,
        emissions=sums.emissions.value,
        search=draft.search,
        pictures=dict(draft.pictures),
        facts=dict(draft.settings.facts),
        settings=_published(draft.settings),
        **parts,
    )
    missing = _missing(
        *_of_captures(draft),
        ("data.eval", eval_sets.gaps),
        ("model", model.gaps),
        ("legs", legs.gaps),
        ("time", time.gaps),
        ("energy", sums.energy.gaps),
        ("emissions", sums.emissions.gaps),
    )
    record, gone = without_impossible(with_public_names(record))
    _report(gone)
    return record.model_copy(update={"missing": _reasons(record, {**missing, **gone})})


def _missing(*parts: tuple[str, Gaps]) -> dict[str, str]:
    """Return path in the record → reason, of *parts*: path of each and the gaps in it."""
    missing: dict[str, str] = {}
    for path, gaps in parts:
        missing.update(under(path, gaps))
    return missing


def _of_captures(draft: RecordDraft) -> Iterator[tuple[str, Gaps]]:
    for path, gaps in draft.gaps.items():
        if path == "data" and draft.eval_sets:
            # When training began, the gap was that no evaluation had been seen.
            yield path, {name: reason for name, reason in gaps.items() if name != "eval"}
        else:
            yield path, gaps


def _published(settings: Settings) -> dict[str, str]:
    """Return setting → where it came from, of those that may be published."""
    return {name: source for name, source in settings.sources.items() if name in PUBLISHED_SETTINGS}


def _possible(leg: Part[Leg], number: int) -> Part[Leg]:
    """Return *leg*, the one with this *number*, without figures that cannot be: they are no summands."""
    possible, gone = without_impossible(leg.value)
    _report(under(f"legs.{number}", gone))
    return Part(possible, {**leg.gaps, **gone})


def _sums(draft: RecordDraft, hardware: Hardware, legs: Sequence[Part[Leg]]) -> totals.Sums:
    of_hardware = draft.gaps.get("hardware", {})
    return totals.sums(
        legs,
        settings=draft.settings,
        gpus_allocated=hardware.gpus_allocated,
        why_not_allocated=of_hardware.get("gpus_allocated", totals.NOT_ALLOCATED),
    )


def _report(gone: Mapping[str, str]) -> None:
    """Log once for each leaf that its figure was wrong."""
    for path, reason in gone.items():
        guard.report(path, ImpossibleFigureError(reason))


def _model(draft: RecordDraft, model: Model) -> Part[Model]:
    """Return *model* with what was saved of it, and the gaps of that."""
    found: dict[str, Any] = {
        "checkpoint_bytes": draft.checkpoint_bytes,
        "checkpoint_has_optimizer": draft.checkpoint_has_optimizer,
    }
    total, trainable = draft.counted or (None, None)
    if total is not None:
        found["parameters_total"] = total
    if trainable is not None:
        found["parameters_trainable"] = trainable
    found.update(_with_earlier_run(draft.run, model))
    gaps: dict[str, str] = {}
    if draft.saved_bytes is None:
        why = draft.gaps.get("model.saved_bytes", {}).get("") or NOT_SAVED
        gaps["saved_bytes"] = gaps["saved_dtype"] = why
    else:
        adapters = draft.parts.get("adapters") or ()
        found.update(_saved(model, adapters, draft.saved_bytes, draft.saved_files))
        found["saved_dtype"] = draft.saved_dtype
        if draft.saved_dtype is None:
            gaps["saved_dtype"] = _FORMAT_NOT_SAID
    return Part(model.model_copy(update=found), gaps)


def _with_earlier_run(run: Run, model: Model) -> dict[str, Any]:
    """Return the description of the base, where an earlier run of this process had trained it."""
    described = model.base_model_description
    if not run.earlier_run or not described or model.base_model:
        return {}
    earlier = f"an earlier training of the same process (run {run.earlier_run}) had done the first"
    steps = units.plural(run.earlier_steps, "step")
    return {"base_model_description": f"{described}; {earlier} {steps}"}


def _merged(model: Model) -> dict[str, Any]:
    """Return what of *model* is different once its adapters are merged into the weights that were saved."""
    return {
        "adapters_merged": True,
        "base_model_relation": model.base_model_relation and "finetune",
        "library_name": "transformers" if model.library_name == "peft" else model.library_name,
    }


def as_saved(record: RunRecord, folder: Path) -> RunRecord:
    """Return *record* for a card in *folder*: whole weights there, without an adapter, hold the run's merged adapters.

    Such weights come of `merge_and_unload().save_pretrained(folder)` after the run.
    """
    files = saved_files(folder)
    whole = saved_whole(files) and ADAPTER_CONFIG not in files
    if not record.adapters or record.model.adapters_merged or not whole:
        return record
    found = {**_merged(record.model), "saved_files": files, "saved_bytes": saved_bytes(folder)}
    found["saved_dtype"] = saved_dtype(folder)
    return _with_saved(record, found)


def _with_saved(record: RunRecord, found: Mapping[str, Any]) -> RunRecord:
    known = ("model.saved_bytes", "model.saved_dtype")
    missing = {path: reason for path, reason in record.missing.items() if path not in known}
    if found["saved_dtype"] is None:
        missing["model.saved_dtype"] = _FORMAT_NOT_SAID
    return record.model_copy(
        update={"model": record.model.model_copy(update=found), "missing": missing}
    )


def _saved(
    model: Model, adapters: Sequence[Any], size: int, files: Sequence[str]
) -> dict[str, Any]:
    """Return the leaves of *model* that follow from the weights that were saved."""
    found: dict[str, Any] = {"saved_bytes": size, "saved_files": list(files)}
    return {**found, **(_merged(model) if adapters and saved_whole(files) else {})}


def look_again(record: RunRecord, folder: Path, *, elsewhere: bool = False) -> RunRecord:
    """Return *record* with the weights that lie in *folder* by now: they are often saved after the card was written.

    Args:
        record: as it was written.
        folder: the one that holds the card.
        elsewhere: it is another one than the run's output folder, so the size that is known is
            another folder's.
    """
    merged = as_saved(record, folder)
    if merged is not record:
        return merged
    began_s = _seconds(record.run.started_at)
    names = [adapter.name for adapter in record.adapters]
    size = saved_bytes(folder, began_s, names)
    if size is None or (not elsewhere and record.model.saved_bytes not in (None, size)):
        return record  # nothing, or other weights than those that the record tells of
    found = _saved(record.model, record.adapters, size, saved_files(folder, began_s, names))
    return _with_saved(record, {**found, "saved_dtype": saved_dtype(folder, began_s, names)})


def _seconds(started_at: str | None) -> float | None:
    """Return a time stamp (ISO 8601) in seconds since the epoch; None: it is none."""
    try:
        return (
            None
            if started_at is None
            else datetime.fromisoformat(started_at.replace("Z", "+00:00")).timestamp()
        )
    except ValueError:
        return None


def saved_whole(files: Sequence[str]) -> bool:
    """Return whether *files*, which this run saved, are those of a whole model and not of an adapter."""
    whole = "config.json" in files and not set(files).isdisjoint(WHOLE)
    return whole and {name.rpartition("/")[2] for name in files}.isdisjoint(ADAPTERS)


def _hardware(draft: RecordDraft, hardware: Hardware) -> Hardware:
    if draft.peaks is None:
        return hardware
    devices, process = draft.peaks
    return hardware.model_copy(update={"peak_memory_bytes": devices, "peak_ram_bytes": process})


def _time(
    draft: RecordDraft, of_legs: Part[Time], parts: Mapping[str, Any], legs: Sequence[Leg]
) -> Part[Time]:
    """Return the time *of_legs* with what the trainer measured, and the share of the GPUs' peak."""
    known = {name: value for name, value in draft.times.items() if value is not None}
    time = of_legs.value.model_copy(update=known)
    try:
        share, method = _peak_share(time, parts["precision"], parts["hardware"], legs)
    except UnavailableError as exc:
        reason = str(exc)
        return Part(time, {**of_legs.gaps, "peak_share": reason, "peak_share_method": reason})
    update = {"peak_share": share, "peak_share_method": method}
    return Part(time.model_copy(update=update), of_legs.gaps)


def _peak_share(
    time: Time, precision: Precision, hardware: Hardware, legs: Sequence[Leg]
) -> tuple[float, str]:
    if legs and legs[0].step_begin:
        raise UnavailableError(UNSEEN)
    return peak_share(
        time.flops_estimate,
        time.gpu_s,
        hardware.gpus,
        precision.compute_dtype,
        tf32=bool(precision.tf32),
    )


def _reasons(record: RunRecord, missing: Mapping[str, str]) -> dict[str, str]:
    """Return the reasons that are still needed, sorted, with one of last resort for what nobody explained."""
    empty = set(empty_leaves(record))
    needed = {
        path: reason for path, reason in missing.items() if _stands_for_nothing(record, path, empty)
    }
    explained = record.model_copy(update={"missing": needed})
    needed.update(dict.fromkeys(unexplained(explained), NOT_LOOKED_FOR))
    return dict(sorted(needed.items()))


def _stands_for_nothing(record: RunRecord, path: str, empty: set[str]) -> bool:
    """Return whether *path* is, or holds, something that is not there (empty lists and mappings included)."""
    if _PARTIAL.fullmatch(path):
        return True
    if path in empty or any(leaf.startswith(f"{path}.") for leaf in empty):
        return True
    part: Any = record
    for key in path.split("."):
        if isinstance(part, list):
            part = part[int(key)] if key.isdigit() and int(key) < len(part) else None
        elif isinstance(part, Mapping):
            part = part.get(key)
        else:
            part = getattr(part, key, None)
    return part is None or part in ([], {})
