"""The meter: energy and time of the trainings of a process.

Rule: the training's thread only reads counters and sends messages to the worker. The counters of
GPUs and host are read here, at the very begin and end; CodeCarbon, power samples and the ledger
live in the worker, which also completes the legs. No thread, no signal handler, nothing that works
in a forked process. After training the worker waits some minutes for an evaluation; it ends with
the training process. It serves the next training of this process too, if that has the same
settings. A leg that ended before CodeCarbon had started is completed later (`late`).
"""

from __future__ import annotations

import itertools
import os
import time
import uuid
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from autocard.energy import counter_mark, measuring_plan, training_devices
from autocard.energy.counter_mark import CounterMark
from autocard.energy.gpu import backends
from autocard.energy.gpu.base import Device
from autocard.energy.host import host_counters, node_meter
from autocard.energy.ledger import ledger_files, leg_builder
from autocard.energy.ledger.ledger_entry import (
    PENDING,
    LedgerEntry,
    ProcessRole,
    StartedJob,
    utc_now,
)
from autocard.energy.ledger.leg_builder import LegStart
from autocard.energy.location import geolocation, intensity, place
from autocard.energy.measured_leg import MeasuredLeg
from autocard.energy.measuring_plan import MeasuringPlan
from autocard.energy.training_devices import TrainingDevices
from autocard.energy.worker import protocol
from autocard.energy.worker.protocol import (
    Begin,
    Command,
    Evaluation,
    Handover,
    Rename,
    Saved,
    Saving,
    Step,
    WorkerOrder,
)
from autocard.energy.worker.worker_client import WorkerClient, handover
from autocard.errors import UnavailableError
from autocard.record import HostUse, Leg, Status
from autocard.settings import Settings

K = TypeVar("K")

ANSWER_S = 0.4
"""Seconds that `end` waits for the worker's answer, which mostly takes milliseconds; `late` takes
what comes later. `end` does not wait for a worker that has never answered: it has hardly started.
"""
DEATHS = 3
"""Maximum number of times that a dead worker is replaced within a leg."""
SAVING_S = 0.004
"""Seconds that a checkpoint waits for the worker's reading, which is saved in it."""
NOT_THE_TRAINING = (
    "autocard measures only in the process that began training, not in one forked from it"
)


class Meter:
    """Measures the trainings of a process, leg after leg."""

    def __init__(
        self,
        settings: Settings,
        *,
        uses_gpu: bool | None = None,
        folder: Path | None = None,
        run_id: str | None = None,
        device_type: str | None = None,
        ordinals: Iterable[int] | None = None,
        job: StartedJob | None = None,
        start_s: float | None = None,
        whole: bool = True,
        geolocate: bool | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            settings: place, powers, interval, ledger.
            uses_gpu: False: the training runs on the CPU, even if there are GPUs; None: unknown.
            folder: output folder, for the ledger; None: no ledger is kept.
            run_id: `run.id`; None: a new id.
            device_type: torch's name of the accelerator (cuda, mps, xpu, …), where it is known.
            ordinals: CUDA ordinals that the training uses; None: all that are visible.
            job: the workload manager's; None: unknown.
            start_s: monotonic seconds when set-up began; None: now.
            whole: False: only GPUs; another process of the host measures CPU and memory.
            geolocate: whether this process may look the place up; None: the setting applies.
        """
        self.settings = settings
        self.run_id = run_id or new_id()
        """Id of the run that the next legs belong to."""
        self._devices = TrainingDevices(
            uses_gpu=uses_gpu, device_type=device_type, ordinals=ordinals
        )
        self.folders = ledger_files.folders_of(folder, settings.ledger_dir)
        self._job = job or StartedJob()
        self._start_s: float | None = time.monotonic() if start_s is None else start_s
        self._whole = whole
        self._geolocate = settings.geolocate if geolocate is None else geolocate
        self._share: float | None = None
        self._role = ProcessRole()
        self._pid = os.getpid()
        self._order: WorkerOrder | None = None
        self._worker: WorkerClient | None = None
        self._worker_reason: str | None = None
        self._open: MeasuredLeg | None = None
        self._cut_short: list[MeasuredLeg] = []
        self._unfinished: list[MeasuredLeg] = []
        self._gave_up = False
        self._last_id: str | None = None
        self._stopped: CounterMark | None = None
        self._step: int | None = None
        self._legs = 0
        self._deaths = 0
        # pydantic builds its models at their first use, which takes 20 ms: do it now, and not at
        # the begin of training.
        Leg(id="")
        protocol.warm_up()
        _METERS.add(self)

    @property
    def leg_id(self) -> str | None:
        """Id of the open leg."""
        return None if self._open is None else self._open.leg_id

    @property
    def board_ids(self) -> list[str]:
        """Pseudonyms of the GPUs of the open leg."""
        uuids = [] if self._open is None else self._open.uuids
        return [ledger_files.pseudonym(uuid) for uuid in uuids]

    @property
    def plan(self) -> MeasuringPlan | None:
        """What the open leg will measure; None: no leg is open."""
        no_worker = self._worker_reason if self._worker is None else None
        return None if self._open is None else measuring_plan.of_leg(self._open, no_worker)

    @property
    def unfinished(self) -> bool:
        """Whether a leg that has ended waits for its figures."""
        return bool(self._unfinished)

    @property
    def so_far(self) -> LedgerEntry | None:
        """The entry of the open leg, as of the last tick or checkpoint that the worker has sent."""
        return self._worker.so_far if self._worker is not None and self._owns_worker else None

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker; None: there is no worker."""
        return None if self._worker is None else self._worker.process.pid

    @property
    def _owns_worker(self) -> bool:
        """Whether the worker measures for this meter, and not for a later meter."""
        return self._worker is not None and self._worker.owner() is self

    # -- the worker --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the worker, which takes a second or two to get ready; return at once.

        Raises:
            UnavailableError: in a forked process.
        """
        self._check_process()
        if self._worker is not None and self._owns_worker and self._worker.process.alive:
            return
        order = self._order = self._new_order()
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

    def _new_order(self) -> WorkerOrder:
        """Return the order for a worker of this meter."""
        settings, found = self.settings, place.of(self.settings)
        devices, _ = self._devices.find()
        no_place = geolocation.knows_nothing(found, geolocate=self._geolocate)
        return WorkerOrder(
            parent_pid=self._pid,
            reading=host_counters.read(),
            whole=self._whole,
            tick_s=settings.measure_power_secs,
            ticks_folder=self.folders.ticks,
            shared_folder=self.folders.shared,
            run_id=self.run_id,
            process_id=ledger_files.process_id(),
            output_id=self.folders.output_id,
            job_id=self._job.pseudonym,
            start_s=self._start_s,
            uuids=[device.uuid for device in devices],
            gpu_ids=backends.codecarbon_ids(devices),
            cpu_power_w=settings.cpu_power_w,
            ram_power_w=settings.ram_power_w,
            place=geolocation.order(found, geolocate=self._geolocate),
            may_find_place=not no_place,
            node_meter=node_meter.of(settings) if self._whole else None,
            given=leg_builder.given_intensity(settings),
        )

    def _idle_worker(self, order: WorkerOrder) -> WorkerClient | None:
        """Return the worker of another meter that can serve this one; None: there is none."""
        for other in list(_METERS):
            worker = other._worker  # noqa: SLF001 - another of this class
            if other is self or worker is None or not other._rests:  # noqa: SLF001
                continue
            if worker.fits(order):
                return worker
        return None

    @property
    def _rests(self) -> bool:
        """Whether the worker belongs to this meter, which has measured a leg and has none open."""
        return self._owns_worker and self._open is None and self._step is not None

    def rest(self, other: Meter) -> None:
        """Release the worker, because *other* starts; not while a leg is open or unfinished."""
        if self is not other and (self._rests or not self._owns_worker) and not self._unfinished:
            self.close()

    def wait_until_ready(self, at_most_s: float) -> bool:
        """Wait until CodeCarbon has started and the place is known; return whether both are."""
        until_s = time.monotonic() + at_most_s
        while self._worker is not None and self._worker.intensity is None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            self._worker.take(min(left_s, 0.2))
        return self._worker is not None

    def close(self) -> None:
        """End the worker. The meter can be used again; `begin` then starts another worker."""
        if os.getpid() != self._pid:
            return
        if self._worker is not None and self._owns_worker:
            self._worker.end()
        self._worker = None

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise UnavailableError(NOT_THE_TRAINING)

    def _send(self, command: Command) -> None:
        if self._worker is not None and self._owns_worker:
            self._worker.process.send(command)

    # -- a leg begins ------------------------------------------------------------------------------

    def use(
        self,
        boards: Sequence[Device] | None,
        share: float | None,
        role: ProcessRole,
        reason: str | None = None,
    ) -> None:
        """From the next leg on, measure these GPUs for these processes.

        Args:
            boards: in the order of the leg's devices; None: those that this process uses.
            share: of the node's CPUs, all processes of the training on it together; None: this
                process's.
            role: of this process among those of the training.
            reason: why *boards* are not all that the processes use.
        """
        self._devices.assign(boards, reason)
        self._share, self._role = share, role

    def begin(
        self,
        step: int,
        max_steps: int | None = None,
        *,
        anew: bool = False,
        leg_id: str | None = None,
        mark: CounterMark | None = None,
        has_setup: bool = True,
    ) -> None:
        """Begin a leg at *step* (global step): start the clock and read the counters.

        A leg that is still open was cut short by the new leg (`auto_find_batch_size` does that);
        `end` returns it too.

        Args:
            step: global step.
            max_steps: planned.
            anew: a leg that is still open was broken off; the ledger has it, `end` does not return
                it.
            leg_id: that the training's processes have agreed on; None: a new id.
            mark: counters read when training began; None: they are read now.
            has_setup: False: the time before the leg was not set-up alone.

        Raises:
            UnavailableError: in a forked process.
        """
        self._check_process()
        if anew:
            self._open, self._cut_short = None, []
        self._deaths = 0
        if self._open is not None:
            self._finish(self._open, self._step, None, "interrupted")
            self._cut_short.append(self._open)
        self.start()
        previous_step, self._legs = self._step, self._legs + 1
        devices, reasons = self._devices.find()
        counters = counter_mark.counters_of(devices)
        if mark is None or not all(device.uuid in mark.boards for device in devices):
            mark = counter_mark.read(time.monotonic(), counters)
        host = training_devices.host_at_begin(devices, mark, self._share)
        head = self._head(step, host, leg_id or new_id())
        reasons = {**self._job.gaps, **reasons}
        start = LegStart(head, [device.uuid for device in devices], mark.at_s, reasons)
        begin = Begin(
            leg=start,
            run_id=self.run_id,
            number=self._legs,
            reading=mark.host,
            max_steps=max_steps,
            has_setup=has_setup and self._start_s is not None and self._start_s >= _last_end_s,
            whole=self._whole,
            role=self._role,
            previous_step=previous_step,
        )
        shared = set() if counters is None else counters.shared()
        self._step, self._stopped = step, None
        self._open = MeasuredLeg(begin, self._order or self._new_order(), counters, shared)
        self._send_begin(self._open)
        self._start_s = None  # set-up is over: another worker would have no set-up time

    def _send_begin(self, leg: MeasuredLeg, before: Handover | None = None) -> None:
        """Send the worker the leg to measure; *before*: what another worker measured of it."""
        leg.worker, begin = self._worker, leg.begin
        if self._worker is not None:
            process, self._worker.so_far = self._worker.process, None
            process.busy = True
            if process.steps is not None:
                process.steps.begin(begin.number, self._step or 0)
        if before is not None:
            begin = replace(begin, previous_step=None, has_setup=False, handover=before)
        self._send(begin)

    def _head(self, step: int, host: HostUse, leg_id: str) -> Leg:
        """Return the leg with what is known at its begin."""
        return Leg(
            id=leg_id,
            started_at=utc_now(),
            step_begin=step,
            hosts=[host],
            place=place.of(self.settings),
            pue=self.settings.pue,
            repeated_steps=0,
            repeated_s=0.0,
            repeated_j=0.0,
            processes=self._role.processes,
            nodes_expected=self._role.nodes_expected,
            **self._job.of_leg(),
        )

    # -- a leg continues ---------------------------------------------------------------------------

    def reached(self, step: int) -> None:
        """Note that *step* is done: a store into memory that the worker reads."""
        self._step = step
        if self._worker is None or os.getpid() != self._pid:
            return
        steps = self._worker.process.steps
        if steps is not None:
            steps.reach(step)

    def rename(self, run_id: str, leg_id: str) -> None:
        """Give the open leg, and the run that it belongs to, another id."""
        self.run_id = run_id
        if self._open is not None:
            self._send(Rename(run_id, leg_id))
            self._open.rename(run_id, leg_id)

    def progress(self, step: int, *, saving: bool = False, saved: bool = False) -> None:
        """Send the worker the *step* that is done; call it once a second. It does not wait.

        Args:
            step: global step; after training, the call means that an evaluation is running.
            saving: a checkpoint is about to be written: wait for the worker's reading (4 ms at
                most).
            saved: a checkpoint was written.
        """
        self.reached(step)
        if os.getpid() != self._pid:
            return
        self._take(0.0)
        self._replace_dead_worker()
        if saving:
            self._send(Saving(step))
            self._take(SAVING_S)
        else:
            self._send(Saved(step) if saved else Step(step))

    def _take(self, wait_s: float) -> bool:
        """Take the worker's answers after waiting for the first; return whether there was any."""
        return self._worker is not None and self._worker.take(wait_s)

    def _replace_dead_worker(self) -> None:
        """Start another worker if the open leg's worker has died; three times at most."""
        leg, worker = self._open, self._worker
        if leg is None or worker is None or worker.process.alive or self._deaths >= DEATHS:
            return
        self._deaths += 1
        written = ledger_files.of_leg(self.folders.all, leg.leg_id)
        entry = ledger_files.find(written, leg.leg_id, ledger_files.host_id(), self._role.part)
        death = f"the measuring process ended during training ({worker.process.end_in_words})"
        self.start()
        self._send_begin(leg, handover(entry, leg.begin.leg.head, leg.uuids, death))

    # -- a leg ends --------------------------------------------------------------------------------

    def stop(self, at_s: float) -> None:
        """Read the counters when the open leg ends at *at_s* (monotonic seconds); `end` follows."""
        if self._open is not None and os.getpid() == self._pid:
            self._stopped = counter_mark.read(at_s, self._open.counters)

    def end(self, step: int, max_steps: int | None) -> list[LedgerEntry]:
        """End the leg at *step*: read the counters, then wait a moment for the worker's answer.

        Args:
            step: global step.
            max_steps: planned; a leg that ends before it was stopped.

        Returns:
            The legs since the last call, in order: mostly one; more if a leg was cut short by
                another `begin`.

        Raises:
            UnavailableError: no leg was begun, or in a forked process.
        """
        self._check_process()
        if self._open is None:
            msg = "energy and time were not measured: training ended without having begun"
            raise UnavailableError(msg)
        leg, self._open = self._open, None
        is_finished = max_steps is not None and step >= max_steps
        self._finish(leg, step, max_steps, "finished" if is_finished else "stopped")
        if leg.worker is not None:
            self._wait_for(leg.worker, leg.leg_id, leg.worker.ended)
        if self._worker is not None:
            self._worker.process.busy = False
        done, self._cut_short = [*self._cut_short, leg], []
        self._gave_up = False
        return [self._complete(part) for part in done]

    def _finish(
        self, leg: MeasuredLeg, step: int | None, max_steps: int | None, status: Status
    ) -> None:
        """Stop the clock of *leg*, read its counters and request the worker's last reading."""
        global _last_end_s  # of this process, for all meters
        mark, self._stopped = self._stopped, None
        if mark is None:
            mark = counter_mark.read(time.monotonic(), leg.counters)
        _last_end_s, self._last_id = time.monotonic(), leg.leg_id
        self._send(leg.stop(mark, step, max_steps, status))

    @staticmethod
    def _wait_for(worker: WorkerClient, key: K, answers: Mapping[K, object]) -> None:
        """Take answers until *key* is among *answers*, or time is up."""
        until_s = time.monotonic() + ANSWER_S
        worker.take(0.0)
        while worker.has_answered and key not in answers:
            if not worker.take(until_s - time.monotonic()):
                return

    def _complete(self, leg: MeasuredLeg) -> LedgerEntry:
        """Return the entry of a leg that has ended; note if more figures will come later."""
        is_awaited = leg.is_awaited and not self._gave_up
        if is_awaited:
            self._unfinished.append(leg)
        entry = leg.answered(final=not is_awaited)
        if entry is not None:
            return entry
        why = self._why_silent(leg.worker)
        found = None if leg.worker is None else leg.worker.intensity
        return leg.from_ledger(why, found or {"reason": self._why_no_intensity(why)})

    def _why_silent(self, worker: WorkerClient | None) -> str:
        """Return why the worker has not answered."""
        if worker is None:
            return self._worker_reason or "no process for the measurement was started"
        if not worker.process.alive:
            return f"the measuring process ended during training ({worker.process.end_in_words})"
        return "the measuring process did not answer in time" if self._gave_up else PENDING

    def _why_no_intensity(self, why: str) -> str:
        """Return why the carbon intensity is missing if the worker is silent because of *why*."""
        if geolocation.knows_nothing(place.of(self.settings), geolocate=self._geolocate):
            return intensity.NO_PLACE
        return why if why == PENDING else f"not looked up: {why}"

    # -- after a leg -------------------------------------------------------------------------------

    def late(self, wait_s: float = 0.0, *, last: bool = False) -> list[LedgerEntry]:
        """Return the legs whose figures have arrived since `end`.

        Args:
            wait_s: seconds to wait for them.
            last: this is the last call: figures that are still missing get their reason.
        """
        if os.getpid() != self._pid:
            return []
        until_s = time.monotonic() + wait_s
        for leg in self._unfinished:
            while leg.is_awaited and leg.worker is not None:
                if not leg.worker.take(until_s - time.monotonic()):
                    break
        self._gave_up = last
        done = [leg for leg in self._unfinished if last or not leg.is_awaited]
        self._unfinished = [leg for leg in self._unfinished if leg not in done]
        return [leg.with_evaluations(self._complete(leg)) for leg in done]

    def after(self, begin_s: float, end_s: float) -> float | None:
        """Return the joules of a period after the last leg (monotonic seconds); None: not yet."""
        waiting = [leg for leg in self._unfinished if leg.leg_id == self._last_id]
        worker = waiting[0].worker if waiting else self._worker
        if worker is None or self._last_id is None:
            return None
        number = next(_NUMBERS)
        worker.process.send(Evaluation(self._last_id, begin_s, end_s, number))
        if waiting:
            waiting[0].evaluations.append(number)
            return None
        self._wait_for(worker, number, worker.evaluations)
        return worker.evaluations.pop(number, None)


_METERS: weakref.WeakSet[Meter] = weakref.WeakSet()
_NUMBERS = itertools.count(1)
_last_end_s = 0.0
"""Monotonic seconds when the last leg of this process ended."""


def new_id() -> str:
    """Return 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]
