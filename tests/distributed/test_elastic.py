"""Processes that torchrun starts again after a failure go on with the run, before the first checkpoint too, and on fewer nodes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid

import psutil
import pytest

from support import SUPPORT, TESTS, cluster_space, step_log
from support.nvml_stand_in import Gpu, Machine, make_machine, uuid_of

pytest_plugins = ["support.nvml_fixtures"]

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


NODE = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(TESTS)!r})
from support import cluster_space
boot_id, gpus, gpus_of_node, *command = sys.argv[1:]
cluster_space.enter({{cluster_space.BOOT_ID: Path(boot_id), Path(gpus): Path(gpus_of_node)}})
os.execv(sys.executable, [sys.executable, "-W", "ignore", *command])
"""
"""A torchrun on a node of its own, with a boot id and a GPU."""
WATTS = (300.0, 200.0)
PATIENCE_S = 240.0


class ElasticJob:
    """A job of one or two nodes; the first one has the rendezvous."""

    def __init__(self, machine, folder):
        self.machine, self.out, self.logs = machine, folder / "out", folder / "logs"
        self.folder, self.nodes = folder, []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, steps):
        for number, watts in enumerate(WATTS):
            here = self.folder / f"node-{number}"
            here.mkdir()
            Machine(here, [Gpu(uuid_of(number), watts=watts)]).write()
            (here / "boot").write_text(f"{uuid.uuid4()}\n", encoding="ascii")
            command = [
                *(sys.executable, "-c", NODE, here / "boot"),
                *(self.machine.folder / "gpus.conf", here / "gpus.conf"),
                *("-m", "torch.distributed.run", "--nnodes", "1:2", "--nproc-per-node", "1"),
                *("--max-restarts", "3", "--rdzv-backend", "c10d", "--rdzv-id", "elastic"),
                *("--rdzv-endpoint", f"127.0.0.1:{self.port}"),
                *("--rdzv-conf", f"is_host={int(number == 0)},last_call_timeout=5"),
                *(SUPPORT / "launched_training.py", self.out, self.logs, str(steps)),
            ]
            with (self.folder / f"node-{number}.out").open("wb") as said:
                self.nodes.append(
                    subprocess.Popen(
                        command, env=self.machine.env, stdout=said, stderr=said, cwd=self.folder
                    )
                )

    def spells(self):
        """Return what each process logged, in the order of their begins."""
        read = [step_log.read(file) for file in self.logs.glob("*.log")]
        return sorted((moments for moments in read if moments), key=lambda one: one[0][2])

    def kill(self, number):
        """End a node with all that runs on it, as a power failure does."""
        if self.nodes[number].poll() is not None:
            return
        node = psutil.Process(self.nodes[number].pid)
        for process in [node, *node.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.nodes[number].wait()

    def said(self):
        return "".join(file.read_text()[-2000:] for file in self.folder.glob("node-*.out"))

    def wait_until(self, what):
        until_s = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < until_s, self.said()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def shrunk(nvml_library, tmp_path_factory):
    """A job of two nodes, of which one failed after step 6; the other one went on alone."""
    folder = tmp_path_factory.mktemp("shrunk")
    (folder / "boot").write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    if not cluster_space.permitted(folder / "boot"):
        pytest.skip("needs nodes with boot ids of their own: a mount namespace is not permitted")
    (folder / "nvml").mkdir()
    job = ElasticJob(make_machine(nvml_library, folder / "nvml", []), folder)
    try:
        job.start(14)
        job.wait_until(lambda: len(job.spells()) == 2 and job.spells()[1][-1][1] >= 6)
        job.kill(1)
        assert job.nodes[0].wait(PATIENCE_S) == 0, job.said()
        yield job
    finally:
        for number in range(len(job.nodes)):
            job.kill(number)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_goes_on_with_fewer_nodes_has_each_of_them_once_in_each_start(shrunk):
    record = json.loads((shrunk.out / "autocard.json").read_text())
    *both, alone = shrunk.spells()

    first, second = record["legs"]
    assert (first["status"], second["status"]) == ("interrupted", "finished")
    assert (second["step_begin"], second["step_end"]) == (4, 14)
    assert [len(leg["hosts"]) for leg in record["legs"]] == [2, 1]
    assert [leg["nodes_expected"] for leg in record["legs"]] == [2, 1]
    assert record["job"]["launcher_restarts"] == 1
    true_j = sum(watts * seconds(moments) for watts, moments in zip(WATTS, both, strict=True))
    used_j = sum(device["energy_j"] for host in first["hosts"] for device in host["devices"])
    # What runs is killed in the middle of a step, and the survivor notices it a little later.
    assert true_j <= used_j <= true_j + 1.5 * sum(WATTS)
    (host,) = second["hosts"]
    assert host["devices"][0]["energy_j"] == pytest.approx(WATTS[0] * seconds(alone), rel=0.01)
    assert host["host"] in {one["host"] for one in first["hosts"]}


def seconds(moments):
    return moments[-1][2] - moments[0][2]
