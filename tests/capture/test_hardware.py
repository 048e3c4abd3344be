"""What the run ran on: the machine of the tests, and stand-in GPUs."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from autocard import record as parts
from autocard.capture.environment import hardware
from autocard.capture.environment.hardware import accelerators
from autocard.card.fields import facts
from autocard.errors import UnavailableError
from autocard.record import RunRecord, unexplained
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support.captured import value_of
from support.nvml_stand_in import Gpu, python, uuid_of

pytest_plugins = ["support.nvml_fixtures"]


def arguments(device="cpu", index=None, n_gpu=0):
    """As much of TrainingArguments as is asked: torch without CUDA makes no devices of other kinds."""
    return SimpleNamespace(device=SimpleNamespace(type=device, index=index), n_gpu=n_gpu)


def seen(args=None, model=None):
    return observe(Settings(), args or arguments(), SimpleNamespace(), model=model)


def test_the_machine_is_described_as_others_describe_it():
    missing: dict[str, str] = {}

    found = value_of("hardware", hardware.capture, missing, seen())

    assert found.cpu_count == len(psutil.Process().cpu_affinity())
    assert found.cpu_count_node == psutil.cpu_count()
    assert found.ram_bytes == pytest.approx(psutil.virtual_memory().total, rel=0.01)
    if platform.machine() == "x86_64":
        assert f": {found.cpu_model}\n" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    assert (found.nodes, found.gpus) == (1, [])
    assert missing["hardware.driver_version"] == "no GPU was used"


def test_every_leaf_that_is_not_there_has_a_reason():
    missing: dict[str, str] = {}

    found = value_of("hardware", hardware.capture, missing, seen())
    memory, resident = value_of("hardware.peak_memory_bytes", hardware.peaks, missing, seen())
    full = found.model_copy(update={"peak_memory_bytes": memory, "peak_ram_bytes": resident})

    record = RunRecord(hardware=full, missing=missing)
    assert [path for path in unexplained(record) if path.startswith("hardware.")] == []
    assert memory == {}
    assert resident >= psutil.Process().memory_info().rss * 0.5


CAPTURE = """
import json, os, sys
from types import SimpleNamespace
from autocard.trainers.transformers import observe
from autocard import record as parts
from autocard.capture.environment import hardware
from autocard.record.gaps import under
from autocard.settings import Settings
kind, index, n_gpu = json.loads(sys.argv[1])
args = SimpleNamespace(device=SimpleNamespace(type=kind, index=index), n_gpu=n_gpu)
part = hardware.capture(observe(Settings(), args, None))
print(json.dumps([part.value.model_dump(mode="json"), under("hardware", part.gaps)]))
"""


def capture(machine, *device):
    return python(CAPTURE, json.dumps(device), env=machine.env)


def test_only_the_gpus_that_the_run_uses_are_named_and_counted(nvml_machine):
    gpus = [
        Gpu(uuid_of(0), name="NVIDIA Small"),
        *(Gpu(uuid_of(number), name="NVIDIA Big") for number in (1, 2, 3)),
    ]
    machine = nvml_machine(gpus)
    machine.env |= {"CUDA_VISIBLE_DEVICES": "1,2,0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    one, _ = capture(machine, "cuda", 0, 1)
    three, missing = capture(machine, "cuda", 0, 3)
    none, _ = capture(machine, "cpu", None, 0)

    assert one["gpus"] == [{"name": "NVIDIA Big", "count": 1, "memory_bytes": 80 * 1024**3}]
    assert {gpu["name"]: gpu["count"] for gpu in three["gpus"]} == {
        "NVIDIA Big": 2,
        "NVIDIA Small": 1,
    }
    assert (three["driver_version"], three["cuda_driver_version"]) == ("580.65.06", "12.8")
    assert "hardware.cuda_runtime_version" in missing  # no torch in that process
    assert (none["gpus"], none["driver_version"]) == ([], None)


def test_gpus_that_the_driver_does_not_list_are_unknown_and_not_absent(nvml_machine):
    machine = nvml_machine([Gpu(uuid_of(0))])
    machine.env |= {"CUDA_VISIBLE_DEVICES": "MIG-7c0ffee0-0000-4000-8000-000000000000"}

    found, missing = capture(machine, "cuda", 0, 1)

    assert found["gpus"] == []
    assert missing["hardware.gpus"] == "NVML lists none of the GPUs used for training"
    record = RunRecord(hardware=parts.Hardware(cpu_count=2), missing=missing)
    assert "GPUs: none used" not in facts(record)["hardware_requirements"].body()


def test_an_accelerator_without_a_driver_that_we_know_is_a_reason():
    missing: dict[str, str] = {}

    found = value_of("hardware", hardware.capture, missing, seen(arguments("mps")))

    assert found.gpus == []
    assert "Apple" in missing["hardware.gpus"]


@pytest.mark.parametrize(
    ("args", "model", "environ", "expected"),
    [
        (arguments("cpu"), None, {}, (False, None)),
        (arguments("mps"), None, {}, (True, [0])),
        (arguments("cuda", 0, 1), None, {}, (True, [0])),
        (arguments("cuda", 3, 1), None, {"LOCAL_WORLD_SIZE": "1"}, (True, [3])),
        (arguments("cuda", 0, 4), None, {}, (True, [0, 1, 2, 3])),
        (arguments("cuda", 1, 1), None, {"LOCAL_WORLD_SIZE": "2"}, (True, [0, 1])),
        (
            arguments("cuda", 0, 1),
            SimpleNamespace(hf_device_map={"a": 0, "b": "cuda:2", "c": "cpu"}),
            {},
            (True, [0, 2]),
        ),
        (SimpleNamespace(), None, {}, (None, None)),
    ],
)
def test_the_accelerators_are_those_that_the_trainer_spreads_over(args, model, environ, expected):
    found = accelerators(seen(args, model), environ)

    assert (found.uses_gpu, found.ordinals) == expected


def test_real_arguments_on_this_machine_say_what_torch_trains_on(tmp_path):
    import torch
    from transformers import TrainingArguments

    real = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    found = accelerators(seen(real, torch.nn.Linear(1, 1)))

    assert (found.uses_gpu, found.device_type) == (False, "cpu")


def test_without_a_workload_manager_nobody_has_allocated_gpus():
    missing: dict[str, str] = {}

    assert value_of("hardware", hardware.capture, missing, seen()).gpus_allocated is None
    assert missing["hardware.gpus_allocated"] == "no workload manager"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "processor\t: 0\ncpu family\t: 6\nmodel name\t: Intel(R) Xeon(R)  CPU @ 2.20GHz\n",
            "Intel(R) Xeon(R) CPU @ 2.20GHz",
        ),
        ("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", "POWER9, altivec supported"),
    ],
)
def test_the_cpus_name_is_found_in_several_forms_of_the_file(tmp_path, text, name):
    file = tmp_path / "cpuinfo"
    file.write_text(text, encoding="ascii")

    assert hardware.cpu_model(file) == name


def test_a_cpu_that_nobody_names_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UnavailableError, match="does not report the CPU name"):
        hardware.cpu_model(tmp_path / "cpuinfo")


def test_a_container_has_the_memory_of_its_limit(tmp_path):
    (tmp_path / "memory.max").write_text("1073741824\n", encoding="ascii")

    assert hardware.ram_bytes(tmp_path) == 1024**3
    assert hardware.ram_bytes(tmp_path / "none") == os.sysconf("SC_PAGE_SIZE") * os.sysconf(
        "SC_PHYS_PAGES"
    )
