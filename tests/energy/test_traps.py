"""Traps that others step into on one node: the rows of docs/dev/pitfalls.md that no other test file proves."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from autocard.energy.host.codecarbon_reader import CodeCarbonInfo
from autocard.energy.ledger import source_words
from support import ROOT, TESTS
from support.nvml_stand_in import python

DOCS = ROOT / "docs" / "dev" / "pitfalls.md"


def test_every_row_of_the_table_names_tests_that_are_there():
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("# Known pitfalls in other tools") :]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    there = {
        (file.relative_to(TESTS).as_posix(), name)
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(
            r"^def (test_\w+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    }

    named = [re.findall(r"`(\w+/test_\w+\.py)::(test_\w+)`", row) for row in rows]

    assert len(rows) > 15
    assert [row for row, tests in zip(rows, named, strict=True) if not tests] == []
    assert [test for tests in named for test in tests if test not in there] == []


def test_scontrol_is_not_asked_however_slow_it_is(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    scontrol = folder / "scontrol"
    scontrol.write_text(
        f"#!/bin/sh\necho asked >> {tmp_path}/asked\nsleep 20\nexit 1\n", encoding="ascii"
    )
    scontrol.chmod(0o755)
    script = """
import json, time
from autocard.energy.meter import Meter
from autocard.settings import Settings
meter = Meter(Settings(cpu_power_w=100, ram_power_w=40))
begun = time.monotonic()
meter.begin(0)
ready = meter.wait_until_ready(30)
time.sleep(0.6)
leg = meter.end(1, 1)[0].leg
meter.close()
print(json.dumps([ready, leg.hosts[0].ram_j / leg.wall_clock_s / leg.hosts[0].cpu_share]))
"""
    env = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "4711",
        "SLURM_JOBID": "4711",
    }

    ready, ram_w = python(script, env=env)

    assert not (tmp_path / "asked").exists()
    assert ready
    assert ram_w == pytest.approx(40, rel=0.15)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or os.cpu_count() < 2, reason="needs Linux and two CPUs"
)
def test_a_run_on_a_part_of_the_node_is_booked_that_part_of_cpu_and_memory_and_nothing_of_ours_is_left_behind():
    script = """
import json, logging, os, signal, sys, threading, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from autocard.energy.meter import Meter
from autocard.settings import Settings
def state():
    names = [name for name in logging.root.manager.loggerDict if "carbon" in name]
    return [
        [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)],
        sorted(thread.name for thread in threading.enumerate()),
        names,
        len(logging.getLogger().handlers),
        sorted({"codecarbon", "pandas"} & set(sys.modules)),
    ]
before = state()
meter = Meter(Settings(cpu_power_w=100, ram_power_w=40))
meter.begin(0)
meter.wait_until_ready(30)
time.sleep(0.6)
during = state()
leg = meter.end(1, 1)[0].leg
meter.close()
host = leg.hosts[0]
ram_w = host.ram_j / leg.wall_clock_s
print(json.dumps([before, during, state(), ram_w, host.cpu_share, os.cpu_count(), host.sources]))
"""

    before, during, after, ram_w, share, cpus, sources = python(script)

    assert share == pytest.approx(1 / cpus)
    assert ram_w == pytest.approx(40 / cpus, rel=0.15)
    for part in ("cpu", "ram"):
        assert f"{1 / cpus:.0%} of the node (the run's share of its CPUs)" in sources[part]
    assert before == during == after


def test_a_cpu_that_codecarbon_does_not_know_is_said_to_be_a_guess():
    unknown = CodeCarbonInfo(cpu_mode="cpu_load", cpu_power_w=1792.0, cpu_known=False)
    known = CodeCarbonInfo(cpu_mode="cpu_load", cpu_power_w=280.0, cpu_known=True)
    given = CodeCarbonInfo(cpu_mode="cpu_load", cpu_power_w=700.0, cpu_given=True)
    counted = CodeCarbonInfo(cpu_mode="intel_rapl")

    assert source_words.of_codecarbon(unknown, "cpu").startswith("modeled: ")
    assert "guessed: this CPU is not in CodeCarbon's table" in source_words.of_codecarbon(
        unknown, "cpu"
    )
    assert "guess" not in source_words.of_codecarbon(known, "cpu")
    assert "700 W (as given)" in source_words.of_codecarbon(given, "cpu")
    assert source_words.of_codecarbon(counted, "cpu").startswith("measured: RAPL")


RANKS = """
import sys
sys.path.insert(0, sys.argv[2])
import psutil
from support import training
from autocard import AutoCardCallback
trainer = training.trainer(sys.argv[1], callbacks=[AutoCardCallback(emissions=True)])
print("children:", len(psutil.Process().children()), flush=True)
"""


def test_of_several_processes_on_a_host_one_measures(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]

    done = subprocess.run(
        [*torchrun, str(script), str(tmp_path / "out"), str(TESTS)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )

    assert sorted(re.findall(r"children: (\d+)", done.stdout)) == ["0", "1"]
