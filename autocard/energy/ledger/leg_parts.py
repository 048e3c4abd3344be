"""A leg's head (what was known when it began) and what was used → the leg of the record, in words for people.

Rule: what was not measured is None with its reason, under its path inside the leg. Used by the
meter for the record and by its child process for the ledger, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from autocard.energy.host.codecarbon_reader import CPU, GPU, RAM, CodeCarbonInfo
from autocard.energy.host.node_meter import NODE, NONE_KNOWN
from autocard.energy.readings import Used
from autocard.record import Checkpoint, DeviceUse, HostUse, Leg, Status

NO_GPU = "no GPU was used"
NOTICEABLE_S = 0.5
"""Seconds. A stretch without readings that is shorter is not worth a word."""
SHARED_NOTE = "several processes computed on the board, and the energy of all is included"
WHOLE = 0.995
"""A share of the node above this is the whole node."""
PENDING = (
    "not known when this was written: training ended before CodeCarbon had started. autocard adds it at the next "
    "evaluation or save, or when the process exits, unless the process is killed"
)
"""Reason of what a measuring process that is still starting has not said yet."""
NEVER_CAME = "not measured: training ended before CodeCarbon had started, and its process did not complete the figures"
"""Reason of the same where that process has ended without it."""
OWN_START = (
    "; the first {seconds:.1f} s from autocard's own readings, while CodeCarbon was starting"
)
OWN_WHOLE = "; from autocard's own readings: training was over before CodeCarbon had read twice"


@dataclass(frozen=True)
class Window:
    """What the child process says of one leg."""

    id: str
    """Of the leg."""
    host: Used = field(default_factory=Used)
    """CPU, RAM and CodeCarbon's figure for the GPUs, in joules of the whole node."""
    boards: Used = field(default_factory=Used)
    """UUID → joules."""
    sampled: Sequence[str] = ()
    """Boards without a counter, by UUID."""
    reset: Sequence[str] = ()
    """Boards whose counter went back."""
    silent: Mapping[str, str] = field(default_factory=dict)
    """Boards that did not answer at the end → why."""
    shared: Sequence[str] = ()
    """Boards on which several processes computed."""
    about: CodeCarbonInfo | None = None
    """How CodeCarbon works here; None: it does not."""
    ledger: str | None = None
    """Why the ledger could not be written; None: it was, or was not asked for."""
    node: Used = field(default_factory=Used)
    """What the node's own meter says."""
    node_name: str = ""
    """Which meter that is, in words."""
    death: str = ""
    """What has to be said where the process that measures died and was started again."""
    setup_j: float | None = None
    """Joules of GPUs, CPUs and RAM (the run's share) from the callback's start to the start of
    training."""
    setup_source: str = ""
    """How they are known, or why they are not."""
    checkpoints: Sequence[Mapping[str, Any]] = ()
    """Readings at checkpoints: leaves of `record.Checkpoint`."""
    final: bool = True
    """Whether all is known; False: CodeCarbon was still starting, and another answer follows."""

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Window:
        """Read what `to_json` wrote, on the other side of the pipe."""
        about = raw["about"]
        return cls(
            **{
                **raw,
                "host": Used(**raw["host"]),
                "node": Used(**raw["node"]),
                "boards": Used(**raw["boards"]),
                "about": None if about is None else CodeCarbonInfo(**about),
            }
        )


def now() -> str:
    """Return the time: ISO 8601, UTC, milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status_of(step: int | None, max_steps: int | None) -> Status:
    """Return how a training ended that came to its regular end."""
    return (
        "finished"
        if step is not None and max_steps is not None and step >= max_steps
        else "stopped"
    )


def complete(
    head: Leg,
    devices: Sequence[DeviceUse],
    reasons: Mapping[str, str],
    window: Window,
    **ending: Any,
) -> tuple[Leg, dict[str, str]]:
    """Return the leg and the reasons (path inside the leg → reason) for what it does not hold.

    Args:
        head: with one host; its `cpu_share` scales CPU and RAM.
        devices: with their energy.
        reasons: path inside the leg → reason, for what *head* and *devices* do not hold.
        window: what the child process says.
        ending: fields of the leg that its end gives (ended_at, status, step_end, wall_clock_s).
    """
    host = head.hosts[0]
    missing = dict(reasons)
    share = 1.0 if host.cpu_share is None else host.cpu_share
    values: dict[str, float | None] = {}
    for part, leaf in ((CPU, "cpu_j"), (RAM, "ram_j"), (GPU, "codecarbon_gpu_j")):
        joules = window.host.joules.get(part)
        if joules is not None and joules <= 0:
            joules = None
            missing.setdefault(
                f"hosts.0.{leaf}", "not measured: CodeCarbon reported 0 J, which nothing uses"
            )
        if joules is None and f"hosts.0.{leaf}" not in missing:
            why = window.host.reason or "CodeCarbon gave no figure for it"
            missing[f"hosts.0.{leaf}"] = (
                (why if devices else NO_GPU) if part == GPU else _unmeasured(why)
            )
        values[leaf] = None if joules is None else joules * (1.0 if part == GPU else share)
    values["node_meter_j"] = window.node.joules.get(NODE)
    if values["node_meter_j"] is None:
        missing["hosts.0.node_meter_j"] = window.node.reason or window.host.reason or NONE_KNOWN
    full = host.model_copy(
        update={
            **values,
            "devices": list(devices),
            "sources": _sources(host, devices, missing, window, values),
        }
    )
    # so far; the meter adds what comes after training
    apart = {"setup_j": window.setup_j, "evaluation_j": 0.0}
    if window.setup_j is None:
        missing["setup_j"] = _unmeasured(
            window.setup_source or window.host.reason or "nobody watched it"
        )
    points = [Checkpoint.model_validate(point) for point in window.checkpoints]
    return head.model_copy(
        update={"hosts": [full], "checkpoints": points, **apart, **ending}
    ), missing


def _unmeasured(why: str) -> str:
    """Return the reason for a figure that is not there."""
    return why if why == PENDING else f"not measured: {why}"


def _sources(
    host: HostUse,
    devices: Sequence[DeviceUse],
    missing: Mapping[str, str],
    window: Window,
    values: Mapping[str, float | None],
) -> dict[str, str]:
    """Return part → how it was measured, in words."""
    tail = gaps(window.host) + window.death + _share(host.cpu_share)
    found = {"gpu": _gpu_words(devices, missing.get("hosts.0.devices"))}
    for part, leaf, words in (("cpu", "cpu_j", _cpu_words), ("ram", "ram_j", _ram_words)):
        if values[leaf] is None:
            found[part] = missing[f"hosts.0.{leaf}"]
        elif window.about is not None:
            found[part] = words(window.about) + tail
    if window.setup_j is not None:
        found["setup"] = window.setup_source
    if values["node_meter_j"] is not None:
        found["node_meter"] = f"measured: {window.node_name}{gaps(window.node)}"
    return found


def _gpu_words(devices: Sequence[DeviceUse], unknown: str | None) -> str:
    if unknown is not None:
        return f"not measured: {unknown.removeprefix('not measured: ')}"
    kinds = {device.source for device in devices}
    if not kinds:
        return NO_GPU
    words = {
        "nvml-counter": "NVML energy counters",
        "nvml-power-samples": "NVML power, sampled twenty times a second",
    }
    measured = [text for kind, text in words.items() if kind in kinds]
    return f"measured: {' and '.join(measured)}" if measured else "not measured"


def how(about: CodeCarbonInfo, part: str) -> str:
    """Return how CodeCarbon comes to the figure of *part* (cpu, ram), in words."""
    return _cpu_words(about) if part == CPU else _ram_words(about)


def _cpu_words(about: CodeCarbonInfo) -> str:
    if about.cpu_mode in {"intel_rapl", "windows_emi"}:
        return "measured: RAPL counters of the CPU packages, through CodeCarbon"
    if about.cpu_power_w is None:
        return "through CodeCarbon, which does not say how"
    words = f"modelled: CodeCarbon, load of the whole machine × {about.cpu_power_w:g} W"
    if about.cpu_given:
        return f"{words} (as given)"
    if about.cpu_known is False:
        return f"{words} (a guess: CodeCarbon does not know this CPU)"
    return words


def _ram_words(about: CodeCarbonInfo) -> str:
    if about.ram_given:
        return f"modelled: {about.ram_power_w:g} W (as given)"
    if about.ram_power_w is None:
        return "modelled: CodeCarbon"
    return f"modelled: CodeCarbon, {about.ram_power_w:g} W"


def gaps(used: Used) -> str:
    """Return what has to be said of stretches that no reading covers."""
    words = used.note
    if used.before_s > NOTICEABLE_S:
        words += f"; the first {used.before_s:.1f} s at the mean power after"
    if used.after_s > NOTICEABLE_S:
        words += f"; the last {used.after_s:.1f} s at the mean power before"
    return words


def _share(share: float | None) -> str:
    if share is None or share > WHOLE:
        return ""
    return f"; {share:.0%} of the node, the run's share of its CPUs"


def board(device: DeviceUse, uuid: str, window: Window) -> tuple[DeviceUse, dict[str, str]]:
    """Return *device* with what the child process read of it, and the reasons (leaf → reason) for the rest."""
    joules = window.boards.joules.get(uuid)
    if joules is None:
        return device, {
            "energy_j": f"not measured: {window.silent.get(uuid) or window.boards.reason or 'NVML: no reading'}"
        }
    notes = [device.note] if device.note else []
    if uuid in window.shared and SHARED_NOTE not in (device.note or ""):
        notes.append(SHARED_NOTE)
    if uuid in window.reset:
        notes.append(
            "its counter was set back during training: one interval is taken from its power"
        )
    if uuid in window.silent:
        notes.append(
            f"it did not answer at the end ({window.silent[uuid]}): the energy is that up to its last reading"
        )
    source: Literal["nvml-counter", "nvml-power-samples"]
    source = "nvml-power-samples" if uuid in window.sampled else "nvml-counter"
    return device.model_copy(
        update={"energy_j": joules, "source": source, "note": "; ".join(notes)}
    ), {}
