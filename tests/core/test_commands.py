"""Programs that autocard starts leave no process behind, however they and their wrappers behave."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from autocard import commands

WRAPPER = """#!/bin/sh
sleep 777 &
echo $! >> {pids}
wait
"""


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()]


def run_on(numbers: list[int]) -> list[int]:
    """Return those of *numbers* that still run, after a moment to go."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        left = [
            n
            for n in numbers
            if psutil.pid_exists(n) and psutil.Process(n).status() != psutil.STATUS_ZOMBIE
        ]
        if not left:
            return []
        time.sleep(0.05)
    return left


@pytest.fixture
def wrapped(tmp_path):
    """Return a function that makes a slow wrapper of a program, and the folder and file of its processes."""
    folder, file = tmp_path / "bin", tmp_path / "pids"
    folder.mkdir()

    def make(*names):
        for name in names:
            (folder / name).write_text(WRAPPER.format(pids=file))
            (folder / name).chmod(0o755)
        return folder, file

    return make


def test_a_program_that_takes_too_long_is_ended_with_what_it_started(wrapped):
    folder, file = wrapped("slow")

    with pytest.raises(subprocess.TimeoutExpired):
        commands.run([str(folder / "slow")], 1.0)

    assert len(pids(file)) == 1
    assert run_on(pids(file)) == []


def test_what_a_program_leaves_in_the_background_ends_with_it(tmp_path):
    file = tmp_path / "pids"

    done = commands.run(
        [
            "sh",
            "-c",
            f"sleep 777 >/dev/null 2>&1 & echo $! > {file}; echo out; echo err >&2; exit 3",
        ],
        9,
    )

    assert (done.status, done.out, done.err) == (3, b"out\n", b"err\n")
    assert run_on(pids(file)) == []


def test_a_program_reads_what_it_is_given_and_else_nothing():
    assert commands.run(["cat"], 9, data=b"given").out == b"given"
    assert commands.run(["cat"], 9).out == b""


ASKS = """
import sys, threading, time
from pathlib import Path
from autocard import commands
threading.Thread(target=commands.run, args=([sys.argv[1]], 600), daemon=True).start()
while not Path(sys.argv[2]).exists() or not Path(sys.argv[2]).read_text():
    time.sleep(0.02)
"""


def test_a_program_that_runs_when_python_exits_is_ended(wrapped):
    folder, file = wrapped("slow")

    subprocess.run(
        [sys.executable, "-c", ASKS, str(folder / "slow"), str(file)], check=True, timeout=60
    )

    assert run_on(pids(file)) == []


QUESTIONS = """
import sys
from pathlib import Path
from autocard.trainers.transformers import observe
from autocard.capture.environment import code, hardware
from autocard.card import suggest
from autocard.settings import resolve
code.capture(observe(resolve({}), None, None))
hardware._output("sysctl", "-n", "x")
suggest._git_author(Path(sys.argv[1]))
"""


def test_slow_wrappers_of_git_and_sysctl_leave_no_process(wrapped, tmp_path):
    folder, file = wrapped("git", "sysctl")
    script = tmp_path / "train.py"
    script.write_text(QUESTIONS)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

    subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, check=True, timeout=120
    )

    assert len(pids(file)) >= 3
    assert run_on(pids(file)) == []
