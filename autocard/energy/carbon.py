"""The meter's child process: runs CodeCarbon, watches the GPUs' counters, writes the ledger at each tick.

Rule: it serves one training process and never outlives it: it ends when its socket closes or its parent is gone, and a
leg that was open then is written into the ledger as interrupted. It imports neither torch nor transformers. `Meter`
starts it with a clean environment and the training's `sys.path`; it reads JSON lines (`do`: begin, step, end, quit)
and answers with JSON lines (`what`: ready, leg).
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
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from autocard.energy import intensity, ledger, legs
from autocard.energy.boards import Boards
from autocard.energy.engine import About, Engine
from autocard.energy.window import Sample, Track, Used
from autocard.errors import NotWrittenError, UnavailableError
from autocard.record import DeviceUse, Leg

LOOK_S = 1.0
"""Seconds between looks at the parent, and between power samples of boards without a counter."""
LINGER_S = 8.0
"""Seconds after which a hanging library does not keep this process from ending."""


class Watch:
    """One leg, being watched."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        """Take the leg's head from the order that begins it."""
        self.head = Leg.model_validate(order["head"])
        self.uuids: list[str] = order["uuids"]
        self.reasons: dict[str, str] = order["missing"]
        self.begin_s: float = order["at_s"]
        self.step: int | None = self.head.step_begin
        self.max_steps: int | None = None
        self.host = Track()
        self.boards = Track()


class Service:
    """Everything that happens in the child process."""

    def __init__(self, order: Mapping[str, Any], out: BinaryIO) -> None:
        """Open the boards; CodeCarbon follows in `prepare`, because that takes seconds."""
        self._out = out
        self._tick_s: float = order["tick_s"]
        self._folder = None if order["ledger"] is None else Path(order["ledger"])
        self._run_id: str = order["run_id"]
        self._order = order
        self._host_id = ledger.host_id()
        self._boards: Boards | None = None
        self._engine: Engine | None = None
        self._engine_reason: str | None = None
        self._about: About | None = None
        self._watch: Watch | None = None
        self._ledger_reason: str | None = None
        self._open_boards(order["uuids"])

    def _open_boards(self, uuids: list[str]) -> None:
        self._boards = None
        if uuids:
            with contextlib.suppress(UnavailableError):
                self._boards = Boards(uuids, time.monotonic())

    def prepare(self) -> None:
        """Look up the carbon intensity and start CodeCarbon; say how that went."""
        place = self._order["place"]
        told: dict[str, Any] = {"what": "ready"}
        try:
            told["intensity"] = asdict(intensity.of(place["country_iso_code"], place["region"]))
        except UnavailableError as exc:
            told["intensity"] = {"reason": str(exc)}
        except Exception as exc:  # noqa: BLE001 - CodeCarbon's tables in a form that we do not know
            told["intensity"] = {"reason": f"CodeCarbon's tables could not be read ({type(exc).__name__})"}
        try:
            self._engine = Engine(self._order["gpu_ids"], self._order["cpu_power_w"], self._order["ram_power_w"])
            self._about = self._engine.about()
        except UnavailableError as exc:
            self._engine_reason = str(exc)
        except Exception as exc:  # noqa: BLE001 - whatever it is, GPU and time are measured without it
            self._engine_reason = f"CodeCarbon failed ({type(exc).__name__})"
        self._say(told)

    def serve(self, commands: queue.SimpleQueue[dict[str, Any] | None]) -> None:
        """Do what the commands say until there is nobody left to serve."""
        next_tick_s = time.monotonic() + self._tick_s
        while True:
            wait_s = min(LOOK_S, max(next_tick_s - time.monotonic(), 0.0))
            try:
                command = commands.get(timeout=wait_s)
            except queue.Empty:
                command = {"do": "look"}
            if command is None or command["do"] == "quit" or os.getppid() != self._order["parent"]:
                break
            if command["do"] != "look":
                self._obey(command)
            if time.monotonic() >= next_tick_s:
                self._tick()
                next_tick_s = time.monotonic() + self._tick_s
            elif self._boards is not None and self._boards.sampled:
                self._boards.tick(time.monotonic())
        if self._watch is not None:
            self._close("interrupted", time.monotonic())

    def _obey(self, command: Mapping[str, Any]) -> None:
        if command["do"] == "begin":
            self._watch = Watch(command)
            if set(self._watch.uuids) != set(self._order["uuids"]):
                # CUDA was set up after this process was started, and has other boards than the variables promised.
                self._order = {**self._order, "uuids": self._watch.uuids}
                self._open_boards(self._watch.uuids)
                if self._engine is not None:
                    self._engine.has_gpu = False  # what CodeCarbon watches are not these boards
            self._tick()
        elif command["do"] == "step" and self._watch is not None:
            self._watch.step = command["step"]
        elif command["do"] == "end" and self._watch is not None and command["id"] == self._watch.head.id:
            self._watch.step, self._watch.max_steps = command["step"], command["max_steps"]
            self._say({"what": "leg", **self._close(command["status"], command["at_s"]).to_json()})

    def _tick(self) -> None:
        """Read everything once; a leg that is open goes into the ledger."""
        host = self._read()
        if self._watch is None:
            return
        if host is not None:
            self._watch.host.add(host)
        if self._boards is not None:
            at_s = time.monotonic()
            self._boards.tick(at_s)
            self._watch.boards.add(Sample(at_s, dict(self._boards.joules)))
        self._write(self._watch, "running", time.monotonic())

    def _read(self) -> Sample | None:
        if self._engine is None:
            return None
        try:
            return self._engine.read()
        except UnavailableError as exc:
            self._engine_reason = str(exc)
            return None

    def _close(self, status: ledger.Status, at_s: float) -> legs.Window:
        """Take the last reading of the open leg and write it down; return what was used up to *at_s*."""
        watch = self._watch
        if watch is None:
            msg = "there is no open leg"
            raise RuntimeError(msg)
        self._tick()
        window = self._write(watch, status, at_s)
        self._watch = None
        return window

    def _window(self, watch: Watch, at_s: float) -> legs.Window:
        host = watch.host.between(watch.begin_s, at_s)
        if host.reason is not None and self._engine_reason is not None:
            host = Used(reason=self._engine_reason)
        boards = self._boards
        return legs.Window(
            id=watch.head.id,
            host=host,
            boards=watch.boards.between(watch.begin_s, at_s) if boards else Used(reason="NVML: no reading"),
            sampled=sorted(boards.sampled) if boards else [],
            reset=sorted(boards.reset) if boards else [],
            silent=boards.silent if boards else {},
            about=self._about,
            ledger=self._ledger_reason,
        )

    def _write(self, watch: Watch, status: ledger.Status, at_s: float) -> legs.Window:
        """Write the leg, as of *at_s*, into the ledger; return what was used."""
        window = self._window(watch, at_s)
        if self._folder is None:
            return window
        devices, reasons = _devices(watch, window)
        written_at = legs.now()
        leg, missing = legs.complete(
            watch.head,
            devices,
            {**watch.reasons, **reasons},
            window,
            ended_at=written_at,
            status=None if status == "running" else status,
            step_end=watch.step,
            wall_clock_s=max(at_s - watch.begin_s, 0.0),
        )
        entry = ledger.LedgerEntry(
            run_id=self._run_id,
            host_id=self._host_id,
            board_ids=[ledger.pseudonym(uuid) for uuid in watch.uuids],
            status=status,
            written_at=written_at,
            max_steps=watch.max_steps,
            leg=leg,
            missing=missing,
            window=replace(window, boards=Used(), sampled=(), reset=(), silent={}).to_json(),
        )
        try:
            ledger.write(self._folder, entry)
            self._ledger_reason = None
        except NotWrittenError as exc:
            self._ledger_reason = str(exc)
        return window

    def _say(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more: the socket's end is seen in `serve`
            self._out.write(json.dumps(message).encode() + b"\n")


def _devices(watch: Watch, window: legs.Window) -> tuple[list[DeviceUse], dict[str, str]]:
    """Return the leg's boards with the joules of this process's own readings."""
    devices, reasons = [], {}
    for number, (uuid, device) in enumerate(zip(watch.uuids, watch.head.hosts[0].devices, strict=True)):
        filled, why = legs.board(device, uuid, window)
        devices.append(filled)
        reasons.update({f"hosts.0.devices.{number}.{leaf}": reason for leaf, reason in why.items()})
    return devices, reasons


def _listen(commands: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    """Put what comes over the socket into *commands*; None at its end."""
    with contextlib.suppress(OSError, ValueError):
        for line in sys.stdin:
            commands.put(json.loads(line))
    commands.put(None)
    # A library that hangs (a driver, nvidia-smi) must not keep this process alive when nobody needs it any more.
    time.sleep(LINGER_S)
    os._exit(1)


def main(order: Mapping[str, Any]) -> None:
    """Serve the process that gave *order* (the first line) until it closes the socket."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        # Job managers send these to every process. The training decides what they mean; here the socket's end counts.
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # what libraries print must not get between the answers
    commands: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    service = Service(order, out)
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()
    service.prepare()
    service.serve(commands)
    os._exit(0)  # CodeCarbon's timers are daemons, its thread pools are not waited for
