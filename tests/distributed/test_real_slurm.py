"""Trainings in jobs of a real Slurm: requeued, cancelled, out of time, side by side, on a node that fails.

The truth is the tests' own: the power of the stand-in GPUs and of the nodes' meters, times the
seconds between the moments that slurm_training.py logged; and what sacct says.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from support import TESTS
from support.slurm_cluster import wait_until
from support.slurm_daemons import GPU_W, METER_W, NODE, NODES
from support.slurm_site import (
    MULTINODE,
    STEP_S,
    TICK_S,
    Site,
    Spell,
    assert_nothing_private,
    record_of,
    spells,
    wait_for_step,
)

pytest_plugins = ["support.nvml_fixtures", "support.slurm_fixtures"]
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]
TWO_NODES = ("--cpus-per-task=2", "--gpus-per-node=1")
"""Of the example's options, those that ask for more than the nodes have."""
ON_NODE_1 = ("--nodes=1", "--ntasks=1", "--cpus-per-task=1", f"--nodelist={NODE}1")


@pytest.fixture(scope="module")
def site(slurm, tmp_path_factory):
    return Site(slurm, tmp_path_factory.mktemp("plantedfolder"))


def test_sacct_has_the_energy_that_the_nodes_meters_counted(slurm, tmp_path):
    script = tmp_path / "sleep.sbatch"
    script.write_text("#!/bin/sh\nexec srun sleep 5\n", encoding="ascii")

    job = slurm.submit(script, options=["--nodes=2"], folder=tmp_path)

    assert slurm.wait_for(job) == "COMPLETED"
    step = next(row for row in slurm.sacct(job) if row.job == f"{job}.0")
    assert step.nodes == 2
    # Slurm's times are whole seconds, and its readings of the meter one second apart
    assert step.energy_j == pytest.approx(2 * METER_W * 5, rel=0.25)


@dataclass
class Chain:
    """One run in two jobs, of which the first had two starts; what was seen on the way."""

    output: Path
    jobs: list[str]
    after_signal: dict
    reconciled: subprocess.CompletedProcess


@pytest.fixture(scope="module")
def limited(site):
    """A job that Slurm ends when its minute is up."""
    job = site.train(
        site.one_process, site.folder / "limited", 4000, "--time=1", *ON_NODE_1, STEP_S="0.5"
    )
    wait_for_step(site, job, 1)
    return job


@pytest.fixture(scope="module")
def chain(site, limited):
    """Signalled, requeued, resumed; cancelled; another job in the same folder, which comes to the end."""
    cluster, output = site.cluster, site.folder / "out"
    assert cluster.job(limited)["JobState"] == "RUNNING"  # until its minute is up

    first = site.train(MULTINODE, output, 4000, *TWO_NODES)
    wait_for_step(site, first, 60)
    cluster.run("scancel", "--signal=USR1", "--batch", first)  # as --signal=B:USR1@300 does
    wait_until(lambda: cluster.job(first)["Restarts"] == "1")
    after_signal = record_of(output)
    cluster.start_requeued(first)
    resumed_at = after_signal["run"]["global_step"]
    wait_for_step(site, first, resumed_at + 45, start=1)
    cluster.run("scancel", first)
    cluster.wait_for(first)

    second = site.train(MULTINODE, output, resumed_at + 100, *TWO_NODES)
    assert cluster.wait_for(second) == "COMPLETED", site.output_of(second)[-4000:]
    cluster.sacct(first, second)
    return Chain(output, [first, second], after_signal, site.autocard("reconcile", output))


def test_a_job_that_is_signalled_stops_with_a_checkpoint_and_is_requeued(chain):
    record = chain.after_signal

    assert record["run"]["status"] == "stopped"
    assert record["run"]["global_step"] % 5 == 0
    assert [leg["status"] for leg in record["legs"]] == ["stopped"]


def test_a_chain_of_jobs_is_one_run_of_three_legs(site, chain):
    record = record_of(chain.output)
    requeued, resubmitted = chain.jobs

    assert [leg["status"] for leg in record["legs"]] == ["stopped", "interrupted", "finished"]
    first, second, third = record["legs"]
    assert second["step_begin"] == first["step_end"]
    assert second["step_end"] == spells(site, requeued, 1)[0].last_step
    assert record["time"]["repeated_steps"] == second["step_end"] - third["step_begin"]
    assert record["run"]["status"] == "finished"
    assert record["job"]["job_id"] == resubmitted
    assert [len(leg["hosts"]) for leg in record["legs"]] == [2, 2, 2]


def test_the_energy_of_a_chain_is_that_of_its_gpus_within_one_percent(site, chain):
    record = record_of(chain.output)
    requeued, resubmitted = chain.jobs
    starts = [(requeued, 0), (requeued, 1), (resubmitted, 0)]

    of_legs = [spells(site, *start) for start in starts]

    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(
        sum(spell.joules for leg in of_legs for spell in leg), rel=0.01
    )
    for leg, logged in zip(record["legs"], of_legs, strict=True):
        assert_leg_is_as_logged(leg, logged)


def assert_leg_is_as_logged(leg: dict, logged: list[Spell]) -> None:
    """Assert that a leg has each node once, with its own GPU, for the time that the log shows.

    A training that is killed runs on after its last step, for less than a tick here.
    """
    assert len(leg["hosts"]) == len(logged) > 0
    assert leg["wall_clock_s"] == pytest.approx(max(spell.seconds for spell in logged), abs=TICK_S)
    used_j = sorted(device["energy_j"] for host in leg["hosts"] for device in host["devices"])
    assert len(used_j) == len(logged)
    for joules, spell in zip(used_j, sorted(logged, key=lambda one: one.joules), strict=True):
        after_s = TICK_S if leg["status"] == "interrupted" else 0.0
        assert 0.99 * spell.joules <= joules <= 1.01 * spell.joules + GPU_W[spell.node] * after_s


def test_a_chain_is_compared_with_the_joules_of_both_its_jobs(site, chain):
    rows = site.cluster.sacct(*chain.jobs)
    starts = [row for row in rows if row.job in chain.jobs]

    assert chain.reconciled.returncode == 0, chain.reconciled.stderr
    (comparison,) = record_of(chain.output)["reconciliations"]
    assert len(starts) == 3
    true_j = METER_W * sum(row.nodes * row.elapsed_s for row in starts)
    assert comparison["metered_kwh"] * 3.6e6 == pytest.approx(true_j, rel=0.1)
    assert len(comparison["legs"]) == 3
    assert comparison["verdict"] == "plausible"
    assert f"jobs {chain.jobs[0]}, {chain.jobs[1]}" in chain.reconciled.stdout


def test_each_start_of_a_chain_knows_its_job_and_the_card_says_how_many_there_were(chain):
    record = record_of(chain.output)
    requeued, resubmitted = chain.jobs

    known = [(leg["job_id"], leg["job"]["restarts"]) for leg in record["legs"]]
    assert known == [(requeued, 0), (requeued, 1), (resubmitted, 0)]
    card = (chain.output / "README.md").read_text(encoding="utf-8")
    assert "launched by torchrun in 2 Slurm jobs (3 starts)" in card


def test_machines_of_a_chain_keep_the_names_of_its_first_record(chain):
    first, last = chain.after_signal, record_of(chain.output)

    def names(record):
        """Return energy of a GPU in the first leg → the name of its host."""
        hosts = record["legs"][0]["hosts"]
        return {host["devices"][0]["energy_j"]: host["host"] for host in hosts}

    assert names(last) == names(first)
    assert sorted(names(first).values()) == ["h1", "h2"]


def test_the_node_local_folder_of_a_job_that_came_to_its_end_is_removed(site, chain):
    disks = [site.cluster.folder / f"local-{number}" for number in NODES]

    assert [disk for disk in disks if (disk / f"autocard-{chain.jobs[1]}").exists()] == []


def test_nothing_of_the_cluster_is_public_and_no_process_is_left(site, chain):
    assert_nothing_private(chain.output)
    wait_until(lambda: not site.cluster.trainings(), lambda: str(site.cluster.trainings()))
    assert site.cluster.trainings() == []


@pytest.fixture(scope="module")
def array(site):
    """An array of two tasks side by side on one node: one comes to its end, one is cancelled for good."""
    job = site.train(site.one_process, site.folder / "array", 1, *ON_NODE_1, "--array=0-1")
    tasks = [f"{job}_{task}" for task in range(2)]
    for task in tasks:
        site.cluster.wait_for(task, "RUNNING")
    raw = [site.cluster.job(task)["JobId"] for task in tasks]
    assert site.cluster.wait_for(f"{job}_0") == "COMPLETED", site.output_of(raw[0])[-4000:]
    wait_for_step(site, raw[1], 50)
    site.cluster.run("scancel", f"{job}_1")
    assert site.cluster.wait_for(f"{job}_1") == "CANCELLED"
    return job, raw


def test_two_jobs_on_one_node_have_half_of_its_cpus_each(site, array):
    job, raw = array
    record = record_of(site.folder / "array-0")

    (leg,) = record["legs"]
    assert_leg_is_as_logged(leg, spells(site, raw[0]))
    assert [host["cpu_share"] for host in leg["hosts"]] == [1 / (os.cpu_count() or 1)]
    assert (record["job"]["array_job_id"], record["job"]["array_task_id"]) == (job, "0")


def test_a_task_of_an_array_is_compared_with_its_own_joules(site, array):
    job, _ = array
    row = next(row for row in site.cluster.sacct(job) if row.job == f"{job}_0")

    done = site.autocard("reconcile", site.folder / "array-0")

    assert done.returncode == 0, done.stderr
    (comparison,) = record_of(site.folder / "array-0")["reconciliations"]
    assert comparison["metered_kwh"] * 3.6e6 == pytest.approx(METER_W * row.elapsed_s, rel=0.1)
    assert comparison["verdict"] == "doubtful"
    assert "share" in comparison["reason"]


def test_a_run_that_was_cancelled_for_good_gets_its_card_by_close(site, array):
    _, raw = array
    output = site.folder / "array-1"

    assert not (output / "autocard.json").exists()
    done = site.close(output)

    assert done.returncode == 0, done.stderr
    assert_closed(site, output, raw[1])


def assert_closed(site: Site, output: Path, job: str) -> None:
    """Assert that a record was closed with all that was logged, a tick at most excepted."""
    record, (logged,) = record_of(output), spells(site, job)
    (leg,) = record["legs"]
    assert record["run"]["status"] == leg["status"] == "interrupted"
    assert leg["step_end"] == record["run"]["global_step"]
    assert logged.last_step - TICK_S / STEP_S <= leg["step_end"] <= logged.last_step
    lost_j = GPU_W[logged.node] * (TICK_S + 0.5)
    used_j = record["energy"]["gpu_kwh"] * 3.6e6
    assert logged.joules - lost_j <= used_j <= logged.joules + lost_j
    assert_nothing_private(output)


def test_a_job_that_ran_out_of_time_gets_its_card_by_close(site, limited):
    output = site.folder / "limited"

    assert site.cluster.wait_for(limited) == "TIMEOUT"
    done = site.close(output)

    assert done.returncode == 0, done.stderr
    assert_closed(site, output, limited)
    reconciled = site.autocard("reconcile", output)
    assert reconciled.returncode == 0, reconciled.stderr
    assert len(record_of(output)["reconciliations"][0]["legs"]) == 1


def test_gpus_of_a_job_of_several_parts_are_not_counted_and_the_record_says_why(site):
    output = site.folder / "parts"
    part = ("--nodes=1", "--ntasks=1", "--cpus-per-task=1")

    job = site.train(site.one_process, output, 20, *part, ":", *part)

    assert site.cluster.wait_for(job) == "COMPLETED", site.output_of(job)[-4000:]
    record = record_of(output)
    assert record["hardware"]["gpus_allocated"] is None
    assert "heterogeneous" in record["missing"]["hardware.gpus_allocated"]
    assert_leg_is_as_logged(record["legs"][0], spells(site, job))
    assert_nothing_private(output)


@pytest.fixture(scope="module")
def failed_node(site):
    """A job of two nodes, of which one fails; requeued, and resumed when the node has been booted."""
    cluster, output = site.cluster, site.folder / "failed"
    job = site.train(MULTINODE, output, 110, *TWO_NODES)
    wait_for_step(site, job, 60)
    cluster.fail_node(2)
    wait_until(lambda: cluster.job(job)["JobState"] == "PENDING")
    cluster.boot_node(2)
    cluster.start_requeued(job)
    assert cluster.wait_for(job) == "COMPLETED", site.output_of(job)[-4000:]
    return job, output


def test_a_node_that_failed_is_counted_as_long_as_the_job_trained(site, failed_node):
    job, output = failed_node
    record = record_of(output)

    first, second = record["legs"]
    logged, again = spells(site, job), spells(site, job, 1)
    assert (first["status"], second["status"]) == ("interrupted", "finished")
    assert (first["repeated_steps"], second["step_begin"]) == (first["step_end"] - 40, 40)
    assert_leg_is_as_logged(second, again)
    # Nothing is left of what the node wrote on its own disk since the checkpoint.
    assert_leg_is_as_logged(first, logged)
    (extrapolated,) = [
        host
        for host in first["hosts"]
        if re.search(r"last [\d.]+ s extrapolated", host["sources"]["gpu"])
    ]
    assert extrapolated["devices"][0]["energy_j"] / first["wall_clock_s"] == pytest.approx(
        GPU_W[2], rel=0.01
    )
    assert len({host["host"] for leg in record["legs"] for host in leg["hosts"]}) == 3
    assert_nothing_private(output)
    wait_until(lambda: not site.cluster.trainings(), lambda: str(site.cluster.trainings()))


@pytest.mark.usefixtures("slurm")  # which skips where there can be none
def test_daemons_and_jobs_end_when_the_tests_are_killed(nvml_library, tmp_path):
    program = (
        "import os, pathlib, signal, sys\n"
        "from support import nvml_stand_in, slurm_cluster\n"
        "here = pathlib.Path(sys.argv[2])\n"
        "machine = nvml_stand_in.make_machine(pathlib.Path(sys.argv[1]), here / 'nvml', [])\n"
        "cluster = slurm_cluster.SlurmCluster(machine)\n"
        "print(cluster.folder, flush=True)\n"
        "cluster.submit(here / 'job.sbatch', folder=here)\n"
        "slurm_cluster.wait_until((here / 'began').exists)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "nvml").mkdir()
    (tmp_path / "job.sbatch").write_text("#!/bin/sh\ntouch began\nsetsid sleep 300\n")

    killed = subprocess.run(
        [sys.executable, "-c", program, nvml_library, tmp_path],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert killed.returncode == -signal.SIGKILL
    folder = Path(killed.stdout.strip())
    wait_until(lambda: not folder.exists(), lambda: str(folder))
    assert left_in(folder) == left_in(tmp_path) == []


def left_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that were started for *folder* or run in it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), process.cwd(), process.environ().get("SLURM_CONF", "")]
            if any(str(folder) in word for word in words):
                found.append(process)
    return found
