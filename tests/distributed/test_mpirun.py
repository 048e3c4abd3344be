"""A training that a real mpirun (Open MPI) starts: one card, and the machine and its GPU once."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from support import SUPPORT, step_log

pytest_plugins = ["support.nvml_fixtures"]

WATTS = 300.0


@pytest.fixture(scope="module")
def mpirun():
    """Open MPI's command. Skips where there is none; fails there if `EXPECT_SLURM` is set."""
    found = shutil.which("mpirun")
    said = subprocess.check_output([found, "--version"], text=True) if found else ""
    if "Open MPI" in said:
        return found
    reason = "needs Open MPI's mpirun (package openmpi-bin)"
    if os.environ.get("EXPECT_SLURM"):
        pytest.fail(f"EXPECT_SLURM is set: {reason}")
    return pytest.skip(reason)


@pytest.mark.slow
def test_two_processes_of_mpirun_are_one_training_on_one_machine(mpirun, nvml_env, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**nvml_env(gpus=1, watts=WATTS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    out, logs = tmp_path / "out", tmp_path / "logs"

    done = subprocess.run(
        [
            *(mpirun, "--allow-run-as-root", "--oversubscribe", "-n", "2", sys.executable),
            *("-W", "ignore", SUPPORT / "launched_training.py", out, logs, "12"),
        ],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    (first,) = logs.glob("0-*.log")
    moments = step_log.read(first)
    record = json.loads((out / "autocard.json").read_text())
    job, (leg,) = record["job"], record["legs"]
    assert job["launcher"] == "mpirun (Open MPI)"
    assert (job["world_size"], job["processes_reporting"], job["nodes_expected"]) == (2, 2, 1)
    (host,) = leg["hosts"]
    (device,) = host["devices"]
    true_j = WATTS * (moments[-1][2] - moments[0][2])
    assert device["energy_j"] == pytest.approx(true_j, rel=0.01)
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(true_j, rel=0.01)
    card = (out / "README.md").read_text()
    assert "2 training processes (DDP), launched by mpirun (Open MPI)" in card
    assert socket.gethostname() not in card
