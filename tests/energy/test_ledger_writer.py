"""Where the ledger is written, how often, and what is left: on storage that machines share once a minute."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from autocard.energy.host.host_counters import HostReading
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.worker import ledger_writer
from autocard.energy.worker.ledger_writer import SHARED_S, LedgerWriter
from autocard.energy.worker.protocol import WorkerOrder
from autocard.record import HostUse, Leg
from support import cluster_space


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


# -- a folder of the node that cannot be used ------------------------------------------------------


def begun(ticks, shared, leg_id="leg"):
    """Return a writer of a leg that has begun, and a function that writes a step of it."""
    order = WorkerOrder(1, HostReading(0.0), ticks_folder=ticks, shared_folder=shared)
    made = LedgerWriter(order, "r")
    made.open(leg_id)

    def write(step, status="running", **how):
        leg = Leg(id=leg_id, hosts=[HostUse(host="h1")], step_end=step)
        made.note(leg, {}, LegReadings(), status=status, uuids=[], max_steps=None)
        made.write(**{"shared": False, **how})

    return made, write


def steps_in(folder):
    """Return the step and the reason of each leg in *folder*, read as plain JSON."""
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("leg-*.json"))]
    return [(one["leg"]["step_end"], one["missing"].get("ledger")) for one in found]


def is_held_elsewhere(lock):
    """Return whether another process cannot get *lock*, as util-linux's flock finds."""
    return subprocess.run(["flock", "--nonblock", lock, "true"], check=False).returncode != 0


def dangling(top):
    (top / "link").symlink_to(top / "not mounted")
    return top / "link", "a link that leads nowhere"


def in_the_way(top):
    (top / "file").write_text("x")
    return top / "file" / "below", "Not a directory"


UNUSABLE = {
    "below a device": lambda _top: (Path("/dev/null/x"), "Not a directory"),
    "of the kernel": lambda _top: (Path("/proc/x"), "No such file or directory"),
    "a file in the way": in_the_way,
    "a file itself": lambda top: (in_the_way(top)[0].parent, "Not a directory"),
    "a link that leads nowhere": dangling,
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_ticks_go_to_the_output_folder_from_the_first_one_on_where_the_nodes_folder_is_unusable(
    tmp_path, kind
):
    node, why = UNUSABLE[kind](tmp_path)
    before = sorted(tmp_path.rglob("*"))
    output = tmp_path / "out"

    made, write = begun(node, output)
    locked = [file.suffix for file in output.iterdir()]
    seen, is_locked = [], []
    for step in range(3):
        write(step)
        seen += steps_in(output)
        is_locked.append(is_held_elsewhere(next(output.glob("*.lock"))))
    write(3, status="finished", shared=True, last=True)
    made.close()

    assert locked == [".lock"]
    assert is_locked == [True, True, True]
    assert [step for step, _ in seen] == [0, 1, 2]
    assert all("ledger_dir" in said and why in said for _, said in seen)
    assert not any(str(tmp_path) in said or "/dev" in said for _, said in seen)
    assert [step for step, _ in steps_in(output)] == [3]
    assert [
        file for file in sorted(tmp_path.rglob("*")) if output not in (file, *file.parents)
    ] == before


def test_ticks_go_to_the_output_folder_from_the_moment_when_the_nodes_folder_is_lost(tmp_path):
    node, output = tmp_path / "node", tmp_path / "out"

    made, write = begun(node, output)
    write(1)
    at_first = steps_in(node), output.exists()
    shutil.rmtree(node)
    node.write_text("the disk is gone")
    write(2)
    write(3)

    assert at_first == ([(1, None)], False)
    assert [step for step, _ in steps_in(output)] == [3]
    assert [file.suffix for file in sorted(output.iterdir())] == [".json", ".lock"]
    assert made.reason is None


def test_a_full_disk_of_the_node_moves_the_ticks(tmp_path):
    node, output = tmp_path / "node", tmp_path / "out"
    node.mkdir()
    output.mkdir()
    pid = os.fork()
    if not pid:
        try:
            with_full_disk(node, output)
        finally:
            os._exit(1)

    status = os.waitpid(pid, 0)[1]
    if os.waitstatus_to_exitcode(status) == NOT_PERMITTED:
        pytest.skip("no mounts of its own for a process here")

    assert [step for step, _ in steps_in(output)] == [2]
    assert "No space left on device" in steps_in(output)[0][1]


NOT_PERMITTED = 3


def with_full_disk(node, output):
    """Write two ticks in a process of its own, whose *node* folder is a disk that fills between them."""
    try:
        cluster_space.enter({})
        cluster_space.disk(node, "size=64k")
    except OSError:
        os._exit(NOT_PERMITTED)
    _, write = begun(node, output)
    write(1)
    with contextlib.suppress(OSError), (node / "others").open("wb", buffering=0) as stream:
        while stream.write(b"x" * 4096):
            pass
    write(2)
    os._exit(0)


def test_a_run_without_any_usable_folder_says_that_nothing_was_kept(tmp_path):
    (tmp_path / "out").write_text("x")

    made, write = begun(Path("/dev/null/x"), tmp_path / "out")
    write(1)
    write(2, status="finished", shared=True, last=True)

    assert made.reason == "Not a directory"


# -- what is left on the node ----------------------------------------------------------------------


def test_a_folder_that_was_made_for_the_readings_is_gone_after_a_good_end_with_those_above_it(
    tmp_path,
):
    node, output = tmp_path / "local" / "job-7" / "autocard", tmp_path / "out"

    made, write = begun(node, output)
    write(1)
    in_training = steps_in(node)
    write(2, status="finished", shared=True, last=True)
    made.close()

    assert in_training == [(1, None)]
    assert steps_in(output) == [(2, None)]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_was_there_and_files_of_others_stay(tmp_path):
    node, output = tmp_path / "node", tmp_path / "out"
    node.mkdir()

    other, write_other = begun(node, tmp_path / "other out", leg_id="other")
    write_other(7)
    made, write = begun(node, output)
    write(1)
    write(2, status="finished", shared=True, last=True)
    made.close()
    left = steps_in(node)
    write_other(8, status="finished", shared=True, last=True)
    other.close()

    assert left == [(7, None)]
    assert list(node.iterdir()) == []


def test_of_two_runs_in_a_folder_that_one_of_them_made_the_last_one_removes_it(tmp_path):
    node = tmp_path / "node"

    one, write_one = begun(node, tmp_path / "out 1", leg_id="one")
    write_one(1)
    two, write_two = begun(node, tmp_path / "out 2", leg_id="two")
    write_two(1)
    write_one(2, status="finished", shared=True, last=True)
    one.close()
    after_one = node.is_dir()
    write_two(2, status="finished", shared=True, last=True)
    two.close()

    assert after_one
    assert not node.exists()


def test_the_nodes_folder_keeps_the_last_entry_where_the_output_folder_cannot_be_written(tmp_path):
    node, output = tmp_path / "node", tmp_path / "out"
    output.write_text("x")

    made, write = begun(node, output)
    write(1)
    write(2, status="finished", shared=True, last=True)
    made.close()

    assert steps_in(node) == [(2, None)]
    assert made.reason is None


def test_what_a_killed_process_left_on_the_node_stays_until_it_is_used(tmp_path):
    node, output = tmp_path / "node", tmp_path / "out"

    _killed, write = begun(node, output)
    write(1)
    made, write_next = begun(node, output, leg_id="next")
    write_next(5)
    write_next(6, status="finished", shared=True, last=True)
    made.close()

    assert steps_in(node) == [(1, None)]
    assert steps_in(output) == [(6, None)]
