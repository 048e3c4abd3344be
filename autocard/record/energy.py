"""Time, energy and emissions: the sums over all legs and hosts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocard.record.base import Frozen


class Time(Frozen):
    """Sums over all legs."""

    wall_clock_s: float | None = None
    """Sum of the legs."""
    gpu_s: float | None = None
    """Device-seconds: used GPUs × time."""
    allocated_gpu_s: float | None = None
    """Device-seconds: GPUs that were given × time."""
    repeated_s: float | None = None
    """The part of the wall clock that went into steps which a later leg did again."""
    repeated_steps: int | None = None
    """Those steps."""
    eval_s: float | None = None
    """Evaluation inside the training window."""
    samples_per_s: float | None = None
    """Training samples (`training.batch_unit`) per second of the last leg, evaluations and saving
    included."""
    steps_per_s: float | None = None
    """Optimizer steps per second of the last leg, evaluations and saving included."""
    tokens: int | None = None
    """Input tokens seen, where the trainer counted them."""
    tokens_with_padding: bool | None = None
    """Whether padding is among `tokens`."""
    flops: float | None = None
    """Floating-point operations of training, by `flops_method`."""
    flops_method: str | None = None
    """What the figure counts."""
    flops_estimate: float | None = None
    """Floating-point operations of training without weight gradients of frozen parameters, by its
    method; a model."""
    flops_estimate_method: str | None = None
    """What the estimate counts."""
    peak_share: float | None = None
    """flops_estimate / (device-seconds × the devices' peak for dense products), 0 to 1: model FLOPs
    utilisation."""
    peak_share_method: str | None = None
    """Which peak that is, and whose figure."""
    tokens_per_s: float | None = None
    """Input tokens per second of the last leg, evaluations and saving included."""


class Energy(Frozen):
    """Sums over all legs and hosts, the training window only; at the devices, without PUE."""

    gpu_kwh: float | None = None
    """All GPUs; 0 where the run used none."""
    cpu_kwh: float | None = None
    """CPU packages."""
    ram_kwh: float | None = None
    """Memory."""
    total_kwh: float | None = None
    """Their sum; None where a part that the run had was not measured."""
    facility_kwh: float | None = None
    """total × PUE; None where no PUE was given."""
    node_meter_kwh: float | None = None
    """The nodes' own meters."""
    codecarbon_gpu_kwh: float | None = None
    """CodeCarbon's figure for the GPUs, for comparison."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Part (gpu, cpu, ram, setup, node_meter) to how it was measured or modelled, in words for
    people."""
    boundary: str | None = None
    """What the total covers and what it does not."""
    setup_kwh: float | None = None
    """Before training; apart from the total."""
    reported_setup_kwh: float = 0.0
    """The part of the set-up that is known, where that of a host or a start is not: at least this
    much. 0: `setup_kwh` has all of it, or none is known."""
    evaluation_kwh: float | None = None
    """After training; apart from the total."""
    repeated_kwh: float | None = None
    """The part of the total that went into steps which a later leg did again."""
    reported_kwh: float | None = None
    """What the nodes that reported used, where others did not: at least this much. None where all
    did."""


class Search(Frozen):
    """A hyperparameter search that the same process started before the run; not in its figures."""

    backend: str = ""
    """Optuna, Ray Tune, …, as transformers names it; empty: there was no search, or it is not
    known."""
    trials: int = 0
    """Trainings of it; 0: no search was seen."""
    trials_unfinished: int = 0
    """Of them, those that were pruned or failed."""
    wall_clock_s: float = 0.0
    """Seconds of all trials, each from its begin to its end."""
    total_kwh: float | None = 0.0
    """Kilowatt-hours of all trials at the devices, without PUE; None: that of one is not known."""
    reported_kwh: float = 0.0
    """Kilowatt-hours of the trials whose energy is known: the least that they took."""


class Emissions(Frozen):
    """CO2 of the run."""

    co2eq_g: float | None = None
    """Grams of CO2eq, location-based, sum of the legs."""
    reported_co2eq_g: float | None = None
    """Grams of `energy.reported_kwh`: at least this much. None where all nodes reported."""
    market_based_co2eq_g: float | None = None
    """As given by the user."""
    intensity_g_per_kwh: float | None = None
    """Effective: over all legs."""
    intensity_source: str | None = None
    """Whose figure."""
    intensity_year: int | None = None
    """The year that it describes."""
    country_iso_code: str | None = None
    """ISO 3166-1 alpha-3."""
    country_name: str | None = None
    """In English."""
    region: str | None = None
    """State or province."""
    cloud_provider: str | None = None
    """aws, azure, gcp, …"""
    cloud_region: str | None = None
    """The provider's name of it."""
    place_source: str | None = None
    """Who said so."""
    pue: float | None = None
    """As given."""
    water_l: float | None = None
    """Litres: energy at the devices × the WUE that was given."""
    wue_l_per_kwh: float | None = None
    """Water usage effectiveness, as given: litres per kWh at the devices."""


class Reconciliation(Frozen):
    """What another meter read of the run, compared with the sum of the components; in no sum."""

    kind: Literal["sacct", "meter", "node_meter"]
    """sacct: Slurm's accounting; meter: a figure that a person gave; node_meter: read by autocard
    beside the parts."""
    source: str
    """Whose figure, in words; the same kind and source again takes the place of the last."""
    metered_kwh: float | None = None
    """What it read; None: it read nothing, and 0 where only no meter reads 0."""
    components_kwh: float | None = None
    """What the components of the same legs took: training, and set-up and evaluation where the
    meter saw them."""
    ratio: float | None = None
    """components_kwh / metered_kwh."""
    unmetered_kwh: float | None = None
    """metered_kwh - components_kwh; None where that says nothing of the run."""
    window_s: float | None = None
    """Seconds that the meter's figure covers: of a job, all its starts."""
    nodes: int | None = None
    """Nodes that the meter's figure covers."""
    bound_kwh: float | None = None
    """The most that those nodes can have drawn in that time; `reason` says how, where it counts."""
    covers: str = ""
    """What the meter's figure holds, in words."""
    parts: list[str] = Field(default_factory=list)
    """What components_kwh holds: training, set-up, evaluation after it."""
    legs: list[str] = Field(default_factory=list)
    """Ids of the legs that are compared."""
    verdict: Literal["plausible", "doubtful", "implausible"] = "plausible"
    """doubtful: it need not be this run's alone; implausible: it cannot be what the run took."""
    reason: str = ""
    """Why it is doubtful or implausible."""
