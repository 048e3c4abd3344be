"""The messages between training process and worker: a dataclass each, a line each on the socket.

A line is the version of the protocol, the name of the message and its fields as JSON:
`1 Step {"step": 40}`. Both sides encode and decode here and nowhere else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from autocard.energy.host.host_counters import HostReading
from autocard.energy.host.node_meter import NodeMeter
from autocard.energy.ledger.ledger_entry import LedgerEntry, ProcessRole
from autocard.energy.ledger.leg_builder import GivenIntensity, LegEnd, LegStart
from autocard.errors import UnavailableError
from autocard.record import Checkpoint

VERSION = 1


@dataclass(frozen=True)
class WorkerOrder:
    """What a worker has to measure for one training, and where its ledger is."""

    parent_pid: int
    """Of the training process: the worker ends when it is gone."""
    reading: HostReading
    """The host's counters when the worker was started."""
    whole: bool = True
    """Whether CPU and memory are measured too, and not GPUs alone."""
    tick_s: float = 15.0
    """Seconds between two writings of the ledger."""
    ticks_folder: Path | None = None
    """Gets every tick; None: no ledger is kept."""
    shared_folder: Path | None = None
    """Gets what happens at checkpoints and at the end."""
    run_id: str = ""
    process_id: str = ""
    output_id: str = ""
    """Pseudonym of the output folder."""
    job_id: str | None = None
    """Pseudonym of the scheduler's job."""
    start_s: float | None = None
    """Monotonic seconds when set-up began; None: this training has none."""
    uuids: list[str] = field(default_factory=list)
    """Of the GPUs."""
    gpu_ids: list[int] = field(default_factory=list)
    """Indices by which CodeCarbon finds the same GPUs."""
    cpu_power_w: float | None = None
    ram_power_w: float | None = None
    place: dict[str, Any] = field(default_factory=dict)
    """What is known of the place, and what may be asked (`geolocation.order`)."""
    may_find_place: bool = True
    """Whether a place is known, or may be looked up."""
    node_meter: NodeMeter | None = None
    given: GivenIntensity = field(default_factory=GivenIntensity)


# -- to the worker ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """The first message to a new worker."""

    order: WorkerOrder
    steps_file: int | None
    """Descriptor of the step counter's memory; None: there is none."""


@dataclass(frozen=True)
class Serve:
    """Measure for another training of the same process."""

    order: WorkerOrder


@dataclass(frozen=True)
class Handover:
    """What a worker that takes another one's place in the middle of a leg receives of it."""

    death: str
    """How the other one ended, in words."""
    step: int | None
    """The last step that it knew."""
    covered_s: float = 0.0
    """Seconds of the leg that it had measured."""
    joules: dict[str, float] = field(default_factory=dict)
    """Part to joules in these seconds; empty: nothing is left of what it had measured."""
    checkpoints: list[Checkpoint] = field(default_factory=list)


@dataclass(frozen=True)
class Begin:
    """A leg begins."""

    leg: LegStart
    run_id: str = ""
    number: int = 0
    """Which leg of the training process this is."""
    reading: HostReading | None = None
    """The host's counters at the begin."""
    max_steps: int | None = None
    has_setup: bool = True
    """Whether what came before belongs to the run as its set-up."""
    whole: bool = True
    """As in the order."""
    role: ProcessRole = field(default_factory=ProcessRole)
    previous_step: int | None = None
    """Last step of the leg before it, which the worker may still take for open."""
    handover: Handover | None = None


@dataclass(frozen=True)
class Step:
    """Training has done *step*; or, after training, an evaluation goes on."""

    step: int


@dataclass(frozen=True)
class Saving:
    """A checkpoint of *step* is about to be written; the answer travels in it."""

    step: int


@dataclass(frozen=True)
class Saved:
    """A checkpoint of *step* was written."""

    step: int


@dataclass(frozen=True)
class Rename:
    """The open leg, and the run that it belongs to, have other names."""

    run_id: str
    leg_id: str


@dataclass(frozen=True)
class End:
    """The leg has ended."""

    leg_id: str
    end: LegEnd
    reading: HostReading
    """The host's counters at the end."""
    max_steps: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """Return the energy of an evaluation after the leg."""

    leg_id: str
    begin_s: float
    """Monotonic seconds."""
    end_s: float
    number: int
    """Of the question; the answer carries it too."""


@dataclass(frozen=True)
class Quit:
    """End."""


Command = Serve | Begin | Step | Saving | Saved | Rename | End | Evaluation | Quit


# -- from the worker -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Up:
    """The worker runs; CodeCarbon is still starting."""


@dataclass(frozen=True)
class Ready:
    """CodeCarbon has started, or it cannot; the place was looked up."""

    intensity: dict[str, Any]
    """As `geolocation.LookUp.result` returns it."""


@dataclass(frozen=True)
class LegSoFar:
    """The open leg as of the last tick or checkpoint."""

    entry: LedgerEntry


@dataclass(frozen=True)
class LegEnded:
    """A leg that has ended."""

    entry: LedgerEntry
    is_final: bool
    """False: CodeCarbon was still starting, and another answer follows."""


@dataclass(frozen=True)
class Evaluated:
    """The energy of an evaluation after a leg."""

    number: int
    """Of the question."""
    energy_j: float | None
    """None: it is not known."""


Answer = Up | Ready | LegSoFar | LegEnded | Evaluated

_COMMANDS = (Serve, Begin, Step, Saving, Saved, Rename, End, Evaluation, Quit)
_ANSWERS = (Up, Ready, LegSoFar, LegEnded, Evaluated)


def encode(message: Start | Command | Answer) -> bytes:
    """Return *message* as one line."""
    kind = type(message)
    # json and not pydantic's own writer: paths may hold bytes that are no UTF-8 (lone surrogates)
    fields = json.dumps(_adapter(kind).dump_python(message, mode="json"))
    return f"{VERSION} {kind.__name__} {fields}\n".encode()


def decode_start(line: str) -> Start:
    """Return the first message to a worker.

    Raises:
        UnavailableError: it is none.
    """
    found: Start = _decode(line, (Start,))
    return found


def decode_command(line: str) -> Command:
    """Return a later message to a worker.

    Raises:
        UnavailableError: it is none.
    """
    found: Command = _decode(line, _COMMANDS)
    return found


def decode_answer(line: bytes) -> Answer:
    """Return a message from a worker.

    Raises:
        UnavailableError: it is none.
    """
    found: Answer = _decode(line.decode(), _ANSWERS)
    return found


def _decode(line: str, kinds: tuple[type[Any], ...]) -> Any:
    version, _, rest = line.partition(" ")
    name, _, fields = rest.partition(" ")
    kind = {one.__name__: one for one in kinds}.get(name)
    if version != str(VERSION) or kind is None:
        msg = "the measuring process is of another version of autocard"
        raise UnavailableError(msg)
    try:
        return _adapter(kind).validate_python(json.loads(fields))
    except ValueError as exc:  # pydantic's ValidationError is one
        msg = "the measuring process sent a message that cannot be read"
        raise UnavailableError(msg) from exc


def warm_up() -> None:
    """Build what encodes and decodes the messages of a leg: that takes milliseconds, once."""
    for kind in (Begin, Step, Saving, Saved, End, LegSoFar, LegEnded):
        _adapter(kind)


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


_adapters: dict[type[Any], TypeAdapter[Any]] = {}
