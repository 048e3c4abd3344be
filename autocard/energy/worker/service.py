"""The meter's child process: runs CodeCarbon, watches the GPUs' counters, writes the ledger at each tick.

Rule: it serves one training process and never outlives it: it ends when its socket closes or its
parent is gone, and a leg that was open then is written into the ledger as interrupted. It imports
neither torch nor transformers. `Meter` starts it with a clean environment and the training's
`sys.path`; it reads JSON lines (`do`: serve, begin, step, saving, saved, end, after, quit) and
answers with JSON lines (`what`: up, ready, so_far, leg, after). A leg that ends before CodeCarbon
has started is answered twice: at once with what is known, and again when all is.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from autocard.energy.gpu.gpu_sampler import GpuSampler
from autocard.energy.host import host_counters, node_meter
from autocard.energy.host.codecarbon_reader import CodeCarbonInfo, CodeCarbonReader
from autocard.energy.ledger import join_hosts, ledger_files, leg_builder, leg_parts
from autocard.energy.location import geolocation
from autocard.energy.readings import Sample, Used
from autocard.energy.worker.ledger_writer import LedgerWriter
from autocard.energy.worker.leg_tracker import (
    ANEW_S,
    IDLE_S,
    LegTracker,
    OutsideTraining,
    OwnReadings,
)
from autocard.energy.worker.step_counter import StepCounter
from autocard.energy.worker.worker_exit import leave, settle
from autocard.errors import UnavailableError

LOOK_S = 1.0
"""Seconds between looks at the parent, and between readings after training, of which an evaluation
is a part."""
LINGER_S = 8.0
"""Seconds after which a hanging library does not keep this process from ending."""
KEEP_S = 600.0
"""Seconds after training for which this process waits for an evaluation."""

_Commands = queue.SimpleQueue[dict[str, Any] | None]


@dataclass(frozen=True)
class Unfinished:
    """A leg that ended before CodeCarbon had started."""

    watch: LegTracker
    scribe: LedgerWriter
    around: OutsideTraining
    boards: GpuSampler | None
    status: ledger_files.Status
    at_s: float
    """Monotonic seconds of its end."""
    ended_at: str
    """ISO 8601, UTC."""


class Service:
    """Everything that happens in the child process."""

    def __init__(self, order: Mapping[str, Any], out: BinaryIO) -> None:
        """Open the boards; CodeCarbon follows in `prepare`, because that takes seconds."""
        self._out = out
        self._saying = threading.Lock()
        self._tick_s: float = order["tick_s"]
        self._order = order
        self._steps: StepCounter | None = None
        if order["steps"] is not None:
            with contextlib.suppress(OSError):
                self._steps = StepCounter(order["steps"])
        self._scribe = LedgerWriter(order)
        self._readings = host_counters.HostReadings()
        self._read_own(order["reading"])
        self._unfinished: list[Unfinished] = []
        self._unanswered: list[Mapping[str, Any]] = []
        self._complete = False
        """Whether CodeCarbon has started and the place was looked up, or neither will be."""
        meter = order["node_meter"]
        self._node = node_meter.NodeMeterReader(
            None if meter is None else node_meter.NodeMeter(Path(meter[0]), *meter[1:])
        )
        self._boards: GpuSampler | None = None
        self._engine: CodeCarbonReader | None = None
        self._other_boards = False
        self._engine_reason: str | None = None
        self._about: CodeCarbonInfo | None = None
        self._intensity: dict[str, Any] = {"reason": "not looked up: training was over before that"}
        self._watch: LegTracker | None = None
        self._last: LegTracker | None = None
        self._around = OutsideTraining(order["start_s"])
        self._fresh: ledger_files.LedgerEntry | None = None
        self._ticked_s = 0.0
        self._told: ledger_files.LedgerEntry | None = None
        self._open_boards(order["uuids"])

    def _open_boards(self, uuids: list[str]) -> None:
        if self._boards is not None:
            self._boards.close()
        self._boards = None
        if uuids:
            with contextlib.suppress(UnavailableError):
                self._boards = GpuSampler(uuids, time.monotonic())
                self._boards.watch()

    def prepare(self, commands: _Commands) -> None:
        """Look up the carbon intensity and start CodeCarbon; say how that went. In a thread: it takes seconds."""
        looking = geolocation.LookUp(self._order["place"])
        try:
            engine = self._open_engine()
            self._about = engine.about()
            engine.has_gpu = engine.has_gpu and not self._other_boards
            self._engine = engine
        except UnavailableError as exc:
            self._engine_reason = str(exc)
        except Exception as exc:  # noqa: BLE001 - whatever it is, GPU and time are measured without it
            self._engine_reason = f"CodeCarbon failed ({type(exc).__name__})"
        commands.put({"do": "ready"})
        self._intensity = looking.result()
        self._say({"what": "ready", "intensity": self._intensity})
        commands.put({"do": "complete"})

    def _open_engine(self) -> CodeCarbonReader:
        """Start CodeCarbon.

        Raises:
            UnavailableError: it does not work here, or another process of the host does this.
        """
        if not self._order["whole"]:
            raise UnavailableError(join_hosts.OTHER)
        return CodeCarbonReader(
            self._order["gpu_ids"], self._order["cpu_power_w"], self._order["ram_power_w"]
        )

    def serve(self, commands: _Commands) -> None:
        """Do what the commands say until there is nobody left to serve."""
        spoken_s = time.monotonic()
        next_tick_s = spoken_s + self._tick_s
        self._say({"what": "up"})
        while True:
            try:
                command = commands.get(
                    timeout=min(LOOK_S, max(next_tick_s - time.monotonic(), 0.0))
                )
                spoken_s = time.monotonic()
            except queue.Empty:
                command = {"do": "look"}
            if self._engine is None:
                self._read_own()
            if command is None or command["do"] == "quit":
                break
            if command["do"] == "look" and os.getppid() != self._order["parent"]:
                break  # what it has said before is obeyed first
            after_training = self._watch is None and self._last is not None
            if after_training and time.monotonic() - spoken_s > KEEP_S:
                break
            self._obey(command)
            if time.monotonic() >= next_tick_s or (after_training and command["do"] == "look"):
                self._tick()
                next_tick_s = time.monotonic() + self._tick_s
        if self._watch is not None:
            self._break_off(asked=command is not None and command["do"] == "quit")

    def _obey(self, command: Mapping[str, Any]) -> None:
        what, watch = command["do"], self._watch
        if what == "serve":
            self._serve_another(command["order"])
        elif what == "begin":
            self._begin(command)
        elif what == "ready":
            self._tick()
        elif what == "complete":
            self._finish_all()
        elif what == "after":
            self._after(command)
        elif watch is not None:
            self._go_on(watch, what, command)

    def _read_own(self, told: Mapping[str, Any] | None = None) -> None:
        """Take a reading of the host's own counters: one that the training process has taken, or one of now."""
        self._readings.add(
            host_counters.read() if told is None else host_counters.HostReading(**told)
        )

    def _serve_another(self, order: Mapping[str, Any]) -> None:
        """Measure for another training of the same process from now on."""
        self._order = {**order, "parent": self._order["parent"], "steps": self._order["steps"]}
        self._scribe = LedgerWriter(order)
        self._around = OutsideTraining(order["start_s"])
        self._last = None
        self._read_own(order["reading"])
        self._measure()

    def _after(self, command: Mapping[str, Any]) -> None:
        """Say what an evaluation after training used, as soon as that can be known."""
        self._tick()
        if self._unfinished and self._unfinished[-1].watch.head.id == command["id"]:
            self._unanswered.append(command)
            return
        last = self._last
        joules = None
        if last is not None and last.head.id == command["id"]:
            joules = self._around.after(
                command["begin_s"], command["end_s"], last, self._own(self._boards)
            )
        self._say({"what": "after", "number": command["number"], "energy_j": joules})

    def _own(self, boards: GpuSampler | None) -> OwnReadings:
        return OwnReadings(self._about, self._readings, boards)

    def _finish_all(self) -> None:
        """All is known now: say what the legs used that ended before, and what came after them."""
        self._complete = True
        unfinished, self._unfinished = self._unfinished, []
        unanswered, self._unanswered = self._unanswered, []
        for leg in unfinished:
            window = self._note(leg.watch, leg.status, leg.at_s, told=leg)[1]
            leg.scribe.write(shared=True, last=True)
            self._say({"what": "leg", **replace(window, ledger=leg.scribe.reason).to_json()})
            for command in (one for one in unanswered if one["id"] == leg.watch.head.id):
                own = self._own(leg.boards)
                joules = leg.around.after(command["begin_s"], command["end_s"], leg.watch, own)
                self._say({"what": "after", "number": command["number"], "energy_j": joules})

    def _go_on(self, watch: LegTracker, what: str, command: Mapping[str, Any]) -> None:
        """Obey *command* in the middle of a leg."""
        if what in {"step", "saving", "saved"}:
            watch.hear(command["step"], time.monotonic())
            if what != "step":
                self._tick(saved=True, shared=what == "saved")
            if self._scribe.entry is not self._told and what != "saved":
                self._told = self._scribe.entry
                self._say(
                    {
                        "what": "so_far",
                        "entry": self._told.model_dump(mode="json") if self._told else None,
                    }
                )
        elif what == "rename":
            watch.head = watch.head.model_copy(update={"id": command["leg_id"]})
            self._scribe.rename(command["run_id"], command["leg_id"])
            self._tick()
        elif what == "end" and command["id"] == watch.head.id:
            watch.step, watch.max_steps = command["step"], command["max_steps"]
            self._read_own(command["reading"])
            window = self._close(watch, command["status"], command["at_s"])
            if not self._complete:
                kept = (watch, self._scribe, self._around, self._boards)
                self._unfinished.append(
                    Unfinished(*kept, command["status"], command["at_s"], leg_parts.now())
                )
                window = replace(window, final=False)
            self._say({"what": "leg", **window.to_json()})

    def _begin(self, command: Mapping[str, Any]) -> None:
        if self._watch is not None:
            self._watch.step = (
                command["left_at"] if command["left_at"] is not None else self._watch.step
            )
            self._break_off(asked=True, least_s=ANEW_S)
        self._scribe = LedgerWriter(self._order)  # that of a leg before may still be in use
        if self._unfinished and self._last is not None:
            self._around = OutsideTraining(None)  # the same
        self._scribe.belongs(command["run_id"], command.get("team") or {})
        self._read_own(command["reading"])
        watch = self._watch = self._last = LegTracker(command)
        self._fresh = self._told = None
        if set(watch.uuids) != set(self._order["uuids"]):
            # CUDA was set up after this process was started, and has other boards than the
            # variables promised.
            self._order = {**self._order, "uuids": watch.uuids}
            self._open_boards(watch.uuids)
            self._other_boards = True  # what CodeCarbon watches are not these boards
            if self._engine is not None:
                self._engine.has_gpu = False
        if self._boards is not None:
            # or no reading lies behind the moment that is asked for
            self._boards.tick(time.monotonic())
            watch.boards_begin = self._boards.at(watch.read_s)
        self._around.begin(watch.begin_s, has_setup=command["has_setup"])
        self._scribe.open(watch.head.id)
        self._tick()

    def _tick(self, *, saved: bool = False, shared: bool = False) -> None:
        """Read everything once; a leg that is open goes into the ledger."""
        self._measure()
        watch = self._watch
        if watch is None:
            return
        now_s = time.monotonic()
        if not saved:
            self._look(watch)  # a checkpoint's reading belongs to the step that was told with it
        leg = self._note(watch, "running", now_s)[0]
        if saved:
            watch.point(leg)
            self._note(watch, "running", now_s)
        if watch.heard_since(self._ticked_s) or self._fresh is None:
            self._fresh = self._scribe.entry
        self._ticked_s = now_s
        self._write(watch, shared=shared)

    def _look(self, watch: LegTracker) -> bool:
        """Bring the step of *watch* up to what the training has counted; return whether that is known."""
        step = None if self._steps is None else self._steps.of(watch.number)
        watch.step = watch.step if step is None else step
        return step is not None

    def _measure(self) -> None:
        node_j, node_s = self._node.read_j(), time.monotonic()
        host, watch = self._read(), self._watch
        if self._boards is not None:
            self._boards.tick(time.monotonic())
        self._around.add(host, self._boards, training=watch is not None)
        if watch is None:
            return
        if host is not None:
            watch.host.add(host)
        if node_j is not None:
            watch.node.add(Sample(node_s, {node_meter.NODE: node_j}))
        if self._boards is not None:
            watch.boards.add(Sample(time.monotonic(), dict(self._boards.joules)))

    def _read(self) -> Sample | None:
        if self._engine is None:
            return None
        try:
            return self._engine.read()
        except UnavailableError as exc:
            self._engine_reason = str(exc)
            return None

    def _close(
        self, watch: LegTracker, status: ledger_files.Status, at_s: float, *, unseen: bool = False
    ) -> leg_parts.Window:
        """Take the last reading of the open leg and write it down; return what was used up to *at_s*.

        Args:
            watch: the leg.
            status: how it ended.
            at_s: when (monotonic seconds).
            unseen: it may have done more steps than are known.
        """
        self._measure()
        window = self._note(watch, status, at_s, unseen=unseen)[1]
        self._write(watch, shared=True, last=True)
        self._watch = None
        self._scribe.close()
        self._measure()  # the first reading of what comes after
        return replace(window, ledger=self._scribe.reason)

    def _break_off(self, *, asked: bool, least_s: float = IDLE_S) -> None:
        """Close a leg that did not end regularly.

        Args:
            asked: by a training process that lives, and may have idled.
            least_s: silence after which it has.
        """
        watch, now_s = self._watch, time.monotonic()
        if watch is None:
            return
        unseen = not (self._look(watch) or asked)
        if asked and watch.idle(now_s, least_s) and self._fresh is not None:
            leg = self._fresh.leg.model_copy(
                update={"status": "interrupted", "step_end": watch.step}
            )
            self._scribe.entry = self._fresh.model_copy(
                update={"status": "interrupted", "leg": leg}
            )
            self._write(watch, shared=True, last=True)
            self._watch = None
            self._scribe.close()
            return
        self._close(watch, "interrupted", now_s, unseen=unseen)

    def _note(
        self,
        watch: LegTracker,
        status: ledger_files.Status,
        at_s: float,
        *,
        unseen: bool = False,
        told: Unfinished | None = None,
    ) -> tuple[Any, leg_parts.Window]:
        """Make the ledger's entry of the leg as of *at_s*; return the leg and what was used.

        Args:
            watch: the leg.
            status: how it ended.
            at_s: when (monotonic seconds).
            unseen: it may have done more steps than are known.
            told: what was kept of a leg that was told before all was known.
        """
        boards, around, scribe = self._boards, self._around, self._scribe
        if told is not None:
            boards, around, scribe = told.boards, told.around, told.scribe
        reason = self._engine_reason or (None if self._engine is not None else leg_parts.PENDING)
        window = watch.window(at_s, boards, self._about, reason, self._readings)
        setup_j, words = around.setup(watch, self._own(boards))
        if setup_j is None and self._engine is None:
            words = self._engine_reason or leg_parts.PENDING
        if not self._order["whole"]:
            words = join_hosts.LATE
        node_used = (
            Used(reason=self._node.reason)
            if self._node.reason
            else watch.node.between(watch.begin_s, at_s)
        )
        window = replace(
            window, setup_j=setup_j, setup_source=words, node=node_used, node_name=self._node.name
        )
        devices, reasons = watch.devices(window)
        leg, missing = leg_parts.complete(
            watch.head,
            devices,
            {**watch.reasons, **reasons},
            window,
            ended_at=leg_parts.now() if told is None else told.ended_at,
            status=None if status == "running" else status,
            step_end=watch.step,
            steps_unseen=unseen,
            wall_clock_s=max(at_s - watch.begin_s, 0.0),
        )
        leg = leg_builder.described(leg, missing, self._intensity, *self._order["given"])
        scribe.note(
            leg, missing, window, status=status, uuids=watch.uuids, max_steps=watch.max_steps
        )
        return leg, window

    def _write(self, watch: LegTracker, *, shared: bool, last: bool = False) -> None:
        if watch is self._watch:
            self._scribe.write(shared=shared, last=last)

    def _say(self, message: Mapping[str, Any]) -> None:
        # Nobody listens any more: the socket's end is seen in `serve`.
        with contextlib.suppress(OSError), self._saying:
            self._out.write(json.dumps(message).encode() + b"\n")


def _listen(commands: _Commands) -> None:
    """Put what comes over the socket into *commands*; None at its end."""
    with contextlib.suppress(OSError, ValueError):
        for line in sys.stdin:
            commands.put(json.loads(line))
    commands.put(None)
    # A library that hangs (a driver, nvidia-smi) must not keep this process alive when nobody needs
    # it any more.
    time.sleep(LINGER_S)
    leave(1)


def _start(work: Callable[[_Commands], None], commands: _Commands) -> None:
    threading.Thread(target=work, args=(commands,), daemon=True).start()


def main(order: Mapping[str, Any]) -> None:
    """Serve the process that gave *order* (the first line) until it closes the socket."""
    settle()
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        # Job managers send these to every process. The training decides what they mean; here the
        # socket's end counts.
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # what libraries print must not get between the answers
    commands: _Commands = queue.SimpleQueue()
    service = Service(order, out)
    _start(_listen, commands)
    _start(service.prepare, commands)
    service.serve(commands)
    leave(0)
