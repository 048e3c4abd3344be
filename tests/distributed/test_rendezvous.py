"""How the processes of a training meet: the boards themselves, on real stores and folders, with real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import torch.distributed as dist

from autocard.capture.observed import Processes
from autocard.distributed import store_client
from autocard.distributed.rendezvous import FolderRendezvous, StoreRendezvous
from autocard.distributed.store_client import StoreClient
from autocard.distributed.team import Team, meet
from autocard.energy.ledger import shared_storage
from autocard.errors import UnavailableError

MANY = """
import sys
from pathlib import Path
from autocard.distributed.rendezvous import FolderRendezvous as FolderBoard
board = FolderBoard(Path(sys.argv[1]))
for number in range(20):
    print(board.put("race", f"{sys.argv[2]} {number}"))
"""


@pytest.fixture(params=["tcp", "file", "folder"])
def boards(request, tmp_path):
    """Return a function that gives another process's end of the same board."""
    if request.param == "folder":
        return lambda: FolderRendezvous(tmp_path / "meet")
    if request.param == "file":
        store = dist.FileStore(str(tmp_path / "store"), 1)
    else:
        store = dist.TCPStore(
            "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=5)
        )
    return lambda: StoreRendezvous(store, "autocard/0")


def test_notes_are_read_in_the_order_of_their_places_by_everybody(boards):
    one, other = boards(), boards()

    places = [
        one.put("host/a", "first"),
        other.put("host/a", "zweiter ü"),
        one.put("host/b", "alone"),
    ]

    assert places == [0, 1, 0]
    assert other.notes("host/a") == one.notes("host/a") == ["first", "zweiter ü"]
    assert one.notes("host/a", known=1) == ["zweiter ü"]
    assert one.notes("host/c") == []


def test_a_note_of_which_only_the_place_is_taken_is_not_waited_for(tmp_path):
    store = dist.FileStore(str(tmp_path / "store"), 1)
    board = StoreRendezvous(store, "autocard/0")
    board.put("end", "there")
    store.add("autocard/0/end", 1)  # as a process does that is killed between its two words

    assert board.notes("end") == ["there"]


def test_each_of_many_processes_gets_places_of_its_own(tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, str(tmp_path / "meet"), str(name)], stdout=subprocess.PIPE
        )
        for name in range(4)
    ]

    places = [int(word) for process in started for word in process.communicate()[0].split()]

    assert sorted(places) == list(range(80))
    assert len(set(FolderRendezvous(tmp_path / "meet").notes("race"))) == 80
    assert not list((tmp_path / "meet").glob("_note-*"))


def test_a_store_that_is_gone_is_a_reason_and_not_a_failure():
    server = dist.TCPStore(
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=2)
    )
    client = dist.TCPStore("127.0.0.1", server.port, is_master=False, timeout=timedelta(seconds=2))
    board = StoreRendezvous(client, "autocard/0")
    board.put("end", "there")

    del server

    with pytest.raises(UnavailableError, match="does not answer"):
        board.put("end", "more")


def test_a_store_that_has_not_answered_one_thread_is_not_asked_by_another():
    class Hangs:
        """A store whose server has stopped."""

        def __init__(self):
            self.asked, self.released = threading.Event(), threading.Event()

        def clone(self):
            return self

        def add(self, *_):
            self.asked.set()
            self.released.wait(30)
            return 1

        def set(self, *_):
            pass

    store = Hangs()
    board = StoreRendezvous(store, "autocard/0")
    thread = threading.Thread(target=board.put, args=("end", "x"), daemon=True)
    thread.start()
    store.asked.wait(30)

    with pytest.raises(UnavailableError, match="does not answer"):
        board.notes("end")

    store.released.set()
    thread.join()


def test_a_folder_that_cannot_be_written_is_a_reason(tmp_path):
    (tmp_path / "meet").write_text("in the way")

    with pytest.raises(UnavailableError, match="cannot be written"):
        FolderRendezvous(tmp_path / "meet").put("end", "x")


def test_the_first_to_arrive_measures_its_host_and_the_others_look_what_it_does(tmp_path):
    board = FolderRendezvous(tmp_path / "meet")
    first, second = Team(3, 4, board), Team(0, 4, board)

    first.join([])
    second.join([])
    leading, looking = first.share_out(1, on_host=2), second.share_out(1, on_host=2)

    assert (first.leads, second.leads) == (True, False)
    assert (leading.ranks, leading.measures) == ([0, 3], True)
    assert (looking.measures, looking.part) == (False, "")
    assert second.writes
    assert not first.writes


def test_a_leg_has_one_name_in_all_processes_and_a_late_one_is_told_it(tmp_path):
    board = FolderRendezvous(tmp_path / "meet")
    zero, one = Team(0, 2, board), Team(1, 2, board)

    leg_id = zero.open(1, "a-run")

    assert one.opened(1) == ("a-run", leg_id)
    assert one.opened(2) is None


def test_who_does_not_report_is_waited_for_and_not_for_ever(tmp_path):
    board = FolderRendezvous(tmp_path / "meet")
    zero, one, two = (Team(rank, 4, board) for rank in range(3))
    for team in (zero, one, two):
        team.join([])
    one.report("1/end", {"entry": None})

    begun_s = time.monotonic()
    notes = zero.collect("1/end", wait_s=0.3)

    assert notes == [{"entry": None, "rank": 1}]
    assert time.monotonic() - begun_s >= 0.3


def test_who_has_never_come_is_not_waited_for(tmp_path):
    board = FolderRendezvous(tmp_path / "meet")
    zero, one = Team(0, 3, board), Team(1, 3, board)
    for team in (zero, one):
        team.join([])
    one.report("1/end", {})

    begun_s = time.monotonic()
    notes = zero.collect("1/end", wait_s=60.0)

    assert notes == [{"rank": 1}]
    assert time.monotonic() - begun_s < 30


ALONE = Processes()
"""A process that was started by itself, or by srun without a process group."""


@pytest.mark.parametrize(
    ("environ", "together"),
    [
        ({}, True),
        # the batch script itself
        ({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4"}, True),
        (
            {
                "SLURM_JOB_ID": "7",
                "SLURM_STEP_ID": "0",
                "SLURM_PROCID": "2",
                "SLURM_STEP_NUM_TASKS": "4",
            },
            False,
        ),
        (
            {
                "SLURM_JOB_ID": "7",
                "SLURM_STEP_ID": "0",
                "SLURM_PROCID": "0",
                "SLURM_STEP_NUM_TASKS": "1",
            },
            True,
        ),
        (  # a shell of salloc: its step has one of the special numbers
            {
                "SLURM_JOB_ID": "7",
                "SLURM_STEP_ID": "4294967290",
                "SLURM_PROCID": "0",
                "SLURM_STEP_NUM_TASKS": "4",
            },
            True,
        ),
        ({"PMIX_NAMESPACE": "n", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, False),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, True),  # nothing tells this start from the next one
    ],
)
def test_tasks_that_were_started_together_meet_in_their_folder_and_others_do_not(
    tmp_path, environ, together
):
    team = meet(ALONE, tmp_path, environ)

    assert team.together is together
    assert team.alone is together
    assert (tmp_path / "_autocard").exists() is not together


def test_two_tasks_of_one_step_know_of_each_other_and_those_of_another_step_do_not(tmp_path):
    def environ(task, step):
        return {
            "SLURM_JOB_ID": "7",
            "SLURM_STEP_ID": step,
            "SLURM_PROCID": task,
            "SLURM_STEP_NUM_TASKS": "2",
        }

    teams = [
        meet(ALONE, tmp_path, environ(task, step))
        for task, step in (("0", "0"), ("1", "0"), ("0", "1"))
    ]
    for team in teams:
        team.join([])
        team.report("1/end", {})

    assert [len(team.collect("1/end")) for team in teams] == [1, 1, 0]
    assert [team.opens for team in teams] == [True, False, True]


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw
31 30 0:41 / /scratch/local rw - xfs /dev/nvme0n1 rw
32 22 0:42 / /home rw - nfs4 server:/home rw
33 22 0:43 / /mnt/my\\040disk rw - fuse.sshfs host: rw
34 22 0:44 / /dev/shm rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "local"),
    [
        ("/work/out", True),
        ("/scratch/run", False),
        ("/scratch/local/run", True),
        ("/scratches", True),
        ("/home/me", False),
        ("/mnt/my disk/run", False),
        ("/dev/shm/x", True),  # noqa: S108 - a mount point, not a file
    ],
)
def test_storage_is_shared_unless_its_file_system_is_known_to_be_of_one_machine(
    tmp_path, folder, local
):
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)

    assert shared_storage.is_local(folder, table) is local


def test_without_a_table_of_mounts_every_folder_is_local(tmp_path):
    assert shared_storage.is_local(tmp_path, tmp_path / "none")


def test_the_folder_of_this_test_lies_where_the_system_says(tmp_path):
    told = subprocess.run(
        ["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True
    ).stdout

    assert shared_storage.is_local(tmp_path) == (
        told.strip() in {"ext2/ext3", "xfs", "tmpfs", "overlayfs", "btrfs", "zfs"}
    )


def test_who_tells_twice_is_heard_as_he_spoke_last(tmp_path):
    def environ(task):
        return {
            "SLURM_JOB_ID": "7",
            "SLURM_STEP_ID": "0",
            "SLURM_PROCID": task,
            "SLURM_STEP_NUM_TASKS": "2",
        }

    one, other = (meet(ALONE, tmp_path, environ(task)) for task in ("0", "1"))
    for team in (one, other):
        team.join([])
    for word in ("first", "last"):
        one.report("1/end", {"word": word})

    release = other.take_turn()
    assert other.collect("1/end") == [{"word": "last", "rank": 0}]
    release()


def test_only_one_task_at_a_time_has_its_turn_and_one_that_hangs_is_not_waited_for_long(tmp_path):
    board = FolderRendezvous(tmp_path / "meet")
    board.put("x", "")
    first = board.take_turn(1.0)

    begun_s = time.monotonic()
    board.take_turn(0.4)()
    waited_s = time.monotonic() - begun_s
    first()
    begun_s = time.monotonic()
    board.take_turn(60.0)()

    assert waited_s >= 0.4
    assert time.monotonic() - begun_s < 30


def test_what_a_step_left_behind_days_ago_is_taken_away_by_the_next_one(tmp_path):
    def environ(step):
        return {
            "SLURM_JOB_ID": "7",
            "SLURM_STEP_ID": step,
            "SLURM_PROCID": "0",
            "SLURM_STEP_NUM_TASKS": "2",
        }

    folders = []
    for step in ("0", "1"):
        meet(ALONE, tmp_path, environ(step)).join([])
        folders.append(
            next(folder for folder in (tmp_path / "_autocard").iterdir() if folder not in folders)
        )
    os.utime(folders[0], (1.0, 1.0))

    meet(ALONE, tmp_path, environ("2"))

    left = set((tmp_path / "_autocard").iterdir())
    assert folders[0] not in left
    assert folders[1] in left


ATTEMPTS = """
import sys
from datetime import timedelta
from pathlib import Path
import torch.distributed as dist
from autocard.capture.observed import Processes
from autocard.distributed.team import meet
store = dist.FileStore(sys.argv[1], 1)
dist.init_process_group("gloo", store=store, rank=0, world_size=1)
for attempt in ("0", "1"):
    team = meet(Processes(2, 1, 1), Path(), {"TORCHELASTIC_RESTART_COUNT": attempt})
    dead = meet(Processes(2), Path(),
                {"TORCHELASTIC_RESTART_COUNT": "0"})
    if attempt == "0":
        dead.join([])
    team.join([])
    print(team.leads)
"""


def test_processes_that_are_started_again_do_not_take_what_the_dead_ones_wrote_for_the_living(
    tmp_path,
):
    command = [sys.executable, "-c", ATTEMPTS, str(tmp_path / "store")]

    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    assert done.stdout.split() == ["False", "True"]


STARTED = """
import os, sys
from pathlib import Path
from autocard.capture.observed import Processes
from autocard.distributed.team import meet
team = meet(Processes(), Path(sys.argv[1]), os.environ)
team.join([])
print(team.leads, team.opens, len(team.collect("1/end")))
team.report("1/end", {})
"""


def test_a_second_start_in_the_same_step_does_not_take_the_first_ones_notes_for_its_own(tmp_path):
    said = []
    for _start in range(2):
        for task in ("0", "1"):
            step = {
                "SLURM_JOB_ID": "7",
                "SLURM_STEP_ID": "0",
                "SLURM_PROCID": task,
                "SLURM_STEP_NUM_TASKS": "2",
            }
            command = [sys.executable, "-c", STARTED, str(tmp_path)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env={**os.environ, **step}
            )
            said.append(done.stdout.strip())

    assert said == ["True True 0", "False False 1"] * 2


SERVER = """
import sys, time
from datetime import timedelta
import torch.distributed as dist
store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=60))
print(store.port, flush=True)
time.sleep(300)
"""

ASKS = """
import os, signal, sys, threading, time
from datetime import timedelta
import torch.distributed as dist
from autocard.guard import Budget, guarded
from autocard.distributed.rendezvous import StoreRendezvous as StoreBoard
port, server, hangs_up = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "now"
store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=60))
board = StoreBoard(store, "autocard/0")
board.put("end", "there")
os.kill(server, signal.SIGSTOP)
missing = {}
guarded("_hear", missing, lambda: board.put("end", "more"), Budget(0.5))
if hangs_up:
    board.let_go()
    print([thread.name for thread in threading.enumerate() if thread.name.startswith("autocard")])
os.kill(server, signal.SIGCONT)
if hangs_up:
    print(store.add("theirs", 1))  # the training's own connection stands
"""


@pytest.mark.parametrize("when", ["now", "when Python ends"])
def test_a_store_that_stops_answering_leaves_no_thread_inside_torch(when):
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            port = server.stdout.readline().strip()
            command = [sys.executable, "-c", ASKS, port, str(server.pid), when.split()[0]]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        finally:
            server.kill()

    assert (done.returncode, done.stdout.split()) == (0, ["[]", "1"] if when == "now" else []), (
        done.stderr
    )


class Program(threading.Thread):
    """A part of the training program that opens a connection every few milliseconds."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.over = threading.Event()
        self.pairs = []

    def run(self):
        while not self.over.wait(0.005):
            self.pairs.append(
                (socket.create_connection(self.server.getsockname()), self.server.accept()[0])
            )

    def end(self):
        self.over.set()
        self.join()
        self.server.close()


def test_hanging_up_on_a_silent_store_closes_no_connection_of_the_training_program():
    store = dist.TCPStore(
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=30)
    )
    program = Program()
    program.start()

    boards = [StoreRendezvous(store, f"p{number}") for number in range(12)]
    for board in boards:
        board.put("x", "there")
        time.sleep(0.02)
    program.end()
    for board in boards:
        board._asking = threading.current_thread()  # as where the store has not answered in time
        board.let_go()

    assert len(program.pairs) > 12
    for mine, accepted in program.pairs:
        mine.sendall(b"x")
        assert accepted.recv(1) == b"x"
        mine.close()
        accepted.close()
    assert store.add("theirs", 1) == 1


def test_a_board_reads_what_others_wrote_through_their_own_connection():
    store = dist.TCPStore(
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=30)
    )
    one, other = (
        StoreRendezvous(dist.PrefixStore("default_pg", store), "autocard/0") for _ in range(2)
    )

    for text in ("a", "b" * 200_000, "c"):
        one.put("x", text)

    assert other.notes("x") == ["a", "b" * 200_000, "c"]
    assert other.notes("x", 2) == ["c"]


MANY_FILES = """
import resource
from datetime import timedelta
import torch.distributed as dist
from autocard.distributed.rendezvous import StoreRendezvous as StoreBoard
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20))
held = [open("/dev/null") for _ in range(1100)]
board = StoreBoard(store, "autocard/0")
board.put("x", "there")
print(held[-1].fileno() > 1024, board.notes("x"), flush=True)
board.let_go()
"""


def test_processes_meet_where_the_training_holds_more_than_1024_files_open():
    done = subprocess.run(
        [sys.executable, "-c", MANY_FILES], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.stdout.split("\n")[0] == "True ['there']", done.stderr[-2000:]


def test_a_store_whose_server_cannot_be_reached_is_said_to_be_so():
    class Gone:
        host, port = "127.0.0.1", 1

    with pytest.raises(UnavailableError, match="cannot be reached"):
        StoreClient(Gone())


def test_a_call_whose_answer_is_overdue_ends_by_itself(monkeypatch):
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            port = int(server.stdout.readline())
            store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=60))
            board = StoreRendezvous(store, "autocard/0")
            board.put("x", "there")
            monkeypatch.setattr(store_client, "ANSWER_S", 0.3)
            os.kill(server.pid, signal.SIGSTOP)

            with pytest.raises(UnavailableError, match="does not answer"):
                board.put("x", "more")
        finally:
            server.kill()
