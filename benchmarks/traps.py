"""Show reports of plain CodeCarbon and CodeCarbonCallback in the cases of docs/dev/pitfalls.md.

Runs both beside a stand-in for NVIDIA's library (four boards of 300 W, of which the run uses one),
for some three seconds each, and prints their reports: joules of GPUs, CPU and RAM, GPUs named,
country, and seconds that the end took. The tests named in the table of docs/dev/pitfalls.md check
what autocard reports in the same cases.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.nvml_stand_in import SOURCE, Gpu, make_machine, uuid_of

TESTS = Path(__file__).parent.parent / "tests"

SAY = """
def say(tracker, seconds):
    data = getattr(tracker, "final_emissions_data", None)
    if data is None:
        print(json.dumps("no figures at all"))
        return
    joules = [round(kwh * 3.6e6) for kwh in (data.gpu_energy, data.cpu_energy, data.ram_energy)]
    print(json.dumps([*joules, f"{data.gpu_count} GPUs", data.country_name, f"end {seconds:.1f} s"]))
"""  # noqa: E501 - a program of its own

PLAIN = f"""
import json, time, warnings
warnings.simplefilter("ignore")
from codecarbon import EmissionsTracker
{SAY}
tracker = EmissionsTracker(save_to_file=False, log_level="critical")
tracker.start()
time.sleep(3)
begun = time.monotonic()
tracker.stop()
say(tracker, time.monotonic() - begun)
"""

CALLBACK = f"""
import contextlib, io, json, logging, sys, time, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from support import training
from transformers import TrainerCallback
from transformers.integrations import CodeCarbonCallback
{SAY}
class Slow(TrainerCallback):
    def on_step_end(self, *_, **__):
        time.sleep(0.5)
theirs = CodeCarbonCallback()
logging.disable(logging.CRITICAL)
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    trainer = training.trainer("out", callbacks=[Slow(), theirs])
    begun = time.monotonic()
    trainer.train()
say(theirs.tracker, 0)
"""


def four(change: Callable[[list[Gpu]], None] = lambda _: None) -> list[Gpu]:
    """Return four boards of 300 W."""
    gpus = [Gpu(uuid_of(number), watts=300) for number in range(4)]
    change(gpus)
    return gpus


def kill_last(gpus: list[Gpu]) -> None:
    """Let the last board be lost."""
    gpus[3].dead = 1


def cut_last(gpus: list[Gpu]) -> None:
    """Cut the last board into slices."""
    gpus[3].mig = "MIG-7c0ffee0-0000-4000-8000-000000000000"


VARIANTS: dict[str, tuple[Callable[[list[Gpu]], None], dict[str, str]]] = {
    "index": (lambda _: None, {"CUDA_VISIBLE_DEVICES": "1"}),
    "UUID": (lambda _: None, {"CUDA_VISIBLE_DEVICES": uuid_of(1)}),
    "MIG slice": (cut_last, {"CUDA_VISIBLE_DEVICES": "MIG-7c0ffee0-0000-4000-8000-000000000000"}),
    "empty": (lambda _: None, {"CUDA_VISIBLE_DEVICES": ""}),
    "dead GPU elsewhere": (kill_last, {"CUDA_VISIBLE_DEVICES": "0"}),
    "Slurm, no scontrol": (lambda _: None, {"CUDA_VISIBLE_DEVICES": "1", "SLURM_JOB_ID": "1"}),
    "CODECARBON_PUE=1.5": (lambda _: None, {"CUDA_VISIBLE_DEVICES": "1", "CODECARBON_PUE": "1.5"}),
}


def main() -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as top:
        library = Path(top) / "libnvidia-ml.so.1"
        compiler = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(compiler, check=True)
        print(
            f"{'':<20} joules of GPUs, CPU, RAM; GPUs named; country; end. "
            "One board for three seconds: 900 J"
        )
        for name, (change, variables) in VARIANTS.items():
            folder = Path(tempfile.mkdtemp(dir=top))
            env = make_machine(library, folder, four(change)).env
            env |= {"HOME": os.devnull, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **variables}
            for who, script in (("CodeCarbon", PLAIN), ("callback", CALLBACK)):
                command = [sys.executable, "-c", script, str(TESTS)]
                done = subprocess.run(
                    command, env=env, cwd=folder, capture_output=True, text=True, check=False
                )
                said = (
                    json.loads(done.stdout.splitlines()[-1])
                    if done.stdout
                    else f"fails: {done.stderr[-80:]}"
                )
                print(f"{name:<20} {who:<11} {said}", flush=True)


if __name__ == "__main__":
    main()
