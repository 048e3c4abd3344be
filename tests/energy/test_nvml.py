"""Which GPUs a process uses, and what NVML says of them: real pynvml on the stand-in for NVIDIA's library."""

from __future__ import annotations

import json

import pytest

from support import TESTS
from support.nvml_stand_in import Gpu, make_machine, python, uuid_of

pytest_plugins = ["support.nvml_fixtures"]

CHOOSE = """
import json, sys
from autocard.energy.gpu import gpu_selection as visible
cases = json.loads(sys.argv[1])
chosen = [visible.devices(environ, ordinals) for environ, ordinals in cases]
print(json.dumps([[[device.index, device.note, device.memory_bytes] for device in devices] for devices in chosen]))
"""


def choose(machine, *cases):
    """Return [[index, note, memory], …] of the devices for each (environment, ordinals) case."""
    return python(CHOOSE, json.dumps(cases), env=machine.env)


VISIBLE = {
    None: [0, 1, 2, 3],
    "2": [2],
    "3,1": [3, 1],
    "1, 2": [1, 2],
    "": [],
    "-1": [],
    "none": [],
    "0,-1,2": [0],
    "0,9,2": [0],
    "1,1": [],
    "+1,2": [1, 2],
    "1gpu,3": [1, 3],
    "2,GPU-1": [2],
    f"{uuid_of(1)},2": [1],
    f"{uuid_of(1)},GPU-1": [],
    "NoDevFiles": [],
    uuid_of(2): [2],
    f"{uuid_of(3)},{uuid_of(0)}": [3, 0],
    "GPU-2a1b": [2],
    "GPU-2": [2],
    "GPU-": [],
    "GPU-ffff": [],
    f"MIG-{uuid_of(1)}/1/0": [1],
    "MIG-7c0ffee0-0000-4000-8000-000000000000": [3],
    "MIG-7c0": [3],
}
"""CUDA_VISIBLE_DEVICES → NVML indices that it leaves of four boards, of which the last has a MIG
slice."""


@pytest.fixture(scope="module")
def nvml_choices(nvml_library, tmp_path_factory):
    """Value of CUDA_VISIBLE_DEVICES → devices: all cases in one process."""
    gpus = [Gpu(uuid_of(number)) for number in range(4)]
    gpus[3].mig = "MIG-7c0ffee0-0000-4000-8000-000000000000"
    machine = make_machine(nvml_library, tmp_path_factory.mktemp("choices"), gpus)
    cases = [({} if value is None else {"CUDA_VISIBLE_DEVICES": value}, None) for value in VISIBLE]
    return dict(zip(VISIBLE, choose(machine, *cases), strict=True))


@pytest.mark.parametrize(("value", "expected"), VISIBLE.items())
def test_the_variable_means_what_cuda_takes_it_for(nvml_choices, value, expected):
    assert [index for index, _, _ in nvml_choices[value]] == expected


def test_torch_reads_the_variable_the_same_way(nvml_machine):
    script = """
import json, os, random
import torch
from autocard.energy.gpu import nvml, gpu_selection as visible
draw = random.Random(4)
uuids = [board.uuid for board in nvml.devices()]
pieces = [*"0123 x", "", "1", "+2", "-1", "12", " 3", "0x1", "none", "GPU-", *uuids, *(uuid[:6] for uuid in uuids)]
wrong, shown = [], set()
for _ in range(3000):
    value = ",".join(draw.choice(pieces) for _ in range(draw.randrange(1, 5)))
    os.environ["CUDA_VISIBLE_DEVICES"] = value
    ours = [device.index for device in visible.devices()]
    theirs = torch.cuda._parse_visible_devices()
    if theirs and isinstance(theirs[0], str):
        theirs = torch.cuda._transform_uuid_to_ordinals(theirs, uuids)
    theirs = theirs[: torch.cuda._device_count_nvml()]
    shown.add(tuple(theirs))
    if ours != theirs:
        wrong.append([value, ours, theirs])
print(json.dumps([wrong[:5], len(shown)]))
"""

    wrong, different = python(script, env=nvml_machine(4).env)

    assert wrong == []
    assert different > 20


def test_a_slice_of_a_board_is_said_to_be_one_and_has_its_own_memory(nvml_choices):
    ((_, note, memory),) = nvml_choices["MIG-7c0"]

    assert "MIG slice" in note
    assert "whole GPU" in note
    assert memory == 10 * 1024**3


def test_where_the_variable_names_a_board_that_is_cut_cuda_shows_one_slice_of_it(nvml_machine):
    machine = nvml_machine([Gpu(uuid_of(0), mig="MIG-aaaa,MIG-bbbb"), Gpu(uuid_of(1))])

    unset, number, two_slices, last = choose(
        machine,
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "0"}, None),
        ({"CUDA_VISIBLE_DEVICES": "MIG-bbbb,MIG-aaaa"}, None),
        ({"CUDA_VISIBLE_DEVICES": "MIG-bb"}, [0]),
    )

    assert [(index, "MIG slice" in note, memory) for index, note, memory in unset] == [
        (0, True, 10 * 1024**3),
        (1, False, 80 * 1024**3),
    ]
    assert number == two_slices == last == unset[:1]  # the board is counted once


def test_with_boards_of_several_kinds_cudas_order_is_in_doubt_until_something_settles_it(
    nvml_machine,
):
    gpus = [
        Gpu(uuid_of(0), name="Slow"),
        Gpu(uuid_of(1), name="Fast"),
        Gpu(uuid_of(2), name="Slow"),
    ]
    machine = nvml_machine(gpus)

    by_speed, by_bus, by_uuid, everything, first = choose(
        machine,
        ({"CUDA_VISIBLE_DEVICES": "0"}, None),
        ({"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, None),
        ({"CUDA_VISIBLE_DEVICES": uuid_of(1)}, [0]),
        ({}, None),
        ({}, [0]),
    )

    assert "uncertain" in by_speed[0][1]
    assert by_bus == [[0, "", 80 * 1024**3]]
    assert by_uuid == [[1, "", 80 * 1024**3]]
    assert [note for _, note, _ in everything] == ["", "", ""]
    assert "uncertain" in first[0][1]


def test_ordinals_count_among_the_visible_boards(nvml_machine):
    (two_of_three,) = choose(nvml_machine(4), ({"CUDA_VISIBLE_DEVICES": "3,2,1"}, [0, 2]))

    assert [index for index, _, _ in two_of_three] == [3, 1]


def test_boards_of_the_run_that_this_process_does_not_see_are_a_reason_and_not_left_out(
    nvml_machine,
):
    script = """
import json
from autocard.totals import totals
from autocard.energy.meter import Meter
from autocard.record.gaps import Part
from autocard.settings import Settings
meter = Meter(Settings(), uses_gpu=True, device_type="cuda", ordinals=[0, 1, 2, 3])
meter.begin(0)
(entry,) = meter.end(1, 1)
meter.close()
energy = totals.sums([Part(entry.leg, entry.missing)], settings=Settings()).energy
print(json.dumps([energy.value.gpu_kwh, energy.gaps["gpu_kwh"]]))
"""
    env = nvml_machine(4).env | {"CUDA_VISIBLE_DEVICES": "2"}

    gpu_kwh, reason = python(script, env=env)

    assert gpu_kwh is None
    assert reason == "not measured: the run uses 4 GPUs of this host, and this process sees 1"


def test_a_dead_gpu_does_not_hide_the_others_and_has_no_ordinal(nvml_machine):
    gpus = [Gpu(uuid_of(number)) for number in range(3)]
    gpus[0].dead = 1

    everything, first = choose(
        nvml_machine(gpus), ({}, None), ({"CUDA_VISIBLE_DEVICES": "0"}, None)
    )

    assert [index for index, _, _ in everything] == [1, 2]
    assert [index for index, _, _ in first] == [1]


def test_what_torch_reports_goes_before_the_variables(nvml_machine):
    script = """
import json, sys, types
# torch without CUDA cannot be made to see the stand-in: this is the part of its interface that is asked.
cuda = types.SimpleNamespace(
    is_initialized=lambda: True,
    device_count=lambda: 2,
    get_device_properties=lambda ordinal: types.SimpleNamespace(uuid=sys.argv[1 + ordinal]),
)
sys.modules["torch"] = types.SimpleNamespace(cuda=cuda)
from autocard.energy.gpu import gpu_selection as visible
print(json.dumps([[device.index, device.note] for device in visible.devices({"CUDA_VISIBLE_DEVICES": "0,1"})]))
"""
    gpus = [Gpu(uuid_of(number), name=f"Kind {number}") for number in range(3)]

    found = python(
        script,
        *(uuid_of(number).removeprefix("GPU-") for number in (2, 0)),
        env=nvml_machine(gpus).env,
    )

    assert found == [[2, ""], [0, ""]]


def test_versions_and_names_are_the_drivers(nvml_machine):
    script = """
import json
from autocard.energy.gpu import nvml
board = nvml.devices()[0]
print(json.dumps([nvml.driver_version(), nvml.cuda_driver_version(), board.name, board.memory_bytes, board.uuid]))
"""

    assert python(script, env=nvml_machine(1).env) == [
        "580.65.06",
        "12.8",
        "NVIDIA Stand-in 80GB",
        80 * 1024**3,
        uuid_of(0),
    ]


REASON = """
import json
from autocard.energy.gpu import nvml
from autocard.errors import UnavailableError
try:
    nvml.devices()
except UnavailableError as exc:
    print(json.dumps(str(exc)))
"""


def test_without_a_driver_there_is_a_reason_and_no_failure(nvml_machine):
    without_driver = nvml_machine(1)
    without_driver.init = 9
    without_driver.write()

    assert python(REASON, env=without_driver.env) == "NVML: the NVIDIA driver is not loaded"


def test_without_the_library_there_is_a_reason_and_no_failure():
    import pynvml

    from autocard.energy.gpu import nvml
    from autocard.errors import UnavailableError

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")

    with pytest.raises(UnavailableError, match="no NVIDIA driver on this machine"):
        nvml.devices()


TICKS = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.nvml_stand_in import Gpu, Machine, uuid_of
from autocard.energy.gpu import nvml
from autocard.energy.gpu.counter_totals import CounterTotals as Boards
gpus = [Gpu(uuid_of(0)), Gpu(uuid_of(1), counter=0), Gpu(uuid_of(2)), Gpu(uuid_of(3))]
machine = Machine(Path(sys.argv[2]), gpus)
nvml.devices()  # loads the library: not to be counted
started = time.monotonic()
boards = Boards([gpu.uuid for gpu in gpus], started)
time.sleep(0.3)
boards.tick(time.monotonic())
gpus[2].offset_mj = -10**8  # the counter of one goes back,
gpus[3].dead = 1            # another dies
machine.write()
time.sleep(0.3)
boards.tick(time.monotonic())
dead_j = boards.joules[gpus[3].uuid]
silent = list(boards.silent)
gpus[3].dead = 0            # and comes back
machine.write()
time.sleep(0.3)
ended = time.monotonic()
boards.tick(ended)
seconds = ended - started
print(json.dumps([seconds, list(boards.joules.values()), dead_j, silent, list(boards.sampled), list(boards.reset)]))
"""


def test_totals_survive_a_missing_counter_a_reset_and_a_silence(nvml_machine):
    gpus = [Gpu(uuid_of(0)), Gpu(uuid_of(1), counter=0), Gpu(uuid_of(2)), Gpu(uuid_of(3))]
    machine = nvml_machine(gpus)

    seconds, joules, dead_j, silent, sampled, reset = python(
        TICKS, TESTS, machine.folder, env=machine.env
    )

    assert joules == pytest.approx([300 * seconds] * 4, rel=0.03)
    assert dead_j == pytest.approx(300 * seconds / 3, rel=0.1)
    assert silent == [uuid_of(3)]
    assert sampled == [uuid_of(1)]
    assert reset == [uuid_of(2)]
