"""The parts of a session → one frozen `RunRecord`, in which every missing fact has its reason.

Joins parts and puts the paths of their gaps together. Facts come from the captures, sums from
`totals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocard import guard, units
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
from autocard.runtime.saved_weights import NOT_SAVED, saved_part
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
"""Settings that affect a figure; the others may contain paths of the machine."""

UNSEEN = "the FLOPs cover all steps, and the time of the first ones is not recorded here"
NOT_LOOKED_FOR = "not captured"
"""The reason of last resort. A test checks that no real run's record contains it."""

_PARTIAL = re.compile(r"legs\.\d+\.hosts(\.\d+\.devices)?|hardware\.gpus")
"""Paths of lists that may be incomplete, such as legs.0.hosts.1.devices: their reason describes
what is not in them."""

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
    """The parts of a session, before they become a record."""

    settings: Settings
    run: Run
    legs: Sequence[Part[Leg]]
    parts: Mapping[str, Any]
    """Key of the record → its part, if the capture succeeded."""
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
    """Names of the files that loading reads."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Pictures beside the card → what they show."""
    peaks: tuple[dict[str, int], int | None] | None = None
    """Peak bytes per device, and peak bytes of the process."""
    search: Search = field(default_factory=Search)
    """Trainings of a hyperparameter search before this one."""
    times: Mapping[str, Any] = field(default_factory=dict)
    """Speeds and times that the trainer measured."""


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
    """Return path in the record → reason; *parts*: pairs of a part's path and its gaps."""
    missing: dict[str, str] = {}
    for path, gaps in parts:
        missing.update(under(path, gaps))
    return missing


def _of_captures(draft: RecordDraft) -> Iterator[tuple[str, Gaps]]:
    for path, gaps in draft.gaps.items():
        if path == "data" and draft.eval_sets:
            # The gap of training's begin said that there was no evaluation yet.
            yield path, {name: reason for name, reason in gaps.items() if name != "eval"}
        else:
            yield path, gaps


def _published(settings: Settings) -> dict[str, str]:
    """Return setting → its source, for the settings that may be published."""
    return {name: source for name, source in settings.sources.items() if name in PUBLISHED_SETTINGS}


def _possible(leg: Part[Leg], number: int) -> Part[Leg]:
    """Return *leg*, whose number is *number*, without impossible figures."""
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
    """Log once for each leaf that its figure was impossible."""
    for path, reason in gone.items():
        guard.report(path, ImpossibleFigureError(reason))


def _model(draft: RecordDraft, model: Model) -> Part[Model]:
    """Return *model* with its counts, its saved weights and their gaps."""
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
    model = model.model_copy(update=found)
    if draft.saved_bytes is None:
        why = draft.gaps.get("model.saved_bytes", {}).get("") or NOT_SAVED
        return Part(model, {"saved_bytes": why, "saved_dtype": why})
    adapters = draft.parts.get("adapters") or ()
    return saved_part(model, adapters, draft.saved_bytes, draft.saved_dtype, draft.saved_files)


def _with_earlier_run(run: Run, model: Model) -> dict[str, Any]:
    """Return the base's description if an earlier run of this process had trained it."""
    described = model.base_model_description
    if not run.earlier_run or not described or model.base_model:
        return {}
    steps = units.plural(run.earlier_steps, "step")
    words = f"{described.removesuffix(')')}; first {steps} in run {run.earlier_run}"
    return {"base_model_description": f"{words})" if described.endswith(")") else words}


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
    """Return the needed reasons of *missing*, sorted; facts without a reason get a last resort."""
    empty = set(empty_leaves(record))
    needed = {path: why for path, why in missing.items() if _is_gap(record, path, empty)}
    explained = record.model_copy(update={"missing": needed})
    needed.update(dict.fromkeys(unexplained(explained), NOT_LOOKED_FOR))
    return dict(sorted(needed.items()))


def _is_gap(record: RunRecord, path: str, empty: set[str]) -> bool:
    """Return whether the value at *path*, or a value inside it, is missing.

    Empty lists and mappings count as missing.
    """
    if _PARTIAL.fullmatch(path) or path in empty:
        return True
    inside = f"{path}."
    return any(leaf.startswith(inside) for leaf in empty) or _at(record, path) in (None, [], {})


def _at(record: RunRecord, path: str) -> Any:
    """Return the value of *record* at *path*, or None."""
    part: Any = record
    for key in path.split("."):
        if isinstance(part, list):
            part = part[int(key)] if key.isdigit() and int(key) < len(part) else None
        elif isinstance(part, Mapping):
            part = part.get(key)
        else:
            part = getattr(part, key, None)
    return part
