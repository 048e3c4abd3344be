"""GPU facts without a GPU: a real training beside a stand-in for NVIDIA's library, loaded by pynvml and CodeCarbon.

The tensors stay on the CPU, for there is no CUDA here; the arguments alone say that the training
runs on CUDA.
"""

from __future__ import annotations

import json
import re

import pytest

from support import TESTS
from support.gpu_program import PROGRAM
from support.nvml_stand_in import Gpu, python, uuid_of

pytest_plugins = ["support.nvml_fixtures"]


def train(machine, folder, used, **variables):
    """Train for more than ten seconds on *used* GPUs; return (bounds by our own readings in mJ, record, card)."""
    spent_mj = python(
        PROGRAM,
        folder,
        TESTS,
        used,
        env={**machine.env, **variables},
        timeout_s=120,
    )
    return (
        spent_mj,
        json.loads((folder / "autocard.json").read_text()),
        (folder / "README.md").read_text(),
    )


def line(card, label):
    return re.search(rf"^- \*\*{label}:\*\* (.*)$", card, flags=re.MULTILINE)[1]


@pytest.fixture
def run(nvml_machine, tmp_path):
    return train(nvml_machine(gpus=2, watts=300), tmp_path, 2)


@pytest.mark.slow
def test_gpu_energy_is_that_of_the_counters_at_begin_and_end(run):
    spent_mj, record, card = run
    at_least_j, at_most_j = (sum(each) / 1000 for each in spent_mj)

    joules = record["energy"]["gpu_kwh"] * 3.6e6
    assert at_least_j <= joules <= at_most_j
    assert joules == pytest.approx(600 * record["time"]["wall_clock_s"], rel=0.03)
    assert record["energy"]["codecarbon_gpu_kwh"] * 3.6e6 == pytest.approx(joules, rel=0.1)
    assert record["time"]["gpu_s"] == pytest.approx(2 * record["time"]["wall_clock_s"])
    stated = re.search(r"^\| GPUs \| ([\d.]+) \| (.*) \|$", card, flags=re.MULTILINE)
    assert float(stated[1]) * 3.6e6 == pytest.approx(joules, rel=0.01)
    assert "measured: NVML energy counters" in stated[2]
    assert line(card, "Hardware Type").startswith("2 × NVIDIA Stand-in 80GB (80 GiB)")
    assert "GPU" in line(card, "Hours used")
    assert "GPU-1a1b2c3d" not in card + json.dumps(record)


def test_a_run_that_has_two_gpus_of_eight_reports_two(nvml_machine, tmp_path):
    gpus = [
        Gpu(uuid_of(number), name=f"NVIDIA Kind {number % 2}", watts=100 + 31 * number)
        for number in range(8)
    ]
    gpus[6].dead = 1
    gpus[5].processes = 2
    machine = nvml_machine(gpus)

    # Two of three that it sees, in an order that is not the driver's.
    visible = ",".join(uuid_of(number) for number in (5, 3, 7))
    spent_mj, record, card = train(machine, tmp_path, 2, CUDA_VISIBLE_DEVICES=visible)

    wall_clock_s = record["time"]["wall_clock_s"]
    assert wall_clock_s > 10
    devices = record["legs"][0]["hosts"][0]["devices"]
    for number, device in zip((5, 3), devices, strict=True):
        assert spent_mj[0][number] <= device["energy_j"] * 1000 <= spent_mj[1][number]
    assert {(device["name"], device["memory_bytes"]) for device in devices} == {
        ("NVIDIA Kind 1", gpus[5].memory)
    }
    assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(
        sum(device["energy_j"] for device in devices)
    )
    assert record["time"]["gpu_s"] == pytest.approx(2 * wall_clock_s)
    assert [(gpu["name"], gpu["count"]) for gpu in record["hardware"]["gpus"]] == [
        ("NVIDIA Kind 1", 2)
    ]
    assert line(card, "Hardware Type").startswith("2 × NVIDIA Kind 1 (80 GiB)")
    assert (
        "Note on 1 of 2 GPUs: several processes ran on the GPU; the energy of all is included."
        in card
    )
