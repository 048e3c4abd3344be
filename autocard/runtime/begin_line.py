"""The line at the begin of training: what is measured, what is modeled, what will be missing.

Rule: it says what is planned on this host, and for what will be missing the setting that gives it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pycountry

from autocard import units
from autocard.energy import measuring_plan
from autocard.energy.location import geolocation, place
from autocard.energy.measuring_plan import MeasuringPlan
from autocard.runtime.pieces.piece import LEG
from autocard.runtime.run_state import Event, RunState

_GIVES = {"base_model": "no base model", "datasets": "no dataset id"}
"""Setting → what is missing without it. A gap's reason names the setting, as in "base_model=…"."""


def text(run: RunState, event: Event) -> str:
    """Return the line."""
    parts = [*_energy(run, event), *_place(run), *_gaps(run)]
    if event.in_search:
        parts.append("trials of a search write no card")
    return "autocard: " + "; ".join(parts)


def _energy(run: RunState, event: Event) -> Iterator[str]:
    """Yield what is measured and what is modeled."""
    if not run.settings.emissions:
        yield "energy and CO2 are not measured (emissions=False)"
        return
    plan = _plan(run, event)
    why = _why_not(run) if plan is None else plan.no_worker
    if plan is None or why:
        yield f"energy is not measured: {why}"
        return
    yield from _gpus(plan, _where(run, event.nodes or 1))
    measured = plan.cpu_counted and run.settings.cpu_power_w is None
    yield "CPU measured, memory modeled" if measured else "CPU and memory modeled"


def _plan(run: RunState, event: Event) -> MeasuringPlan | None:
    """Return what all processes on this host measure; None: nothing is measured."""
    team = run.coordinator.team
    if team.alone or not team.together:
        return None if run.meter is None else run.meter.plan
    boards, gap = team.boards()
    return measuring_plan.of_boards(boards, gap, event.mark)


def _why_not(run: RunState) -> str:
    """Return why nothing is measured."""
    reasons = run.facts.gaps.get(LEG, {}).values()
    return next(iter(reasons), "") or "no process measures here"


def _where(run: RunState, nodes: int) -> str:
    """Return which part of the job the line is about; "": the whole."""
    team = run.coordinator.team
    if not team.together:
        return f" in this process of {units.count(team.tasks)}"
    return f" on this node of {units.count(nodes)}" if nodes > 1 else ""


def _gpus(plan: MeasuringPlan, where: str) -> Iterator[str]:
    for verb, names in (
        ("measuring", plan.counted),
        ("sampling the power of", plan.sampled),
        ("no reading from", plan.silent),
    ):
        if names:
            yield f"{verb} {_named(names)}{where}"
    if plan.gpu_gap:
        yield f"GPUs not measured ({plan.gpu_gap}), so no total"
    elif not (plan.counted or plan.sampled or plan.silent):
        yield "no GPU in use"


def _named(names: Iterable[str]) -> str:
    """Return GPUs by their names: "8 × NVIDIA A100-SXM4-80GB"."""
    kinds = Counter(names)
    return ", ".join(f"{units.count(count)} × {name}" for name, count in kinds.items())


def _place(run: RunState) -> Iterator[str]:
    """Yield where the electricity is drawn, or the setting that says so."""
    settings = run.settings
    if not settings.emissions:
        return
    known = place.of(settings)
    if settings.carbon_intensity_g_per_kwh is not None:
        yield f"{units.shortest(settings.carbon_intensity_g_per_kwh)} g CO2eq/kWh"
    elif settings.country_iso_code is not None:
        yield f"place: {_country(settings.country_iso_code)}"
    elif not geolocation.knows_nothing(known, geolocate=settings.geolocate):
        yield "place: looked up"
    else:
        yield "no CO2: set country_iso_code"


def _country(code: str) -> str:
    country = pycountry.countries.get(alpha_3=code)
    return code if country is None else str(country.name)


def _gaps(run: RunState) -> Iterator[str]:
    """Yield what else will be missing, and the setting that gives it."""
    gaps = run.facts.gaps
    reasons = [*gaps.get("model", {}).values(), *gaps.get("data", {}).values()]
    for setting, missing in _GIVES.items():
        if any(f"{setting}=" in reason for reason in reasons):
            yield f"{missing}: set {setting}"
