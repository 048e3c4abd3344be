"""The meter as a training uses it: real child processes, real CodeCarbon, stand-in GPUs, real kills."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta

import pytest

import autocard.energy.meter
from autocard.energy.ledger import ledger_files
from autocard.energy.meter import Meter
from autocard.record import RunRecord, unexplained
from autocard.record.gaps import Part, joined, under
from autocard.settings import Settings
from support.counting import waits
from support.nvml_stand_in import Gpu, python, uuid_of

pytest_plugins = ["support.nvml_fixtures"]

READY_S = 20.0
"""More than CodeCarbon's start takes on a busy machine."""


def processes_of(pid: int) -> list[int]:
    """Return the living children of a process."""
    import psutil

    return [
        child.pid
        for child in psutil.Process(pid).children()
        if child.status() != psutil.STATUS_ZOMBIE
    ]


def wait_until_ready(meter: Meter, *, at_most_s: float = READY_S) -> None:
    """Wait until CodeCarbon has started, as a long training does by itself."""
    assert meter.wait_until_ready(at_most_s)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two trainings by one meter, the second cut short once; what they took by the test's own clock."""
    folder = tmp_path_factory.mktemp("output")
    gc.collect()  # the meters of other tests in this process, whose end a start would wait for
    meter = Meter(
        Settings(country_iso_code="FRA", pue=1.2, cpu_power_w=100, ram_power_w=40), folder=folder
    )
    for other in list(autocard.energy.meter._METERS):
        other.rest(meter)
    waited, walls = {}, []

    def moments(work):
        """Return the moments before and after *work*."""
        begun_s = time.monotonic()
        work()
        return begun_s, time.monotonic()

    def noted(begun, ended):
        """Note the bounds of a leg's time: at least from after its begin to before its end, at most with both."""
        walls.append((ended[0] - begun[1], ended[1] - begun[0]))

    waited["start"] = waits(meter.start)
    wait_until_ready(meter)
    child = meter.worker_pid
    entries = []
    for number, steps in enumerate(([0, 3], [3, 0, 2])):
        begun = moments(lambda at=steps[0]: waited.update(begin=waits(lambda: meter.begin(at))))
        time.sleep(1.2)
        meter.progress(steps[0] + 1)
        for step in steps[1:-1]:
            again = moments(lambda at=step: meter.begin(at))
            noted(begun, again)
            begun = again
            time.sleep(0.6)
        # The first training has one leg.
        noted(
            begun,
            moments(lambda at=steps[-1]: entries.extend(meter.end(at, 3))),
        )
        assert meter.worker_pid == child, number
    meter.close()
    legs = joined(Part(entry.leg, entry.missing) for entry in entries)
    return folder, legs.value, under("legs", legs.gaps), waited, walls, child


def test_cpu_and_ram_are_modelled_with_the_powers_given(run):
    _, legs, _, _, _, _ = run

    (host,) = legs[0].hosts

    assert host.ram_j == pytest.approx(40 * legs[0].wall_clock_s * host.cpu_share, rel=0.05)
    assert (
        0.1 * 100 * legs[0].wall_clock_s * 0.95
        <= host.cpu_j / host.cpu_share
        <= 100 * legs[0].wall_clock_s * 1.05
    )
    assert host.sources["cpu"].startswith(
        "modeled: CodeCarbon, load of the whole machine × 100 W (as given)"
    )
    assert host.sources["ram"].startswith("modeled: 40 W (as given)")
    assert host.sources["gpu"] == "no GPU was used"


def test_each_begin_is_a_leg_and_its_time_is_the_clocks(run):
    _, legs, _, _, walls, _ = run

    assert [(leg.step_begin, leg.step_end, leg.status) for leg in legs] == [
        (0, 3, "finished"),
        (3, 4, "interrupted"),
        (0, 2, "stopped"),
    ]
    for leg, (at_least_s, at_most_s) in zip(legs, walls, strict=True):
        assert at_least_s <= leg.wall_clock_s <= at_most_s
    assert len({leg.id for leg in legs}) == 3
    for leg in legs:
        assert leg.started_at.endswith("Z")
        span = datetime.fromisoformat(leg.ended_at.replace("Z", "+00:00")) - datetime.fromisoformat(
            leg.started_at.replace("Z", "+00:00")
        )
        # Two clocks, read one after the other.
        assert span == pytest.approx(
            timedelta(seconds=leg.wall_clock_s), abs=timedelta(seconds=0.5)
        )


def test_the_intensity_is_that_of_the_country_with_source_and_year(run):
    _, legs, _, _, _, _ = run

    assert [leg.intensity_g_per_kwh for leg in legs] == pytest.approx([56.039] * 3)
    assert {(leg.intensity_source, leg.intensity_year, leg.pue) for leg in legs} == {
        ("Our World in Data, through CodeCarbon", 2023, 1.2)
    }


def test_every_leaf_that_is_not_there_has_a_reason(run):
    _, legs, missing = run[0], run[1], dict(run[2])
    for number in range(len(legs)):
        missing |= {
            f"legs.{number}.co2eq_g": "worked out by job",
            f"legs.{number}.batch": "noted by the session",
            f"legs.{number}.job_id": "captured by the session",
            f"legs.{number}.job": "captured by the session",
        }

    without = [
        path
        for path in unexplained(RunRecord(legs=legs, missing=missing))
        if path.startswith("legs.")
    ]

    assert without == []


def test_the_training_waits_for_nothing_when_it_begins(run):
    _, _, _, waited, _, _ = run

    # What the events cost is measured in benchmarks/hold_up.py.
    assert waited == {"start": 0, "begin": 0}


def test_nothing_is_left_running(run):
    _, _, _, _, _, child = run

    assert child not in processes_of(os.getpid())


def test_the_ledger_holds_each_leg_and_no_name_of_the_machine(run):
    folder, legs, _, _, _, _ = run

    entries = ledger_files.read(folder / ledger_files.FOLDER)

    assert [entry.leg.id for entry in entries] == [leg.id for leg in legs]
    assert [entry.status for entry in entries] == ["finished", "interrupted", "stopped"]
    assert len({entry.run_id for entry in entries}) == 1
    for entry, leg in zip(entries, legs, strict=True):
        assert entry.leg.hosts[0].ram_j == pytest.approx(leg.hosts[0].ram_j, rel=0.01)
    import socket

    text = "".join(
        file.read_text(encoding="utf-8") for file in (folder / ledger_files.FOLDER).iterdir()
    )
    assert socket.gethostname() not in text
    assert str(folder) not in text


TRAIN = """
import json, os, sys, time
from pathlib import Path
import pynvml
import autocard.energy.meter
from autocard.energy.meter import Meter
from autocard.record.gaps import under
from autocard.settings import Settings

autocard.energy.meter.ANSWER_S = 30.0  # a busy machine answers late

def counters():
    return [
        pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(index)) / 1000
        for index in range(pynvml.nvmlDeviceGetCount())
    ]

def ready():
    meter.wait_until_ready(30)

pynvml.nvmlInit()
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
meter = Meter(Settings(measure_power_secs=0.25), folder=folder, **json.loads(sys.argv[3]))
meter.start()
if seconds:
    ready()  # as a long training is, soon enough
first = counters()
meter.begin(0)
before = counters()
child = meter.worker_pid
time.sleep(seconds)
after = counters()
(entry,) = meter.end(5, 5)
last = counters()
for entry in meter.late(30.0, last=True):
    pass
leg, missing = entry.leg, under("legs.0", entry.missing)
meter.close()
# What was spent from after the begin to before the end at least, with both at most: true on any machine, however busy.
true_j = [(two - one, three - zero) for zero, one, two, three in zip(first, before, after, last)]
print(json.dumps([leg.model_dump(mode="json"), missing, true_j]))
"""


def assert_within(found_j, true_j, *, rel=1e-6):
    """Assert that each of *found_j* lies within its two bounds, give or take *rel* and what counters round to."""
    assert len(found_j) == len(true_j)
    for joules, (at_least_j, at_most_j) in zip(found_j, true_j, strict=True):
        assert at_least_j * (1 - rel) - 0.01 <= joules <= at_most_j * (1 + rel) + 0.01


def train(machine, folder, seconds=1.5, **options):
    leg, missing, true_j = python(TRAIN, folder, seconds, json.dumps(options), env=machine.env)
    return leg["hosts"][0], missing, true_j


def test_gpu_energy_is_that_of_the_counters_and_codecarbon_agrees(nvml_machine, tmp_path):
    host, missing, true_j = train(nvml_machine(2, watts=300), tmp_path)

    energies = [device["energy_j"] for device in host["devices"]]
    assert_within(energies, true_j)
    assert [device["device"] for device in host["devices"]] == ["h1.g0", "h1.g1"]
    assert {device["source"] for device in host["devices"]} == {"nvml-counter"}
    for device in host["devices"]:
        assert device["counter_end_j"] - device["counter_begin_j"] == pytest.approx(
            device["energy_j"]
        )
        assert device["note"] == ""
    assert host["codecarbon_gpu_j"] == pytest.approx(sum(energies), rel=0.1)
    assert host["sources"]["gpu"] == "measured: NVML energy counters"
    assert not [path for path in missing if "devices" in path]


def test_the_counters_are_read_before_the_child_is_waited_for(nvml_machine, tmp_path):
    # A child that hangs is waited for two seconds: 600 J of these boards, which are not the
    # training's.
    stop = "import signal; meter._worker.has_answered = True; os.kill(child, signal.SIGSTOP); after = counters()"
    script = TRAIN.replace("after = counters()", stop).replace("ANSWER_S = 30.0", "ANSWER_S = 2.0")

    leg, _, true_j = python(script, tmp_path, 1.0, "{}", env=nvml_machine(1, watts=300).env)

    (device,) = leg["hosts"][0]["devices"]
    ((at_least_j, at_most_j),) = true_j
    assert at_most_j - at_least_j > 600
    assert at_least_j <= device["energy_j"] < at_least_j + 300


def test_only_the_gpus_of_the_run_are_counted_and_a_dead_one_elsewhere_does_not_matter(
    nvml_machine, tmp_path
):
    gpus = [Gpu(uuid_of(number), watts=100 * (number + 1), processes=number) for number in range(4)]
    gpus[3].dead = 1
    machine = nvml_machine(gpus)
    machine.env["CUDA_VISIBLE_DEVICES"] = f"{uuid_of(2)},{uuid_of(1)}"

    script = TRAIN.replace("range(pynvml.nvmlDeviceGetCount())", "(2, 1)")
    leg, _, true_j = python(script, tmp_path, 1.5, "{}", env=machine.env)

    (host,) = leg["hosts"]
    assert_within([device["energy_j"] for device in host["devices"]], true_j)
    assert [device["note"] != "" for device in host["devices"]] == [True, False]
    assert "several processes" in host["devices"][0]["note"]
    # CodeCarbon does not start at all beside a dead GPU: without GPUs it does.
    assert host["ram_j"] > 0
    assert host["codecarbon_gpu_j"] is None


def test_a_board_without_a_counter_is_measured_by_its_power_and_said_to_be(nvml_machine, tmp_path):
    machine = nvml_machine([Gpu(uuid_of(0), counter=0, watts=200)])
    # without it CodeCarbon sees no GPU, and would call that 0 J
    (machine.folder / "nvidia-smi").unlink()

    script = TRAIN.replace("counters():", "counters():\n    return [200 * time.monotonic()]")
    leg, missing, true_j = python(script, tmp_path, 3.0, "{}", env=machine.env)

    (device,) = leg["hosts"][0]["devices"]
    # samples: they come late on a busy machine
    assert_within([device["energy_j"]], true_j, rel=0.05)
    assert device["source"] == "nvml-power-samples"
    assert leg["hosts"][0]["sources"]["gpu"] == "measured: NVML power, sampled 20 times per second"
    assert "no energy counter" in missing["legs.0.hosts.0.devices.0.counter_begin_j"]
    assert leg["hosts"][0]["codecarbon_gpu_j"] is None
    assert "0 J" in missing["legs.0.hosts.0.codecarbon_gpu_j"]


def test_a_counter_that_is_set_back_costs_one_interval_and_is_said(nvml_machine, tmp_path):
    machine = nvml_machine(1, watts=300)
    back = """time.sleep(1)
conf = Path(sys.argv[4])
conf.write_text(conf.read_text().replace("offset_mj=0", "offset_mj=-100000000"))
time.sleep(1)"""
    script = TRAIN.replace("time.sleep(seconds)", back)

    leg, _, _ = python(script, tmp_path, 2, "{}", machine.folder / "gpus.conf", env=machine.env)

    (device,) = leg["hosts"][0]["devices"]
    # One interval between two readings, 0.25 s, is estimated from those around it.
    assert device["energy_j"] == pytest.approx(300 * leg["wall_clock_s"], rel=0.2)
    assert device["source"] == "nvml-counter"
    assert "reset" in device["note"]


def test_a_run_on_the_cpu_of_a_gpu_node_uses_no_gpu(nvml_machine, tmp_path):
    host, missing, _ = train(nvml_machine(2), tmp_path, 0.2, uses_gpu=False)

    assert host["devices"] == []
    assert host["sources"]["gpu"] == "no GPU was used"
    assert "legs.0.hosts.0.devices" not in missing


def test_a_training_that_was_over_before_codecarbon_started_has_figures_all_the_same(
    nvml_machine, tmp_path
):
    host, missing, true_j = train(nvml_machine(1), tmp_path, 0.0)

    assert host["cpu_j"] > 0
    assert host["ram_j"] > 0
    assert not [path for path in missing if path.endswith(("cpu_j", "ram_j"))]
    assert "read by autocard" in host["sources"]["cpu"]
    assert_within([host["devices"][0]["energy_j"]], true_j)


@pytest.fixture
def impatient(monkeypatch):
    """Do not wait for a child that cannot be ready yet."""
    monkeypatch.setattr(autocard.energy.meter, "ANSWER_S", 0.05)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("device_type", "reason"),
    [("mps", "Apple GPUs"), ("xpu", "xpu accelerators"), ("cuda", "no NVIDIA driver")],
)
def test_an_accelerator_that_cannot_be_measured_has_a_reason_and_is_not_zero(device_type, reason):
    from autocard.totals import totals

    meter = Meter(Settings(), uses_gpu=True, device_type=device_type)

    meter.begin(0)
    (entry,) = meter.end(1, 1)
    legs, missing = [entry.leg], under("legs.0", entry.missing)
    meter.close()
    part = Part(entry.leg, entry.missing)
    energy = totals.sums([part], settings=Settings()).energy

    assert reason in missing["legs.0.hosts.0.devices"]
    assert legs[0].hosts[0].sources["gpu"].startswith("not measured: ")
    assert energy.value.gpu_kwh is None
    assert reason in energy.gaps["gpu_kwh"]


def test_configuration_of_codecarbon_and_slurm_reaches_nothing(tmp_path, monkeypatch):
    (tmp_path / ".codecarbon.config").write_text(
        "[codecarbon]\npue=3\nforce_ram_power=900\n", encoding="ascii"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODECARBON_FORCE_RAM_POWER", "900")
    monkeypatch.setenv("CODECARBON_SAVE_TO_FILE", "true")
    # and no scontrol: plain CodeCarbon measures nothing then
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.chdir(tmp_path)
    meter = Meter(Settings(ram_power_w=10, country_iso_code="USA", region="California"))

    meter.begin(0)
    wait_until_ready(meter)
    time.sleep(0.8)
    leg = meter.end(1, 2)[0].leg
    meter.close()

    assert leg.hosts[0].ram_j == pytest.approx(
        10 * leg.wall_clock_s * leg.hosts[0].cpu_share, rel=0.05
    )
    assert "s read by autocard" in leg.hosts[0].sources["ram"]
    # eGRID gives lb/MWh
    assert leg.intensity_g_per_kwh == pytest.approx(394.769 * 0.45359237, rel=1e-3)
    assert leg.intensity_year == 2023
    assert [file.name for file in tmp_path.iterdir()] == [".codecarbon.config"]


def test_the_death_of_the_child_costs_cpu_and_ram_only_and_is_said(nvml_machine, tmp_path):
    dying = "os.kill(child, 9); time.sleep(1.1); meter.progress(4); after = counters()"
    # A host that takes SIGPIPE as programs in a shell pipe do must not die of writing to the dead
    # child.
    script = TRAIN.replace(
        "import pynvml",
        "import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL); import pynvml",
    )
    script = script.replace("after = counters()", dying)

    leg, missing, true_j = python(script, tmp_path, 0.5, "{}", env=nvml_machine(1).env)

    (host,) = leg["hosts"]
    assert_within([host["devices"][0]["energy_j"]], true_j)
    assert host["cpu_j"] is None
    assert "measuring process ended" in missing["legs.0.hosts.0.cpu_j"]
    assert leg["status"] == "finished"


def test_a_child_that_dies_is_replaced_and_its_readings_are_gone_on_with(nvml_machine, tmp_path):
    script = """
os.kill(child, 9)
for _ in range(60):
    time.sleep(0.1)
    meter.progress(4)
    if meter.worker_pid != child and meter.wait_until_ready(0.1):
        break
time.sleep(3)
ready()
time.sleep(1)
after = counters()
"""
    script = TRAIN.replace("after = counters()", script)

    leg, _, true_j = python(script, tmp_path, 1.5, json.dumps({}), env=nvml_machine(1).env)

    (host,) = leg["hosts"]
    assert leg["status"] == "finished"
    assert_within([host["devices"][0]["energy_j"]], true_j)
    watts = float(re.search(r"(\d+(\.\d+)?) W", host["sources"]["ram"])[1])
    assert host["ram_j"] == pytest.approx(watts * leg["wall_clock_s"] * host["cpu_share"], rel=0.1)
    for part in ("cpu", "ram"):
        assert (
            "the measuring process ended during training (killed by signal 9) and was restarted"
            in host["sources"][part]
        )
    assert len(ledger_files.read(tmp_path / ledger_files.FOLDER)) == 1


def test_what_the_ledger_holds_stands_in_for_a_child_that_died_near_the_end(nvml_machine, tmp_path):
    script = TRAIN.replace("after = counters()", "os.kill(child, 9); after = counters()")

    leg, _, true_j = python(script, tmp_path, 4.0, "{}", env=nvml_machine(1).env)

    (host,) = leg["hosts"]
    assert_within([host["devices"][0]["energy_j"]], true_j)
    assert host["ram_j"] > 0


# it may be inherited as ignored
KILLED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
KILLED += TRAIN.replace(
    "time.sleep(seconds)",
    "meter.progress(7); time.sleep(seconds); print(json.dumps([os.getpid(), child]), flush=True); time.sleep(60)",
)


def test_a_killed_training_leaves_its_leg_and_no_process(nvml_machine, tmp_path):
    import psutil

    machine = nvml_machine(2, watts=300)
    signals = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
    trainings = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / how.name), "1.5", "{}"],
            env=machine.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        for how in signals
    ]

    for how, training in zip(signals, trainings, strict=True):
        pid, child = json.loads(training.stdout.readline())
        if how is not signal.SIGKILL:
            os.kill(child, how)  # job managers signal every process that they find,
        os.killpg(pid, how)  # terminals the whole group
        training.wait(10)
        training.stdout.close()
        until_s = time.monotonic() + 10
        while psutil.pid_exists(child) and time.monotonic() < until_s:
            time.sleep(0.05)

        assert not psutil.pid_exists(child)
        (entry,) = ledger_files.read(tmp_path / how.name / ledger_files.FOLDER)
        assert entry.status == "interrupted"
        assert entry.leg.step_end == 7
        assert entry.leg.wall_clock_s > 1.5
        energies = [device.energy_j for device in entry.leg.hosts[0].devices]
        assert energies == pytest.approx([300 * entry.leg.wall_clock_s] * 2, rel=0.03)
        assert entry.leg.hosts[0].ram_j > 0


def test_a_forked_worker_neither_reports_nor_ends_the_measurement():
    script = """
import json, os, sys, time
import autocard.energy.meter
from autocard.energy.meter import Meter
autocard.energy.meter.ANSWER_S = 30.0
from autocard.errors import UnavailableError
from autocard.settings import Settings
meter = Meter(Settings())
meter.begin(0)
child = meter.worker_pid
pid = os.fork()
if not pid:
    try:
        meter.end(1, 1)
    except UnavailableError as exc:
        meter.progress(9)
        meter.close()
        sys.exit(7 if "forked" in str(exc) else 1)  # with finalizers, as a careless worker does
    os._exit(2)
_, status = os.waitpid(pid, 0)
meter.wait_until_ready(20)
time.sleep(0.3)
leg = meter.end(3, 3)[0].leg
meter.close()
print(json.dumps([os.waitstatus_to_exitcode(status), leg.step_end, leg.hosts[0].ram_j > 0]))
"""

    assert python(script) == [7, 3, True]


def test_a_child_that_hangs_is_waited_for_seconds_only_and_is_ended():
    import psutil

    meter = Meter(Settings())
    meter.begin(0)
    child = meter.worker_pid

    os.kill(child, signal.SIGSTOP)
    begun_s = time.monotonic()
    first = meter.end(1, 1)[0].missing["hosts.0.cpu_j"]
    reasons = meter.late(0.3, last=True)[0].missing
    meter.close()

    # 0.3 s for its answer, and 2 s for its end, are what is promised.
    assert time.monotonic() - begun_s < 5 * (0.3 + 2)
    assert not psutil.pid_exists(child)
    assert "not known when this was written" in first
    assert "did not answer in time" in reasons["hosts.0.cpu_j"]


def test_the_child_ends_with_the_training_even_where_a_worker_outlives_it(tmp_path):
    import psutil

    forking = """
worker = os.fork()
if not worker:
    time.sleep(60)  # holds the socket open
    os._exit(0)
print(json.dumps([worker, child]), flush=True)
time.sleep(60)
"""
    script = TRAIN.replace("import pynvml", "").replace("pynvml.nvmlInit()", "")
    script = script.replace("first = counters()", "").replace("before = counters()", "")
    script = script.replace("time.sleep(seconds)", forking)
    training = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), "1", "{}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    worker, child = json.loads(training.stdout.readline())

    training.kill()
    training.wait()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(child).wait(10)
    alive = psutil.pid_exists(worker)
    os.kill(worker, signal.SIGKILL)
    training.stdout.close()

    assert not psutil.pid_exists(child)
    assert alive


def test_a_training_that_fails_leaves_no_child_and_no_warning():
    script = """
import json
from autocard.energy.meter import Meter
from autocard.settings import Settings
meter = Meter(Settings())
meter.begin(0)
print(json.dumps(meter.worker_pid))
"""
    import psutil

    child = python(script)  # warnings are errors there, and what is ignored at the end is seen

    assert not psutil.pid_exists(child)


def test_an_unwritable_folder_is_no_failure_but_said(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="ascii")
    meter = Meter(Settings(), folder=blocked)

    meter.start()
    wait_until_ready(meter)
    meter.begin(0)
    time.sleep(0.2)
    (entry,) = meter.end(1, 1)
    leg, missing = entry.leg, under("legs.0", entry.missing)
    meter.close()

    assert leg.wall_clock_s > 0
    assert "was not kept: Not a directory" in missing["legs.0.ledger"]
    assert str(tmp_path) not in missing["legs.0.ledger"]
    assert blocked.read_text(encoding="ascii") == "not a folder"


def test_where_no_process_can_be_started_time_is_still_measured(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    meter = Meter(Settings(country_iso_code="FRA"))

    meter.begin(0)
    (entry,) = meter.end(1, 1)
    leg, missing = entry.leg, under("legs.0", entry.missing)
    meter.close()

    assert leg.wall_clock_s is not None
    assert "no process for the measurement could be started" in missing["legs.0.hosts.0.cpu_j"]
    assert (
        "no process for the measurement could be started" in missing["legs.0.intensity_g_per_kwh"]
    )


def test_ending_what_was_not_begun_is_an_ordinary_answer():
    from autocard.errors import UnavailableError

    with pytest.raises(UnavailableError, match="without having begun"):
        Meter(Settings()).end(1, 1)


CLOSES = """
import os, socket
from autocard.energy.host import host_counters
from autocard.energy.worker import protocol
from autocard.energy.worker.worker_process import WorkerProcess
child = WorkerProcess(protocol.WorkerOrder(os.getpid(), host_counters.read()))
os.closerange(3, 200)
pairs = [socket.socketpair() for _ in range(40)]
child.send(protocol.Step(1))
for one, other in pairs:
    other.sendall(b"theirs")
child.receive(0.1)
child.end()
for one, other in pairs:
    assert one.recv(100) == b"theirs"
    one.sendall(b"back")
    assert other.recv(100) == b"back"
print("whole")
"""


def test_a_program_that_closes_all_descriptors_keeps_those_that_it_opens_then():
    done = subprocess.run(
        [sys.executable, "-c", CLOSES], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == "whole\n", done.stderr
