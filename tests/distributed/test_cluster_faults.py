"""Ranks that are killed, stopped, or in which autocard fails: the job goes on as without it, and the card says so.

Each job runs twice, with autocard and with AUTOCARD_DISABLED=1, which is the oracle for how it must
end.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.cluster_rig import LONG_S, Job, until

pytest_plugins = ["support.nvml_fixtures", "support.cluster_fixtures"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux"),
    pytest.mark.timeout(600),
]

WAIT_S = 10.0
"""What is promised: a rank that is not heard costs no more at the end of training."""
MARGIN_S = 15.0
"""For a loaded machine."""
STOPPED_S = 4.0
"""How long a rank sleeps that is stopped at the begin or in the middle."""
BROKEN = "raise RuntimeError('a broken installation')\n"
HANGS = "import time\ntime.sleep(3600)\n"


def fault(rank, at, do):
    return {"rank": rank, "at": at, "do": do}


def both(one, other, file, text):
    return [(one, file, text), (other, file, text)]


@dataclass
class Case:
    """What goes wrong, and what the card then has to say."""

    faults: list[dict[str, Any]] = field(default_factory=list)
    launcher: str = "torchrun"
    nodes: int = 2
    ranks: int = 2
    broken: list[tuple[int, str, str]] = field(default_factory=list)
    ends_well: bool = True
    """Whether the job ends with status 0, and so with a card."""
    heard: list[int] | None = None
    """Nodes of which the card must have something at least; None: all, and nobody is missing."""
    launcher_waits: bool = False
    """Whether torchrun waits minutes for that of the other node, whose ranks are gone."""
    connects: bool = False
    """Whether the training program opens connections all the time."""
    apart: bool = False
    """Whether nodes have output folders of their own."""


CASES = {
    # Torchrun ends the whole job when a rank dies while others train.
    "killed at begin, leader of the other node": Case([fault(2, "begin", "kill")], ends_well=False),
    "killed in the middle, on the other node": Case([fault(3, 4, "kill")], ends_well=False),
    "killed in the middle, on the writer's node": Case([fault(1, 4, "kill")], ends_well=False),
    "an exception of the user's own": Case([fault(1, 4, "raise")], ends_well=False),
    "killed at the end, the writer": Case([fault(0, "end", "kill")], ends_well=False),
    "killed at the end, leader of the other node": Case(
        [fault(2, "end", "kill")], ends_well=False, heard=[0], launcher_waits=True
    ),
    "killed at the end, without a launcher": Case(
        [fault(3, "end", "kill")], "srun", nodes=4, ranks=1, ends_well=False, heard=[0, 1, 2]
    ),
    "a node killed at the end, without a launcher": Case(
        [fault(2, "end", "kill"), fault(3, "end", "kill")],
        "srun",
        ends_well=False,
        heard=[0],
        apart=True,
    ),
    "stopped at the end, both ranks of the other node": Case(
        [fault(2, "end", "stop"), fault(3, "end", "stop")], heard=[0]
    ),
    "stopped at the end, a rank of the writer's node": Case([fault(1, "end", "stop")], heard=[1]),
    "stopped at the end, a rank of the other node": Case([fault(2, "end", "stop")], heard=[0]),
    "stopped at the end, one of four nodes": Case(
        [fault(3, "end", "stop")], "srun", nodes=4, ranks=1, heard=[0, 1, 2], apart=True
    ),
    # Without torchrun rank 0 holds the store, which is silent while the other reports.
    # Rank 0 measures until it goes on.
    "stopped at the end, the rank that holds the store": Case(
        [fault(0, "end", "stop")], "srun", ranks=1, heard=[], apart=True, connects=True
    ),
    "nothing, beside a program that opens connections": Case(ranks=1, connects=True),
    "stopped at begin": Case([fault(3, "begin", "stop")]),
    "stopped in the middle": Case([fault(2, 4, "stop")]),
    "no group, a rank killed in the middle": Case(
        [fault(3, 4, "kill")], "srun, no group", ends_well=False, heard=[0, 1]
    ),
    "no group, a node killed at begin": Case(
        [fault(2, "begin", "kill"), fault(3, "begin", "kill")],
        "srun, no group",
        ends_well=False,
        heard=[0],
    ),
    "no group, stopped at the end": Case([fault(2, "end", "stop")], "srun, no group", heard=[0]),
    "meter broken on the other node": Case(broken=both(2, 3, "energy/meter.py", BROKEN), heard=[0]),
    "meter broken on the writer's node": Case(
        broken=both(0, 1, "energy/meter.py", BROKEN), heard=[1]
    ),
    "meter broken in one rank": Case(broken=[(2, "energy/meter.py", BROKEN)], heard=[0]),
    "meter hangs on the other node": Case(broken=both(2, 3, "energy/meter.py", HANGS), heard=[0]),
    "all of autocard broken on the other node": Case(
        broken=both(2, 3, "runtime/session.py", BROKEN), heard=[0]
    ),
    "all of autocard broken on one rank of the writer's node": Case(
        broken=[(1, "runtime/session.py", BROKEN)], heard=[1]
    ),
}


def job_of(rig, name, case, *, disabled):
    top = rig.folder / "faults" / re.sub(r"\W+", "-", name)
    folder = top / ("without" if disabled else "with")
    nodes = rig.nodes(case.nodes, case.ranks)
    if case.apart:
        for number, node in enumerate(nodes[1:], start=1):
            node.output = folder / f"out-{number}"
    job = Job(
        folder, nodes, case.launcher, patient=not disabled, steps=8, step_s=0.15, faults=case.faults
    )
    job.connects = case.connects
    job.broken = case.broken
    if disabled:
        job.ours = None
    return job


def stopped(case):
    return {one["rank"]: one["at"] for one in case.faults if one["do"] == "stop"}


def play(rig, job, case):
    """Run *job*; a rank that was stopped goes on after a while, or when all others that end by themselves have.

    A job that hangs is ended by signals, which its statuses then show.
    """
    with contextlib.suppress(AssertionError):
        return _play(rig, job, case)
    return job


def _play(rig, job, case):
    rig.start(job)
    waits = stopped(case)
    try:
        if waits:
            until(
                lambda: job.over or all(job.ranks[rank].at("stop") for rank in waits),
                LONG_S,
                lambda: job.said,
            )
            if "end" in waits.values():
                others = [rank for number, rank in enumerate(job.ranks) if number not in waits]
                until(
                    lambda: job.over or all(rank.at("exit") for rank in others),
                    LONG_S,
                    lambda: job.said,
                )
            else:
                time.sleep(STOPPED_S)
            job.signal(signal.SIGCONT)
        if case.launcher_waits:
            until(lambda: all(rank.at("exit") for rank in job.of_node(0)), LONG_S, lambda: job.said)
            time.sleep(1)
            job.end()
        return job.wait()
    finally:
        job.end()


@pytest.fixture(scope="module")
def played(rig):
    """Case → (the job with autocard, the job without)."""
    jobs = [
        (name, disabled, case)
        for name, case in CASES.items()
        for disabled in (False, True)
        if case.faults or not disabled
    ]
    with ThreadPoolExecutor(3) as pool:
        done = list(
            pool.map(
                lambda one: play(rig, job_of(rig, one[0], one[2], disabled=one[1]), one[2]), jobs
            )
        )
    found = {(name, disabled): job for (name, disabled, _), job in zip(jobs, done, strict=True)}
    return {name: (found[name, False], found.get((name, True))) for name in CASES}


@pytest.fixture(params=CASES)
def case(request, played):
    job, twin = played[request.param]
    return CASES[request.param], job, twin


def test_the_job_ends_as_it_ends_without_autocard(case):
    about, job, twin = case

    expected = [0] * len(job.pids) if twin is None else twin.statuses
    assert job.statuses == expected
    assert (set(job.statuses) == {0}) == about.ends_well
    if twin is not None and about.ends_well:
        assert [rank.exit for rank in job.ranks] == [rank.exit for rank in twin.ranks]
        assert [rank.last_step for rank in job.ranks] == [rank.last_step for rank in twin.ranks]


def test_the_weights_are_those_of_the_training_without_autocard(case):
    about, job, twin = case

    if twin is None or not about.ends_well:
        pytest.skip("it does not end by itself")
    assert [rank.weights for rank in job.ranks] == [rank.weights for rank in twin.ranks]


def test_nobody_waits_for_the_missing_longer_than_is_promised(case):
    about, job, _ = case

    waits = stopped(about)
    for number, rank in enumerate(job.ranks):
        if number not in waits and rank.at("ended"):
            assert rank.ending_s < WAIT_S + MARGIN_S
        if number not in waits and rank.at("begun"):
            assert rank.beginning_s < WAIT_S + MARGIN_S


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.connects])
def test_every_connection_of_the_training_program_stays_open(played, name):
    job = played[name][0]

    for rank in job.ranks:
        opened, broken = rank.connections
        assert opened > 20
        assert broken == 0


def energy_lines(card):
    """Return the lines of *card* about energy."""
    return [line for line in card.splitlines() if "kWh" in line or "energy" in line.lower()]


MISSING = [name for name, case in CASES.items() if case.heard is not None]


@pytest.mark.parametrize("name", MISSING)
def test_what_was_not_heard_is_named_and_then_no_total_is_given(played, name):
    about, job = CASES[name], played[name][0]

    record = job.record
    said, energy = record["job"], record["energy"]
    assert said["nodes_expected"] == about.nodes
    assert (
        len(about.heard)
        <= said["nodes_reporting"]
        <= len(record["legs"][0]["hosts"])
        <= about.nodes
    )
    if energy["total_kwh"] is None:
        assert record["emissions"]["co2eq_g"] is None
        reason = record["missing"]["energy.total_kwh"]
        if not about.broken:
            assert record["missing"]["legs.0.hosts"] == reason
            assert re.search(r"\d of \d (nodes|processes)", reason), reason
        words = rf"The whole run used at least [^\n]+: {re.escape(reason)}\.\n"
        assert re.search(words, job.card), energy_lines(job.card)
        gpus = sum(gpu["count"] for gpu in record["hardware"]["gpus"])
        assert gpus in {0, sum(len(host["devices"]) for host in record["legs"][0]["hosts"])}
    else:
        # Another rank of the host could tell it, or a measuring process outlived its training and
        # wrote it down.
        least, most = bounds(job)
        assert 0.97 * least - 50 < energy["gpu_kwh"] * 3.6e6 < 1.03 * most + 50


def bounds(job):
    """Return the joules of all boards: until each rank's own last word, and until that of its node."""
    numbers = range(len(job.nodes))
    return sum(job.joules(number, least=True) for number in numbers), sum(
        job.joules(number) for number in numbers
    )


@pytest.mark.parametrize("name", MISSING)
def test_what_was_heard_is_added_up_and_said_to_be_no_more_than_that(played, name):
    job = played[name][0]

    record = job.record
    hosts = record["legs"][0]["hosts"]
    parts = [device["energy_j"] for host in hosts for device in host["devices"]]
    parts += [host[leaf] for host in hosts for leaf in ("cpu_j", "ram_j")]
    heard_kwh = sum(part for part in parts if part is not None) / 3.6e6
    given = "reported_" if record["energy"]["total_kwh"] is None else "total_"
    assert record["energy"][f"{given}kwh"] == pytest.approx(heard_kwh)
    given = "reported_" if record["energy"]["total_kwh"] is None else ""
    assert record["emissions"][f"{given}co2eq_g"] == pytest.approx(heard_kwh * 56.039, rel=1e-3)


@pytest.mark.parametrize("name", MISSING)
def test_what_was_heard_of_a_node_is_what_its_counters_say(played, name):
    about, job = CASES[name], played[name][0]

    hosts = job.record["legs"][0]["hosts"]
    told = [sum(device["energy_j"] or 0.0 for device in host["devices"]) for host in hosts]
    for number in about.heard:
        least, most = job.joules(number, least=True), job.joules(number)
        assert any(0.97 * least - 50 < one < 1.03 * most + 50 for one in told), (told, least, most)
    assert sum(told) < 1.03 * bounds(job)[1] + 50


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.ends_well and case.heard is None]
)
def test_a_rank_that_was_only_late_is_not_missing(played, name):
    job = played[name][0]

    record = job.record
    assert record["job"]["processes_reporting"] == job.world
    assert record["job"]["nodes_reporting"] == record["job"]["nodes_expected"] == len(job.nodes)
    used = [job.joules(number) for number in range(len(job.nodes))]
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(sum(used), rel=0.01, abs=20)
    assert record["energy"]["total_kwh"] > 0


def test_three_of_four_nodes_are_said_to_report(played):
    job = played["stopped at the end, one of four nodes"][0]

    assert "3 of 4 nodes reporting" in job.card
    assert "3 of 4 nodes" in job.record["missing"]["legs.0.hosts"]


# -- folders and drivers ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def places(rig):
    """Jobs that end well, with a place or a driver that does not work on one node."""
    own = rig.nodes()
    own[1].output, own[1].read_only = rig.folder / "places" / "fixed", True
    no_driver = rig.nodes()
    for board in no_driver[1].boards:
        board.dead = 1
    written = rig.nodes()
    for node in written:
        node.read_only = True
    jobs = {
        "the other node's own folder is read-only": own,
        "the boards of the other node are lost": no_driver,
        "the shared folder is read-only": written,
    }
    return rig.run_all(
        {
            name: Job(
                rig.folder / "places" / re.sub(r"\W+", "-", name), nodes, steps=8, patient=True
            )
            for name, nodes in jobs.items()
        },
        3,
    )


def test_a_job_whose_folders_or_drivers_fail_ends_as_ever(places):
    assert all(job.statuses == [0, 0] for job in places.values())
    assert max(rank.ending_s for job in places.values() for rank in job.ranks) < WAIT_S + MARGIN_S


def test_a_node_that_cannot_write_a_file_is_heard_by_the_process_group(places):
    job = places["the other node's own folder is read-only"]

    assert job.record["job"]["nodes_reporting"] == 2
    assert job.record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(
        job.joules(0) + job.joules(1), rel=0.02
    )


def test_a_node_whose_boards_are_lost_is_heard_and_leaves_no_sum(places):
    record = places["the boards of the other node are lost"].record

    assert record["job"]["nodes_reporting"] == 2
    assert record["energy"]["gpu_kwh"] is None
    assert record["energy"]["total_kwh"] is None
    assert record["energy"]["cpu_kwh"] > 0
    assert (
        "lost" in record["missing"]["energy.gpu_kwh"].lower()
        or "NVML" in record["missing"]["energy.gpu_kwh"]
    )
