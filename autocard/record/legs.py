"""The legs of a run: hosts, devices, energy, place of each uninterrupted stretch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocard.record.base import Frozen, Scalar, Status

GUESSED = "(guessed"
"""Begins the remark in a CPU's source that its power was guessed."""
COUNTER_SUFFIX = "-counter"
"""A device's `source` with this ending: its own energy counter was read."""
SAMPLES_SUFFIX = "-power-samples"
"""A device's `source` with this ending: its power was sampled and added up."""
JOB_NOT_RECORDED = "the job was not recorded with this start"
"""Reason of a leg's job where its ledger entry does not say which one it ran in, or in none."""


class Place(Frozen):
    """Where the electricity was drawn, as far as it is known."""

    country_iso_code: str | None = None
    """ISO 3166-1 alpha-3."""
    region: str | None = None
    """State or province, in the words of CodeCarbon's tables."""
    cloud_provider: str | None = None
    """aws, azure, gcp, …"""
    cloud_region: str | None = None
    """The provider's name of it."""
    source: str | None = None
    """Who said so: an argument, a variable, a file, the cloud's metadata, a look-up."""


class RecordedPlace(Frozen):
    """Place, carbon intensity and PUE as the run recorded them; a person gave others later."""

    place: Place = Field(default_factory=Place)
    """As in `Leg`, with those after it."""
    intensity_g_per_kwh: float | None = None
    """Grams of CO2eq per kWh."""
    intensity_source: str | None = None
    """Whose figure it is."""
    intensity_year: int | None = None
    """The year that it describes."""
    pue: float | None = None
    """Power usage effectiveness; None: not given."""


class DeviceUse(Frozen):
    """One accelerator during one leg."""

    device: str
    """Pseudonym within the record: h1.g0 is the first device of the first host."""
    name: str | None = None
    """Product name."""
    memory_bytes: int | None = None
    """Total memory of the board."""
    energy_j: float | None = None
    """Joules of the whole board: other processes on it are included."""
    # The values of NVML stay in the schema; another GPU backend has others.
    source: Literal["nvml-counter", "nvml-power-samples"] | str | None = None  # noqa: PYI051
    """Samples are coarser than the counter."""
    counter_begin_j: float | None = None
    """The energy counter when training began."""
    counter_end_j: float | None = None
    """The energy counter when training ended."""
    note: str | None = None
    """What a reader must know: shared board, MIG slice of a board with one counter, counter reset …
    """


class HostUse(Frozen):
    """What one host used during one leg, the training window only."""

    host: str
    """Pseudonym within the run: h1, h2, … in the order of first appearance."""
    devices: list[DeviceUse] = Field(default_factory=list)
    """Accelerators that the run used on this host; no others."""
    cpu_j: float | None = None
    """Joules of the CPU packages, scaled by `cpu_share`."""
    ram_j: float | None = None
    """Joules of the memory, scaled by `cpu_share`."""
    codecarbon_gpu_j: float | None = None
    """What CodeCarbon says of the same devices; for comparison, not summed."""
    cpu_share: float | None = None
    """Share of the node's CPU and RAM energy that is booked on this run (1: all of it)."""
    node_meter_j: float | None = None
    """What the node's own meter says; for comparison, not summed."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Part (gpu, cpu, ram, setup, node_meter) to how it was measured or modelled, in words for
    people."""


class Checkpoint(Frozen):
    """What a leg had used when a checkpoint was written.

    A later leg that goes on from the checkpoint repeats what came after it.
    """

    step: int
    """Global step."""
    wall_clock_s: float
    """Since the leg began."""
    energy_j: float
    """GPUs, CPUs and RAM together, since the leg began."""


class Batch(Frozen):
    """What the optimizer steps of one leg consumed, all processes together."""

    step_samples: int | None = None
    """Samples of a whole optimizer step."""
    epoch_samples: int | None = None
    """Samples of one epoch."""
    epoch_steps: int | None = None
    """Optimizer steps of one epoch; the last of them consumes what is left."""


class LegJob(Frozen):
    """What is known of a leg's job beside its number (`Leg.job_id`).

    The legs of a run may have run in different jobs, under different managers, or in none.
    """

    workload_manager: str | None = None
    """As in `Job`."""
    array_job_id: str | None = None
    """As in `Job`."""
    array_task_id: str | None = None
    """As in `Job`."""
    restarts: int | None = None
    """How often the manager had started the job again when the leg began."""
    launcher: str | None = None
    """As in `Job`."""


class Leg(Frozen):
    """From one start of training to its end or interruption."""

    id: str
    """12 hexadecimal digits."""
    job_id: str | None = None
    """The workload manager's number of the job that the leg ran in."""
    job: LegJob = Field(default_factory=LegJob)
    started_at: str | None = None
    """ISO 8601, UTC."""
    ended_at: str | None = None
    """ISO 8601, UTC; of an interrupted leg, the last tick."""
    status: Status | None = None
    """As in `Run`."""
    step_begin: int | None = None
    """Global step at the start."""
    step_end: int | None = None
    """Global step at the end."""
    batch: Batch = Field(default_factory=Batch)
    """What its optimizer steps consumed: a resumed training may go on with another batch size."""
    other_hyperparameters: dict[str, Scalar] = Field(default_factory=dict)
    """Settings that differ from `training.hyperparameters`, which are the last leg's; None: not set
    or not known."""
    wall_clock_s: float | None = None
    """By a monotonic clock, from `on_train_begin` to `on_train_end`."""
    hosts: list[HostUse] = Field(default_factory=list)
    """One for each host that reported."""
    setup_j: float | None = None
    """GPU, CPU and RAM joules from the callback's start to the start of training; not in the run's
    total."""
    reported_setup_j: float = 0.0
    """The part of the set-up that is known, where that of a host is not: at least this much. 0:
    `setup_j` has all of it, or none is known."""
    evaluation_j: float | None = None
    """Joules of evaluations after training; not in the run's total."""
    place: Place = Field(default_factory=Place)
    """Where this leg ran."""
    intensity_g_per_kwh: float | None = None
    """Grams of CO2eq per kWh of electricity at that place, location-based."""
    intensity_source: str | None = None
    """Whose figure it is."""
    intensity_year: int | None = None
    """The year that it describes."""
    pue: float | None = None
    """Power usage effectiveness that was given; None: not given, 1.0 was used."""
    co2eq_g: float | None = None
    """Grams of CO2eq, location-based: energy at the devices, times PUE, times intensity."""
    recorded_place: list[RecordedPlace] = Field(default_factory=list)
    """What the run recorded, where a person gave place, intensity or PUE later; at most one. Empty:
    nothing was given later."""
    checkpoints: list[Checkpoint] = Field(default_factory=list)
    """Readings at checkpoints, thinned to 20."""
    steps_unseen: bool = False
    """Whether it may have done more steps than `step_end` says: it was killed together with what
    counts them."""
    repeated_steps: int | None = None
    """Steps of this leg that came after the step at which a later leg began."""
    repeated_s: float | None = None
    """Seconds of those steps."""
    repeated_j: float | None = None
    """Joules of those steps."""
    repeated_source: str = ""
    """How seconds and joules of those steps are known, in words; empty: there are none."""
    processes: int = 1
    """Training processes of this leg, on all hosts."""
    processes_reporting: int = 1
    """Those of them that are on hosts which reported."""
    nodes_expected: int | None = 1
    """Machines, once all processes have reported; until then the launcher's nodes."""
    nodes_reporting: int = 1
    """Machines that reported what they used up to the end."""
