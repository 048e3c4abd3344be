"""What the worker reads from: GPUs, CodeCarbon, the host's own counters, the node's meter."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from autocard.energy.gpu.counter_totals import CounterTotals
from autocard.energy.host import host_counters, node_meter
from autocard.energy.host.codecarbon_reader import CodeCarbonInfo, CodeCarbonReader
from autocard.energy.host.host_counters import HostReadings
from autocard.energy.ledger import join_hosts
from autocard.energy.ledger.ledger_entry import PENDING
from autocard.energy.readings import Sample
from autocard.energy.worker.outside_training import OwnReadings
from autocard.energy.worker.protocol import WorkerOrder
from autocard.errors import UnavailableError


@dataclass(frozen=True)
class Measurement:
    """One reading of everything; None: that part was not read."""

    host: Sample | None
    node: Sample | None
    boards: Sample | None


class Sensors:
    """All that the worker reads from."""

    def __init__(self, order: WorkerOrder) -> None:
        """Open the GPUs; CodeCarbon follows in `start_codecarbon`, because that takes seconds."""
        self._order = order
        self.counters = HostReadings()
        self.node = node_meter.NodeMeterReader(order.node_meter)
        self.sampler: CounterTotals | None = None
        self.about: CodeCarbonInfo | None = None
        """How CodeCarbon works here; None: it has not started."""
        self._codecarbon: CodeCarbonReader | None = None
        self._codecarbon_failure: str | None = None
        self._uuids: list[str] = []
        self._changed_boards = False
        self._open_boards(order.uuids)

    def _open_boards(self, uuids: list[str]) -> None:
        if self.sampler is not None:
            self.sampler.close()
        self.sampler, self._uuids = None, uuids
        if uuids:
            with contextlib.suppress(UnavailableError):
                self.sampler = CounterTotals(uuids, time.monotonic())
                self.sampler.watch()

    def use_boards(self, uuids: list[str]) -> None:
        """Read these GPUs from now on.

        CUDA may have been set up after this process was started, and have other GPUs than the
        variables promised.
        """
        if set(uuids) == set(self._uuids):
            return
        self._open_boards(uuids)
        self._changed_boards = True  # what CodeCarbon watches are not these GPUs
        if self._codecarbon is not None:
            self._codecarbon.has_gpu = False

    def start_codecarbon(self) -> None:
        """Start CodeCarbon, or note why that failed. Called in a thread: it takes seconds."""
        try:
            reader = self._open_codecarbon()
            self.about = reader.about()
            reader.has_gpu = reader.has_gpu and not self._changed_boards
            self._codecarbon = reader
        except UnavailableError as exc:
            self._codecarbon_failure = str(exc)
        except Exception as exc:  # noqa: BLE001 - GPU and time are measured without it
            self._codecarbon_failure = f"CodeCarbon failed ({type(exc).__name__})"

    def _open_codecarbon(self) -> CodeCarbonReader:
        order = self._order
        if not order.whole:
            raise UnavailableError(join_hosts.OTHER)
        return CodeCarbonReader(order.gpu_ids, order.cpu_power_w, order.ram_power_w)

    @property
    def has_codecarbon(self) -> bool:
        """Whether CodeCarbon has started."""
        return self._codecarbon is not None

    @property
    def codecarbon_reason(self) -> str | None:
        """Why CodeCarbon gives no figures; None: it does."""
        if self._codecarbon_failure is not None:
            return self._codecarbon_failure
        return None if self.has_codecarbon else PENDING

    def own(self, sampler: CounterTotals | None) -> OwnReadings:
        """Return our own readings, beside CodeCarbon's; *sampler*: of the leg's GPUs."""
        return OwnReadings(self.about, self.counters, sampler)

    def read_counters(self, taken: host_counters.HostReading | None = None) -> None:
        """Read the host's own counters, or add a reading that the training process has *taken*."""
        self.counters.add(host_counters.read() if taken is None else taken)

    def measure(self) -> Measurement:
        """Read everything else once."""
        node_j, node_s = self.node.read_j(), time.monotonic()
        host = self._read_codecarbon()
        boards = None
        if self.sampler is not None:
            self.sampler.tick(time.monotonic())
            boards = Sample(time.monotonic(), dict(self.sampler.joules))
        node = None if node_j is None else Sample(node_s, {node_meter.NODE: node_j})
        return Measurement(host, node, boards)

    def _read_codecarbon(self) -> Sample | None:
        if self._codecarbon is None:
            return None
        try:
            return self._codecarbon.read()
        except UnavailableError as exc:
            self._codecarbon_failure = str(exc)
            return None
