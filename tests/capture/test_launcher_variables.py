"""What workload managers and launchers say of a job, from environments in the form that their manuals give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autocard.capture.environment import gpu_allocation, hardware, launcher, scheduler
from autocard.card.fields import facts, jobs
from autocard.errors import UnavailableError
from autocard.record import Job, Leg, RunRecord, empty_leaves
from autocard.record.gaps import why
from autocard.record.legs import JOB_NOT_RECORDED
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import records
from support.captured import value_of
from support.nvml_stand_in import python

SECRETS = {
    "SLURM_JOB_USER": "secretalice",
    "SLURM_JOB_ACCOUNT": "secretaccount",
    "SLURM_JOB_PARTITION": "secretpartition",
    "SLURM_JOB_NODELIST": "secretnode[01-04]",
    "SLURM_JOB_NAME": "secretname",
    "SLURM_SUBMIT_DIR": "/secret/work",
    "SLURMD_NODENAME": "secretnode01",
    "PBS_O_HOST": "secretlogin",
    "PBS_O_WORKDIR": "/secret/work",
    "LSB_HOSTS": "secretnode01 secretnode02",
    "SGE_O_WORKDIR": "/secret/work",
    "HOSTNAME": "secretpod",
    "MASTER_ADDR": "secretnode01",
}
"""Set in every environment here; nothing of it may be told."""


@dataclass
class Case:
    environ: dict[str, str]
    world_size: int
    told: dict[str, Any] = field(default_factory=dict)
    """Leaf of the job → value; all other leaves that these variables are about are None."""
    nodes: int | None = 1
    """Nodes that train."""
    gpus: int | str = "no workload manager"
    """GPUs that were given, or part of the reason why that is not known."""


def slurm(number: str = "4711", nodes: int = 1, **more: str) -> dict[str, str]:
    """What sbatch gives to a script."""
    return {
        "SLURM_JOB_ID": number,
        "SLURM_JOBID": number,
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_NNODES": str(nodes),
        "SLURM_CPUS_ON_NODE": "64",
        "SLURM_JOB_CPUS_PER_NODE": f"64(x{nodes})" if nodes > 1 else "64",
        "SLURM_MEM_PER_NODE": "512000",
        **more,
    }


def step(tasks: int, nodes: int, number: str = "0", **more: str) -> dict[str, str]:
    """What srun adds, or sets anew, in a task."""
    return {
        "SLURM_STEP_ID": number,
        "SLURM_STEPID": number,
        "SLURM_STEP_NUM_NODES": str(nodes),
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_STEP_TASKS_PER_NODE": f"{tasks // nodes}(x{nodes})",
        "SLURM_NNODES": str(nodes),
        "SLURM_NTASKS": str(tasks),
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        **more,
    }


def torchrun(nodes: int, of_a_node: int, restarts: int = 0) -> dict[str, str]:
    return {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(nodes * of_a_node),
        "LOCAL_WORLD_SIZE": str(of_a_node),
        "GROUP_WORLD_SIZE": str(nodes),
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": str(restarts),
    }


IN_SLURM = {"workload_manager": "slurm", "job_id": "4711", "restarts": 0}
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
NOT_SAID = "do not show how many GPUs"

CASES = {
    "nothing": Case({}, 1),
    "torchrun at home": Case(torchrun(1, 4), 4, {"launcher": "torchrun", "launcher_restarts": 0}),
    "torchrun on three nodes, restarted": Case(
        torchrun(3, 8, restarts=2), 24, {"launcher": "torchrun", "launcher_restarts": 2}, nodes=3
    ),
    "accelerate launch": Case(
        {
            **torchrun(1, 2),
            "ACCELERATE_DYNAMO_USE_FULLGRAPH": "False",
            "ACCELERATE_MIXED_PRECISION": "bf16",
        },
        2,
        {"launcher": "accelerate launch", "launcher_restarts": 0},
    ),
    "accelerate launch with DeepSpeed": Case(
        {
            **torchrun(2, 4),
            "ACCELERATE_CONFIG_DS_FIELDS": "zero_stage",
            "ACCELERATE_USE_DEEPSPEED": "true",
        },
        8,
        {"launcher": "accelerate launch", "launcher_restarts": 0},
        nodes=2,
    ),
    "accelerate launch with DeepSpeed's launcher on two nodes": Case(
        {
            "ACCELERATE_CONFIG_DS_FIELDS": "zero_stage",
            "CROSS_RANK": "0",
            "CROSS_SIZE": "2",
            "LOCAL_SIZE": "4",
        },
        8,
        {"launcher": "accelerate launch"},
        nodes=2,
    ),
    "variables that transformers sets are not accelerate launch": Case(
        {
            **torchrun(1, 2),
            "ACCELERATE_MIXED_PRECISION": "bf16",
            "ACCELERATE_DYNAMO_BACKEND": "inductor",
        },
        2,
        {"launcher": "torchrun", "launcher_restarts": 0},
    ),
    "deepspeed": Case(
        {
            "RANK": "0",
            "LOCAL_RANK": "0",
            "WORLD_SIZE": "16",
            "CROSS_RANK": "0",
            "CROSS_SIZE": "2",
            "LOCAL_SIZE": "8",
        },
        16,
        {"launcher": "deepspeed"},
        nodes=2,
    ),
    "Slurm, one node, one process": Case(
        slurm(SLURM_GPUS_ON_NODE="1", SLURM_JOB_GPUS="3", SLURM_NTASKS="1"),
        1,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 1},
        gpus=1,
    ),
    "Slurm, torchrun by srun on two nodes": Case(
        {
            **slurm(
                nodes=2,
                SLURM_GPUS_PER_NODE="a100:4",
                SLURM_JOB_GPUS="0,1,2,3",
                SLURM_GPUS_ON_NODE="4",
            ),
            **step(tasks=2, nodes=2),
            **torchrun(2, 4),
        },
        8,
        {
            **IN_SLURM,
            "nodes_allocated": 2,
            "tasks": 2,
            "step_id": "0",
            "launcher": "torchrun",
            "launcher_restarts": 0,
        },
        nodes=2,
        gpus=8,
    ),
    "Slurm, torchrun without srun on one of two nodes": Case(
        {
            **slurm(
                nodes=2,
                SLURM_GPUS_PER_NODE="4",
                SLURM_JOB_GPUS="0-3",
                SLURM_NTASKS="2",
                SLURM_TASKS_PER_NODE="1(x2)",
            ),
            **torchrun(1, 4),
        },
        4,
        {
            **IN_SLURM,
            "nodes_allocated": 2,
            "tasks": 2,
            "launcher": "torchrun",
            "launcher_restarts": 0,
        },
        nodes=1,
        gpus=8,
    ),
    "Slurm, a rank for each task of srun": Case(
        {
            **slurm(
                nodes=4, SLURM_GPUS_PER_TASK="1", SLURM_JOB_GPUS="0,1,2,3", SLURM_GPUS_ON_NODE="4"
            ),
            **step(tasks=16, nodes=4, number="2"),
            "RANK": "0",
            "WORLD_SIZE": "16",
        },
        16,
        {**IN_SLURM, "nodes_allocated": 4, "tasks": 16, "step_id": "2", "launcher": "srun"},
        nodes=4,
        gpus=16,
    ),
    "Slurm, a step on two of four nodes": Case(
        {
            **slurm(nodes=4, SLURM_GPUS_PER_NODE="2", SLURM_JOB_GPUS="0,1"),
            **step(tasks=4, nodes=2, number="1"),
        },
        4,
        {**IN_SLURM, "nodes_allocated": 4, "tasks": 4, "step_id": "1", "launcher": "srun"},
        nodes=2,
        gpus=8,
    ),
    "Slurm, tasks of srun that each train alone": Case(
        {**slurm(nodes=2, SLURM_GPUS="4"), **step(tasks=4, nodes=2)},
        1,
        {**IN_SLURM, "nodes_allocated": 2, "tasks": 4, "step_id": "0", "launcher": "srun"},
        nodes=1,
        gpus=4,
    ),
    "Slurm, a shell by srun --pty": Case(
        {**slurm(SLURM_GPUS_ON_NODE="1"), **step(tasks=1, nodes=1)},
        1,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 1, "step_id": "0"},
        gpus=1,
    ),
    "Slurm, salloc's own step has no number that tells": Case(
        {**slurm(SLURM_GPUS="2"), **step(tasks=1, nodes=1, number=str(0xFFFFFFFA))},
        1,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 1},
        gpus=2,
    ),
    "Slurm, an array, requeued": Case(
        slurm(
            "4733",
            SLURM_ARRAY_JOB_ID="4730",
            SLURM_ARRAY_TASK_ID="3",
            SLURM_ARRAY_TASK_COUNT="8",
            SLURM_RESTART_COUNT="2",
            SLURM_NTASKS="1",
        ),
        1,
        {
            **IN_SLURM,
            "job_id": "4733",
            "array_job_id": "4730",
            "array_task_id": "3",
            "restarts": 2,
            "nodes_allocated": 1,
            "tasks": 1,
        },
        gpus=NOT_SAID,
    ),
    "Slurm, tasks node by node": Case(
        {
            **slurm(nodes=3, SLURM_TASKS_PER_NODE="4(x2),2", SLURM_GPUS="10"),
            "OMPI_COMM_WORLD_SIZE": "10",
        }
        | {"OMPI_COMM_WORLD_LOCAL_SIZE": "4"},
        10,
        {**IN_SLURM, "nodes_allocated": 3, "tasks": 10, "launcher": "mpirun (Open MPI)"},
        nodes=3,
        gpus=10,
    ),
    "Slurm, mpirun's daemons were started by srun": Case(
        {**slurm(nodes=2, SLURM_GPUS_ON_NODE="4"), **step(tasks=2, nodes=2)}
        | {
            "OMPI_COMM_WORLD_SIZE": "8",
            "OMPI_COMM_WORLD_RANK": "0",
            "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
        },
        8,
        {
            **IN_SLURM,
            "nodes_allocated": 2,
            "tasks": 2,
            "step_id": "0",
            "launcher": "mpirun (Open MPI)",
        },
        nodes=2,
        gpus=8,
    ),
    "Slurm, GPUs of two kinds": Case(
        slurm(SLURM_GPUS="a100:2,v100:1", SLURM_JOB_GPUS="0,1,4", SLURM_NTASKS="1"),
        1,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 1},
        gpus=3,
    ),
    "Slurm, GPUs by --gres on each of two nodes": Case(
        slurm(nodes=2, SLURM_GPUS_ON_NODE="4", SLURM_NTASKS="2"),
        1,
        {**IN_SLURM, "nodes_allocated": 2, "tasks": 2},
        gpus=8,
    ),
    "Slurm, an exclusive node has more than was asked for": Case(
        slurm(
            SLURM_GPUS="2",
            SLURM_JOB_GPUS="0,1,2,3,4,5,6,7",
            SLURM_GPUS_ON_NODE="8",
            SLURM_NTASKS="1",
        ),
        1,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 1},
        gpus=8,
    ),
    "Slurm, exclusive nodes with more than was asked for": Case(
        slurm(nodes=2, SLURM_GPUS_PER_NODE="1", SLURM_JOB_GPUS="0-7", SLURM_NTASKS="2"),
        1,
        {**IN_SLURM, "nodes_allocated": 2, "tasks": 2},
        gpus="contradict each other: 2 GPUs were asked for on 2 nodes, and this node has 8",
    ),
    "Slurm, a node that has fewer than was asked for": Case(
        slurm(SLURM_GPUS="4", SLURM_JOB_GPUS="0", SLURM_NTASKS="1"),
        1,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 1},
        gpus="contradict",
    ),
    "Slurm, a step with fewer GPUs than its job": Case(
        {
            **slurm(SLURM_JOB_GPUS="0-7", SLURM_GPUS_ON_NODE="2"),
            **step(tasks=2, nodes=1, SLURM_GPUS_PER_TASK="1"),
        },
        2,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 2, "step_id": "0", "launcher": "srun"},
        gpus=8,
    ),
    "Slurm, parts of a GPU": Case(
        slurm(SLURM_SHARDS_ON_NODE="2", SLURM_JOB_GPUS="0", SLURM_NTASKS="1"),
        1,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 1},
        gpus="shards",
    ),
    "Slurm, slices of GPUs": Case(
        slurm(SLURM_GPUS_ON_NODE="7", CUDA_VISIBLE_DEVICES="MIG-2a-b,MIG-2a-c", SLURM_NTASKS="1"),
        1,
        {**IN_SLURM, "nodes_allocated": 1, "tasks": 1},
        gpus="MIG",
    ),
    "Slurm, a job of two parts": Case(
        slurm(nodes=2, SLURM_HET_SIZE="2", SLURM_GPUS="4", SLURM_NTASKS="2"),
        1,
        {**IN_SLURM, "tasks": 2},
        gpus="several parts",
    ),
    "Slurm, nonsense": Case(
        slurm(
            nodes=1,
            SLURM_GPUS="many",
            SLURM_JOB_GPUS="none",
            SLURM_NTASKS="-1",
            SLURM_RESTART_COUNT="x",
            SLURM_STEP_ID="batch",
        ),
        1,
        {**IN_SLURM, "nodes_allocated": 1},
        gpus=NOT_SAID,
    ),
    "Slurm, processes by ssh on the nodes of a job": Case(
        slurm(nodes=2, SLURM_GPUS="8", SLURM_NTASKS="2"),
        8,
        {**IN_SLURM, "nodes_allocated": 2, "tasks": 2},
        nodes=None,
        gpus=8,
    ),
    "OpenPBS, an array": Case(
        {
            "PBS_JOBID": "1234[5].secrethead.example",
            "PBS_ARRAY_INDEX": "5",
            "PBS_ENVIRONMENT": "PBS_BATCH",
        },
        1,
        {"workload_manager": "pbs", "job_id": "1234", "array_job_id": "1234", "array_task_id": "5"},
        gpus=NOT_SAID,
    ),
    "Torque with MVAPICH": Case(
        {
            "PBS_JOBID": "815.secrethead",
            "PBS_NUM_NODES": "2",
            "MV2_COMM_WORLD_SIZE": "8",
            "MV2_COMM_WORLD_LOCAL_SIZE": "4",
        },
        8,
        {
            "workload_manager": "pbs",
            "job_id": "815",
            "nodes_allocated": 2,
            "launcher": "mpirun (MVAPICH)",
        },
        nodes=2,
        gpus=NOT_SAID,
    ),
    "PBS with PALS": Case(
        {
            "PBS_JOBID": "77.secrethead",
            "PALS_RANKID": "0",
            "PALS_LOCAL_SIZE": "12",
            "PMI_SIZE": "24",
            "PMI_LOCAL_SIZE": "12",
        },
        24,
        {"workload_manager": "pbs", "job_id": "77", "launcher": "mpiexec (PALS)"},
        nodes=2,
        gpus=NOT_SAID,
    ),
    "LSF, an array, with Intel MPI": Case(
        {
            "LSB_JOBID": "99",
            "LSB_JOBINDEX": "4",
            "LSB_MCPU_HOSTS": "secretnode01 4 secretnode02 4",
            "LSB_DJOB_NUMPROC": "8",
            "PMI_SIZE": "8",
            "MPI_LOCALNRANKS": "4",
        },
        8,
        {
            "workload_manager": "lsf",
            "job_id": "99",
            "array_job_id": "99",
            "array_task_id": "4",
            "nodes_allocated": 2,
        }
        | {"tasks": 8, "launcher": "mpiexec (MPICH or Intel MPI)"},
        nodes=2,
        gpus=NOT_SAID,
    ),
    "LSF with jsrun, no array": Case(
        {
            "LSB_JOBID": "7",
            "LSB_JOBINDEX": "0",
            "JSM_NAMESPACE_SIZE": "12",
            "OMPI_COMM_WORLD_SIZE": "12",
        }
        | {"OMPI_COMM_WORLD_LOCAL_SIZE": "6"},
        12,
        {"workload_manager": "lsf", "job_id": "7", "launcher": "jsrun"},
        nodes=2,
        gpus=NOT_SAID,
    ),
    "Grid Engine, no array": Case(
        {
            "JOB_ID": "12",
            "SGE_ROOT": "/opt/secret",
            "SGE_TASK_ID": "undefined",
            "NHOSTS": "2",
            "NSLOTS": "8",
        },
        1,
        {"workload_manager": "sge", "job_id": "12", "nodes_allocated": 2},
        gpus=NOT_SAID,
    ),
    "Grid Engine, an array": Case(
        {"JOB_ID": "12", "SGE_ROOT": "/opt/secret", "SGE_TASK_ID": "3", "NHOSTS": "1"},
        1,
        {
            "workload_manager": "sge",
            "job_id": "12",
            "array_job_id": "12",
            "array_task_id": "3",
            "nodes_allocated": 1,
        },
        gpus=NOT_SAID,
    ),
    "somebody's own JOB_ID": Case({"JOB_ID": "12", "NHOSTS": "4"}, 1),
    "Flux": Case(
        {
            "FLUX_JOB_ID": "ƒ2Xz9",
            "FLUX_JOB_NNODES": "2",
            "FLUX_JOB_SIZE": "8",
            "FLUX_TASK_RANK": "0",
        },
        8,
        {"workload_manager": "flux", "nodes_allocated": 2, "tasks": 8, "launcher": "flux run"},
        nodes=2,
        gpus=NOT_SAID,
    ),
    "Kubernetes, a pod of an indexed job": Case(
        {**POD, "JOB_COMPLETION_INDEX": "3"},
        1,
        {"workload_manager": "kubernetes", "array_task_id": "3"},
        gpus=NOT_SAID,
    ),
    "Kubeflow, torchrun in each pod": Case(
        {
            **POD,
            "PET_NNODES": "2",
            "PET_NPROC_PER_NODE": "4",
            "PET_NODE_RANK": "0",
            **torchrun(2, 4),
        },
        8,
        {"workload_manager": "kubernetes", "launcher": "torchrun", "launcher_restarts": 0},
        nodes=2,
        gpus=NOT_SAID,
    ),
    "Kubeflow, Python in each pod": Case(
        {**POD, "PET_NNODES": "4", "WORLD_SIZE": "4", "RANK": "0"},
        4,
        {"workload_manager": "kubernetes"},
        nodes=4,
        gpus=NOT_SAID,
    ),
    "Ray's variables": Case(
        {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "NODE_RANK": "0"}, 8, nodes=2
    ),
    "eight processes of which nobody says where they are": Case(
        {"WORLD_SIZE": "8", "RANK": "0"}, 8, nodes=None
    ),
}
LEAVES = (
    "workload_manager",
    "job_id",
    "array_job_id",
    "array_task_id",
    "step_id",
    "nodes_allocated",
    "tasks",
    "restarts",
    "launcher",
    "launcher_restarts",
)
HERE = (*CASES,)


def look(environ: dict[str, str], world_size: int) -> tuple[Job, dict[str, str]]:
    missing: dict[str, str] = {}
    seen = observe(Settings(), SimpleNamespace(world_size=world_size), None, model=None)
    return value_of("job", launcher.capture, missing, seen, environ), missing


@pytest.mark.parametrize("name", CASES)
def test_of_a_job_what_its_variables_say_is_told_and_nothing_else(name):
    case = CASES[name]

    job, missing = look({**SECRETS, **case.environ}, case.world_size)

    assert {leaf: getattr(job, leaf) for leaf in LEAVES} == {
        leaf: case.told.get(leaf) for leaf in LEAVES
    }
    assert job.nodes_expected == case.nodes
    assert [path for path in empty_leaves(job, "job") if path not in missing] == []
    for word in ("secret", "10.0.0.1", "/opt", "/work"):
        assert word not in job.model_dump_json() + json.dumps(missing)


@pytest.mark.parametrize("name", CASES)
def test_the_gpus_that_a_job_was_given_are_counted_or_it_is_said_why_not(name, monkeypatch):
    case = CASES[name]
    for variable, value in {**SECRETS, **case.environ}.items():
        monkeypatch.setenv(variable, value)
    missing: dict[str, str] = {}
    args = SimpleNamespace(
        device=SimpleNamespace(type="cpu", index=None), n_gpu=0, world_size=case.world_size
    )

    found = value_of("hardware", hardware.capture, missing, observe(Settings(), args, None))

    assert found.nodes == case.nodes
    if isinstance(case.gpus, int):
        assert found.gpus_allocated == case.gpus
    else:
        assert found.gpus_allocated is None
        assert case.gpus in missing["hardware.gpus_allocated"]


@pytest.mark.parametrize("name", CASES)
def test_a_leg_is_given_its_job_s_numbers_and_a_reason_for_each_that_is_not_there(name):
    case = CASES[name]
    leaves = ("workload_manager", "array_job_id", "array_task_id", "restarts", "launcher")

    found = launcher.started_job(case.world_size, {**SECRETS, **case.environ})

    assert found.job_id == case.told.get("job_id")
    assert found.details.model_dump() == {leaf: case.told.get(leaf) for leaf in leaves}
    leg = Leg(id="", **found.of_leg())
    empty = [path for path in empty_leaves(leg) if path.partition(".")[0] in {"job", "job_id"}]
    assert [path for path in empty if why(found.gaps, path) is None] == []
    for word in ("secret", "10.0.0.1", "/opt", "/work"):
        assert word not in leg.model_dump_json() + json.dumps(found.gaps)


def test_hosts_in_pbs_own_file_are_counted_and_not_named(tmp_path):
    file = tmp_path / "nodes"
    file.write_text("secretnode01\nsecretnode01\nsecretnode02\n", encoding="ascii")

    job, missing = look({"PBS_JOBID": "5.secrethead", "PBS_NODEFILE": str(file)}, 1)
    elsewhere, _ = look({"PBS_JOBID": "5.secrethead", "PBS_NODEFILE": str(tmp_path / "gone")}, 1)

    assert (job.nodes_allocated, elsewhere.nodes_allocated) == (2, None)
    assert "secret" not in job.model_dump_json() + json.dumps(missing)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (slurm("1", SLURM_RESTART_COUNT="1"), slurm("1"), True),
        (slurm("1"), slurm("2"), False),
        (slurm("1", SLURM_CLUSTER_NAME="a"), slurm("1", SLURM_CLUSTER_NAME="b"), False),
        ({"LSB_JOBID": "1", "LSB_JOBINDEX": "1"}, {"LSB_JOBID": "1", "LSB_JOBINDEX": "2"}, False),
        (
            {"JOB_ID": "1", "SGE_ROOT": "/", "SGE_TASK_ID": "1"},
            {"JOB_ID": "1", "SGE_ROOT": "/", "SGE_TASK_ID": "2"},
            False,
        ),
        ({"PBS_JOBID": "1[1].head"}, {"PBS_JOBID": "1[2].head"}, False),
    ],
)
def test_jobs_are_told_apart_and_a_requeued_one_is_the_same(first, second, same):
    assert (launcher.identity(first) == launcher.identity(second)) is same


SHOW = """
import json, os, sys
from types import SimpleNamespace
from autocard.trainers.transformers import observe
from autocard.capture.environment import launcher as cluster
from autocard.settings import Settings
args = SimpleNamespace(world_size=int(os.environ.get("WORLD_SIZE", "1")))
job = cluster.capture(observe(Settings(), args, None, model=None)).value
line = json.dumps([job.launcher, job.launcher_restarts, job.nodes_expected, args.world_size])
open(f"{sys.argv[1]}/{os.environ.get('RANK', '0')}", "w").write(line)
"""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("torch.distributed.run", "--nproc-per-node", "2", "--standalone"), ["torchrun", 0, 1, 2]),
        (
            ("accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"),
            ["accelerate launch", None, 1, 1],
        ),
    ],
    ids=["torchrun", "accelerate"],
)
def test_real_launchers_are_known_by_what_they_leave(command, expected, tmp_path):
    script, told = tmp_path / "show.py", tmp_path / "told"
    script.write_text(SHOW, encoding="ascii")
    told.mkdir()
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ACCELERATE_", "TORCHELASTIC_"))
    }

    subprocess.run(
        [sys.executable, "-m", *command, str(script), str(told)],
        check=True,
        env=environ,
        timeout=200,
    )

    ranks = [json.loads(file.read_text()) for file in sorted(told.iterdir())]
    assert ranks == [expected] * expected[3]


def card_says(**job: Any) -> str:
    record = records.three_legs_on_gpus()
    hardware_part = record.hardware.model_copy(update={"nodes": 2})
    record = record.model_copy(
        update={"job": record.job.model_copy(update=job), "hardware": hardware_part}
    )
    return facts(record)["compute_infrastructure"].line


def test_the_card_says_who_started_the_training_and_how_often_again():
    both = {"launcher": "torchrun", "restarts": 2, "launcher_restarts": 1}

    assert card_says(**both).endswith(
        "launched by torchrun under Slurm, restarted 2 times by Slurm and once by torchrun"
    )
    assert card_says(launcher="srun", restarts=0).endswith("launched by srun under Slurm")
    assert card_says(workload_manager=None, launcher="deepspeed").endswith("launched by deepspeed")


def in_job(number: str | None, manager: str | None = "slurm", **more: Any) -> dict[str, Any]:
    """Return the job of a leg, as in the record's JSON."""
    launcher_name = more.pop("launcher", "torchrun")
    details = {"workload_manager": manager, "launcher": launcher_name, **more}
    return {"job_id": number, "job": details}


def in_jobs(*legs: dict[str, Any], missing: dict[str, str] | None = None) -> RunRecord:
    """Return a record whose last leg ran under torchrun, with these jobs of its legs."""
    record = records.three_legs_on_gpus()
    raw = record.model_dump()
    raw["legs"] = [
        {**leg, **job, "id": f"{number:012x}"}
        for number, (leg, job) in enumerate(zip(raw["legs"], legs, strict=False))
    ]
    raw["job"] |= {"launcher": "torchrun", "job_id": legs[-1]["job_id"]}
    raw["job"]["workload_manager"] = legs[-1]["job"]["workload_manager"]
    raw["missing"] = {**raw["missing"], **(missing or {})}
    return RunRecord.model_validate(raw)


OUTSIDE = in_job(None, None, launcher=None)
ARRAY = {"array_job_id": "7", "workload_manager": "lsf"}
CHAINS = {
    "one job, requeued": (
        [in_job("22", restarts=number) for number in range(3)],
        "torchrun under Slurm",
    ),
    "three jobs": ([in_job("22"), in_job("23"), in_job("24")], "torchrun in 3 Slurm jobs"),
    "two jobs, one of them requeued": (
        [in_job("22"), in_job("22", restarts=1), in_job("23")],
        "torchrun in 2 Slurm jobs (3 starts)",
    ),
    "another launcher in the same job": (
        [in_job("22", launcher="srun"), in_job("22", restarts=1)],
        "srun and torchrun in 1 Slurm job (2 starts)",
    ),
    "a launcher that is not known": (
        [in_job("22", launcher=None), in_job("23")],
        "Slurm in 2 jobs",
    ),
    "tasks of an array with one number for all": (
        [in_job("7", array_task_id="1", **ARRAY), in_job("7", array_task_id="2", **ARRAY)],
        "torchrun in 2 LSF jobs",
    ),
    "two managers": (
        [in_job("22"), in_job("77", "pbs", launcher="mpirun (Open MPI)"), in_job("23")],
        "torchrun in 2 Slurm jobs and by mpirun (Open MPI) in 1 PBS job",
    ),
    "pods, which have no numbers": (
        [in_job(None, "kubernetes"), in_job(None, "kubernetes"), in_job("22")],
        "torchrun under Kubernetes (2 starts) and by torchrun in 1 Slurm job",
    ),
}
"""Legs' jobs → how the sentence on the launcher ends after "launched by"."""


@pytest.mark.parametrize("name", CHAINS)
def test_the_card_says_in_how_many_jobs_a_run_was_trained(name):
    legs, ends = CHAINS[name]

    line = facts(in_jobs(*legs))["compute_infrastructure"].line

    assert line.endswith(f", launched by {ends}")


def test_a_run_that_goes_on_outside_of_any_job_is_not_said_to_be_one_job_s():
    why = {"legs.1.job": scheduler.NO_MANAGER}

    line = facts(in_jobs(in_job("22"), OUTSIDE, missing=why))["compute_infrastructure"].line

    assert line.endswith(
        "launched by torchrun in 1 Slurm job and without a workload manager (1 start)"
    )


@pytest.mark.parametrize("why", [None, JOB_NOT_RECORDED])
def test_starts_whose_job_was_not_recorded_are_in_no_count_of_jobs(why):
    record = in_jobs(OUTSIDE, in_job("22"), in_job("23"))
    missing = {path: text for path, text in record.missing.items() if path != "legs.0.job"}
    if why is not None:
        missing["legs.0.job"] = why

    line = facts(record.model_copy(update={"missing": missing}))["compute_infrastructure"].line

    assert line.endswith("launched by torchrun in 2 Slurm jobs, the job of 1 start not recorded")


def test_single_figures_name_all_jobs_managers_and_launchers_of_a_run():
    found = facts(in_jobs(in_job("22"), in_job("77", "pbs", launcher="srun"), in_job("22")))

    assert found["job_id"].line == "22, 77"
    assert found["workload_manager"].line == "slurm, pbs"
    assert found["launcher"].line == "torchrun, srun"


def test_the_card_says_so_where_a_job_had_more_nodes_than_trained():
    assert "2 of 4 allocated nodes used" in card_says(nodes_allocated=4)
    assert "allocated nodes" not in card_says(nodes_allocated=2)


def test_nodes_that_are_one_machine_and_ran_tasks_are_not_called_idle():
    record = records.three_legs_on_gpus()
    one_machine = record.hardware.model_copy(update={"nodes": 1})

    def says(**job: Any) -> str:
        changed = {"job": record.job.model_copy(update=job), "hardware": one_machine}
        return facts(record.model_copy(update=changed))["compute_infrastructure"].line

    assert "allocated nodes" not in says(nodes_allocated=2, launcher_nodes=2)
    assert "1 of 2 allocated nodes used" in says(nodes_allocated=2, launcher_nodes=1)


@pytest.mark.parametrize(
    ("nodes", "said"), [(4, "on 2 of 4 nodes"), (None, "(number of nodes unknown)")]
)
def test_gpus_of_the_nodes_that_were_heard_are_not_said_to_be_all(nodes, said):
    record = records.three_legs_on_gpus()
    part = record.hardware.model_copy(update={"nodes": nodes})
    why = {
        **record.missing,
        "hardware.gpus": "the others were not heard",
        "hardware.nodes": "nobody says",
    }

    line = facts(record.model_copy(update={"hardware": part, "missing": why}))[
        "compute_infrastructure"
    ].line

    assert f"8 × NVIDIA A100-SXM4-80GB (80 GiB) {said}" in line
    assert "in all" not in line


def test_managers_have_the_same_names_wherever_they_are_told():
    assert scheduler.TITLES == jobs.MANAGERS
    assert list(scheduler.TITLES) == [manager.name for manager in scheduler.MANAGERS]


WHOLE_JOB = """
import json, time
from autocard.energy.meter import Meter
from autocard.settings import Settings
meter = Meter(Settings())
meter.begin(0)
meter.wait_until_ready(60)
time.sleep(0.6)
leg = meter.end(1, 1)[0].leg
meter.close()
host = leg.hosts[0]
print(json.dumps([host.sources["cpu"], host.ram_j / leg.wall_clock_s / host.cpu_share]))
"""


def test_the_processors_and_memory_of_a_whole_job_are_not_booked_on_one_of_its_nodes(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    scontrol = folder / "scontrol"
    # What it prints for a job of four nodes; CodeCarbon takes both figures for those of the node
    # (3.3.2).
    scontrol.write_text(
        "#!/bin/sh\n"
        f"echo asked >> {tmp_path}/asked\n"
        'echo "JobId=4711 NumNodes=4 NumCPUs=512 NumTasks=4 AllocTRES=cpu=512,mem=2000G,node=4"\n',
        encoding="ascii",
    )
    scontrol.chmod(0o755)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    job = (
        {**plain, "PATH": f"{folder}:{os.environ['PATH']}"}
        | slurm(nodes=4)
        | step(tasks=4, nodes=4)
    )

    alone, of_four = python(WHOLE_JOB, env=plain), python(WHOLE_JOB, env=job)

    assert not Path(tmp_path / "asked").exists()
    # in these words is the power of the CPUs
    assert of_four[0].partition(";")[0] == alone[0].partition(";")[0]
    assert of_four[1] == pytest.approx(alone[1], rel=0.1)


def test_a_question_to_a_manager_that_is_not_there_has_a_reason():
    for question in (
        scheduler.job_id,
        scheduler.nodes,
        scheduler.tasks,
        scheduler.restarts,
        gpu_allocation.count,
    ):
        with pytest.raises(UnavailableError, match="no workload manager"):
            question({})
