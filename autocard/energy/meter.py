"""Energy and time of a training, measured from outside: what the callback uses.

Rule: on the training's thread there are counter reads and a hand-over, no more. The counters of
NVML and of the host are read here, at the very begin and end; CodeCarbon, power samples and the
ledger live in a child process (`carbon`). No thread, no signal handler, nothing that works in a
forked process. After training the child waits some minutes for an evaluation; it ends with the
training process. It serves the next training of this process too, where that has the same settings.
A leg that ended before CodeCarbon had started is completed later (`late`).

Reasons: `missing` gets path → reason for every leaf of the legs that is None, under "legs.N.…"
where N counts from `first`; `job.sums` finds the reasons for its sums there.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import uuid
import weakref
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard.energy.gpu import gpu_selection, nvml
from autocard.energy.host import cpu_share, host_counters, node_meter
from autocard.energy.ledger import ledger_files, leg_builder, leg_parts
from autocard.energy.ledger.leg_builder import OpenLeg
from autocard.energy.location import geolocation, intensity, place
from autocard.energy.worker.worker_client import WorkerClient
from autocard.energy.worker.worker_process import WorkerProcess
from autocard.errors import UnavailableError
from autocard.record import DeviceUse, HostUse, Leg
from autocard.settings import Settings

LAST_WORD_S = 0.4
"""Seconds that `end` waits for the child's last reading, which mostly takes some milliseconds; what
comes later is taken by `late`. A child that has never said a word has hardly started, and is not
waited for."""
DEATHS = 3
"""How often in one leg a child that died is replaced."""
ENTRY = frozenset({"rank", "part", "ranks", "apart", "expects"})
"""Of what is known of the training's processes, the leaves of the ledger's entry; the rest are the
leg's."""
SAVING_S = 0.004
"""Seconds that a checkpoint waits for the child's reading, to take it along."""
UNKNOWN_AFTER = "not measured: the measuring process had ended, or had hardly started"
NOT_THE_TRAINING = (
    "autocard measures only in the process that began training, not in one forked from it"
)


@dataclass(frozen=True)
class Mark:
    """What was read at one moment."""

    at_s: float
    """Monotonic seconds."""
    boards: dict[str, nvml.CounterReading]
    """UUID → what the board counted."""
    host: host_counters.HostReading


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
        job_id: str | None = None,
        start_s: float | None = None,
        whole: bool = True,
        geolocate: bool | None = None,
    ) -> None:
        """Do nothing yet.

        Args:
            settings: place, powers, interval, ledger.
            uses_gpu: False: the training runs on the CPU, whatever GPUs there are; None: not known,
                one looks.
            folder: output folder, for the ledger; None: none is kept.
            run_id: `run.id`; None: one is made.
            device_type: torch's name of the accelerator (cuda, mps, xpu, …), where it is known.
            ordinals: CUDA ordinals that the training uses; None: all that are visible.
            job_id: pseudonym of the workload manager's job.
            start_s: monotonic seconds when set-up began; None: now.
            whole: False: only GPUs; another process of the host measures CPU and memory.
            geolocate: whether this process may look the place up; None: as the settings say.
        """
        self.settings = settings
        self.run_id = run_id or new_id()
        """On which legs that begin from now on are booked."""
        self._uses_gpu = (
            uses_gpu if uses_gpu is not None or device_type is None else device_type != "cpu"
        )
        self._device_type = device_type
        self._ordinals = None if ordinals is None else list(ordinals)
        self.folders = ledger_files.folders_of(folder, settings.ledger_dir)
        self._job_id = job_id
        self._start_s: float | None = time.monotonic() if start_s is None else start_s
        self._whole = whole
        self._geolocate = settings.geolocate if geolocate is None else geolocate
        self._boards: list[nvml.Device] | None = None
        self._share: float | None = None
        self._team: dict[str, Any] = {}
        self._unknown: dict[str, str] = {}
        self._pid = os.getpid()
        # pydantic builds its models when they are first used, in 20 ms: not when training begins
        Leg(id="")
        self._worker: WorkerClient | None = None
        self._worker_reason: str | None = None
        self._open: OpenLeg | None = None
        self._cut_short: list[OpenLeg] = []
        self._unfinished: list[OpenLeg] = []
        self._gave_up = False
        self._last_id: str | None = None
        self._stopped: Mark | None = None
        self._step: int | None = None
        self._legs = 0
        self._max_steps: int | None = None
        self._deaths = 0
        _METERS.add(self)

    @property
    def leg_id(self) -> str | None:
        """Of the open leg."""
        return None if self._open is None else self._open.head.id

    @property
    def board_ids(self) -> list[str]:
        """Pseudonyms of the boards of the open leg."""
        return (
            []
            if self._open is None
            else [ledger_files.pseudonym(uuid) for uuid in self._open.uuids]
        )

    @property
    def unfinished(self) -> bool:
        """Whether a leg that has ended waits for its figures."""
        return bool(self._unfinished)

    @property
    def _child(self) -> WorkerProcess | None:
        return None if self._worker is None else self._worker.child

    @property
    def _intensity(self) -> dict[str, Any] | None:
        return None if self._worker is None else self._worker.intensity

    @property
    def _leads(self) -> bool:
        """Whether the child measures for this meter, and not for a later one."""
        return self._worker is not None and self._worker.owner() is self

    @property
    def so_far(self) -> dict[str, Any] | None:
        """The ledger's entry of the leg that goes on, as of the last tick or checkpoint that the child told of."""
        return self._worker.so_far if self._worker is not None and self._leads else None

    def start(self) -> None:
        """Start the child process, which takes a second or two to get ready; returns at once.

        Raises:
            UnavailableError: in a forked process.
        """
        self._only_here()
        if self._worker is not None and self._leads and self._worker.child.alive:
            return
        order = self._order()
        self._worker, self._worker_reason = self._idle_worker(order), None
        if self._worker is not None:
            self._worker.serve(order, self)
        for other in list(_METERS):
            other.rest(self)
        if self._worker is None:
            try:
                self._worker = WorkerClient(order, self)
            except UnavailableError as exc:
                self._worker_reason = str(exc)

    def _order(self) -> dict[str, Any]:
        """Return what the child has to know."""
        devices, _ = self._devices()
        meter = node_meter.of(self.settings) if self._whole else None
        return {
            "whole": self._whole,
            "parent": self._pid,
            "tick_s": self.settings.measure_power_secs,
            "ledger": None if self.folders.ticks is None else str(self.folders.ticks),
            "shared": None if self.folders.shared is None else str(self.folders.shared),
            "run_id": self.run_id,
            "process_id": ledger_files.process_id(),
            "output_id": self.folders.output_id,
            "job_id": self._job_id,
            "start_s": self._start_s,
            "reading": host_counters.read().to_json(),
            "uuids": [device.uuid for device in devices],
            "gpu_ids": [device.index for device in devices],
            "cpu_power_w": self.settings.cpu_power_w,
            "ram_power_w": self.settings.ram_power_w,
            "place": geolocation.order(place.of(self.settings), geolocate=self._geolocate),
            "node_meter": None
            if meter is None
            else [str(meter.path.absolute()), meter.unit, meter.name],
            "given": [
                self.settings.carbon_intensity_g_per_kwh,
                leg_builder.given_by(self.settings),
            ],
        }

    def _idle_worker(self, order: Mapping[str, Any]) -> WorkerClient | None:
        """Return the child of another meter that has trained and can serve this one; None: there is none."""
        for other in list(_METERS):
            worker = other._worker  # noqa: SLF001 - another of this class
            if other is not self and worker is not None and other._rests and worker.fits(order):  # noqa: SLF001
                return worker
        return None

    @property
    def _rests(self) -> bool:
        """Whether the child measures for this meter, which has trained and does not now."""
        return self._leads and self._open is None and self._step is not None

    def rest(self, other: Meter) -> None:
        """Let the child go, because *other* starts; not while a leg goes on, or waits for its figures."""
        if self is not other and (self._rests or not self._leads) and not self._unfinished:
            self.close()

    def use(
        self,
        boards: Sequence[nvml.Device] | None,
        share: float | None,
        team: Mapping[str, Any],
        reason: str | None = None,
    ) -> None:
        """From the next leg on, measure these boards for these processes.

        Args:
            boards: in the order of the leg's devices; None: those that this process uses.
            share: of the node's CPUs, all processes of the training on it together; None: this
                process's.
            team: leaves of the ledger's entry: rank, part, ranks, expects; and of the leg:
                processes, nodes_expected.
            reason: why *boards* are not all that the processes use.
        """
        self._boards, self._share, self._team = (
            None if boards is None else list(boards),
            share,
            dict(team),
        )
        self._unknown = {} if reason is None else {"hosts.0.devices": f"not measured: {reason}"}

    def begin(
        self,
        step: int,
        max_steps: int | None = None,
        *,
        anew: bool = False,
        leg_id: str | None = None,
        mark: Mark | None = None,
    ) -> None:
        """Begin a leg at *step* (global step): the clock runs, the counters are read.

        A leg that is still open was cut short by this one (`auto_find_batch_size` does that); `end`
        returns it too.

        Args:
            step: global step.
            max_steps: planned.
            anew: a leg that is still open was broken off; the ledger has it, `end` does not return
                it.
            leg_id: on which the training's processes have agreed; None: one is made.
            mark: what was read when training began; None: it is read now.

        Raises:
            UnavailableError: in a forked process.
        """
        self._only_here()
        if anew:
            self._open, self._cut_short = None, []
        self._max_steps, self._deaths = max_steps, 0
        if self._open is not None:
            self._finish(self._open, self._step, None, "interrupted")
            self._cut_short.append(self._open)
        self.start()
        left_at, self._legs = self._step, self._legs + 1
        devices, reasons = self._devices()
        counters = _counters(devices)
        if mark is None or not all(device.uuid in mark.boards for device in devices):
            mark = Mark(
                time.monotonic(), {} if counters is None else counters.read(), host_counters.read()
            )
        self._step = step
        self._open = OpenLeg(
            head=self._head(step, devices, mark.boards, leg_id or new_id()),
            uuids=[device.uuid for device in devices],
            begin_s=mark.at_s,
            reasons=reasons,
            counters=counters,
            shared=counters.shared() if counters is not None else set(),
            reading=mark.host.to_json(),
        )
        self._stopped = None
        self._tell_begin(self._open, left_at=left_at)
        self._start_s = None  # set-up is over: another child process would have none

    def _tell_begin(
        self, leg: OpenLeg, before: Mapping[str, Any] | None = None, *, left_at: int | None = None
    ) -> None:
        """Give the child the leg to watch.

        Args:
            leg: to be watched.
            before: what another child knew of it.
            left_at: last step of the leg before it, which the child may not know to be over.
        """
        leg.worker = self._worker
        if self._worker is not None:
            child, self._worker.so_far = self._worker.child, None
            child.busy = True
            if child.steps is not None:
                child.steps.begin(self._legs, self._step or 0)
        self._tell(
            {
                "do": "begin",
                "head": leg.head.model_dump(mode="json"),
                "uuids": leg.uuids,
                "missing": leg.reasons,
                "max_steps": self._max_steps,
                "run_id": self.run_id,
                "at_s": leg.begin_s,
                "before": before,
                "number": self._legs,
                "left_at": left_at,
                "reading": leg.reading,
                "has_setup": self._start_s is not None and self._start_s >= _last_end_s,
                "whole": self._whole,
                "team": {leaf: value for leaf, value in self._team.items() if leaf in ENTRY},
            }
        )

    def _revive(self) -> None:
        """Start another child where the one that watches the open leg has died; three times at most."""
        leg, child = self._open, self._child
        if leg is None or child is None or child.alive or self._deaths >= DEATHS:
            return
        self._deaths += 1
        written = ledger_files.of_leg(self.folders.all, leg.head.id)
        entry = ledger_files.find(
            written, leg.head.id, ledger_files.host_id(), self._team.get("part", "")
        )
        death = f"the measuring process ended during training ({child.end_in_words})"
        self.start()
        self._tell_begin(leg, ledger_files.handed_on(entry, leg.uuids, death))

    def reached(self, step: int) -> None:
        """Note that *step* is done, where the child sees it: a store into memory. Call it at each step."""
        self._step = step
        child = self._child
        if child is not None and child.steps is not None and os.getpid() == self._pid:
            child.steps.reach(step)

    def rename(self, run_id: str, leg_id: str) -> None:
        """Call the open leg, and the run that it belongs to, something else."""
        self.run_id = run_id
        if self._open is not None:
            self._tell({"do": "rename", "run_id": run_id, "leg_id": leg_id})
            self._open.head = self._open.head.model_copy(update={"id": leg_id})

    def progress(self, step: int, *, saving: bool = False, saved: bool = False) -> None:
        """Tell the child that *step* is done, in a few bytes; call it once a second. It does not wait.

        Args:
            step: global step; after training, that an evaluation goes on.
            saving: a checkpoint is about to be written: the child's reading is waited for, 4 ms at
                most.
            saved: a checkpoint was written.
        """
        self.reached(step)
        if os.getpid() != self._pid:
            return
        self._take(0.0)
        self._revive()
        self._tell({"do": "saving" if saving else "saved" if saved else "step", "step": step})
        if saving:
            self._take(SAVING_S)

    def stop(self, at_s: float) -> None:
        """Read the counters of the open leg, which ends at *at_s* (monotonic seconds); `end` follows."""
        leg = self._open
        if leg is not None and os.getpid() == self._pid:
            self._stopped = Mark(
                at_s, {} if leg.counters is None else leg.counters.read(), host_counters.read()
            )

    def end(
        self, step: int, max_steps: int | None, missing: MutableMapping[str, str], first: int = 0
    ) -> list[Leg]:
        """End the leg at *step*: read the counters first, then wait up to two seconds for the child's last reading.

        Args:
            step: global step.
            max_steps: planned; a leg that ends before it was stopped.
            missing: gets the reasons, under "legs.N."; N counts from *first*.
            first: how many legs the record holds already.

        Returns:
            The legs since the last call, in order: mostly one; more where one was cut short by
                another `begin`.

        Raises:
            UnavailableError: no leg was begun, or in a forked process.
        """
        self._only_here()
        if self._open is None:
            msg = "energy and time were not measured: training ended without having begun"
            raise UnavailableError(msg)
        leg, self._open = self._open, None
        self._finish(leg, step, max_steps, leg_parts.status_of(step, max_steps))
        self._hear(leg)
        if self._child is not None:
            self._child.busy = False
        done, self._cut_short = [*self._cut_short, leg], []
        self._gave_up = False
        result = []
        for number, part in enumerate(done, start=first):
            full, reasons = self._complete(part)
            missing.update({f"legs.{number}.{path}": reason for path, reason in reasons.items()})
            result.append(full)
        return result

    def late(self, wait_s: float = 0.0, *, last: bool = False) -> list[tuple[Leg, dict[str, str]]]:
        """Return legs whose figures have come since `end`, each with path inside it → reason.

        Args:
            wait_s: seconds to wait for them.
            last: this is the last call: what is not known by then is told with its reason.
        """
        if os.getpid() != self._pid:
            return []
        until_s = time.monotonic() + wait_s
        for leg in self._unfinished:
            while self._is_awaited(leg) and leg.worker.take(until_s - time.monotonic()):
                pass
        self._gave_up = last
        done = [leg for leg in self._unfinished if last or not self._is_awaited(leg)]
        self._unfinished = [leg for leg in self._unfinished if leg not in done]
        return [self._complete_late(leg) for leg in done]

    @staticmethod
    def _is_awaited(leg: OpenLeg) -> bool:
        """Return whether the child will still say something of *leg*."""
        worker: WorkerClient | None = leg.worker
        if worker is None or not worker.child.alive:
            return False
        return not worker.final(leg.head.id) or any(
            one not in worker.evaluations for one in leg.evaluations
        )

    def _complete_late(self, leg: OpenLeg) -> tuple[Leg, dict[str, str]]:
        full, reasons = self._complete(leg)
        told = {} if leg.worker is None else leg.worker.evaluations
        joules = [told.pop(number, None) for number in leg.evaluations]
        known = [part for part in joules if part is not None]
        if len(known) < len(joules):
            reasons["evaluation_j"] = UNKNOWN_AFTER
        return full.model_copy(
            update={"evaluation_j": sum(known, 0.0) if len(known) == len(joules) else None}
        ), reasons

    def after(self, begin_s: float, end_s: float) -> float | None:
        """Return the joules of a stretch after the last leg (monotonic seconds); None: not known, or not yet."""
        waits = next((leg for leg in self._unfinished if leg.head.id == self._last_id), None)
        worker = self._worker if waits is None else waits.worker
        if worker is None or self._last_id is None:
            return None
        number, until_s = next(_NUMBERS), time.monotonic() + LAST_WORD_S
        question = {
            "do": "after",
            "id": self._last_id,
            "begin_s": begin_s,
            "end_s": end_s,
            "number": number,
        }
        worker.child.tell(question)
        if waits is not None:
            waits.evaluations.append(number)
            return None
        while (
            number not in worker.evaluations
            and worker.spoken
            and worker.take(until_s - time.monotonic())
        ):
            pass
        return worker.evaluations.pop(number, None)

    def close(self) -> None:
        """End the child process. The meter can be used again; `begin` then starts another."""
        if os.getpid() == self._pid:
            self._let_go()

    def _only_here(self) -> None:
        if os.getpid() != self._pid:
            raise UnavailableError(NOT_THE_TRAINING)

    def _let_go(self) -> None:
        if self._worker is not None and self._leads:
            self._worker.end()
        self._worker = None

    def _tell(self, message: dict[str, Any]) -> None:
        if self._worker is not None and self._leads:
            self._worker.child.tell(message)

    def _devices(self) -> tuple[list[nvml.Device], dict[str, str]]:
        """Return the boards that the training uses, and the reason (path inside the leg) where that is not known."""
        if self._boards is not None:
            return self._boards, dict(self._unknown)
        if self._uses_gpu is False:
            return [], {}
        try:
            found = gpu_selection.devices(ordinals=self._ordinals, device_type=self._device_type)
        except UnavailableError as exc:
            why = str(exc)
            if self._uses_gpu is None and why == nvml.NO_DRIVER:
                return [], {}  # nothing to measure, and nobody says that there is
            return [], {"hosts.0.devices": f"not measured: {why}"}
        if not found and self._uses_gpu:
            return [], {
                "hosts.0.devices": "not measured: NVML shows none of the GPUs that the training uses"
            }
        return found, {}

    def _head(
        self,
        step: int,
        devices: list[nvml.Device],
        readings: dict[str, nvml.CounterReading],
        leg_id: str,
    ) -> Leg:
        settings = self.settings
        return Leg(
            id=leg_id,
            started_at=leg_parts.now(),
            step_begin=step,
            hosts=[
                HostUse(
                    host="h1",
                    devices=[
                        DeviceUse(
                            device=f"h1.g{number}",
                            name=device.name,
                            memory_bytes=device.memory_bytes,
                            counter_begin_j=readings.get(
                                device.uuid, nvml.CounterReading()
                            ).energy_j,
                            note=device.note,
                        )
                        for number, device in enumerate(devices)
                    ],
                    cpu_share=cpu_share.of_node() if self._share is None else self._share,
                )
            ],
            place=place.of(settings),
            pue=settings.pue,
            repeated_steps=0,
            repeated_s=0.0,
            repeated_j=0.0,
            processes=self._team.get("processes", 1),
            nodes_expected=self._team.get("nodes_expected", 1),
        )

    def _finish(self, leg: OpenLeg, step: int | None, max_steps: int | None, status: str) -> None:
        """Stop the clock of *leg*, read its counters and ask the child for its last reading."""
        global _last_end_s  # noqa: PLW0603 - of this process, whichever meter it was
        stopped, self._stopped = self._stopped, None
        if stopped is None:
            boards = {} if leg.counters is None else leg.counters.read()
            stopped = Mark(time.monotonic(), boards, host_counters.read())
        leg.readings, leg.end_s, self._last_id = stopped.boards, stopped.at_s, leg.head.id
        _last_end_s = time.monotonic()
        leg.ending = {
            "ended_at": leg_parts.now(),
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
                "reading": stopped.host.to_json(),
            }
        )
        if leg.counters is not None:
            leg.shared |= leg.counters.shared()

    @staticmethod
    def _hear(leg: OpenLeg) -> None:
        """Take what the child says until it has answered for *leg*, or time is up."""
        worker: WorkerClient | None = leg.worker
        if worker is None:
            return
        until_s = time.monotonic() + LAST_WORD_S
        worker.take(0.0)
        while (
            worker.spoken
            and leg.head.id not in worker.windows
            and worker.take(until_s - time.monotonic())
        ):
            pass

    def _take(self, wait_s: float) -> bool:
        """Take what the child says, waiting for the first of it; return whether it said anything."""
        return self._worker is not None and self._worker.take(wait_s)

    def _complete(self, leg: OpenLeg) -> tuple[Leg, dict[str, str]]:
        """Return a leg that has ended, and path inside it → reason; where more will be known later, that is noted."""
        worker: WorkerClient | None = leg.worker
        window = None if worker is None else worker.windows.get(leg.head.id)
        if self._is_awaited(leg) and not self._gave_up:
            self._unfinished.append(leg)
        elif worker is not None:
            worker.windows.pop(leg.head.id, None)
            window = window if window is not None and window.final else None
        why = self._why_silent(worker)
        if window is None:
            window = leg_builder.from_ledger(leg, self.folders.ticks, why)
        found = None if worker is None else worker.intensity
        return leg_builder.complete(
            leg, window, found or {"reason": self._why_no_intensity(why)}, self.settings
        )

    def _why_silent(self, worker: WorkerClient | None) -> str:
        """Return why the child has said nothing."""
        if worker is None:
            return self._worker_reason or "no process for the measurement was started"
        if worker.child.alive:
            return (
                "the measuring process did not answer in time"
                if self._gave_up
                else leg_parts.PENDING
            )
        return f"the measuring process ended during training ({worker.child.end_in_words})"

    def _why_no_intensity(self, why: str) -> str:
        """Return why there is no carbon intensity where the child has not told one, because of *why*."""
        if geolocation.knows_nothing(place.of(self.settings), geolocate=self._geolocate):
            return intensity.NO_PLACE
        return why if why == leg_parts.PENDING else f"not looked up: {why}"


_METERS: weakref.WeakSet[Meter] = weakref.WeakSet()
_NUMBERS = itertools.count(1)
_last_end_s = 0.0
"""Monotonic seconds when a leg of this process ended last."""


def new_id() -> str:
    """Return 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def mark(at_s: float, *, boards: bool) -> Mark:
    """Return what the host and, where *boards*, all GPUs in sight count now, as that of the moment *at_s*."""
    host = host_counters.read()
    readings: dict[str, nvml.CounterReading] = {}
    if boards:
        with contextlib.suppress(UnavailableError):  # the leg says why its GPUs are not measured
            readings = nvml.Counters(board.uuid for board in nvml.boards()).read()
    return Mark(at_s, readings, host)


def _counters(devices: list[nvml.Device]) -> nvml.Counters | None:
    """Return the counters of *devices*; None: there are none, or NVML has stopped answering."""
    if not devices:
        return None
    try:
        return nvml.Counters(device.uuid for device in devices)
    except UnavailableError:
        return None
