"""A job of several nodes and ranks: each node, each GPU, each CPU once, in one card; by the rig's own clock and sums.

Real trainings under real torchruns (cluster_rig); each set-up runs once, and all tests read what it
left behind.
"""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import dataclass

import pytest

from autocard import units
from autocard.energy.host import cpu_share
from support.cluster_rig import OURS, Job, Node, gpus

pytest_plugins = ["support.nvml_fixtures", "support.cluster_fixtures"]

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux"),
    pytest.mark.timeout(600),
]

CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
RAM_W = OURS["ram_power_w"]


@dataclass
class Expected:
    """What is true of a set-up."""

    hosts: list[list[int]]
    """The numbers of the nodes that each host stands for."""
    nodes: int
    """As the launcher says."""


EXPECTED = {
    "torchrun by exec, shared folder": Expected([[0], [1]], 2),
    "one node": Expected([[0]], 1),
    "shared folder": Expected([[0], [1]], 2),
    "ledgers on the nodes' own disks": Expected([[0], [1]], 2),
    "folders of their own": Expected([[0], [1]], 2),
    "one boot id": Expected([[0, 1]], 2),
    "each rank sees its own GPU": Expected([[0], [1]], 2),
    "srun": Expected([[0], [1]], 2),
    "srun, no group": Expected([[0], [1]], 2),
    "three nodes of different sizes": Expected([[0], [1], [2]], 3),
    "sixteen ranks": Expected([[0], [1], [2], [3]], 4),
}


def jobs(rig) -> dict[str, Job]:
    """Make one job for each set-up."""

    def job(name, nodes, **changes):
        return Job(
            rig.folder / "whole" / re.sub(r"\W+", "-", name),
            nodes,
            patient=True,
            step_s=0.4,
            **changes,
        )

    shared = rig.nodes()
    shared[0].cpus = [[CPUS[0]], [CPUS[-1]]]
    shared[1].cpus = [[CPUS[0]], [CPUS[0]]]
    own = rig.nodes()
    own[1].output = rig.folder / "whole" / "elsewhere"
    disks = rig.nodes()
    for number, node in enumerate(disks):
        node.ours = {"ledger_dir": str(rig.folder / "whole" / f"disk-{number}")}
    one_boot = rig.nodes()
    one_boot[1].boot = one_boot[0].boot
    for node in one_boot:  # one host: one library, that shows all its boards
        node.boards = gpus(7, 4)
        node.cuda = ["0", "1"] if node is one_boot[0] else ["2", "3"]
    apart = rig.nodes()
    apart[0].cuda = ["0", "1"]
    apart[1].seen = [[0], [1]]
    sizes = [
        Node(gpus(number, 1, 150.0 + 100 * number), 1, rig.boot_id()[0]) for number in range(3)
    ]
    sizes[1] = Node(gpus(1, 2, 300.0), 2, sizes[1].boot)
    return {
        "torchrun by exec, shared folder": job("exec", rig.nodes(), launcher="torchrun, by exec"),
        "one node": job("one node", rig.nodes(1)),
        "shared folder": job("shared", shared),
        "ledgers on the nodes' own disks": job("disks", disks, launcher="torchrun, c10d"),
        "folders of their own": job("own", own),
        "one boot id": job("one boot", one_boot),
        "each rank sees its own GPU": job("apart", apart),
        "srun": job("srun", rig.nodes(), launcher="srun"),
        "srun, no group": job("no group", rig.nodes(), launcher="srun, no group"),
        "three nodes of different sizes": job("sizes", sizes, launcher="srun"),
        "sixteen ranks": job("sixteen", rig.nodes(4, 4), launcher="srun"),
    }


@pytest.fixture(scope="module")
def done(rig):
    return rig.run_all(jobs(rig), 3)


@pytest.fixture(params=EXPECTED)
def run(request, done):
    return done[request.param], EXPECTED[request.param]


def used_j(job, hosts):
    """Return host → what the boards that the job used on it spent, by the rig."""
    boards = lambda number: [int(one) for one in job.nodes[number].cuda or ()] or None  # noqa: E731
    return [sum(job.joules(number, boards(number)) for number in host) for host in hosts]


def hosts_of(job):
    leg = job.record["legs"][0]
    return leg["hosts"]


def test_the_job_ends_as_it_would_have_and_is_not_held_up(run):
    job, _ = run

    assert set(job.statuses) == {0}
    assert all(rank.exit == 0 for rank in job.ranks)
    assert max(rank.ending_s for rank in job.ranks) < 20


def test_there_is_one_card_and_one_record(run):
    job, _ = run

    folders = {node.output or job.shared for node in job.nodes}
    found = [
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.name in {"README.md", "autocard.json"}
    ]
    assert sorted(found) == [job.shared / "README.md", job.shared / "autocard.json"]
    assert len(job.record["legs"]) == 1


def test_the_job_says_one_line_at_its_begin_and_one_at_its_end(run):
    job, expected = run

    said = [line for line in job.said.splitlines() if line.startswith("autocard: ")]
    begins = [line for line in said if "measuring " in line]
    ends = [line for line in said if " kWh, " in line]
    assert len(begins) == len(ends) == 1
    where = " in this process of 4" if job.launcher == "srun, no group" else ""
    if expected.nodes > 1:
        where = where or f" on this node of {expected.nodes}"
    assert f" × NVIDIA Stand-in 80GB{where}; " in begins[0]
    assert ends[0].startswith(f"autocard: {units.duration(job.record['time']['wall_clock_s'])}, ")


def test_the_energy_of_the_gpus_is_within_a_hundredth_of_their_counters(run):
    job, expected = run

    used = used_j(job, expected.hosts)
    record = job.record
    # Sixteen processes on two busy cores come to the same moment some tenths of a second apart.
    part = 0.01 if job.world < 16 else 0.03
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(sum(used), rel=part)
    by_host = [
        sum(device["energy_j"] for device in host["devices"]) for host in record["legs"][0]["hosts"]
    ]
    assert sorted(by_host) == pytest.approx(sorted(used), rel=part)
    stated = re.search(r"^\| GPUs \| ([\d.]+) \| (.*) \|$", job.card, flags=re.MULTILINE)
    assert float(stated[1]) * 3.6e6 == pytest.approx(sum(used), rel=2 * part)


def test_each_gpu_is_there_once_whichever_rank_sees_it(run):
    job, expected = run

    hosts = hosts_of(job)
    # Of trainings of their own, the one that ended first has given its host the first name.
    assert sorted(host["host"] for host in hosts) == [
        f"h{number}" for number in range(1, len(expected.hosts) + 1)
    ]
    for host in hosts:
        names = [device["device"] for device in host["devices"]]
        assert names == [f"{host['host']}.g{number}" for number in range(len(names))]
        assert all(device["energy_j"] > 0 for device in host["devices"])
    assert sum(len(host["devices"]) for host in hosts) == job.world
    assert sum(gpu["count"] for gpu in job.record["hardware"]["gpus"]) == job.world
    spent = [device["energy_j"] for host in hosts for device in host["devices"]]
    assert len({round(joules, 3) for joules in spent}) == job.world


def test_codecarbons_figure_is_of_all_gpus_or_of_none(run):
    job, expected = run

    energy = job.record["energy"]
    if energy["codecarbon_gpu_kwh"] is None:
        assert "energy.codecarbon_gpu_kwh" in job.record["missing"]
    else:
        assert energy["codecarbon_gpu_kwh"] * 3.6e6 == pytest.approx(
            sum(used_j(job, expected.hosts)), rel=0.05
        )


def test_gpu_hours_are_those_of_all_gpus(run):
    job, _ = run

    time = job.record["time"]
    assert time["gpu_s"] == pytest.approx(job.world * time["wall_clock_s"], rel=0.01)


def test_nodes_and_processes_are_counted_as_they_were_heard(run):
    job, expected = run

    record = job.record
    said = record["job"]
    assert said["processes_reporting"] == record["legs"][0]["processes"] == job.world
    assert said["nodes_reporting"] == len(expected.hosts)
    assert said["nodes_expected"] == said["nodes_reporting"]
    assert said["launcher_nodes"] == expected.nodes
    leg = record["legs"][0]
    assert (leg["nodes_expected"], leg["nodes_reporting"]) == (len(expected.hosts),) * 2
    assert "legs.0.hosts" not in record["missing"]
    assert " nodes reporting" not in job.card


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "one boot id"])
def test_nodes_are_as_many_as_the_launcher_says(done, name):
    assert done[name].record["hardware"]["nodes"] == EXPECTED[name].nodes


def test_cpu_and_memory_count_once_for_each_host(run):
    job, _ = run

    record = job.record
    hosts = record["legs"][0]["hosts"]
    for host in hosts:
        # Ten watts were given for the memory of a whole node.
        seconds = record["time"]["wall_clock_s"]
        assert host["ram_j"] == pytest.approx(
            RAM_W * host["cpu_share"] * seconds, rel=0.05, abs=1.0
        )
        assert host["cpu_j"] > 0
    parts = [sum(host[leaf] for host in hosts) for leaf in ("cpu_j", "ram_j")]
    assert record["energy"]["cpu_kwh"] * 3.6e6 == pytest.approx(parts[0])
    assert record["energy"]["ram_kwh"] * 3.6e6 == pytest.approx(parts[1])
    total_kwh = sum(record["energy"][leaf] for leaf in ("gpu_kwh", "cpu_kwh", "ram_kwh"))
    assert record["energy"]["total_kwh"] == pytest.approx(total_kwh)
    assert record["emissions"]["co2eq_g"] == pytest.approx(total_kwh * 56.039, rel=1e-3)


def test_the_share_of_a_host_is_that_of_all_its_ranks_together(done):
    whole = cpu_share.of_node()
    expected = [
        min(len(set(cpus)) / (os.cpu_count() or 1), whole)
        for cpus in ([CPUS[0], CPUS[-1]], [CPUS[0]])
    ]

    assert [host["cpu_share"] for host in hosts_of(done["shared folder"])] == pytest.approx(
        expected
    )


def test_nothing_that_names_a_node_or_a_board_is_in_public_files(run):
    job, _ = run

    public = job.card + json.dumps(job.record)
    secrets = [platform.node(), *(node.boot for node in job.nodes)]
    secrets += [board.uuid for node in job.nodes for board in node.boards]
    # A host that is called "vm" is not named by every word that has these letters.
    assert [secret for secret in secrets if re.search(rf"\b{re.escape(secret)}\b", public)] == []


@pytest.mark.parametrize(
    "name", ["torchrun by exec, shared folder", "shared folder", "folders of their own", "srun"]
)
def test_the_card_names_all_nodes_and_their_gpus(done, name):
    card = done[name].card

    hardware = re.search(r"^- \*\*Hardware Type:\*\* (.*)$", card, flags=re.MULTILINE)[1]
    assert hardware.startswith("2 nodes × 2 × NVIDIA Stand-in 80GB (80 GiB)")
    assert "4 of" not in hardware


def test_no_file_is_written_to_the_shared_folder_by_each_tick(done):
    job = done["ledgers on the nodes' own disks"]

    shared = [file for file in (job.shared / "_autocard").rglob("*") if file.is_file()]
    assert 0 < len(shared) <= 3 * len(job.nodes)
