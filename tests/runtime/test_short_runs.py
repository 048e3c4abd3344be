"""A run of any length has figures: in the card that is on disk when the process has ended, by the test's own meters.

Each script is a process of its own, as a user's is. Truth: the test's clock, its own reading of
/proc/stat, the powers that are given, and the stand-in boards' watts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from support import TESTS

pytest_plugins = ["support.nvml_fixtures"]

CPU_W, RAM_W, GPU_W = 100.0, 40.0, 300.0
J_PER_KWH = 3.6e6

HEAD = f"""
import json, os, sys, time
sys.path.insert(0, {str(TESTS)!r})
from support import training
from pathlib import Path
from transformers import TrainerCallback
import autocard.runtime.completion
autocard.runtime.completion.EXIT_S = float(os.environ.get("TEST_EXIT_S", "60"))  # a busy machine starts CodeCarbon late
from autocard import AutoCardCallback

OURS = dict(country_iso_code="FRA", cpu_power_w={CPU_W}, ram_power_w={RAM_W}, last_word=True)
folder = Path(sys.argv[1])

def record(where=folder):
    return json.loads((where / "autocard.json").read_text())

def stat():
    numbers = [int(word) for word in open("/proc/stat").readline().split()[1:]]
    return sum(numbers[:8]), numbers[3] + numbers[4]  # all, and idle with iowait

class Clock(TrainerCallback):
    '''The test's own window, and how long its one step lasts.'''
    def __init__(self, seconds=0.0):
        self.seconds, self.told = seconds, {{}}
    def on_train_begin(self, *_, **__):
        self.told["begin"] = time.monotonic(), stat()
    def on_step_end(self, *_, **__):
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            pass  # work, so that the load is not nothing
    def on_train_end(self, *_, **__):
        self.told["end"] = time.monotonic(), stat()

def train(where=folder, seconds=0.0, steps=1, **more):
    clock, ours = Clock(seconds), AutoCardCallback(**{{**OURS, **more}})
    # The clock comes first, so that it is read just before ours.
    trainer = training.trainer(where, callbacks=[clock, ours], max_steps=steps)
    trainer.ours = ours
    trainer.train()
    return trainer, clock

def tell(*what):
    print(json.dumps(what), flush=True)
"""


def run(script, *arguments, env=None, timeout_s=240, expect=0):
    """Run *script* behind HEAD; return the JSON of its last line (None: it has none) and its process."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, *map(str, arguments)],
        env={**(env or os.environ), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == expect, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return json.loads(lines[-1]) if lines else None, done


def record(folder):
    return json.loads((folder / "autocard.json").read_text())


def modelled_j(begin, end):
    """Return the joules of the CPUs between two of the test's readings, by the documented model."""
    (begin_s, (begin_all, begin_idle)), (end_s, (end_all, end_idle)) = begin, end
    load = 1 - (end_idle - begin_idle) / max(end_all - begin_all, 1)
    return CPU_W * (0.1 + 0.9 * load**3) * (end_s - begin_s)


def test_a_training_of_one_step_has_every_figure_when_the_process_has_ended(tmp_path):
    (early, late_s), _ = run(
        "train(); tell(record()['energy']['total_kwh'], time.monotonic())\n",
        tmp_path,
    )

    known = record(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert early is None
    assert late_s
    for part in ("cpu_kwh", "ram_kwh", "total_kwh"):
        assert known["energy"][part] > 0
    assert known["emissions"]["co2eq_g"] == pytest.approx(
        known["energy"]["total_kwh"] * 56.039, rel=0.01
    )
    assert not [
        path for path, why in known["missing"].items() if "not known when this was written" in why
    ]
    assert "read by autocard (run too short for two CodeCarbon readings)" in card
    assert "not known when this was written" not in card


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.1, 0.5, 2.0, 5.0])
def test_the_energy_of_a_short_run_is_watts_times_seconds_whatever_its_length(
    tmp_path, nvml_machine, seconds
):
    # Two runs: the first finds CodeCarbon starting, the second finds it ready. No run of either
    # kind may jump.
    script = f"""
found = []
for number in range(2):
    where = folder / str(number)
    trainer, clock = train(where, {seconds})
    found.append(clock.told)
tell(found)
"""
    machine = nvml_machine(1, watts=GPU_W)
    ((first, second),), _ = run(script, tmp_path, env=machine.env)

    for number, told in enumerate((first, second)):
        known = record(tmp_path / str(number))
        (leg,) = known["legs"]
        (host,) = leg["hosts"]
        own_s = told["end"][0] - told["begin"][0]
        assert leg["wall_clock_s"] == pytest.approx(own_s, abs=0.2)
        assert host["ram_j"] == pytest.approx(
            RAM_W * leg["wall_clock_s"] * host["cpu_share"], rel=0.03
        )
        true_j = (
            modelled_j(told["begin"], told["end"]) / own_s * leg["wall_clock_s"] * host["cpu_share"]
        )
        # The load of pieces, each to the power of three, is not that of the whole.
        assert host["cpu_j"] == pytest.approx(true_j, rel=0.3), number
        lowest_j, highest_j = (
            part * CPU_W * leg["wall_clock_s"] * host["cpu_share"] for part in (0.1, 1.0)
        )
        assert lowest_j * 0.97 <= host["cpu_j"] <= highest_j * 1.03


def test_gpu_cpu_and_memory_of_a_step_on_a_board_add_up_to_the_total(tmp_path, nvml_machine):
    script = f"""
from autocard.energy.meter import Meter
from autocard.settings import Settings
meter = Meter(Settings(cpu_power_w={CPU_W}, ram_power_w={RAM_W}), uses_gpu=True)
meter.begin(0)
time.sleep(0.1)
meter.end(1, 1)
(entry,) = meter.late(60, last=True)
leg, reasons = entry.leg, entry.missing
tell(leg.model_dump(mode="json"), reasons)
"""
    (leg, reasons), _ = run(script, tmp_path, env=nvml_machine(2, watts=GPU_W).env)

    (host,) = leg["hosts"]
    assert [device["energy_j"] for device in host["devices"]] == pytest.approx(
        [GPU_W * leg["wall_clock_s"]] * 2, rel=0.1
    )
    assert host["ram_j"] == pytest.approx(RAM_W * leg["wall_clock_s"] * host["cpu_share"], rel=0.01)
    assert not [path for path in reasons if path.endswith(("cpu_j", "ram_j", "energy_j"))]


@pytest.mark.slow
def test_several_short_trainings_of_one_process_all_have_figures_and_share_one_measuring_process(
    tmp_path,
):
    script = """
import psutil
seen = set()
for number in range(5):
    train(folder / str(number))
    seen |= {child.pid for child in psutil.Process().children()}
tell(len(seen))
"""
    (children,), _ = run(script, tmp_path)

    totals = [record(tmp_path / str(number))["energy"]["total_kwh"] for number in range(5)]
    assert all(total > 0 for total in totals), totals
    assert children == 1


def test_a_short_run_that_is_resumed_has_figures_for_both_legs(tmp_path):
    script = """
one = training.trainer(folder, callbacks=[AutoCardCallback(**OURS)], max_steps=1, save_strategy="steps", save_steps=1)
one.train()
two = training.trainer(folder, callbacks=[AutoCardCallback(**OURS)], max_steps=2)
two.train(resume_from_checkpoint=str(folder / "checkpoint-1"))
"""
    run(script, tmp_path)

    known = record(tmp_path)
    assert len(known["legs"]) == 2
    assert all(leg["hosts"][0]["cpu_j"] > 0 for leg in known["legs"])
    assert known["energy"]["total_kwh"] > 0


@pytest.mark.slow
def test_an_evaluation_after_a_short_run_is_measured_and_kept_apart(tmp_path):
    run("trainer, _ = train(); trainer.evaluate()\n", tmp_path)

    known = record(tmp_path)
    assert known["energy"]["total_kwh"] > 0
    assert known["energy"]["evaluation_kwh"] > 0


@pytest.mark.slow
def test_a_figure_that_has_come_is_in_the_card_at_the_next_event_without_an_exit(tmp_path):
    script = """
trainer, _ = train()
((_, session),) = trainer.ours._sessions._all.values()
until = time.monotonic() + 60
while session.run.meter._unfinished[0].is_awaited and time.monotonic() < until:
    session.run.meter._take(0.2)
trainer.save_model()
trainer.create_model_card()
tell(record()["energy"]["total_kwh"], trainer.ours.record.energy.total_kwh, session.incomplete)
"""
    (total_kwh, told_kwh, incomplete), _ = run(script, tmp_path)

    assert total_kwh > 0
    assert told_kwh == pytest.approx(total_kwh)
    assert not incomplete


def test_a_process_that_is_cut_off_leaves_a_reason_that_says_so(tmp_path):
    run("train(); os._exit(0)\n", tmp_path)

    known = record(tmp_path)
    why = known["missing"]["energy.total_kwh"]
    assert known["energy"]["total_kwh"] is None
    assert "training ended before CodeCarbon had started" in why
    assert "unless the process is killed" in why


def test_without_a_place_the_reason_is_that_none_was_given_even_where_the_process_is_cut_off(
    tmp_path,
):
    run("del OURS['country_iso_code']; train(); os._exit(0)\n", tmp_path)

    known = record(tmp_path)
    assert "no place is known" in known["missing"]["legs.0.intensity_source"]


def test_with_emissions_off_nothing_is_measured_and_the_exit_waits_for_nothing(tmp_path):
    (begun_s, children), _ = run(
        "import psutil; train(emissions=False); tell(time.time(), len(psutil.Process().children()))\n",
        tmp_path,
    )

    assert children == 0
    assert time.time() - begun_s < 20  # of Python's own end, on a busy machine
    assert "emissions=False" in record(tmp_path)["missing"]["energy.total_kwh"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"), [("SIGKILL", "ended during training"), ("SIGSTOP", "did not answer in time")]
)
def test_a_measuring_process_that_dies_or_hangs_costs_the_exit_five_seconds_at_most(
    tmp_path, how, words
):
    script = f"""
import atexit, signal
class Strike(TrainerCallback):
    def on_step_end(self, *_, **__):
        import psutil
        (child,) = psutil.Process().children()
        child.send_signal(signal.{how})
        self.child = child
strike = Strike()
training.trainer(folder, callbacks=[AutoCardCallback(**OURS), strike], max_steps=1).train()
autocard.runtime.completion.EXIT_S = 4.0
began = time.monotonic()
atexit.register(lambda: tell(strike.child.pid, began))  # registered last, called first
"""
    (child, began_s), _ = run(script, tmp_path)
    took_s = time.monotonic() - began_s

    assert took_s < 15  # five are promised; a busy machine needs some to end Python
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    known = record(tmp_path)
    assert known["energy"]["total_kwh"] is None
    assert words in known["missing"]["energy.cpu_kwh"]


@pytest.mark.slow
def test_of_two_ranks_of_a_short_run_the_card_has_figures_whichever_of_them_measures(
    tmp_path, monkeypatch
):
    # the oracles of one rank hold up the other at its end
    monkeypatch.delenv("TRUTH_FINDINGS", raising=False)
    script = tmp_path / "rank.py"
    script.write_text(HEAD + "train()\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "out")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    known = record(tmp_path / "out")
    assert known["job"]["world_size"] == 2
    assert known["energy"]["total_kwh"] is not None, known["missing"]
    assert known["energy"]["total_kwh"] > 0


@pytest.mark.slow
def test_a_program_that_ignores_the_end_of_its_children_has_figures_and_leaves_no_process(tmp_path):
    script = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
train(seconds=0.3)
"""
    before = set(psutil.pids())

    run(script, tmp_path / "out")

    assert record(tmp_path / "out")["energy"]["total_kwh"] is not None
    assert helpers_since(before) == []


@pytest.mark.timeout(120)
def test_a_helper_program_that_hangs_ends_with_the_worker(tmp_path):
    # CodeCarbon asks `cpuinfo` in a process of its own; here that one never answers.
    package = tmp_path / "path" / "cpuinfo"
    package.mkdir(parents=True)
    command = "[sys.executable, '-c', 'import time; time.sleep(600)', 'cpuinfo.py']"
    code = f"import subprocess, sys\n\ndef get_cpu_info():\n    subprocess.run({command})\n"
    (package / "__init__.py").write_text(code)
    script = "import autocard.runtime.completion\nautocard.runtime.completion.EXIT_S = 1.0\ntrain(seconds=8.0)\n"
    before = set(psutil.pids())

    run(script, tmp_path / "out", env={**os.environ, "PYTHONPATH": str(tmp_path / "path")})

    until_s = time.monotonic() + 30
    while helpers_since(before) and time.monotonic() < until_s:
        time.sleep(0.2)
    assert helpers_since(before) == []


def helpers_since(before):
    """Return the processes of py-cpuinfo that were not there before, and whose parent is gone."""
    found = []
    for process in psutil.process_iter(["pid", "ppid", "cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        own = sys.executable in command and "cpuinfo.py" in command
        if own and process.info["pid"] not in before and process.info["ppid"] == 1:
            found.append(command)
    return found


def test_a_fork_that_exits_as_a_program_does_neither_waits_nor_writes(tmp_path):
    script = """
train()
pid = os.fork()
if not pid:
    began = time.monotonic()
    sys.exit(0)
began = time.monotonic()
os.waitpid(pid, 0)
tell(time.monotonic() - began)
"""
    (took_s,), _ = run(script, tmp_path)

    assert took_s < 10
    assert record(tmp_path)["energy"]["total_kwh"] > 0


def test_a_trainer_that_is_gone_is_not_kept_alive_for_its_figures(tmp_path, monkeypatch):
    monkeypatch.delenv("TRUTH_FINDINGS", raising=False)  # the oracles keep what they look at
    script = """
import gc, weakref
def main():
    trainer, _ = train()
    return weakref.ref(trainer), weakref.ref(trainer.model)
refs = main()
gc.collect()
tell([ref() is None for ref in refs])
"""
    ((trainer, model),), _ = run(script, tmp_path)

    assert (trainer, model) == (True, True)
    assert record(tmp_path)["energy"]["total_kwh"] > 0


def test_ctrl_c_at_the_exit_ends_the_wait(tmp_path):
    script = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be inherited as ignored
train()
(pid,) = [child.pid for child in __import__("psutil").Process().children()]
os.kill(pid, 19)  # it hangs
tell(os.getpid())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + script, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    line = next(line for line in process.stdout if line.startswith("["))
    assert json.loads(line) == [process.pid]
    time.sleep(1.0)

    process.send_signal(signal.SIGINT)

    process.wait(30)  # of the 60 s that this test lets it wait
    process.stdout.close()


def test_our_model_is_codecarbons_for_every_load():
    pytest.importorskip("codecarbon")
    script = """
import json
from codecarbon.external.hardware import CPU
from autocard.energy.host.codecarbon_reader import CodeCarbonInfo as About
from autocard.energy.host.host_counters import HostInterval as Stretch
from autocard.energy.host.power_model import joules
found = []
for load in (0, 3, 10, 37.5, 80, 100):
    cpu = CPU(output_dir=".", mode="cpu_load", model="any", tdp=123)
    cpu._cpu_load_meter = type("Meter", (), {"percent": lambda self: load})()
    ours = joules(About(cpu_mode="cpu_load", cpu_power_w=123), [Stretch(2.0, load / 100, None)])
    found.append([cpu._get_power_from_cpu_load().W * 2.0, ours["cpu"]])
constant = CPU(output_dir=".", mode="constant", model="any", tdp=123)
ours = joules(About(cpu_mode="constant", cpu_power_w=123), [Stretch(2.0, None, None)])
found.append([constant._get_power_from_cpus().W * 2.0, ours["cpu"]])
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )

    for theirs, ours in json.loads(done.stdout.splitlines()[-1]):
        assert ours == pytest.approx(theirs)
