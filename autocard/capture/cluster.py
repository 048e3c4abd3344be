"""Processes and who started them: workload manager, launcher, kind of parallelism.

From a few environment variables, by name, and from what the trainer says of itself. Of a job's id only its number is
told: the rest of it names machines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from autocard.capture import Seen
from autocard.capture.unwrap import without_wrappers
from autocard.errors import UnavailableError
from autocard.guard import guard
from autocard.record import Job

_MANAGERS = {
    "SLURM_JOB_ID": "slurm",
    "PBS_JOBID": "pbs",
    "LSB_JOBID": "lsf",
    "JOB_ID": "sge",
    "KUBERNETES_SERVICE_HOST": "kubernetes",
}
"""Variable that a workload manager sets in every job → its name."""

_NUMBER = re.compile(r"\d+")


def capture(seen: Seen, missing: dict[str, str], environ: Mapping[str, str] = os.environ) -> Job:
    """Return what is known of the job when training begins."""
    facts: dict[str, Any] = {"nodes_reporting": 1}
    with guard("job.workload_manager", missing):
        variable = _manager(environ)
        if variable is None:
            msg = "the environment shows no workload manager"
            missing["job.job_id"] = msg
            raise UnavailableError(msg)
        facts["workload_manager"] = _MANAGERS[variable]
        facts["job_id"] = _job_id(environ[variable], variable, missing)
    with guard("job.world_size", missing):
        facts["world_size"] = int(seen.args.world_size)
    with guard("job.distributed", missing):
        facts["distributed"] = _distributed(seen)
    with guard("job.parallelism", missing):
        facts["parallelism"] = _parallelism(seen, facts.get("distributed") or "none")
    with guard("job.nodes_expected", missing):
        facts["nodes_expected"] = _nodes(int(seen.args.world_size), environ)
    return Job(**facts)


def identity(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return what tells this job from all others, to compare and not to be told; None: no manager says it.

    A job that is requeued keeps it. A pod of Kubernetes has no such thing in its environment.
    """
    variable = _manager(environ)
    if variable is None or _MANAGERS[variable] == "kubernetes":
        return None
    return " ".join([_MANAGERS[variable], environ.get("SLURM_CLUSTER_NAME", ""), environ[variable]])


def manager(environ: Mapping[str, str] = os.environ) -> tuple[str | None, str | None]:
    """Return the workload manager that the environment shows, and the number of its job."""
    variable = _manager(environ)
    if variable is None:
        return None, None
    return _MANAGERS[variable], _job_id(environ[variable], variable, {})


def _manager(environ: Mapping[str, str]) -> str | None:
    for variable in _MANAGERS:
        # Grid Engine's JOB_ID is too common a name to be believed alone.
        if environ.get(variable) and (variable != "JOB_ID" or environ.get("SGE_ROOT")):
            return variable
    return None


def _job_id(value: str, variable: str, missing: dict[str, str]) -> str | None:
    number = _NUMBER.match(value)
    if variable == "KUBERNETES_SERVICE_HOST" or number is None:
        missing["job.job_id"] = "the workload manager gives its jobs no number"
        return None
    return number[0]


def _nodes(world_size: int, environ: Mapping[str, str]) -> int:
    """Return the nodes of the launcher's plan: torchrun's figure, processes / those of a node, or Slurm's."""
    if world_size <= 1:
        return 1  # a job may hold more nodes than the training uses
    for variable in ("GROUP_WORLD_SIZE", "NNODES"):
        number = _whole(environ, variable)
        if number:
            return min(number, world_size)
    of_a_node = _whole(environ, "LOCAL_WORLD_SIZE")
    if of_a_node:
        return -(-world_size // of_a_node)
    slurm = _whole(environ, "SLURM_NNODES") or _whole(environ, "SLURM_JOB_NUM_NODES")
    if slurm:
        return min(slurm, world_size)
    msg = "the launcher does not say how many nodes there are"
    raise UnavailableError(msg)


def _whole(environ: Mapping[str, str], variable: str) -> int:
    value = environ.get(variable, "")
    return int(value) if value.isascii() and value.isdigit() else 0


def _distributed(seen: Seen) -> str:
    stage = _zero_stage(seen.args)
    if stage is not None:
        return f"DeepSpeed ZeRO-{stage}"
    model = seen.model
    sharded = _sharded(model)
    if sharded is not None:
        return sharded
    parts = [words for name, words in _SIZES.items() if _size(seen.args, name) > 1]
    if int(seen.args.world_size) > 1:
        return " + ".join(parts) or "DDP"
    devices = int(getattr(seen.args, "n_gpu", 0) or 0)
    if devices > 1 and not getattr(without_wrappers(model), "is_parallelizable", False):
        return f"DataParallel ({devices} GPUs in one process)"
    return "none"


def _sharded(model: Any) -> str | None:
    """Return which FSDP shards *model* or a part of it; None: none does.

    The flag of the arguments says nothing: on CPUs the Trainer takes it, and trains by DDP (accelerate, state.py).
    """
    kinds = {type(module) for module in (model.modules() if hasattr(model, "modules") else [model])}
    names = {cls.__name__ for kind in kinds for cls in kind.__mro__}
    if "FSDPModule" in names:
        return "FSDP2"
    return "FSDP" if "FullyShardedDataParallel" in names else None


_SIZES = {"tp_size": "tensor parallelism", "cp_size": "context parallelism", "sp_size": "sequence parallelism"}
_KINDS = {
    "dp_replicate_size": "data",
    "dp_shard_size": "shard",
    "tp_size": "tensor",
    "cp_size": "context",
    "sp_size": "sequence",
}
"""Sizes of accelerate's ParallelismConfig → our names."""


def _parallelism(seen: Seen, distributed: str) -> dict[str, int]:
    """Return kind → processes in each group, where there is more than one.

    As accelerate's own configuration has them; else tensor parallelism as the model was loaded with, and the rest of
    the processes by what holds them together.
    """
    config = getattr(seen.args, "parallelism_config", None)
    if config is not None:
        return {ours: _size(seen.args, theirs) for theirs, ours in _KINDS.items() if _size(seen.args, theirs) > 1}
    world = int(seen.args.world_size)
    tensor = int(getattr(without_wrappers(seen.model), "tp_size", None) or 1)
    found = {"tensor": tensor} if tensor > 1 else {}
    rest = world // tensor
    if rest > 1:
        shards = distributed.startswith("FSDP") or distributed == "DeepSpeed ZeRO-3"
        found["shard" if shards else "data"] = rest
    devices = {str(place) for place in (getattr(without_wrappers(seen.model), "hf_device_map", None) or {}).values()}
    if world == 1 and len(devices) > 1:
        found["layers spread over devices"] = len(devices)
    return found


def _size(args: Any, name: str) -> int:
    return int(getattr(getattr(args, "parallelism_config", None), name, 1) or 1)


def _zero_stage(args: Any) -> int | None:
    """Return the ZeRO stage of DeepSpeed's configuration, or None without DeepSpeed."""
    config = getattr(getattr(args, "hf_deepspeed_config", None), "config", None)
    if config is None:
        config = getattr(getattr(args, "deepspeed_plugin", None), "deepspeed_config", None)
    if not isinstance(config, Mapping):
        return None
    return int((config.get("zero_optimization") or {}).get("stage", 0))
