"""Trainings on several nodes that are started again where they stand: by torchrun itself, by a second `train()`."""

from __future__ import annotations

import json

import pytest

from support.cluster_rig import Job

pytest_plugins = ["support.nvml_fixtures", "support.cluster_fixtures"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SAVES = {"save_strategy": "steps", "save_steps": 5}


@pytest.fixture(scope="module")
def done(rig):
    def job(name, nodes=2, **changes):
        folder = rig.folder / "again" / name
        return Job(
            folder, rig.nodes(nodes), patient=True, **{"steps": 20, "step_s": 0.15, **changes}
        )

    killed = [{"rank": 1, "at": 12, "do": "kill"}]
    # as others' callbacks do there
    held_up = [{"rank": 0, "at": "begin", "do": "sleep", "for_s": 3.0}]
    return rig.run_all(
        {
            "restarted": job(
                "restarted",
                1,
                launcher="torchrun, c10d",
                restarts=1,
                faults=killed,
                args=SAVES,
                resume="last",
            ),
            "twice": job("twice", trainings=2, launcher="torchrun, c10d"),
            "late": job("late", launcher="srun", faults=held_up),
            "more": job("more", launcher="srun", more=0),
            "evaluated": job(
                "evaluated", evaluations=2, launcher="srun", args={"per_device_eval_batch_size": 1}
            ),
        },
        3,
    )


def moments(rank, word):
    return [float(line[-1]) for line in rank.lines if line[0] == word]


def test_torchruns_own_restart_is_a_second_leg_of_the_same_run(done):
    job = done["restarted"]

    record = job.record
    assert set(job.statuses) == {0}
    assert [leg["status"] for leg in record["legs"]] == ["interrupted", "finished"]
    assert [leg["step_begin"] for leg in record["legs"]] == [0, 10]
    assert [len(leg["hosts"]) for leg in record["legs"]] == [1, 1]
    assert [len(host["devices"]) for leg in record["legs"] for host in leg["hosts"]] == [2, 2]
    assert record["job"]["processes_reporting"] == 2
    assert record["job"]["launcher_restarts"] == 1


def test_what_was_used_before_torchruns_restart_counts_too(done):
    job = done["restarted"]

    before, after = job.record["legs"]
    killed_s = moments(job.ranks[1], "kill")[0]
    for leg, begin_s, end_s, margin_s in (
        (before, moments(job.ranks[0], "begin")[0], killed_s, 1.5),
        (after, moments(job.ranks[0], "begin")[1], moments(job.ranks[0], "end")[-1], 0.1),
    ):
        told = [sum(device["energy_j"] for device in host["devices"]) for host in leg["hosts"]]
        watts = [sum(board.watts for board in node.boards) for node in job.nodes]
        used = sorted(power * (end_s - begin_s) for power in watts)
        assert sorted(told) == pytest.approx(used, abs=margin_s * max(watts))


def test_processes_that_begin_before_the_one_that_writes_learn_what_run_and_leg_are_called(done):
    job = done["late"]

    (leg,), run = job.record["legs"], job.record["run"]
    entries = [
        json.loads(file.read_text()) for file in (job.shared / "_autocard").glob("leg-*.json")
    ]
    named = [
        entry
        for entry in entries
        if (entry["leg"]["id"], entry["run_id"]) == (leg["id"], run["id"])
    ]
    # A later leg finds what each host has written; what stands under a name that was made up is
    # nobody's.
    assert len({entry["host_id"] for entry in named}) == len(leg["hosts"]) == len(job.nodes)
    assert job.record["energy"]["total_kwh"] > 0


def test_a_second_training_of_the_same_processes_is_counted_by_itself(done):
    job = done["twice"]

    record = job.record
    assert set(job.statuses) == {0}
    begin_s, end_s = moments(job.ranks[0], "begin")[1], moments(job.ranks[0], "end")[1]
    used = [sum(board.watts for board in node.boards) * (end_s - begin_s) for node in job.nodes]
    assert len(record["legs"]) == 1
    assert len(record["legs"][0]["hosts"]) == 2
    assert record["job"]["processes_reporting"] == 4
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(sum(used), rel=0.01, abs=20)
    assert record["energy"]["total_kwh"] > 0


def test_a_trainer_more_in_one_rank_does_not_keep_the_ranks_from_meeting(done):
    job = done["more"]

    record = job.record
    assert set(job.statuses) == {0}
    assert record["job"]["processes_reporting"] == 4
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(
        job.joules(0) + job.joules(1), rel=0.01, abs=20
    )
    assert max(rank.ending_s for rank in job.ranks) < 6


def test_evaluations_after_training_are_measured_on_all_nodes_and_stand_apart(done):
    job = done["evaluated"]

    record = job.record
    assert set(job.statuses) == {0}
    used = 0.0
    for number, node in enumerate(job.nodes):
        # A node whose evaluation waits for the node that still writes the card is in use, too.
        spent = [
            sum(moments(rank, "evaluated")) - sum(moments(rank, "evaluates"))
            for rank in job.of_node(number)
        ]
        used += sum(board.watts for board in node.boards) * max(spent)
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(
        job.joules(0) + job.joules(1), rel=0.01, abs=20
    )
    # The trainer's own figure for how long it took leaves out some of what is around it.
    assert 0.2 * used < record["energy"]["evaluation_kwh"] * 3.6e6 < 1.2 * used
    assert record["job"]["processes_reporting"] == 4
    assert record["evaluation"]["results"]
