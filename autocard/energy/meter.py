"""Energy and time of a training, measured from outside: what the callback uses.

Rule: on the training's thread there are counter reads and a hand-over, no more. NVML's energy counters are read here,
at the very begin and end; CodeCarbon, power samples and the ledger live in a child process (`carbon`). No thread, no
signal handler, nothing that survives `close` or works in a forked process.

Reasons: `missing` gets path → reason for every leaf of the legs that is None, under "legs.N.…" where N counts from
`first`; `job.sums` finds the reasons for its sums there.
"""

from __future__ import annotations

import os
import time
import uuid
import weakref
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any

from autocard.energy import ending, ledger, legs, nvml, place, share, visible
from autocard.energy.child import Child
from autocard.energy.ending import Open
from autocard.errors import UnavailableError
from autocard.record import DeviceUse, HostUse, Leg
from autocard.settings import Settings

LAST_WORD_S = 2.0
"""Seconds that `end` waits for the child's last reading."""
HAND_OVER_S = 1.0
"""Seconds between two steps that the child hears of."""
NOT_THE_TRAINING = "autocard measures only in the process that began training, not in one forked from it"


class Meter:
    """Measures the trainings of one process, one leg after the other."""

    def __init__(
        self,
        settings: Settings,
        *,
        uses_gpu: bool | None = None,
        folder: Path | None = None,
        run_id: str | None = None,
        device_type: str | None = None,
        ordinals: Iterable[int] | None = None,
    ) -> None:
        """Do nothing yet.

        Args:
            settings: place, powers, interval, ledger.
            uses_gpu: False: the training runs on the CPU, whatever GPUs there are; None: not known, one looks.
            folder: output folder, for the ledger; None: none is kept.
            run_id: `run.id`; None: one is made.
            device_type: torch's name of the accelerator (cuda, mps, xpu, …), where it is known.
            ordinals: CUDA ordinals that the training uses; None: all that are visible.
        """
        self.settings = settings
        self.run_id = run_id or new_id()
        self._uses_gpu = uses_gpu if uses_gpu is not None or device_type is None else device_type != "cpu"
        self._device_type = device_type
        self._ordinals = None if ordinals is None else list(ordinals)
        self._folder = ledger.folder_of(folder, settings.ledger_dir)
        self._pid = os.getpid()
        Leg(id="")  # pydantic builds its models when they are first used, in 20 ms: not when training begins
        self._child: Child | None = None
        self._child_reason: str | None = None
        self._release: weakref.finalize[Any, Any] | None = None
        self._intensity: dict[str, Any] | None = None
        self._open: Open | None = None
        self._cut_short: list[Open] = []
        self._windows: dict[str, legs.Window] = {}
        self._step: int | None = None
        self._hand_over_s = 0.0

    def start(self) -> None:
        """Start the child process, which takes a second or two to get ready; returns at once.

        Raises:
            UnavailableError: in a forked process.
        """
        self._only_here()
        if self._child is not None and self._child.alive:
            return
        self._let_go()
        devices, _ = self._devices()
        order = {
            "parent": self._pid,
            "tick_s": self.settings.measure_power_secs,
            "ledger": None if self._folder is None else str(self._folder.absolute()),
            "run_id": self.run_id,
            "uuids": [device.uuid for device in devices],
            "gpu_ids": [device.index for device in devices],
            "cpu_power_w": self.settings.cpu_power_w,
            "ram_power_w": self.settings.ram_power_w,
            "place": {"country_iso_code": self.settings.country_iso_code, "region": self.settings.region},
        }
        try:
            self._child = Child(order)
        except UnavailableError as exc:
            self._child_reason = str(exc)
            return
        self._child_reason = None
        self._release = weakref.finalize(self, _release, self._child, self._pid)

    def begin(self, step: int) -> None:
        """Begin a leg at *step* (global step): the clock runs, the counters are read.

        A leg that is still open was cut short by this one (`auto_find_batch_size` does that); `end` returns it too.

        Raises:
            UnavailableError: in a forked process.
        """
        self._only_here()
        if self._open is not None:
            self._finish(self._open, self._step, None, "interrupted")
            self._cut_short.append(self._open)
        self.start()
        devices, reasons = self._devices()
        counters = _counters(devices)
        readings = counters.read() if counters is not None else {}
        begin_s = time.monotonic()
        self._step = step
        self._open = Open(
            head=self._head(step, devices, readings),
            uuids=[device.uuid for device in devices],
            begin_s=begin_s,
            reasons=reasons,
            counters=counters,
            shared=counters.shared() if counters is not None else set(),
        )
        self._tell(
            {
                "do": "begin",
                "head": self._open.head.model_dump(mode="json"),
                "uuids": self._open.uuids,
                "missing": reasons,
                "at_s": begin_s,
            }
        )

    def progress(self, step: int) -> None:
        """Note that *step* is done. An attribute, and once a second a few bytes for the child: it never waits."""
        self._step = step
        now_s = time.monotonic()
        if now_s >= self._hand_over_s and self._open is not None and os.getpid() == self._pid:
            self._hand_over_s = now_s + HAND_OVER_S
            self._tell({"do": "step", "step": step})

    def end(self, step: int, max_steps: int | None, missing: MutableMapping[str, str], first: int = 0) -> list[Leg]:
        """End the leg at *step*: read the counters first, then wait up to two seconds for the child's last reading.

        Args:
            step: global step.
            max_steps: planned; a leg that ends before it was stopped.
            missing: gets the reasons, under "legs.N."; N counts from *first*.
            first: how many legs the record holds already.

        Returns:
            The legs since the last call, in order: mostly one; more where one was cut short by another `begin`.

        Raises:
            UnavailableError: no leg was begun, or in a forked process.
        """
        self._only_here()
        if self._open is None:
            msg = "energy and time were not measured: training ended without having begun"
            raise UnavailableError(msg)
        leg, self._open = self._open, None
        self._finish(leg, step, max_steps, legs.status_of(step, max_steps))
        self._hear(leg.head.id)
        done, self._cut_short = [*self._cut_short, leg], []
        result = []
        for number, part in enumerate(done, start=first):
            full, reasons = self._complete(part)
            missing.update({f"legs.{number}.{path}": reason for path, reason in reasons.items()})
            result.append(full)
        self._windows.clear()
        return result

    def close(self) -> None:
        """End the child process. The meter can be used again; `begin` then starts another."""
        if os.getpid() == self._pid:
            self._let_go()

    def _only_here(self) -> None:
        if os.getpid() != self._pid:
            raise UnavailableError(NOT_THE_TRAINING)

    def _let_go(self) -> None:
        if self._release is not None:
            self._release()
        self._child = self._release = None

    def _tell(self, message: dict[str, Any]) -> None:
        if self._child is not None:
            self._child.tell(message)

    def _devices(self) -> tuple[list[nvml.Device], dict[str, str]]:
        """Return the boards that the training uses, and the reason (path inside the leg) where that is not known."""
        if self._uses_gpu is False:
            return [], {}
        try:
            found = visible.devices(ordinals=self._ordinals)
        except UnavailableError as exc:
            why = nvml.why_not(self._device_type, str(exc))
            if self._uses_gpu is None and why == nvml.NO_DRIVER:
                return [], {}  # nothing to measure, and nobody says that there is
            return [], {"hosts.0.devices": f"not measured: {why}"}
        if not found and self._uses_gpu:
            return [], {"hosts.0.devices": "not measured: NVML shows none of the GPUs that the training uses"}
        return found, {}

    def _head(self, step: int, devices: list[nvml.Device], readings: dict[str, nvml.Reading]) -> Leg:
        settings = self.settings
        return Leg(
            id=new_id(),
            started_at=legs.now(),
            step_begin=step,
            hosts=[
                HostUse(
                    host="h1",
                    devices=[
                        DeviceUse(
                            device=f"h1.g{number}",
                            name=device.name,
                            memory_bytes=device.memory_bytes,
                            counter_begin_j=readings.get(device.uuid, nvml.Reading()).energy_j,
                            note=device.note,
                        )
                        for number, device in enumerate(devices)
                    ],
                    cpu_share=share.of_node(),
                )
            ],
            place=place.of(settings),
            pue=settings.pue,
            repeated_steps=0,
            repeated_j=0.0,
        )

    def _finish(self, leg: Open, step: int | None, max_steps: int | None, status: str) -> None:
        """Stop the clock of *leg*, read its counters and ask the child for its last reading."""
        if leg.counters is not None:
            leg.readings = leg.counters.read()
        leg.end_s = time.monotonic()
        leg.ending = {
            "ended_at": legs.now(),
            "status": status,
            "step_end": step,
            "wall_clock_s": leg.end_s - leg.begin_s,
        }
        self._tell(
            {
                "do": "end",
                "id": leg.head.id,
                "at_s": leg.end_s,
                "step": step,
                "max_steps": max_steps,
                "status": status,
            }
        )
        if leg.counters is not None:
            leg.shared |= leg.counters.shared()

    def _hear(self, leg_id: str) -> None:
        """Take what the child says until it has said its last word on the leg, or time is up."""
        until_s = time.monotonic() + LAST_WORD_S
        while self._child is not None and leg_id not in self._windows:
            messages = self._child.hear(max(until_s - time.monotonic(), 0.0))
            for message in messages:
                what = message.pop("what")
                if what == "ready":
                    self._intensity = message["intensity"]
                elif what == "leg":
                    window = legs.Window.from_json(message)
                    self._windows[window.id] = window
            if not messages:
                break

    def _complete(self, leg: Open) -> tuple[Leg, dict[str, str]]:
        window = self._windows.get(leg.head.id)
        if window is None:
            window = ending.from_ledger(leg, self._folder, self._why_silent())
        intensity = self._intensity or {"reason": f"not looked up: {self._why_silent()}"}
        return ending.complete(leg, window, intensity, self.settings)

    def _why_silent(self) -> str:
        """Return why the child has said nothing."""
        if self._child_reason is not None:
            return self._child_reason
        if self._child is not None and self._child.alive:
            return "the measuring process did not answer in time"
        return "the measuring process ended during training"


def new_id() -> str:
    """Return 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def _counters(devices: list[nvml.Device]) -> nvml.Counters | None:
    """Return the counters of *devices*; None: there are none, or NVML has stopped answering."""
    if not devices:
        return None
    try:
        return nvml.Counters(device.uuid for device in devices)
    except UnavailableError:
        return None


def _release(child: Child, pid: int) -> None:
    """End *child*, unless this is a fork of the process that started it: then only let go of our end of the line."""
    if os.getpid() == pid:
        child.end()
    else:
        child.disown()
