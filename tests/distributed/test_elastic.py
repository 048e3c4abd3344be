"""Processes that torchrun starts again after a failure go on with the run, before the first checkpoint too."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support import TESTS

PROGRAM = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
from support import training
from transformers import TrainerCallback
from autocard import AutoCardCallback

class Fails(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        time.sleep(0.5)
        if state.global_step == 4 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os._exit(7)

training.trainer(sys.argv[1], callbacks=[AutoCardCallback(measure_power_secs=1), Fails()]).train()
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The output folder of two jobs, one after the other; the processes of the first failed once."""
    folder = tmp_path_factory.mktemp("elastic")
    script = folder / "train.py"
    script.write_text(PROGRAM)
    tests = str(TESTS)
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "1",
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*torchrun, "--max-restarts", "1", str(script), str(folder / "out"), tests],
        check=True,
        env=env,
        capture_output=True,
        timeout=300,
    )
    return folder / "out"


@pytest.mark.slow
def test_what_the_failed_processes_did_is_a_leg_of_the_run(out):
    record = json.loads((out / "autocard.json").read_text())

    legs = [
        (leg["step_begin"], leg["step_end"], leg["status"], leg["repeated_steps"])
        for leg in record["legs"]
    ]
    assert legs == [(0, 4, "interrupted", 4), (0, 6, "finished", 0)]
    assert record["job"]["launcher_restarts"] == 1
    assert record["time"]["wall_clock_s"] == pytest.approx(
        sum(leg["wall_clock_s"] for leg in record["legs"])
    )
    assert record["time"]["wall_clock_s"] >= 10 * 0.5
    assert ", 2 starts" in (out / "README.md").read_text()
