"""Trainings of today leave the records that they left when the contract was frozen: all but what was measured.

This holds the reasons of the gaps (`missing`) and every captured fact over changes of the code that
makes records.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import comparing
import pytest
import words

HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(900)


@pytest.mark.slow
def test_the_same_trainings_leave_the_same_facts_and_reasons():
    done = subprocess.run(
        [sys.executable, str(HERE / "make.py"), "--compare"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_another_fact_and_another_reason_are_differences():
    frozen = json.loads((HERE / "records" / "lora" / "autocard.json").read_text(encoding="utf-8"))
    then = words.of_today(frozen)
    now = json.loads(json.dumps(then))
    now["training"]["seed"] = 7
    now["missing"]["precision.tf32"] = "another reason"
    now["run"]["id"] = "0123456789ab"
    now["run"]["weather"] = "a field that was added since"
    now["missing"]["run.weather_at_the_end"] = "the same"
    now["missing"]["legs.0.wall_clock_s"] = "a reason that is new"
    del now["missing"]["time.gpu_s"]

    assert [line.partition(":")[0] for line in comparing.differences(then, now)] == [
        "missing.legs.0.wall_clock_s",
        "missing.precision.tf32",
        "missing.time.gpu_s",
        "training.seed",
    ]
