"""The processes of one training, seen from one of them: who measures a host, who writes the card.

Rule: of a host (identified by its boot id, never by a local rank) the first process that joins is
the host leader: it measures CPU, memory and every GPU of the training that it can see. A GPU that
it cannot see is measured by the process that uses it. What was agreed on is read from the
rendezvous and never derived, so two processes never both take the same part.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from autocard.capture.environment.scheduler import in_step
from autocard.capture.observed import Processes
from autocard.distributed.rendezvous import (
    FolderRendezvous,
    Rendezvous,
    StoreRendezvous,
    board_of_task,
    default_store,
    on_store,
)
from autocard.energy.gpu import backends
from autocard.energy.gpu.base import Device
from autocard.energy.host import cpu_share
from autocard.energy.ledger import ledger_files
from autocard.errors import UnavailableError

BEGIN_S = 1.0
"""Seconds that a process waits for the others of its host when training begins; most of them come
earlier."""
COLLECT_S = 8.0
"""Seconds that the process which writes the card waits for the others when training ends."""
TURN_S = 5.0
"""Seconds that a process waits where another one writes the card."""
POLL_S = 0.02
"""Seconds between two readings of the rendezvous, at first."""
SLOW_POLL_S = 0.25
"""The same after a while."""

_trainings = itertools.count(1)


def next_training() -> int:
    """Return the number of the training that begins in this process.

    It is the same in all processes, because they train together. Trainers are not counted: one
    process may make more of them than the others.
    """
    return next(_trainings)


@dataclass(frozen=True)
class Assignment:
    """What one process measures in a leg."""

    boards: list[Device] | None = None
    """GPUs; None: those that the process uses."""
    part: str = ""
    """Of `LedgerEntry`."""
    ranks: list[int] = field(default_factory=lambda: [0])
    """Processes on the host."""
    expects: list[str] = field(default_factory=list)
    """UUIDs of the GPUs that they use."""
    share: float | None = None
    """Of the node's CPUs; None: this process's."""
    measures: bool = True
    """Whether there is anything left for this process to measure."""
    reason: str | None = None
    """Why *boards* are not all that the host's processes use; None: they are."""


class Team:
    """All processes of one training."""

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        board: Rendezvous | None = None,
        *,
        together: bool = True,
    ) -> None:
        """Begin without having met the others.

        Args:
            rank: of this process, from 0.
            size: processes that train.
            board: where they meet; None: there is no such place.
            together: whether they train one model; False: each is a training of its own, and the
                last one to end has all reports.
        """
        self.rank, self.size, self.together = rank, size, together
        self._board = board
        self._host = ledger_files.host_id()
        self._leads = True
        self._first = rank == 0
        self.own: list[Device] = []
        """GPUs that this process uses."""
        self._unknown: str | None = None
        self.tasks = size
        """Processes of the launcher's plan."""
        self.reason: str | None = None
        """Why the others cannot be met; None: they can."""

    @property
    def alone(self) -> bool:
        """Whether there are no other processes, as far as is known."""
        return self._board is None

    @property
    def leads(self) -> bool:
        """Whether this process measures its host."""
        return self._leads

    def lead(self, *, leads: bool) -> None:
        """Set whether this process measures its host, if there is no rendezvous to agree on it."""
        self._leads = leads

    @property
    def writes(self) -> bool:
        """Whether this process may write the card."""
        return self.rank == 0 or not self.together

    def join(self, boards: Sequence[Device], reason: str | None = None) -> None:
        """Join: report which GPUs this process uses, and find out whether it leads its host.

        Args:
            boards: those GPUs.
            reason: why they are not known; None: they are.

        Raises:
            UnavailableError: the others cannot be met.
        """
        self.own, self._unknown = list(boards), reason
        if self._board is None:
            return
        # Processes that train on their own measure their GPUs themselves: no other process needs
        # their names.
        told = [asdict(board) for board in boards] if self.together else []
        me = {"rank": self.rank, "process": ledger_files.process_id()}
        note = {**me, "boards": told, "cpus": sorted(cpu_share.usable()), "reason": reason}
        # A process joins with each of its trainers, and each time the same process leads.
        self._leads = self._is_first(f"host/{self._host}", note)
        came_first = self._is_first("all", me)
        self._first = self.rank == 0 if self.together else came_first

    def _is_first(self, group: str, note: Mapping[str, Any]) -> bool:
        """Put *note* into *group*; return whether this process was the first there."""
        if self._board is None:
            return True
        self._board.put(group, json.dumps(note))
        first = self._wait_for(group, BEGIN_S)[0]
        return (first["rank"], first["process"]) == (note["rank"], note["process"])

    def _came(self, group: str) -> dict[int, dict[str, Any]]:
        """Return rank → the last note of the processes in *group*."""
        return {note["rank"]: note for note in self._notes(group)}

    @property
    def opens(self) -> bool:
        """Whether this process gives run and legs their ids."""
        return self._first

    def open(self, number: int, run_id: str) -> str | None:
        """Return the id of the leg *number* of *run_id*, and publish it; None: there are no others.

        Raises:
            UnavailableError: the board does not answer.
        """
        if self._board is None:
            return None
        leg_id = uuid.uuid4().hex[:12]
        self.publish(number, run_id, leg_id)
        return leg_id

    def publish(self, number: int, run_id: str, leg_id: str) -> None:
        """Publish the ids of a leg that has begun before the others could be reached.

        Raises:
            UnavailableError: the board does not answer.
        """
        if self._board is not None:
            self._board.put(f"leg/{number}", json.dumps({"run_id": run_id, "leg_id": leg_id}))

    def opened(self, number: int, wait_s: float = BEGIN_S) -> tuple[str, str] | None:
        """Return the ids of run and leg *number*; None: not published within *wait_s* seconds.

        Raises:
            UnavailableError: the board does not answer.
        """
        said = self._wait_for(f"leg/{number}", wait_s)
        return (said[0]["run_id"], said[0]["leg_id"]) if said else None

    def share_out(self, number: int, on_host: int) -> Assignment:
        """Return what this process measures in leg *number*; the host leader publishes its part.

        Args:
            number: of the leg.
            on_host: processes of the training on this host, by the launcher; 0: not known.

        Raises:
            UnavailableError: the board does not answer.
        """
        if self.leads:
            return self._lead(number, on_host)
        # A training of its own ends when it ends: nobody else can measure its GPUs to the last.
        said = self._wait_for(f"watch/{number}/{self._host}", BEGIN_S) if self.together else []
        watched = set(said[0]) if said else set()
        left = [board for board in self.own if board.uuid not in watched]
        part = f"r{self.rank}" if left or not self.together else ""
        uuids = [board.uuid for board in left]
        why = None if self.together else self._unknown
        return Assignment(
            boards=left,
            part=part,
            ranks=[self.rank],
            expects=uuids,
            measures=bool(part),
            reason=why,
        )

    def _lead(self, number: int, on_host: int) -> Assignment:
        if not self.together:
            uuids = [board.uuid for board in self.own]
            return Assignment(
                boards=self.own, ranks=[self.rank], expects=uuids, reason=self._unknown
            )
        notes = self._beside(on_host)
        used = {one["uuid"]: Device(**one) for note in notes for one in note["boards"]}
        seen = {board.uuid: board for board in backends.all_devices()} if used else {}
        boards = sorted(
            (
                replace(board, index=seen[uuid].index)
                for uuid, board in used.items()
                if uuid in seen
            ),
            key=lambda board: board.index,
        )
        if self._board is not None:
            self._board.put(
                f"watch/{number}/{self._host}", json.dumps([board.uuid for board in boards])
            )
        return Assignment(
            boards=boards,
            ranks=sorted({note["rank"] for note in notes}),
            expects=list(used),
            share=_share({cpu for note in notes for cpu in note["cpus"]})
            if len(notes) > 1
            else None,
            reason=next((note["reason"] for note in notes if note["reason"]), None),
        )

    def take_turn(self) -> Callable[[], None] | None:
        """Lock the card against other trainings; return what releases it. None: no others."""
        return self._board.take_turn(TURN_S) if isinstance(self._board, FolderRendezvous) else None

    def _beside(self, on_host: int) -> list[dict[str, Any]]:
        """Return the last note of each process on this host; wait for *on_host* of them."""
        until_s = time.monotonic() + BEGIN_S
        came = self._came(f"host/{self._host}")
        while len(came) < on_host and time.monotonic() < until_s:
            time.sleep(POLL_S)
            came = self._came(f"host/{self._host}")
        return [came[rank] for rank in sorted(came)]

    def boards(self) -> tuple[list[Device], str | None]:
        """Return the GPUs that the processes on this host have named; why one could not.

        Raises:
            UnavailableError: the board does not answer.
        """
        notes = self._came(f"host/{self._host}").values()
        named = {one["uuid"]: Device(**one) for note in notes for one in note["boards"]}
        return [*named.values()], next((note["reason"] for note in notes if note["reason"]), None)

    def cpus(self) -> int:
        """Return how many logical CPUs all processes on this host may use together.

        Raises:
            UnavailableError: the board does not answer.
        """
        return len(
            {cpu for note in self._came(f"host/{self._host}").values() for cpu in note["cpus"]}
        )

    def let_go(self) -> None:
        """Close the connection to a rendezvous that does not answer; keep one that does."""
        if isinstance(self._board, StoreRendezvous):
            self._board.let_go()

    def first_to(self, what: str) -> bool:
        """Return whether this process is the first with *what*, which is done once in a job.

        Raises:
            UnavailableError: the board does not answer.
        """
        return self._board is None or self._board.put(f"first/{what}", "") == 0

    def report(self, what: str, note: Mapping[str, Any]) -> None:
        """Send a report to the process that writes the card.

        Raises:
            UnavailableError: the board does not answer.
        """
        if self._board is not None:
            self._board.put(f"report/{what}", json.dumps({**note, "rank": self.rank}))

    def show(self, what: str, text: str) -> None:
        """Show *text* to the process that writes the card, instead of what was shown before.

        Raises:
            UnavailableError: the board does not answer.
        """
        if isinstance(self._board, StoreRendezvous):
            self._board.show(f"shown/{what}", str(self.rank), text)

    def shown(self, what: str) -> list[str]:
        """Return what the others show now; it does not wait for any of them.

        Raises:
            UnavailableError: the board does not answer.
        """
        board = self._board
        return board.shown(f"shown/{what}") if isinstance(board, StoreRendezvous) else []

    def collect(
        self, what: str, wait_s: float = COLLECT_S, enough: int | None = None
    ) -> list[dict[str, Any]]:
        """Return what the others have reported, after waiting for them.

        Processes that train on their own are not waited for: the last one to end has all reports.

        Args:
            what: as it was reported.
            wait_s: seconds, at most.
            enough: reports that are waited for; None: one of each other process.

        Raises:
            UnavailableError: the board does not answer.
        """
        if self._board is None:
            return []
        if not self.together:
            self.size = len(self._came("all"))
            # the later of two reports of a process has more
            last = {note["rank"]: note for note in self._notes(f"report/{what}")}
            return [note for rank, note in last.items() if rank != self.rank]
        # A process that has never joined will not report: if only the first has the callback, say.
        most = len(self._came("all")) - 1 if enough is None else enough
        return self._wait_for(f"report/{what}", wait_s, enough=most) if most > 0 else []

    def _notes(self, group: str, known: int = 0) -> list[Any]:
        return (
            []
            if self._board is None
            else [json.loads(text) for text in self._board.notes(group, known)]
        )

    def _wait_for(self, group: str, wait_s: float, enough: int = 1) -> list[Any]:
        """Return the notes of *group* when there are *enough*, or after *wait_s* seconds."""
        begun_s, found = time.monotonic(), list[Any]()
        while True:
            found += self._notes(group, len(found))
            waited_s = time.monotonic() - begun_s
            if len(found) >= enough or waited_s > wait_s:
                return found
            time.sleep(POLL_S if waited_s < SLOW_POLL_S else SLOW_POLL_S)


def meet(processes: Processes, folder: Path, environ: Mapping[str, str] = os.environ) -> Team:
    """Return the processes of the training, met where they can be met.

    Args:
        processes: how many there are, and which one this is.
        folder: output folder, where processes meet that have no process group.
        environ: where a launcher's variables are looked up.
    """
    size, rank = processes.count, processes.index
    if size > 1:
        team = Team(rank, size)
        try:
            store = default_store()
            if store is None:
                team.reason = "there is no process group of torch's to meet in"
            else:
                # The store of torchrun's agent may outlive processes that it starts again, with all
                # that they wrote.
                attempt = environ.get("TORCHELASTIC_RESTART_COUNT", "0")
                team = Team(rank, size, on_store(store, f"autocard/{attempt}"))
        except UnavailableError as exc:
            team.reason = str(exc)
        if team.reason is not None:
            team.lead(leads=processes.local_index == 0)  # the only thing that is known
        return team
    task = _task(environ)
    if task is None:
        return Team()
    key, number, tasks = task
    board = board_of_task(folder / ledger_files.FOLDER, ledger_files.pseudonym(key), number)
    team = Team(number, 1, board, together=False)
    team.tasks = tasks
    return team


_SLURM = (
    *("SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_JOB_START_TIME", "SLURM_STEP_ID"),
    "SLURM_RESTART_COUNT",
)
_TASKS = {
    "SLURM_PROCID": ("SLURM_STEP_NUM_TASKS", _SLURM, "SLURM_STEP_ID"),
    "OMPI_COMM_WORLD_RANK": ("OMPI_COMM_WORLD_SIZE", ("PMIX_NAMESPACE",), "PMIX_NAMESPACE"),
}
"""Variable with a task's number → with the number of tasks, with what tells their start from all
others, and what must be there. Other MPI launchers (PMI_RANK) say nothing that tells one start from
the next."""


def _task(environ: Mapping[str, str]) -> tuple[str, int, int] | None:
    """Return what tells this process's step from others, its number in it, and of how many.

    None: it was started by itself.
    """
    for number, (count, names, must) in _TASKS.items():
        if number == "SLURM_PROCID" and not in_step(environ):
            continue  # the batch script itself, or a shell: the variables are there all the same
        values = environ.get(number, ""), environ.get(count, "")
        if all(value.isdigit() for value in values) and int(values[1]) > 1 and environ.get(must):
            return (
                " ".join([number, *(environ.get(name, "") for name in names)]),
                int(values[0]),
                int(values[1]),
            )
    return None


def _share(cpus: set[int]) -> float:
    """Return the share of the node's CPUs that several processes may use together."""
    count = os.cpu_count() or 1
    return min(len(cpus) / count, cpu_share.of_quota())
