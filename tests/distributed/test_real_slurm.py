"""Trainings in jobs of a real Slurm: requeued, cancelled, out of time, side by side, on a node that fails.

The truth is the tests' own: the power of the stand-in GPUs and of the nodes' meters, times the
seconds between the moments that slurm_training.py logged; and what sacct says.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from support import ROOT, SUPPORT, TESTS, models
from support.slurm_cluster import PLANTED, wait_until
from support.slurm_daemons import GPU_W, METER_W, NODE, NODES

pytest_plugins = ["support.nvml_fixtures", "support.slurm_fixtures"]
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

EXAMPLES = ROOT / "examples" / "slurm"
STEP_S = 0.1
TICK_S = 1.0
"""Between readings."""


class Site:
    """A user's folder on the cluster: environment, model, data and the example's files."""

    def __init__(self, cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        models.llama().save_pretrained(folder / "model")
        models.tokenizer().save_pretrained(folder / "model")
        row = json.dumps({"text": "the cat sat on a mat the dog ran off"}) + "\n"
        (folder / "data.jsonl").write_text(row * 64, encoding="ascii")
        for file in EXAMPLES.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        (folder / "bin").mkdir()
        for name, module in {
            "torchrun": "torch.distributed.run",
            "autocard": "autocard",
            "python": "",
        }.items():
            command = folder / "bin" / name
            command.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" -W ignore {f"-m {module}" if module else ""} "$@"\n',
                encoding="ascii",
            )
            command.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}:{self.cluster.machine.env['PATH']}",
            "NPROC_PER_NODE": "1",
            "OMP_NUM_THREADS": "1",
            "HF_HOME": str(self.folder / "hf"),
            "TRAIN": str(SUPPORT / "slurm_training.py"),
            "STEP_LOG": str(self.folder / "steps"),
            "STEP_S": str(STEP_S),
            "AUTOCARD_COUNTRY_ISO_CODE": "FRA",
            "AUTOCARD_MEASURE_POWER_SECS": str(TICK_S),
            **more,
        }

    def train(self, script: Path, output: Path, max_steps: int, *options, **env: str) -> str:
        """Submit *script*; return its job's number."""
        return self.cluster.submit(
            script,
            *(self.folder / "model", self.folder / "data.jsonl", output),
            *("--max-steps", max_steps, "--save-steps", 40, "--look-steps", 5),
            *("--max-length", 16, "--base-model", "example-org/tiny-llama"),
            options=("--cpus-per-task=2", "--gpus-per-node=1", *options),
            folder=self.folder,
            env=self.environment(**env),
        )

    def autocard(self, *arguments: object) -> subprocess.CompletedProcess:
        """Run autocard where sacct is at hand."""
        return subprocess.run(
            [self.folder / "bin" / "autocard", *map(str, arguments)],
            env={**self.cluster.environment(), **self.environment()},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def output_of(self, job: str) -> str:
        return (self.folder / f"job-{job}.out").read_text(encoding="utf-8", errors="replace")


@dataclass
class Spell:
    """What one process of a training logged."""

    node: int
    moments: list[tuple[str, int, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.moments[-1][2] - self.moments[0][2]

    @property
    def last_step(self) -> int:
        return self.moments[-1][1]

    @property
    def joules(self) -> float:
        return GPU_W[self.node] * self.seconds


def spells(site: Site, job: str, start: int = 0) -> list[Spell]:
    """Return what the processes of one start of *job* logged, one for each node."""
    found = []
    for node in NODES:
        for file in (site.folder / "steps").glob(f"{NODE}{node}-{job}-{start}-*.log"):
            lines = [line.split() for line in file.read_text().splitlines()]
            found.append(Spell(node, [(what, int(step), float(at)) for what, step, at in lines]))
    return found


def reached(site: Site, job: str, step: int, start: int = 0):
    """Return whether the training of *job* has made *step* on each node where it runs."""
    found = spells(site, job, start)
    return found and all(spell.moments and spell.last_step >= step for spell in found)


def wait_for_step(site: Site, job: str, step: int, start: int = 0) -> None:
    wait_until(lambda: reached(site, job, step, start), lambda: site.output_of(job)[-4000:])


def public_files(output: Path) -> list[Path]:
    """Return what others may see of *output*: the card, the record and the checkpoints'."""
    return [
        file
        for file in output.rglob("*")
        if file.suffix in {".md", ".json", ".jinja", ".txt"} and "_autocard" not in file.parts
    ]


def assert_nothing_private(output: Path) -> None:
    files = public_files(output)
    assert {"README.md", "autocard.json"} <= {file.name for file in files}
    for file in files:
        text = file.read_text(encoding="utf-8").lower()
        assert [name for name in PLANTED if name in text] == [], file
        if file.name in {"README.md", "autocard.json"}:
            assert str(output.parent) not in text, file


def record_of(output: Path) -> dict:
    return json.loads((output / "autocard.json").read_text(encoding="utf-8"))


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
def chain(site):
    """Signalled, requeued, resumed; cancelled; another job in the same folder, which comes to the end."""
    cluster, output, script = site.cluster, site.folder / "out", EXAMPLES / "lora_multinode.sbatch"

    first = site.train(script, output, 4000)
    wait_for_step(site, first, 60)
    cluster.run("scancel", "--signal=USR1", "--batch", first)  # as --signal=B:USR1@300 does
    wait_until(lambda: cluster.job(first)["Restarts"] == "1")
    after_signal = record_of(output)
    cluster.start_requeued(first)
    resumed_at = after_signal["run"]["global_step"]
    wait_for_step(site, first, resumed_at + 45, start=1)
    cluster.run("scancel", first)
    cluster.wait_for(first)

    second = site.train(script, output, resumed_at + 100)
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
    true_j = sum(spell.joules for leg in of_legs for spell in leg)

    assert [len(leg) for leg in of_legs] == [2, 2, 2]
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(true_j, rel=0.01)
    for leg, logged in zip(record["legs"], of_legs, strict=True):
        assert leg["wall_clock_s"] == pytest.approx(
            max(spell.seconds for spell in logged), abs=TICK_S
        )
        boards = [
            device["energy_j"] / leg["wall_clock_s"]
            for host in leg["hosts"]
            for device in host["devices"]
        ]
        assert sorted(boards) == pytest.approx(sorted(GPU_W.values()), rel=0.03)


def test_nothing_of_the_cluster_is_public_and_no_process_is_left(site, chain):
    assert_nothing_private(chain.output)
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
