"""This process among those of its training: what it measures, what it tells, what it hears.

Rule: the session calls every method under its guard; whatever of them fails, this process goes on
as if it were alone, and what it could not hear is missing with a reason. The meeting itself is
`meeting`'s, the sums are `job`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

from autocard.capture.observed import Observed
from autocard.distributed.team import Assignment, Team, meet, next_training
from autocard.energy.gpu.base import Device
from autocard.errors import UnavailableError

EVALUATION_S = 2.0
"""Seconds that the process which writes the card waits for the others' figure of an evaluation
after training."""


class OpenLeg(Protocol):
    """The leg that goes on."""

    id: str


class RunLegs(Protocol):
    """What the coordinator reads and writes of the run's legs; `runtime.run_history` has them."""

    run_id: str
    own: list[Any]
    """Ledger entries of this process's legs."""
    heard: list[Any]
    """Ledger entries of the same leg, of the other processes that measure."""
    team: dict[str, Any]

    @property
    def open(self) -> OpenLeg:
        """The leg that goes on."""

    @property
    def folders(self) -> Any:
        """Folders of the ledger."""

    def hear(self, now: list[Any], past: list[Any], processes: int) -> None:
        """Take what other processes report."""

    def go_on(self) -> None:
        """Take the run's earlier legs from the ledger."""

    def last(self) -> Any:
        """Return the entry of the leg that has ended, of all hosts."""


class Coordinator:
    """The processes of a training, for as long as one session lasts."""

    def __init__(self, book: RunLegs) -> None:
        """Be alone."""
        self._book = book
        self.team = Team()
        self.watch = Assignment()
        self.met = False
        """Whether the others have been looked for."""
        self._local_rank = 0
        self._number = 0
        self._unnamed = False
        self._cpus = 0
        self._evaluations = 0
        self._notes: list[dict[str, Any]] = []
        self._before: dict[str, Any] = {}
        """Parts of the record as this process saw them, before it heard the others."""

    @property
    def alone(self) -> bool:
        """Whether there is nobody to tell and to hear."""
        return self.team.alone

    def writes(self, observed: Observed) -> bool:
        """Return whether this process writes the card."""
        return observed.processes.is_first and self.team.writes

    @property
    def measures(self) -> bool:
        """Whether this process measures anything in the leg."""
        return self.watch.measures

    def arrive(self, observed: Observed) -> None:
        """Find the other processes, and tell them which GPUs this one uses.

        Raises:
            UnavailableError: they cannot be met.
        """
        self.met, self._local_rank = True, observed.processes.local_index
        self.team = meet(observed.processes, observed.output_dir)
        if self.team.alone:
            return
        try:
            boards, reason = _own_boards(observed), None
        except UnavailableError as exc:
            boards, reason = [], str(exc)
        self.team.arrive(boards, reason)

    def give_up(self, observed: Observed) -> None:
        """The others could not be met: of each host, the process that its launcher calls the first one measures."""
        self.team = Team(observed.processes.index, observed.processes.count)
        self.team.lead(leads=observed.processes.is_first_on_host)

    def open(self) -> str | None:
        """A leg begins: agree on what it is called, and on the run; return its id, None: there is nobody to agree with.

        Raises:
            UnavailableError: the others do not answer.
        """
        self._number = next_training()
        self._evaluations, self._notes, self._before = 0, [], {}
        if self.team.alone:
            return None
        if self.team.opens:
            return self.team.open(self._number, self._book.run_id)
        said = self.team.opened(self._number)
        self._unnamed = said is None
        if said is None:
            return None
        self._book.run_id = said[0]
        return said[1]

    def named_late(self) -> tuple[str, str] | None:
        """Return run and id of the leg, where they were not said in time and are now; a callback may be slow elsewhere.

        Raises:
            UnavailableError: the others do not answer.
        """
        if not self._unnamed:
            return None
        said = self.team.opened(self._number, 0.0)
        self._unnamed = said is None
        return said

    def share_out(self, nodes: int | None) -> dict[str, Any]:
        """Find out what this process measures in the leg; return what its entry in the ledger says of that.

        Args:
            nodes: of the launcher's plan.

        Raises:
            UnavailableError: the others do not answer.
        """
        self.watch = Assignment(ranks=self._beside(), measures=self.team.leads)
        try:
            if not self.team.alone:
                self.watch = self.team.share_out(self._number, _on_host())
        finally:
            team = self._on_paper(nodes)
            self._book.team = team
        return team

    def _beside(self) -> list[int]:
        """Return the processes of this host as its launcher has numbered them: for those that have not met."""
        first = self.team.rank - self._local_rank
        return list(range(first, min(first + max(_on_host(), 1), self.team.size))) or [
            self.team.rank
        ]

    def _on_paper(self, nodes: int | None) -> dict[str, Any]:
        from autocard.energy.ledger.ledger_files import pseudonym  # noqa: PLC0415 - with pydantic

        watch = self.watch
        return {
            "rank": self.team.rank,
            "part": watch.part,
            "apart": not self.team.together,
            "ranks": watch.ranks if watch.measures else [self.team.rank],
            "expects": [pseudonym(uuid) for uuid in watch.expects],
            "processes": self.team.size,
            "nodes_expected": nodes,
        }

    def tell(self, observed: Observed, hardware: Any) -> None:
        """Training has ended: tell the process that writes the card what this one knows.

        Raises:
            UnavailableError: it cannot be told.
        """
        if self.team.alone or (self.team.together and self.writes(observed)):
            return
        from autocard.distributed import reports  # noqa: PLC0415 - with pydantic

        book = self._book
        before = reports.earlier(book.folders, book.run_id, book.open.id) if self.measures else []
        entry = book.own[-1] if self.measures else None
        note = reports.note(entry, before, hardware, _own_peaks(observed), self.team.own)
        self.team.report(f"{self._number}/end", note)

    def hear(self, observed: Observed) -> None:
        """Wait for what the others tell, and put it into the book; whoever has told nothing may have written it.

        Raises:
            UnavailableError: nothing can be heard.
        """
        if self.team.alone or not self.writes(observed):
            return
        from autocard.distributed import reports  # noqa: PLC0415 - with pydantic

        book, notes = self._book, list[dict[str, Any]]()
        try:
            self._cpus = self.team.cpus()
            self._notes = notes = self.team.collect(f"{self._number}/end")
        finally:
            now, past = reports.entries(notes, book.open.id)
            own = [entry for entry in book.own[-1:] if self.measures]
            took_s = book.own[-1].leg.wall_clock_s or 0.0
            written = reports.from_folder(book.folders.reads, book.open.id, [*own, *now], took_s)
            book.hear([*now, *written], past, self.team.size)
            if not self.team.opens:
                book.go_on()

    def again(self, observed: Observed, hardware: Any) -> None:
        """Something has come after training: trainings of their own tell each other once more, whoever writes last.

        Raises:
            UnavailableError: nothing can be told or heard.
        """
        if not self.team.together:
            self.tell(observed, hardware)
            self.hear(observed)

    def of_all(
        self, observed: Observed, parts: Mapping[str, Any], hardware_gaps: dict[str, str]
    ) -> dict[str, Any]:
        """Return the parts of the record that tell of all nodes, as they are after the last words of all.

        *hardware_gaps*, those of the hardware of this node, become those of all nodes' hardware.
        """
        if self.team.alone or not self.writes(observed):
            return {}
        from autocard.distributed import reports  # noqa: PLC0415 - with pydantic

        entry, found = self._book.last(), dict[str, Any]()
        own = self._before = self._before or {
            key: parts[key] for key in ("hardware", "job") if key in parts
        }
        if "hardware" in own:
            hardware = reports.hardware_of_all(
                own["hardware"], entry, self._notes, hardware_gaps, self.team.own
            )
            cpus = max(self._cpus, hardware.cpu_count or 0)  # processes are bound to some each
            found["hardware"] = hardware.model_copy(update={"cpu_count": cpus or None})
        if "job" in own:
            found["job"] = reports.job_of_all(own["job"], entry.leg, self._notes)
        if parts.get("peaks") is not None:
            devices = reports.peaks_of_all(entry, _own_peaks(observed), self._notes)
            found["peaks"] = (devices, parts["peaks"][1])
        return found

    def evaluated(self, observed: Observed, joules: float | None) -> dict[int, float | None]:
        """Tell what an evaluation after training used here; return rank → joules of the others, if this one writes.

        Raises:
            UnavailableError: the others cannot be met.
        """
        self._evaluations += 1
        what = f"{self._number}/evaluation {self._evaluations}"
        if not self.team.together or self.team.alone:
            return {}  # of trainings of their own each tells its own evaluations: `again`
        if not self.writes(observed):
            if self.measures:
                self.team.report(what, {"joules": joules})
            return {}
        notes = self.team.collect(what, EVALUATION_S, enough=len(self._book.heard))
        return {one["rank"]: one["joules"] for one in notes}


def _on_host() -> int:
    """Return how many of the training's processes the launcher says it has started on this host; 1: it does not say."""
    local = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(local) if local.isascii() and local.isdigit() else 1


def _own_boards(observed: Observed) -> list[Device]:
    """Return the GPUs that this process uses.

    Raises:
        UnavailableError: they cannot be told.
    """
    from autocard.capture.environment import hardware  # noqa: PLC0415
    from autocard.energy.gpu import backends, gpu_selection  # noqa: PLC0415

    used = hardware.own_accelerators(observed)
    if not used.uses_gpu:
        return []
    found = gpu_selection.devices(ordinals=used.ordinals, device_type=used.device_type)
    if not found:
        raise UnavailableError(backends.none_visible(used.device_type))
    return found


def _own_peaks(observed: Observed) -> dict[str, int]:
    from autocard.capture.environment import hardware  # noqa: PLC0415

    try:
        return hardware.own_peaks(observed)
    except UnavailableError:
        return {}
