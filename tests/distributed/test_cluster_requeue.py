"""Jobs that are preempted, requeued, and go on with one node more: every node of every leg counts once.

Preempted as a workload manager does it: SIGTERM to the tasks, after a while SIGKILL to whatever is
left on the nodes.
"""

from __future__ import annotations

import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.cluster_rig import LONG_S, OURS, Job, Node, gpus, until

pytest_plugins = ["support.nvml_fixtures", "support.cluster_fixtures"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TICK_S = OURS["measure_power_secs"]
NOTICED_S = 1.5
"""Between a moment and the nearest reading, on a loaded machine."""
SEEN_S = 0.5
"""Until a measuring process sees that its training is gone."""


@dataclass
class Way:
    """How a job is preempted, and what may be lost by it."""

    grace_s: float
    """Between SIGTERM and SIGKILL; 0: all is killed at once, the measuring processes too."""
    own_disks: bool = False
    """Whether the ledger's ticks go to the nodes' own disks."""
    saves: int = 5
    """Steps between checkpoints."""
    checkpoint: bool = True
    """Whether there is one when the job is preempted."""


WAYS = {
    "SIGTERM, then SIGKILL": Way(1.0),
    "SIGKILL, ledger on the shared storage": Way(0.0),
    "SIGKILL, ledgers on the nodes' own disks": Way(
        0.0, own_disks=True, saves=500, checkpoint=False
    ),
    "before the first checkpoint": Way(1.0, saves=500, checkpoint=False),
}


def preempt(job, grace_s):
    """End *job* as a workload manager does."""
    if grace_s:
        for pid in job.pids:
            job.kill(pid, signal.SIGTERM)
        until(lambda: job.over, 20)
        time.sleep(grace_s)
    job.signal(signal.SIGKILL)
    until(lambda: job.over, 20)


def play(rig, name, way):
    """Return the two starts of one job."""
    top = rig.folder / "requeue" / re.sub(r"\W+", "-", name)
    boots = [rig.boot_id()[0] for _ in range(3)]

    def start(number, nodes, **changes):
        made = []
        for index in range(nodes):
            ours = {"ledger_dir": str(top / f"disk-{index}")} if way.own_disks else {}
            made.append(Node(gpus(index, 1, 200.0 + 100 * index), 1, boots[index], ours=ours))
        args = {
            "save_strategy": "steps",
            "save_steps": way.saves,
            "restore_callback_states_from_checkpoint": False,
        }
        job = Job(
            top / str(number), made, "srun", output=top / "out", args=args, patient=True, **changes
        )
        job.slurm = {
            "SLURM_JOB_ID": str(4000 + list(WAYS).index(name)),
            "SLURM_RESTART_COUNT": str(number),
        }
        return rig.start(job)

    first = start(0, 2, steps=400, step_s=0.15)
    try:
        until(
            lambda: first.ranks[0].last_step >= 23 and first.ranks[1].last_step >= 23,
            LONG_S,
            lambda: first.said,
        )
        preempt(first, way.grace_s)
    finally:
        first.end()
    saved = [
        path
        for path in (top / "out").glob("checkpoint-*")
        if (path / "trainer_state.json").exists()
    ]
    last = max(saved, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    assert (last is not None) == way.checkpoint
    begin = 0 if last is None else int(last.name.rpartition("-")[2])
    second = start(1, 3, steps=begin + 20, step_s=0.15, resume=None if last is None else str(last))
    return first, second.wait()


@pytest.fixture(scope="module")
def requeued(rig):
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(WAYS, pool.map(lambda one: play(rig, *one), WAYS.items()), strict=True))


@pytest.fixture(params=WAYS)
def run(request, requeued):
    return WAYS[request.param], *requeued[request.param]


def test_the_run_has_two_legs_with_the_hosts_of_each(run):
    _, first, second = run

    record = second.record
    assert second.statuses == [0, 0, 0]
    assert [leg["status"] for leg in record["legs"]] == ["interrupted", "finished"]
    assert [len(leg["hosts"]) for leg in record["legs"]] == [2, 3]
    for leg in record["legs"]:
        assert len({host["host"] for host in leg["hosts"]}) == len(leg["hosts"])
        assert all(len(host["devices"]) == 1 for host in leg["hosts"])
    assert record["legs"][0]["step_begin"] == 0
    assert record["legs"][1]["step_begin"] == second.ranks[0].last_step - 20
    assert "legs.earlier" not in record["missing"]
    assert len(list(first.shared.glob("**/README.md"))) == 1 + len(
        list(first.shared.glob("checkpoint-*/README.md"))
    )


def test_the_machines_have_the_same_names_in_both_legs(run):
    _, _, second = run

    before, after = ([host["host"] for host in leg["hosts"]] for leg in second.record["legs"])

    assert before == ["h1", "h2"]
    assert set(after) == {"h1", "h2", "h3"}


def test_no_more_is_lost_than_a_kill_may_lose_and_nothing_is_added(run):
    way, first, second = run

    before, after = second.record["legs"]
    saved_s = 5 * 0.15 + 1.0 if way.checkpoint else 0.0
    lost_s = NOTICED_S + TICK_S if way.grace_s or way.own_disks else NOTICED_S + saved_s
    for number, watts in ((0, 200.0), (1, 300.0)):
        used = first.joules(number)
        told = [host["devices"][0]["energy_j"] for host in before["hosts"]]
        assert any(used - lost_s * watts < one < used + SEEN_S * watts for one in told), (
            used,
            told,
        )
    told = sorted(host["devices"][0]["energy_j"] for host in after["hosts"])
    assert told == pytest.approx(
        sorted(second.joules(number) for number in range(3)), rel=0.01, abs=20
    )


def test_the_sums_are_those_of_all_hosts_of_both_legs(run):
    _, _, second = run

    record = second.record
    hosts = [host for leg in record["legs"] for host in leg["hosts"]]
    parts = {
        "gpu_kwh": sum(device["energy_j"] for host in hosts for device in host["devices"]),
        "cpu_kwh": sum(host["cpu_j"] for host in hosts),
        "ram_kwh": sum(host["ram_j"] for host in hosts),
    }
    for leaf, joules in parts.items():
        assert record["energy"][leaf] * 3.6e6 == pytest.approx(joules)
    assert record["energy"]["total_kwh"] * 3.6e6 == pytest.approx(sum(parts.values()))
    one, other = (leg["wall_clock_s"] for leg in record["legs"])
    assert record["time"]["wall_clock_s"] == pytest.approx(one + other)
    assert record["time"]["gpu_s"] == pytest.approx(2 * one + 3 * other, rel=0.01)


def test_nothing_is_left_on_the_disks_of_the_nodes_after_a_good_end(run):
    way, first, second = run

    disks = [
        Path(node.ours["ledger_dir"]) for job in (first, second) for node in job.nodes if node.ours
    ]

    assert bool(disks) == way.own_disks
    assert [disk for disk in disks if disk.exists()] == []
    locks = list(first.shared.glob("_autocard/*.lock"))
    assert [lock for lock in locks if way.own_disks] == []


def test_the_record_says_how_many_nodes_each_leg_had(run):
    _, _, second = run

    record = second.record
    assert [leg["nodes_expected"] for leg in record["legs"]] == [2, 3]
    assert (record["job"]["nodes_expected"], record["job"]["nodes_reporting"]) == (3, 3)
    assert " wall-clock, 2 starts" in second.card


def test_no_file_holds_the_name_of_a_machine(run):
    _, first, second = run

    public = second.card + json.dumps(second.record)
    assert not any(node.boot in public for job in (first, second) for node in job.nodes)
