"""Processes that could not be reached at first, and checkpoints that carry the readings of all hosts."""

from __future__ import annotations

import json
import shutil
import signal
import uuid
from pathlib import Path

import pytest

import autocard
from support.cluster_rig import LONG_S, Job, until

pytest_plugins = ["support.nvml_fixtures", "support.cluster_fixtures"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PACKAGE = Path(autocard.__file__).parent
CLIENT = "distributed/store_client.py"
COORDINATOR = "distributed/coordinator.py"
UNREACHED = """
_init, _left = StoreClient.__init__, [1]


def _fails_once(self, store):
    if _left[0]:
        _left[0] -= 1
        raise UnavailableError("the store is not there yet")
    _init(self, store)


StoreClient.__init__ = _fails_once
"""
SOON = "\nRETRY_S = 0.5\n"


def changed(rank, file, text):
    """Return how *rank* finds *file*: with *text* behind it."""
    return rank, file, (PACKAGE / file).read_text(encoding="utf-8") + text


def late(rig, name, ranks_late, *, soon, nodes=2, ranks=1):
    """Train with some ranks that cannot reach the others when training begins."""
    broken = [changed(rank, CLIENT, UNREACHED) for rank in ranks_late]
    broken += [changed(rank, COORDINATOR, SOON) for rank in ranks_late if soon]
    job = Job(
        rig.folder / "late" / name,
        rig.nodes(nodes, ranks),
        "srun",
        steps=30,
        step_s=0.15,
        args={"save_strategy": "steps", "save_steps": 28},
    )
    job.broken = broken
    return rig.run(job)


def state_of(checkpoint):
    """Return what travels in *checkpoint*, read as plain JSON."""
    saved = json.loads((checkpoint / "trainer_state.json").read_text())
    return saved["stateful_callbacks"]["autocard"]["attributes"]


@pytest.mark.parametrize("soon", [True, False], ids=["in mid-training", "at the end"])
@pytest.mark.parametrize("who", [0, 1], ids=["the writer", "another one"])
def test_a_rank_that_could_not_reach_the_others_at_first_is_in_the_total(rig, who, soon):
    job = late(rig, f"{who}-{soon}", [who], soon=soon)

    record = job.record
    assert job.statuses == [0, 0]
    assert record["job"]["processes_reporting"] == record["job"]["nodes_reporting"] == 2
    (leg,) = record["legs"]
    assert [len(host["devices"]) for host in leg["hosts"]] == [1, 1]
    used = sorted(job.joules(number) for number in range(2))
    told = sorted(host["devices"][0]["energy_j"] for host in leg["hosts"])
    assert told == pytest.approx(used, rel=0.02, abs=30)
    assert record["energy"]["total_kwh"] > 0
    assert len(state_of(job.shared / "checkpoint-28")["others"]) == int(soon)


def test_a_late_rank_whose_host_another_one_measures_counts_its_host_once(rig):
    job = late(rig, "same host", [0], soon=True, nodes=1, ranks=2)

    record = job.record
    assert job.statuses == [0, 0]
    (leg,) = record["legs"]
    (host,) = leg["hosts"]
    assert record["job"]["processes_reporting"] == 2
    assert len(host["devices"]) == 2
    assert sum(device["energy_j"] for device in host["devices"]) == pytest.approx(
        job.joules(0), rel=0.02, abs=30
    )
    assert record["energy"]["cpu_kwh"] * 3.6e6 == pytest.approx(host["cpu_j"])
    ours = [json.loads(file.read_text()) for file in (job.shared / "_autocard").glob("leg-*.json")]
    assert {one["run_id"] for one in ours if one["leg"]["id"] == leg["id"]} <= {record["run"]["id"]}


# -- resumed in another folder ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def moved(rig):
    """A job of two nodes that is killed at once, and its checkpoint, copied elsewhere without working files."""
    top = rig.folder / "moved"
    nodes = rig.nodes(2, 1)
    nodes[1].output = top / "first" / "of node 1"
    args = {"save_strategy": "steps", "save_steps": 20}
    first = Job(top / "first", nodes, "srun", steps=400, step_s=0.15, args=args, patient=True)
    rig.start(first)
    try:
        until(lambda: all(rank.last_step >= 44 for rank in first.ranks), LONG_S, lambda: first.said)
        first.signal(signal.SIGKILL)
        until(lambda: first.over, 20)
    finally:
        first.end()
    elsewhere = top / f"elsewhere-{uuid.uuid4().hex[:6]}" / "checkpoint-40"
    shutil.copytree(first.shared / "checkpoint-40", elsewhere)
    second = Job(
        top / "second",
        rig.nodes(2, 1),
        "srun",
        steps=50,
        step_s=0.15,
        resume=str(elsewhere),
        args={"restore_callback_states_from_checkpoint": False},
    )
    return first, rig.run(second), elsewhere


def test_a_checkpoint_carries_the_readings_of_all_hosts(moved):
    first, _, checkpoint = moved

    found = state_of(checkpoint)
    others = found["others"]

    assert [one["leg"]["step_end"] for one in (found["current"], *others)] == [40, 40]
    assert len({one["host_id"] for one in (found["current"], *others)}) == 2
    text = (checkpoint / "trainer_state.json").read_text()
    assert not any(node.boot in text for node in first.nodes)
    assert not any(board.uuid in text for node in first.nodes for board in node.boards)


def test_a_run_that_is_resumed_elsewhere_knows_all_hosts_of_its_first_start(moved):
    first, second, _ = moved

    before, after = second.record["legs"]
    assert (before["step_end"], after["step_begin"]) == (40, 40)
    assert (before["nodes_reporting"], before["processes_reporting"]) == (2, 2)
    assert [len(host["devices"]) for host in before["hosts"]] == [1, 1]
    for number in range(2):
        watts = first.nodes[number].boards[0].watts
        told = [host["devices"][0]["energy_j"] for host in before["hosts"]]
        wanted = watts * before["wall_clock_s"]
        assert any(one == pytest.approx(wanted, rel=0.05) for one in told), (told, wanted)
    assert second.record["energy"]["total_kwh"] > 0
    assert "is lost" in second.record["missing"]["legs.0.tail"]
