"""The workload manager's variables → the job of this process: number, nodes, tasks, restarts.

Rule: from the managers' variables, by name, and no command is asked (`scontrol` may be missing, or
hang). Of names of hosts, in lists and files, only how many they are leaves this module. Nothing
says who runs the job, or where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard import files
from autocard.errors import UnavailableError
from autocard.record.gaps import Part


@dataclass(frozen=True)
class Manager:
    """One workload manager and what its variables are called."""

    name: str
    job: str
    """Set in every job; begins with its number."""
    with_too: str | None = None
    """Another one, without which `job` is too common a name to be believed."""
    array_task: tuple[str, ...] = ()
    """Which one of an array of jobs this is."""
    array_job: str | None = None
    """The number of the array."""
    no_array: tuple[str, ...] = ()
    """What `array_task` says in a job that belongs to no array."""
    nodes: tuple[str, ...] = ()
    """How many nodes the job has."""
    hosts: str | None = None
    """File with the names of the job's hosts, one for each place."""
    pairs: str | None = None
    """The same as text: name, places, name, places, …"""
    tasks: tuple[str, ...] = ()
    """How many tasks the job has."""
    one_number_for_all: bool = False
    """Whether all jobs of an array have the same number."""


MANAGERS = (
    Manager(
        "slurm",
        "SLURM_JOB_ID",
        array_task=("SLURM_ARRAY_TASK_ID",),
        array_job="SLURM_ARRAY_JOB_ID",
        nodes=("SLURM_JOB_NUM_NODES",),
        tasks=("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
    ),
    # PBS Pro and OpenPBS: PBS_ARRAY_INDEX; Torque: PBS_ARRAYID, PBS_NUM_NODES.
    Manager(
        "pbs",
        "PBS_JOBID",
        array_task=("PBS_ARRAY_INDEX", "PBS_ARRAYID"),
        array_job="PBS_JOBID",
        nodes=("PBS_NUM_NODES",),
        hosts="PBS_NODEFILE",
    ),
    Manager(
        "lsf",
        "LSB_JOBID",
        array_task=("LSB_JOBINDEX",),
        array_job="LSB_JOBID",
        no_array=("0",),
        pairs="LSB_MCPU_HOSTS",
        tasks=("LSB_DJOB_NUMPROC",),
        one_number_for_all=True,
    ),
    Manager(
        "sge",
        "JOB_ID",
        with_too="SGE_ROOT",
        array_task=("SGE_TASK_ID",),
        array_job="JOB_ID",
        no_array=("undefined",),
        nodes=("NHOSTS",),
        one_number_for_all=True,
    ),
    Manager("flux", "FLUX_JOB_ID", nodes=("FLUX_JOB_NNODES",), tasks=("FLUX_JOB_SIZE",)),
    # Pods have no numbers; those of an indexed Job (of a JobSet, too) know their index.
    Manager("kubernetes", "KUBERNETES_SERVICE_HOST", array_task=("JOB_COMPLETION_INDEX",)),
)
"""In the order in which they are looked for: Slurm may run in pods, and Flux in jobs of the others.
"""

TITLES = {
    "slurm": "Slurm",
    "pbs": "PBS",
    "lsf": "LSF",
    "sge": "Grid Engine",
    "flux": "Flux",
    "kubernetes": "Kubernetes",
}
"""Manager → its name as its authors write it."""

NO_MANAGER = "the environment shows no workload manager"
PARTS = "the job has several parts (a heterogeneous job), and the variables speak of one of them"

_LEADING = re.compile(r"\d+")
_PER_NODE = re.compile(r"(\d+)(?:\(x(\d+)\))?")
"""One entry of Slurm's counts node by node: 4, 4(x2)."""
_SPECIAL_STEPS = 0xFFFF_FFF0
"""Slurm numbers its own steps (batch, interactive, extern) from here upwards."""


def manager(environ: Mapping[str, str]) -> Manager | None:
    """Return the workload manager that the environment shows."""
    for one in MANAGERS:
        if environ.get(one.job) and (one.with_too is None or environ.get(one.with_too)):
            return one
    return None


def number(environ: Mapping[str, str], variable: str) -> int | None:
    """Return what *variable* counts; None: it is not there, or counts nothing."""
    value = environ.get(variable, "").strip()
    return int(value) if value.isascii() and value.isdigit() and int(value) else None


def first(environ: Mapping[str, str], variables: tuple[str, ...]) -> int | None:
    """Return what the first of *variables* that counts something says."""
    return next(
        (found for found in (number(environ, variable) for variable in variables) if found), None
    )


def job_id(environ: Mapping[str, str]) -> str:
    """Return the number of the job: the rest of an id names machines.

    Raises:
        UnavailableError: there is no manager, or it has no numbers.
    """
    one = known(environ)
    found = None if one.name == "kubernetes" else _LEADING.match(environ[one.job])
    if found is None:
        msg = "the workload manager does not number its jobs"
        raise UnavailableError(msg)
    return found[0]


def array_task_id(environ: Mapping[str, str]) -> str:
    """Return which one of an array of jobs this is.

    Raises:
        UnavailableError: the job belongs to none, or there is no manager.
    """
    one = known(environ)
    for variable in one.array_task:
        value = environ.get(variable, "").strip()
        if value.isascii() and value.isdigit() and value not in one.no_array:
            return value
    msg = "the job belongs to no array of jobs"
    raise UnavailableError(msg)


def array_job_id(environ: Mapping[str, str]) -> str:
    """Return the number of the array that the job belongs to.

    Raises:
        UnavailableError: it belongs to none, or the manager gives it no number.
    """
    one = known(environ)
    array_task_id(environ)
    found = _LEADING.match(environ.get(one.array_job or "", ""))
    if found is None:
        msg = "the workload manager does not number its job arrays"
        raise UnavailableError(msg)
    return found[0]


def step_id(environ: Mapping[str, str]) -> str:
    """Return the number of Slurm's step that this process belongs to.

    Raises:
        UnavailableError: it belongs to none that has a number.
    """
    one = known(environ)
    if one.name != "slurm":
        msg = f"{TITLES[one.name]} has no numbered steps"
        raise UnavailableError(msg)
    if not in_step(environ):
        msg = "not started by srun: the batch script itself is no numbered step"
        raise UnavailableError(msg)
    return environ["SLURM_STEP_ID"]


def in_step(environ: Mapping[str, str]) -> bool:
    """Return whether srun has started this process, or one above it."""
    value = environ.get("SLURM_STEP_ID", "")
    return value.isascii() and value.isdigit() and int(value) < _SPECIAL_STEPS


def nodes(environ: Mapping[str, str]) -> int:
    """Return the nodes that the job was given, whether or not the training uses them.

    Raises:
        UnavailableError: there is no manager, or it does not say.
    """
    one = known(environ)
    found = first(environ, one.nodes)
    if one.name == "slurm":
        of_one_part(environ)
        # srun sets SLURM_NNODES to the nodes of its step.
        found = found or (None if in_step(environ) else number(environ, "SLURM_NNODES"))
    found = (
        found
        or _hosts(environ.get(one.hosts or "", ""))
        or _pairs(environ.get(one.pairs or "", ""))
    )
    if found is None:
        msg = f"{TITLES[one.name]}'s variables do not show how many nodes were allocated to the job"
        raise UnavailableError(msg)
    return found


def _hosts(file: str) -> int | None:
    """Return how many hosts are named in *file*; None: it is not to be read here."""
    try:
        lines = files.read_loosely(Path(file)).split("\n") if file else []
    except OSError:
        return None
    return len({line.strip() for line in lines if line.strip()}) or None


def _pairs(text: str) -> int | None:
    words = text.split()
    return len(set(words[::2])) or None


def tasks(environ: Mapping[str, str]) -> int:
    """Return the tasks of this step (else of the job), as the workload manager counts them.

    Raises:
        UnavailableError: there is no manager, or it does not say.
    """
    one = known(environ)
    found = first(environ, one.tasks)
    if found is None and one.name == "slurm":
        found = sum(_per_node(environ.get("SLURM_TASKS_PER_NODE", ""))) or None
    if found is None:
        msg = f"{TITLES[one.name]}'s variables do not show how many tasks the job has"
        raise UnavailableError(msg)
    return found


def _per_node(text: str) -> list[int]:
    """Return Slurm's counts node by node: 4(x2),2 → 4, 4, 2; empty: it is something else."""
    entries = [_PER_NODE.fullmatch(entry.strip()) for entry in text.split(",")]
    return (
        [int(entry[1]) for entry in entries if entry for _ in range(int(entry[2] or 1))]
        if all(entries)
        else []
    )


def restarts(environ: Mapping[str, str]) -> int:
    """Return how often the manager has started this job again.

    Raises:
        UnavailableError: there is no manager, or it does not count that.
    """
    one = known(environ)
    if one.name != "slurm":
        msg = f"{TITLES[one.name]}'s variables do not show how often the job was restarted"
        raise UnavailableError(msg)
    return number(environ, "SLURM_RESTART_COUNT") or 0  # not set in a job that was not


def known(environ: Mapping[str, str], otherwise: str = NO_MANAGER) -> Manager:
    """Return the workload manager that the environment shows.

    Raises:
        UnavailableError: it shows none; in the words *otherwise*.
    """
    one = manager(environ)
    if one is None:
        raise UnavailableError(otherwise)
    return one


def of_one_part(environ: Mapping[str, str]) -> None:
    """Refuse a job of Slurm that has several parts, each with nodes and GPUs of its own.

    Raises:
        UnavailableError: it has.
    """
    if (number(environ, "SLURM_HET_SIZE") or 1) > 1:
        raise UnavailableError(PARTS)


_QUESTIONS: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "workload_manager": lambda environ: known(environ).name,
    "job_id": job_id,
    "array_job_id": array_job_id,
    "array_task_id": array_task_id,
    "step_id": step_id,
    "nodes_allocated": nodes,
    "tasks": tasks,
    "restarts": restarts,
}
"""Leaf of the record's job → what answers."""


def facts(environ: Mapping[str, str]) -> Part[dict[str, Any]]:
    """Return the fields of `Job` that the manager's variables give."""
    found: dict[str, Any] = {}
    gaps: dict[str, str] = {}
    for name, question in _QUESTIONS.items():
        try:
            found[name] = question(environ)
        except UnavailableError as exc:  # noqa: PERF203 - each field has its own reason
            gaps[name] = str(exc)
    return Part(found, gaps)
