"""What users write against the public names, fully typed; mypy and pyright read it in their strictest modes."""

from __future__ import annotations

from pathlib import Path

from autocard import AutoCardCallback, RunRecord, __version__, attach
from autocard.record import Energy, Hardware, load

version: str = __version__

plain = AutoCardCallback()
configured = AutoCardCallback(
    template="compact",
    card="out/README.md",
    base_model="org/base",
    datasets=["org/data"],
    facts={"license": "mit", "developers": "Us"},
    country_iso_code="FRA",
    region="bretagne",
    geolocate=False,
    carbon_intensity_g_per_kwh=56.0,
    market_based_co2eq_g=12.5,
    pue=1.2,
    wue_l_per_kwh=0.4,
    cpu_power_w=280,
    ram_power_w=20.0,
    measure_power_secs=5,
    ledger_dir="/local",
    empty="placeholder",
    detail="brief",
    sections=["environment", "front_matter"],
    emissions=True,
    last_word=True,
    remote_hosts="git.example.org",
    plots=False,
    quiet=True,
)


def attached(trainer: object) -> AutoCardCallback:
    callback: AutoCardCallback = attach(trainer, country_iso_code="FRA")
    return callback


def energy_of(record: RunRecord) -> float:
    energy: Energy = record.energy
    if energy.gpu_kwh is None:
        reason: str | None = record.why_missing("energy.gpu_kwh")
        raise ValueError(reason)
    return energy.gpu_kwh


def described(folder: Path) -> str:
    record: RunRecord = load(folder / "autocard.json")
    hardware: Hardware = record.hardware
    boards = ", ".join(f"{gpu.count} × {gpu.name}" for gpu in hardware.gpus)
    hours: float | None = (
        None if record.time.wall_clock_s is None else record.time.wall_clock_s / 3600
    )
    regime: str | None = record.precision.regime
    missing: dict[str, str] = record.missing
    legs: list[str] = [leg.id for leg in record.legs]
    return f"{boards} {hours} {regime} {len(missing)} {legs} {record.emissions.co2eq_g} {record.run.status}"
