"""Each leg of a run knows the job that it ran in: real trainings, killed and resumed in other jobs, or in none."""

from __future__ import annotations

import json
import shutil

import pytest

from support.killed_trainings import TrainingServer, last_whole_checkpoint, wait_until

PLANTED = {
    "SLURM_JOB_USER": "planteduser",
    "SLURM_JOB_ACCOUNT": "plantedaccount",
    "SLURM_JOB_NAME": "plantedname",
    "SLURM_JOB_NODELIST": "plantednode1",
    "SLURM_SUBMIT_DIR": "/planted/folder",
}
STARTS = [
    {"SLURM_JOB_ID": "22", **PLANTED},
    {
        "SLURM_JOB_ID": "31",
        "SLURM_ARRAY_JOB_ID": "30",
        "SLURM_ARRAY_TASK_ID": "2",
        "SLURM_RESTART_COUNT": "1",
        **PLANTED,
    },
    {"PBS_JOBID": "77.plantedhead"},
    {},
]
"""Environment of each start: a Slurm job, a requeued task of an array, a PBS job, a workstation."""
EXPECTED = [
    ("22", "slurm", None, None, 0),
    ("31", "slurm", "30", "2", 1),
    ("77", "pbs", None, None, None),
    (None, None, None, None, None),
]
"""Number, manager, array, task and restarts of each leg."""


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Folder of a run in four starts; the ledger of the first one is lost, its checkpoint is not."""
    top, server = tmp_path_factory.mktemp("jobs"), TrainingServer()
    first, folder = top / "first", top / "run"
    for number, environ in enumerate(STARTS):
        where = folder if number else first
        last = number == len(STARTS) - 1
        resume = last_whole_checkpoint(where)
        if number == 1:
            shutil.copytree(first, folder)
            shutil.rmtree(folder / "_autocard")
            shutil.rmtree(first)
            resume = last_whole_checkpoint(folder)
        leg = server.start(
            where,
            name=str(number),
            resume=resume,
            env=environ,
            patient=last,
            args={"max_steps": 60, "save_steps": 10, "save_total_limit": 2},
        )
        if last:
            leg.finish()
            continue
        reached = 12 * (number + 1)
        wait_until(lambda leg=leg, step=reached: leg.last_step and leg.last_step >= step)
        wait_until(lambda where=where: list((where / "_autocard").glob("leg-*")))
        leg.kill(everything=number % 2 == 0)
    server.close()
    return folder


def record(folder):
    return json.loads((folder / "autocard.json").read_text())


@pytest.mark.slow
def test_each_leg_has_the_number_of_the_job_that_it_ran_in(moved):
    legs = record(moved)["legs"]

    names = ("workload_manager", "array_job_id", "array_task_id", "restarts")
    found = [(leg["job_id"], *(leg["job"][name] for name in names)) for leg in legs]
    assert found == EXPECTED


@pytest.mark.slow
def test_a_leg_outside_of_a_job_has_a_reason_and_the_others_need_none(moved):
    missing = record(moved)["missing"]

    assert "no workload manager" in missing["legs.3.job_id"]
    assert "no workload manager" in missing["legs.3.job"]
    assert [f"legs.{number}.job_id" in missing for number in range(3)] == [False] * 3


@pytest.mark.slow
def test_checkpoint_and_ledger_hold_the_jobs_numbers_and_no_name_of_user_node_or_job(moved):
    states = sorted(moved.glob("checkpoint-*/trainer_state.json"))
    entries = sorted((moved / "_autocard").glob("leg-*.json"))

    texts = [path.read_text() for path in (*states, *entries, moved / "autocard.json")]

    assert len(entries) == len(STARTS) - 1  # that of the first start was lost
    assert [text for text in texts if "planted" in text] == []
    travelled = json.loads(states[-1].read_text())["stateful_callbacks"]["autocard"]["attributes"]
    assert [entry["leg"]["job_id"] for entry in travelled["legs"]] == ["22", "31", "77"]
