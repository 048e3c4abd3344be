"""How often the ledger is written where: on storage that machines share once a minute, whatever the tick."""

from __future__ import annotations

import pytest

from autocard.energy.host.host_counters import HostReading
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.worker import ledger_writer
from autocard.energy.worker.ledger_writer import SHARED_S, LedgerWriter
from autocard.energy.worker.protocol import WorkerOrder
from autocard.record import HostUse, Leg


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now_s = 1000.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(ledger_writer, "time", made)
    return made


def writer(monkeypatch, ticks, shared, *, local):
    """Return a function that makes one entry and returns the folders into which it went."""
    monkeypatch.setattr(
        ledger_writer.shared_storage, "is_local", lambda folder: folder.name in local
    )
    order = WorkerOrder(1, HostReading(0.0), ticks_folder=ticks, shared_folder=shared)
    made = LedgerWriter(order, "r")
    made.open("leg")
    number = iter(range(10**6))

    def note(**how):
        leg = Leg(id="leg", hosts=[HostUse(host="h1")], step_end=next(number))
        made.note(leg, {}, LegReadings(), status="running", uuids=[], max_steps=None)
        made.write(**how)
        said = f'"step_end": {leg.step_end}'
        return [
            folder.name
            for folder in dict.fromkeys((ticks, shared))
            if any(said in file.read_text() for file in folder.glob("leg-leg.*.json"))
        ]

    return note


@pytest.mark.usefixtures("clock")
def test_on_a_disk_of_its_own_each_tick_is_written(tmp_path, monkeypatch):
    note = writer(monkeypatch, tmp_path / "out", tmp_path / "out", local={"out"})

    assert [note(shared=False) for _ in range(3)] == [["out"]] * 3


def test_on_shared_storage_a_tick_is_written_once_a_minute_and_the_end_at_once(
    tmp_path, clock, monkeypatch
):
    note = writer(monkeypatch, tmp_path / "out", tmp_path / "out", local=set())

    written = []
    for _ in range(9):
        written.append(note(shared=False))
        clock.now_s += 15
    last = note(shared=True, last=True)

    assert written == [["out"], [], [], [], ["out"], [], [], [], ["out"]]
    assert SHARED_S == 60
    assert last == ["out"]


def test_ticks_on_the_nodes_own_disk_do_not_use_up_the_shared_folders_turn(
    tmp_path, clock, monkeypatch
):
    note = writer(monkeypatch, tmp_path / "node", tmp_path / "out", local={"node"})

    written = []
    for number in range(12):
        written.append(note(shared=number % 2 == 1))  # a checkpoint at every second tick
        clock.now_s += 15

    assert all("node" in folders for folders in written)
    assert [number for number, folders in enumerate(written) if "out" in folders] == [1, 5, 9]
