"""Which devices, and how exactly: meters on stand-in boards at known powers, against the counters that the test reads.

One process holds several meters at the same time, each with its own CUDA_VISIBLE_DEVICES, for
somewhat more than ten seconds; every board has a power of its own, so that one taken for another
shows.
"""

from __future__ import annotations

import json

import pytest

from support import TESTS
from support.nvml_stand_in import Gpu, make_machine, python, uuid_of

pytest_plugins = ["support.nvml_fixtures"]

MIG = "MIG-7c0ffee0-0000-4000-8000-00000000000"
RESET, LOST, GUEST, GONE = 5, 6, 4, 12
"""Boards to which something happens while the meters run."""


def boards():
    return [
        Gpu(uuid_of(0), watts=101),
        Gpu(uuid_of(1), watts=212, update_ms=20),
        Gpu(uuid_of(2), watts=400, low=80, period_s=1.7, update_ms=20),
        Gpu(uuid_of(3), watts=300, low=150, period_s=5.0, counter=0),
        Gpu(uuid_of(4), watts=157, update_ms=20),
        Gpu(uuid_of(5), watts=433),
        Gpu(uuid_of(6), watts=271),
        Gpu(uuid_of(7), watts=999, dead=1),
        Gpu(uuid_of(8), watts=188, mig=f"{MIG}1,{MIG}2"),
        Gpu(uuid_of(9), watts=322, processes=3),
        Gpu(uuid_of(10), watts=77, dead=4),  # no permission: another job's, behind a control group
        Gpu(uuid_of(11), watts=140, counter=0),
        Gpu(uuid_of(12), watts=265),
    ]


FELL_OFF = "one that is lost and stays so"
VARIANTS = {
    "uuids in another order": (
        ",".join(uuid_of(number) for number in (9, 2, 6, 3, 5, 11)),
        None,
        [9, 2, 6, 3, 5, 11],
    ),
    "indices, of which the run uses two": ("4,1,0", [0, 1], [4, 1]),
    "prefix": ("GPU-2a", None, [2]),
    "slice": (f"{MIG}2", None, [8]),
    "slice, in the old form": (f"MIG-{uuid_of(8)}/2/0", None, [8]),
    "empty": ("", None, []),
    "none": ("-1", None, []),
    FELL_OFF: (uuid_of(12), None, [12]),
}
"""CUDA_VISIBLE_DEVICES, ordinals that the run uses, boards that this means. Indices count the
boards that answer."""

PROGRAM = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pynvml
from support.nvml_stand_in import Gpu, Machine
from autocard.energy.meter import Meter
from autocard.record.gaps import under
from autocard.settings import Settings

machine = Machine(Path(sys.argv[2]), [Gpu(**gpu) for gpu in json.loads(sys.argv[3])])
pynvml.nvmlInit()

def counters():
    # The test's own: the board's counter, and where it has none, or it is lost, what the stand-in's power comes to.
    found = []
    for gpu in machine.gpus:
        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid.encode())
            found.append(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)
        except pynvml.NVMLError:
            found.append(gpu.joules_at(time.monotonic()))
    return found

def each(work):
    for name, (visible, ordinals, _) in json.loads(sys.argv[4]).items():
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
        work(name, ordinals)

meters, begun, begun_s, ended, legs, missing = {}, {}, {}, {}, {}, {}
def start(name, ordinals):
    meters[name] = Meter(Settings(measure_power_secs=4), ordinals=ordinals)
    meters[name].start()
def begin(name, _):
    begun[name], begun_s[name] = counters(), time.monotonic()
    meters[name].begin(0)
def end(name, _):
    ended[name] = counters()
    (entry,) = meters[name].end(5, 5)
    legs[name], missing[name] = entry.leg, under("legs.0", entry.missing)
each(start)
until = time.monotonic() + 30
for meter in meters.values():
    # A trainer that has data to load gives the measuring processes that time too; seven at once need it here.
    meter.wait_until_ready(30)
each(begin)
time.sleep(3.3)
machine.gpus[RESET].offset_mj = -int(machine.gpus[RESET].joules_at(time.monotonic()) * 1000)
machine.gpus[LOST].dead = machine.gpus[GONE].dead = 1
gone_s = time.monotonic()
machine.gpus[GUEST].processes = 2
machine.write()
time.sleep(3)
machine.gpus[LOST].dead = 0
machine.gpus[GUEST].processes = 1
machine.write()
time.sleep(4)
lost_j = -machine.gpus[RESET].offset_mj / 1000
each(end)
for meter in meters.values():
    meter.close()
for readings in ended.values():
    readings[RESET] += lost_j  # what its counter had before it was set back
for name, readings in ended.items():
    readings[GONE] = begun[name][GONE] + machine.gpus[GONE].watts * (gone_s - begun_s[name])
told = {
    name: [leg.model_dump(mode="json"), missing[name], [b - a for a, b in zip(begun[name], ended[name])]]
    for name, leg in legs.items()
}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def measured(nvml_library, tmp_path_factory):
    """Variant → leg, reasons, joules of every board by the test's own readings."""
    machine = make_machine(nvml_library, tmp_path_factory.mktemp("accuracy"), boards())
    program = PROGRAM
    for name, number in (("RESET", RESET), ("LOST", LOST), ("GUEST", GUEST), ("GONE", GONE)):
        program = program.replace(f"[{name}]", f"[{number}]")
    gpus = json.dumps([gpu.__dict__ for gpu in boards()])
    return python(
        program,
        TESTS,
        machine.folder,
        gpus,
        json.dumps(VARIANTS),
        env=machine.env,
        timeout_s=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != FELL_OFF])
def test_gpu_energy_is_within_a_hundredth_of_the_boards_own_counters(measured, variant):
    leg, missing, true_j = measured[variant]
    expected = [true_j[number] for number in VARIANTS[variant][2]]

    devices = leg["hosts"][0]["devices"]

    assert leg["wall_clock_s"] > 10
    assert len(devices) == len(expected)
    for device, joules in zip(devices, expected, strict=True):
        # Samples miss what changes between them; on a busy machine they come late.
        exact = 0.01 if device["source"] == "nvml-counter" else 0.02
        assert device["energy_j"] == pytest.approx(joules, rel=exact)
    assert not [path for path in missing if path.endswith("energy_j")]
    if not expected:
        assert leg["hosts"][0]["sources"]["gpu"] == "no GPU was used"


@pytest.mark.slow
def test_what_a_figure_rests_on_is_said(measured):
    leg, missing, _ = measured["uuids in another order"]

    by_board = dict(
        zip(VARIANTS["uuids in another order"][2], leg["hosts"][0]["devices"], strict=True)
    )

    assert {number: device["source"] for number, device in by_board.items()} == {
        9: "nvml-counter",
        2: "nvml-counter",
        6: "nvml-counter",
        3: "nvml-power-samples",
        5: "nvml-counter",
        11: "nvml-power-samples",
    }
    assert "reset" in by_board[5]["note"]
    assert "several processes" in by_board[9]["note"]
    assert [by_board[number]["note"] for number in (2, 3, 6, 11)] == [""] * 4
    assert leg["hosts"][0]["sources"]["gpu"] == (
        "measured: NVML energy counters and NVML power, sampled 20 times per second"
    )
    assert "no energy counter" in missing["legs.0.hosts.0.devices.3.counter_begin_j"]


@pytest.mark.slow
def test_a_guest_that_comes_and_goes_during_training_is_told(measured):
    leg, _, _ = measured["indices, of which the run uses two"]

    notes = [device["note"] for device in leg["hosts"][0]["devices"]]

    assert "several processes" in notes[0]
    assert notes[1] == ""


@pytest.mark.slow
def test_a_board_that_is_lost_has_the_energy_up_to_its_last_reading_and_says_so(measured):
    leg, _, true_j = measured[FELL_OFF]

    (device,) = leg["hosts"][0]["devices"]

    # Read once a second: what came after the last reading is not known to anybody.
    assert true_j[GONE] - 265 * 1.3 <= device["energy_j"] <= true_j[GONE] * 1.01
    assert "did not answer at the end" in device["note"]
    assert "GPU is lost" in device["note"]


@pytest.mark.slow
def test_a_slice_has_the_energy_of_its_board_and_says_so(measured):
    for variant in ("slice", "slice, in the old form"):
        (device,) = measured[variant][0]["hosts"][0]["devices"]

        assert "MIG slice" in device["note"]
        assert "whole GPU" in device["note"]


OTHERS = """
import json, sys, types
# torch without such devices cannot be made to show one: this is the part of its interface that is asked.
kind, hip = sys.argv[1], sys.argv[2] or None
about = types.SimpleNamespace(name="Maker Accelerator 7", total_memory=64 * 2**30)
devices = types.SimpleNamespace(
    is_available=lambda: True,
    is_initialized=lambda: True,
    device_count=lambda: 4,
    get_device_properties=lambda ordinal: about,
    max_memory_allocated=lambda ordinal: 5,
)
sys.modules["torch"] = types.SimpleNamespace(version=types.SimpleNamespace(hip=hip, cuda=None), **{kind: devices})
from autocard.totals import totals
from autocard.trainers.transformers import observe
from autocard.capture.environment import hardware
from autocard.energy.meter import Meter
from autocard.record import RunRecord
from autocard.record.gaps import Part
from autocard.settings import Settings
from autocard.card.fields import accounts, impact
args = types.SimpleNamespace(device=types.SimpleNamespace(type=kind, index=0), n_gpu=2)
observed = observe(Settings(), args, None)
used = hardware.accelerators(observed)
found = hardware.capture(observed).value
meter = Meter(Settings(ram_power_w=10), uses_gpu=used.uses_gpu, device_type=used.device_type, ordinals=used.ordinals)
meter.begin(0)
(entry,) = meter.end(1, 1)
meter.close()
energy = totals.sums([Part(entry.leg, entry.missing)], settings=Settings()).energy
record = RunRecord(legs=[entry.leg], hardware=found, energy=energy.value)
words = impact.hardware_type(record)
print(json.dumps([words, energy.value.gpu_kwh, energy.gaps["gpu_kwh"], energy.value.total_kwh]))
"""


@pytest.mark.parametrize(
    ("kind", "hip", "words"),
    [("cuda", "6.4", "AMD GPUs (ROCm)"), ("xpu", "", "xpu accelerators"), ("npu", "", "npu")],
)
def test_other_makers_devices_are_named_and_not_measured_even_beside_one_that_could_be(
    nvml_machine, kind, hip, words
):
    name, gpu_kwh, reason, total_kwh = python(OTHERS, kind, hip, env=nvml_machine(2).env)

    assert name.startswith("2 × Maker Accelerator 7 (64 GiB)")
    assert gpu_kwh is None
    assert reason.startswith("not measured: ")
    assert words in reason
    assert total_kwh is None
