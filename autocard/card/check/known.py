"""What the record has about each fact, for comparison with what a card says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from autocard.card import fields
from autocard.card.check.known_fact import Known
from autocard.record import RunRecord
from autocard.totals.leg_sums import J_PER_KWH

_ENVIRONMENT = ("hours_used", "energy", "co2_emitted", "hardware_type", "total_energy")
"""Facts whose texts may have any figure of the whole run."""
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!|<>~$&-])")


def known_facts(record: RunRecord) -> dict[str, Known]:
    """Return fact → what the record has about it."""
    found = {}
    values = _run_values(record)
    numbers = _numbers(record)
    words = _words(record)
    gpus = frozenset(_gpu_counts(record))
    for name, fact in fields.facts(record).items():
        if name in record.facts:
            continue  # a person's own words, not the record's
        found[name] = Known(
            text=_ESCAPED.sub(r"\1", fact.line),
            values=values if name in _ENVIRONMENT else {},
            numbers=frozenset(numbers.get(name, ())),
            words=words.get(name, ""),
            gpus=gpus,
            is_text=fact.block is not None,
        )
    return found


def _run_values(record: RunRecord) -> dict[str, frozenset[float]]:
    """Return kind → values of the whole run, in seconds, joules, watts, grams."""
    time, energy, emissions = record.time, record.energy, record.emissions
    kwh = (
        energy.total_kwh,
        energy.facility_kwh,
        energy.gpu_kwh,
        energy.cpu_kwh,
        energy.ram_kwh,
        energy.node_meter_kwh,
        energy.codecarbon_gpu_kwh,
        energy.reported_kwh,
    )
    values: dict[str, Iterable[float | None]] = {
        "time": (time.wall_clock_s, time.gpu_s, time.allocated_gpu_s),
        "GPU time": (time.gpu_s, time.allocated_gpu_s),
        "energy": [None if one is None else one * J_PER_KWH for one in kwh],
        "mass": (
            emissions.co2eq_g,
            emissions.reported_co2eq_g,
            emissions.market_based_co2eq_g,
        ),
        "intensity": (emissions.intensity_g_per_kwh,),
        "power": _watts(record),
    }
    found = {}
    for kind, some in values.items():
        there = frozenset(one for one in some if one is not None)
        if there:
            found[kind] = there
    return found


def _watts(record: RunRecord) -> Iterator[float]:
    """Yield the mean powers: of one GPU, and of everything."""
    time, energy = record.time, record.energy
    if energy.gpu_kwh is not None and time.gpu_s:
        yield energy.gpu_kwh * J_PER_KWH / time.gpu_s
    if energy.total_kwh is not None and time.wall_clock_s:
        yield energy.total_kwh * J_PER_KWH / time.wall_clock_s


def _numbers(record: RunRecord) -> dict[str, list[float]]:
    """Return fact → numbers that are right beside those of its text."""
    model, training, run = record.model, record.training, record.run
    settings = training.hyperparameters
    parameters = [model.parameters_total, model.parameters_trainable]
    if model.parameters_total is not None and model.parameters_trainable is not None:
        parameters.append(model.parameters_total - model.parameters_trainable)
    batch = [
        training.effective_batch_size,
        settings.get("per_device_train_batch_size"),
    ]
    found: dict[str, Iterable[object]] = {
        "parameters": parameters,
        "model_size": parameters,
        "batch_size": batch,
        "total_batch_size": [training.effective_batch_size],
        "epochs": [
            run.epochs,
            None if run.epochs is None else round(run.epochs),
            settings.get("num_train_epochs"),
        ],
        "steps": [run.global_step, run.max_steps],
    }
    return {
        name: [float(one) for one in some if isinstance(one, int | float) and one > 0]
        for name, some in found.items()
    }


def _words(record: RunRecord) -> dict[str, str]:
    """Return fact → words that are right beside those of its text."""
    model, precision, settings = record.model, record.precision, record.training.hyperparameters
    quantized = " ".join(
        f"{name} {value}" for name, value in (precision.quantization or {}).items()
    )
    quantized = quantized.replace("_", " ")
    found = {
        "training_regime": f"{precision.compute_dtype or ''} {quantized}",
        "quantization": quantized,
        "optimizer": str(settings.get("optim", "")),
        "lr_scheduler": str(settings.get("lr_scheduler_type", "")),
        "model_type": model.architecture or "",
        "cloud_region": " ".join(
            one for one in (record.emissions.country_iso_code, record.emissions.cloud_region) if one
        ),
    }
    for name in ("parameters", "parameters_total", "model_size"):
        found[name] = model.base_model or ""
    return found


def _gpu_counts(record: RunRecord) -> Iterator[int]:
    """Yield how many GPUs may be meant: in all, on each node, of each kind, allocated."""
    hardware = record.hardware
    if not hardware.gpus:
        return
    nodes = hardware.nodes or 1
    counts = [kind.count for kind in hardware.gpus]
    for count in (*counts, sum(counts)):
        yield count
        if count % nodes == 0:
            yield count // nodes
    if hardware.gpus_allocated:
        yield hardware.gpus_allocated
    for leg in record.legs:
        yield sum(len(host.devices) for host in leg.hosts)


def metrics(record: RunRecord) -> dict[str, list[float]]:
    """Return metric, as `metric_word` spells it → its values in the run."""
    found: dict[str, list[float]] = {}
    evaluation = record.evaluation
    for metric in evaluation.results:
        found.setdefault(metric_word(metric.name), []).append(float(metric.value))
    best = evaluation.best
    if best is not None and best.metric and best.value is not None:
        found.setdefault(metric_word(best.metric), []).append(best.value)
    for entry in evaluation.history:
        for name, value in entry.items():
            word = metric_word(name)
            is_figure = isinstance(value, int | float) and name.startswith("eval_")
            if word in found and is_figure:
                found[word].append(float(value))
    if evaluation.train_loss is not None and "loss" in found:
        found["loss"].append(evaluation.train_loss)
    return found


def metric_word(name: str) -> str:
    """Return the name of a metric as it is compared: "Eval accuracy" and "accuracy" are one."""
    text = re.sub(r"[\W_]+", " ", name.lower()).strip()
    text = re.sub(r"^(?:eval|evaluation|validation|val|test|final|best|predict) ", "", text)
    return text.removesuffix(" score")


def versions(record: RunRecord) -> dict[str, str]:
    """Return package, in lower case → the version that the run used."""
    found = {}
    for name, version in record.software.items():
        found[name.lower().replace("_", "-")] = version
    if "torch" in found:
        found["pytorch"] = found["torch"]
    return found
