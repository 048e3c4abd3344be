"""Processes and who started them: workload manager, launcher, kind of parallelism.

Reads a few environment variables, by name, and the trainer's own attributes. Of a job's id only the
number is recorded: the rest contains names of machines.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard import files
from autocard.capture.environment import scheduler
from autocard.capture.observed import Observed
from autocard.capture.unwrap import config_of, without_wrappers
from autocard.energy.ledger import ledger_files
from autocard.energy.ledger.ledger_entry import StartedJob
from autocard.errors import UnavailableError
from autocard.record import Job, LegJob
from autocard.record.gaps import Part, PartBuilder


@dataclass(frozen=True)
class Launcher:
    """What starts processes, and the variables that it gives to each."""

    name: str
    marks: tuple[str, ...]
    """All of them are set in its processes, and nothing else sets them all."""
    nodes: tuple[str, ...] = ()
    """Count its nodes; the first that is there holds."""
    of_a_node: tuple[str, ...] = ()
    """Count its processes on this node."""


_ELASTIC = {"nodes": ("GROUP_WORLD_SIZE",), "of_a_node": ("LOCAL_WORLD_SIZE",)}
"""accelerate and torchrun start processes with the same agent."""

LAUNCHERS = (
    # transformers sets some variables of accelerate's, and these not.
    Launcher("accelerate launch", ("ACCELERATE_DYNAMO_USE_FULLGRAPH",), **_ELASTIC),
    Launcher("accelerate launch", ("ACCELERATE_CONFIG_DS_FIELDS",), **_ELASTIC),
    Launcher(
        "deepspeed", ("CROSS_RANK", "CROSS_SIZE", "LOCAL_SIZE"), ("CROSS_SIZE",), ("LOCAL_SIZE",)
    ),
    Launcher("torchrun", ("TORCHELASTIC_RUN_ID",), **_ELASTIC),
    # Ray sets the first two only in the workers of its torch trainer.
    Launcher("Ray Train", ("ACCELERATE_TORCH_DEVICE", "NODE_RANK", "RAY_JOB_ID"), **_ELASTIC),
    Launcher(
        "jsrun",
        ("JSM_NAMESPACE_SIZE",),
        of_a_node=("JSM_NAMESPACE_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ),
    Launcher(
        "mpirun (Open MPI)", ("OMPI_COMM_WORLD_SIZE",), of_a_node=("OMPI_COMM_WORLD_LOCAL_SIZE",)
    ),
    Launcher(
        "mpirun (MVAPICH)", ("MV2_COMM_WORLD_SIZE",), of_a_node=("MV2_COMM_WORLD_LOCAL_SIZE",)
    ),
    Launcher("mpiexec (PALS)", ("PALS_RANKID",), of_a_node=("PALS_LOCAL_SIZE", "PMI_LOCAL_SIZE")),
    # Not by PMI_SIZE: srun sets that too.
    Launcher("mpiexec (MPICH or Intel MPI)", ("MPI_LOCALNRANKS",), of_a_node=("MPI_LOCALNRANKS",)),
    Launcher("flux run", ("FLUX_TASK_RANK",), ("FLUX_JOB_NNODES",)),
)
"""The nearest to the process first: mpirun and torchrun may be started by srun themselves, and
leave its variables."""

_SRUN = Launcher(
    "srun", ("SLURM_STEP_ID", "SLURM_PROCID"), ("SLURM_STEP_NUM_NODES", "SLURM_NNODES")
)
"""Under all others; inside of a step SLURM_NNODES is the step's, too."""


def capture(observed: Observed, environ: Mapping[str, str] = os.environ) -> Part[Job]:
    """Return what is known of the job when training begins."""
    part = PartBuilder(Job, "job")
    # The others report when training ends.
    part.fields.update({"nodes_reporting": 1, "processes_reporting": 1})
    with part.guard("workload_manager"):
        managed = scheduler.facts(environ)
        part.fields.update(managed.value)
        part.gaps.update(managed.gaps)
    with part.guard("world_size"):
        part.fields["world_size"] = observed.processes.count
    with part.guard("distributed"):
        part.fields["distributed"] = _distributed(observed)
    with part.guard("parallelism"):
        distributed = part.fields.get("distributed") or "none"
        part.fields["parallelism"] = _parallelism(observed, distributed)
    for name in ("nodes_expected", "launcher_nodes"):
        with part.guard(name):
            part.fields[name] = nodes(environ, observed.processes.count)
    with part.guard("launcher"):
        part.fields["launcher"] = launcher(environ, observed.processes.count)
    with part.guard("launcher_restarts"):
        part.fields["launcher_restarts"] = _launcher_restarts(environ)
    return part.build()


def started_job(world_size: int, environ: Mapping[str, str] = os.environ) -> StartedJob:
    """Return the workload manager's job in which this process trains."""
    name, managed = identity(environ), scheduler.facts(environ)
    found = {leaf: managed.value.get(leaf) for leaf in LegJob.model_fields}
    gaps = {f"job.{leaf}": why for leaf, why in managed.gaps.items() if leaf in found}
    if scheduler.manager(environ) is None:
        gaps = {"job": scheduler.NO_MANAGER}
    if "job_id" in managed.gaps:
        gaps["job_id"] = managed.gaps["job_id"]
    try:
        found["launcher"] = launcher(environ, world_size)
    except UnavailableError as exc:
        gaps["job.launcher"] = str(exc)
    return StartedJob(
        pseudonym=None if name is None else ledger_files.pseudonym(name),
        job_id=managed.value.get("job_id"),
        details=LegJob(**found),
        gaps=gaps,
    )


def identity(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return what distinguishes this job from all others; None: unknown. It is not for publication.

    A job that is requeued keeps it, and so do processes that torchrun's agent starts again. A pod
    of Kubernetes has no such thing in its environment.
    """
    manager = scheduler.manager(environ)
    if manager is None or manager.name == "kubernetes":
        return _agent() if environ.get("TORCHELASTIC_RESTART_COUNT") else None
    said = [manager.name, environ.get("SLURM_CLUSTER_NAME", ""), environ[manager.job]]
    if manager.one_number_for_all:
        said += [environ.get(variable, "") for variable in manager.array_task]
    return " ".join(said)


def _agent() -> str | None:
    """Return what identifies the process that started this one; None: the system has no answer."""
    parent = os.getppid()
    try:
        stat = files.read_loosely(Path(f"/proc/{parent}/stat"))
        boot = files.read_loosely(Path("/proc/sys/kernel/random/boot_id")).strip()
    except OSError:
        return None
    # the 22nd field: clock ticks after boot, see proc_pid_stat(5)
    started = stat.rpartition(")")[2].split()[19]
    return f"torchrun {boot} {parent} {started}"


def manager(environ: Mapping[str, str] = os.environ) -> tuple[str | None, str | None]:
    """Return the workload manager that the environment shows, and the number of its job."""
    found = scheduler.manager(environ)
    if found is None:
        return None, None
    try:
        return found.name, scheduler.job_id(environ)
    except UnavailableError:
        return found.name, None


def launcher(environ: Mapping[str, str], world_size: int) -> str:
    """Return what started the training processes.

    Raises:
        UnavailableError: their variables do not say that for certain.
    """
    found = next(iter(_launchers(environ)), None)
    # A shell that srun gave to a person looks like a program that srun started, and so do the
    # programs in it.
    if found is None or (
        found is _SRUN and (scheduler.number(environ, "SLURM_STEP_NUM_TASKS") or world_size) <= 1
    ):
        msg = "the environment does not show for certain what started the training"
        raise UnavailableError(msg)
    return found.name


def _launchers(environ: Mapping[str, str]) -> list[Launcher]:
    """Return those whose variables are there, the nearest to the process first."""
    found = [one for one in LAUNCHERS if all(environ.get(mark) for mark in one.marks)]
    return [*found, _SRUN] if scheduler.in_step(environ) and environ.get("SLURM_PROCID") else found


def _launcher_restarts(environ: Mapping[str, str]) -> int:
    value = environ.get("TORCHELASTIC_RESTART_COUNT", "")
    if not (value.isascii() and value.isdigit()):
        msg = "the environment shows no launcher that counts this"
        raise UnavailableError(msg)
    return int(value)


def nodes(environ: Mapping[str, str], world_size: int) -> int:
    """Return the nodes that the training's processes are spread over, by the launcher's plan.

    That is the launcher's own figure, or *world_size* over the processes of a node. The nodes of
    the job are not asked unless it has only one: torchrun that was started without srun trains on
    one node of however many there are.

    Raises:
        UnavailableError: the launcher does not say.
    """
    if world_size <= 1:
        return 1
    # At last by torch's own name for the processes of a node, which Ray and others set, too.
    for one in (*_launchers(environ), Launcher("", (), of_a_node=("LOCAL_WORLD_SIZE",))):
        planned = scheduler.first(environ, one.nodes)
        of_a_node = scheduler.first(environ, one.of_a_node)
        if planned:
            return min(planned, world_size)
        if of_a_node:
            return -(-world_size // of_a_node)
    if environ.get("KUBERNETES_SERVICE_HOST"):
        # Kubeflow's variable, in pods that start Python without torchrun
        pods = scheduler.number(environ, "PET_NNODES")
        if pods:
            return min(pods, world_size)
    if scheduler.first(environ, ("SLURM_JOB_NUM_NODES", "SLURM_NNODES")) == 1:
        return 1
    msg = "the launcher does not report the number of nodes"
    raise UnavailableError(msg)


def _distributed(observed: Observed) -> str:
    stage = _zero_stage(observed)
    if stage is not None:
        return f"DeepSpeed ZeRO-{stage}"
    model = observed.model
    sharded = _sharded(model)
    if sharded is not None:
        return sharded
    parts = [words for name, words in _SIZES.items() if _size(observed, name) > 1]
    if observed.processes.count > 1:
        return " + ".join(parts) or "DDP"
    if observed.devices > 1 and not getattr(without_wrappers(model), "is_parallelizable", False):
        return f"DataParallel ({observed.devices} GPUs in one process)"
    return "none"


def _sharded(model: Any) -> str | None:
    """Return which FSDP shards *model* or a part of it; None: none does.

    The flag of the arguments says nothing: on CPUs the Trainer takes it, and trains by DDP
    (accelerate, state.py).
    """
    kinds = {type(module) for module in (model.modules() if hasattr(model, "modules") else [model])}
    names = {cls.__name__ for kind in kinds for cls in kind.__mro__}
    if "FSDPModule" in names:
        return "FSDP2"
    return "FSDP" if "FullyShardedDataParallel" in names else None


_SIZES = {
    "tp_size": "tensor parallelism",
    "cp_size": "context parallelism",
    "sp_size": "sequence parallelism",
}
_KINDS = {
    "dp_replicate_size": "data",
    "dp_shard_size": "shard",
    "tp_size": "tensor",
    "cp_size": "context",
    "sp_size": "sequence",
}
"""Sizes of accelerate's ParallelismConfig → our names."""
_LOADED = {
    "dp_replicate_size": "data",
    "fsdp_size": "shard",
    "tp_size": "tensor",
    "pp_size": "pipeline",
    "ep_size": "expert",
}
"""Sizes of transformers' DistributedConfig (distributed/configuration_utils.py) → our names."""


def _parallelism(observed: Observed, distributed: str) -> dict[str, int]:
    """Return kind → processes in each group, where there is more than one.

    As accelerate's own configuration has them; else as the model was loaded with, and without that
    the processes by what holds them together.
    """
    if observed.arguments.get("parallelism_config") is not None:
        sizes = {ours: _size(observed, theirs) for theirs, ours in _KINDS.items()}
        return _above_one(sizes)
    loaded = getattr(config_of(observed.model), "distributed_config", None)
    if loaded is not None:
        sizes = {ours: int(getattr(loaded, theirs, None) or 1) for theirs, ours in _LOADED.items()}
        return _above_one(sizes)
    model = without_wrappers(observed.model)
    tensor = int(getattr(model, "tp_size", None) or 1)
    shards = distributed.startswith("FSDP") or distributed == "DeepSpeed ZeRO-3"
    rest = "shard" if shards else "data"
    sizes = {"tensor": tensor, rest: observed.processes.count // tensor}
    if observed.processes.count == 1:
        places = (getattr(model, "hf_device_map", None) or {}).values()
        sizes["layers spread over devices"] = len({str(place) for place in places})
    return _above_one(sizes)


def _above_one(sizes: Mapping[str, int]) -> dict[str, int]:
    return {kind: size for kind, size in sizes.items() if size > 1}


def _size(observed: Observed, name: str) -> int:
    return int(getattr(observed.arguments.get("parallelism_config"), name, 1) or 1)


def _zero_stage(observed: Observed) -> int | None:
    """Return the ZeRO stage of DeepSpeed's configuration, or None without DeepSpeed."""
    config = observed.trainer.deepspeed()
    if not config:
        return None
    return int((config.get("zero_optimization") or {}).get("stage", 0))
