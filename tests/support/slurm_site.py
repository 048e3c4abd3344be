"""A user's folder on the cluster of slurm_cluster.py: the example's scripts, a tiny model, and what its trainings logged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from support import ROOT, SUPPORT, models, step_log
from support.slurm_cluster import PLANTED, wait_until
from support.slurm_daemons import GPU_W, NODE, NODES

EXAMPLES = ROOT / "examples" / "slurm"
MULTINODE = EXAMPLES / "lora_multinode.sbatch"
ONE_PROCESS = """\
#!/bin/sh
# Task 0 of an array makes 60 steps, others do not come to their end.
model=$1 data=$2 output=$3${SLURM_ARRAY_TASK_ID:+-$SLURM_ARRAY_TASK_ID}
shift 3
exec srun python "$TRAIN" --model "$model" --data "$data" --output-dir "$output" "$@" \
    ${SLURM_ARRAY_TASK_ID:+--max-steps $((60 + 4000 * SLURM_ARRAY_TASK_ID))}
"""
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
        self.one_process = folder / "one_process.sbatch"
        self.one_process.write_text(ONE_PROCESS, encoding="ascii")
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
            options=options,
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

    def close(self, output: Path) -> subprocess.CompletedProcess:
        """Close the run in *output*, once autocard does not take it for alive any more."""
        refused = 3

        def closed() -> subprocess.CompletedProcess | None:
            done = self.autocard("close", output)
            return None if done.returncode == refused else done

        return wait_until(closed)

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
        logs = (site.folder / "steps").glob(f"{NODE}{node}-{job}-{start}-*.log")
        found += [Spell(node, step_log.read(log)) for log in logs]
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
