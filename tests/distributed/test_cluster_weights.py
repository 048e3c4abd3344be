"""A training on several nodes ends with the same weights, and the same random numbers to come, as without autocard."""

from __future__ import annotations

import pytest

from support.cluster_rig import OURS, Job

pytest_plugins = ["support.nvml_fixtures", "support.cluster_fixtures"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KINDS = {"DDP": ("", "torchrun"), "FSDP": ("FSDP", "torchrun"), "FSDP2": ("FSDP2", "srun")}
WRAPPERS = {"FSDP": "FullyShardedDataParallel", "FSDP2": "FSDPBertForSequenceClassification"}


@pytest.fixture(scope="module")
def trained(rig):
    jobs = {}
    for kind, (loop, launcher) in KINDS.items():
        for ours in (OURS, None):
            folder = rig.folder / "weights" / f"{kind}-{'without' if ours is None else 'with'}"
            job = Job(
                folder,
                rig.nodes(2, 2 if kind == "DDP" else 1),
                launcher,
                ours,
                steps=12,
                step_s=0.15,
            )
            job.loop, job.patient = loop, ours is not None
            jobs[kind, ours is not None] = job
    return rig.run_all(jobs, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_random_numbers_are_the_same_to_the_bit(trained, kind):
    with_us, without = trained[kind, True], trained[kind, False]

    assert with_us.statuses == without.statuses == [0] * len(without.statuses)
    found = [rank.weights for rank in with_us.ranks]
    assert None not in found
    assert found == [rank.weights for rank in without.ranks]
    assert [rank.chance for rank in with_us.ranks] == [rank.chance for rank in without.ranks]
    assert (with_us.shared / "README.md").exists()
    assert not (without.shared / "README.md").exists()


@pytest.mark.parametrize("kind", WRAPPERS)
def test_the_sharded_training_is_known_as_what_it_is_and_adds_up(trained, kind):
    job = trained[kind, True]

    record = job.record
    assert {rank.kind for rank in job.ranks} == {WRAPPERS[kind]}
    assert record["job"]["distributed"] == kind
    assert record["job"]["processes_reporting"] == 2
    used = job.joules(0) + job.joules(1)
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(used, rel=0.01, abs=20)
