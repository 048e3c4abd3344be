"""The code that ran, and the job it ran in."""

from __future__ import annotations

from pydantic import Field

from autocard.record.base import Frozen


class Code(Frozen):
    """Which code ran."""

    commit: str | None = None
    """Git commit of the working folder."""
    dirty: bool | None = None
    """Whether there were uncommitted changes."""
    remote: str | None = None
    """URL of the remote without user name, password or token."""
    script: str | None = None
    """Path of the script inside the repository if `remote` is given and git tracks it; else its
    file name."""
    note: str | None = None
    """What commit and state do not say: submodules, …"""


class Job(Frozen):
    """Processes and who started them."""

    workload_manager: str | None = None
    """slurm, pbs, lsf, sge, flux, kubernetes."""
    job_id: str | None = None
    """The manager's number of the job."""
    array_job_id: str | None = None
    """The number of the array of jobs that it belongs to."""
    array_task_id: str | None = None
    """Which one of that array it is (of a Kubernetes job: the index of the pod)."""
    step_id: str | None = None
    """The number of Slurm's step that trained."""
    nodes_allocated: int | None = None
    """What the manager gave to the job; the training may use fewer (`launcher_nodes`)."""
    tasks: int | None = None
    """Tasks of the step, else of the job, as the manager counts them."""
    restarts: int | None = None
    """How often the manager has started the job again."""
    launcher: str | None = None
    """What started the training processes: torchrun, accelerate launch, deepspeed, srun, mpirun, …
    """
    launcher_restarts: int | None = None
    """How often the launcher has started them again in this job (torchrun)."""
    launcher_nodes: int | None = None
    """Nodes by the launcher's count; two of them may be one machine."""
    world_size: int | None = None
    """Processes that trained."""
    distributed: str | None = None
    """none, DDP, FSDP, DeepSpeed ZeRO-3, …"""
    nodes_expected: int | None = None
    """Machines, once all processes have reported; until then the launcher's nodes."""
    nodes_reporting: int | None = None
    """Machines whose reports reached the process that wrote this."""
    processes_reporting: int | None = None
    """Training processes whose reports reached it at the end, itself included."""
    parallelism: dict[str, int] = Field(default_factory=dict)
    """Kind of parallelism (data, shard, tensor, pipeline, context, sequence, expert) to processes
    in each group."""
