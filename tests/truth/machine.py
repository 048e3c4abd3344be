"""Oracles of the machine and of sums over a record."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth, installed, near


def machine_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    for name, version in known["software"].items():
        there = installed(name.replace("_", "-"))
        if there is None:
            continue
        module = sys.modules.get(name)
        own = getattr(module, "__version__", there)
        yield f"software.{name}", version, str(version) in (there, str(own))
    if "python" in known["software"]:
        here = ".".join(map(str, sys.version_info[:3]))
        yield (
            "software.python",
            known["software"]["python"],
            known["software"]["python"].startswith(here),
        )
    if known["hardware"]["gpus"] and not _has_boards():
        yield "hardware.gpus", known["hardware"]["gpus"], False
    world = known["job"]["world_size"]
    if world is not None:
        # Arguments that are read after the process group was taken down know of one process only.
        started = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or ""
        here = (true.args.world_size, int(started) if started.isdigit() else None)
        yield "job.world_size", f"{world} of {here}", world in here


def _has_boards() -> bool:
    """Return whether NVML shows a board: the suite's own NVML does where there is none."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return bool(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return False


def sums_of(known: dict[str, Any], _: Truth) -> Iterator[Said]:
    energy, emissions = known["energy"], known["emissions"]
    parts = [energy[name] for name in ("gpu_kwh", "cpu_kwh", "ram_kwh")]
    if energy["total_kwh"] is not None and None not in parts:
        yield "energy.total_kwh", energy["total_kwh"], bool(near(energy["total_kwh"], sum(parts)))
    if energy["total_kwh"] is not None and None in parts:
        yield "energy.total_kwh", energy["total_kwh"], False
    # Legs with factors of their own are not one product; their tests add them up.
    one_place = len({(leg["pue"], leg["intensity_g_per_kwh"]) for leg in known["legs"]}) <= 1
    if (
        one_place
        and emissions["co2eq_g"] is not None
        and energy["total_kwh"]
        and emissions["intensity_g_per_kwh"]
    ):
        grams = energy["total_kwh"] * (emissions["pue"] or 1.0) * emissions["intensity_g_per_kwh"]
        yield (
            "emissions.co2eq_g",
            emissions["co2eq_g"],
            bool(near(emissions["co2eq_g"], grams, share=1e-3)),
        )
    for path in known["missing"]:
        leaf = functools.reduce(
            lambda part, name: part.get(name) if isinstance(part, dict) else None,
            path.split("."),
            known,
        )
        if path in (
            "energy.total_kwh",
            "emissions.co2eq_g",
            "model.parameters_total",
            "model.saved_bytes",
        ):
            yield f"missing[{path}]", leaf, leaf is None
