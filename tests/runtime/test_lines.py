"""What a training says on standard error: one line at its begin and one at its end, seen by the user's own process.

Each script is a real training in a process of its own. Truth: the record, `autocard check` as a
command, and the screen of a terminal.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from autocard import units
from support import TESTS
from support.gpu_program import PROGRAM
from support.nvml_stand_in import Gpu, uuid_of
from support.terminal import run_in_terminal, screen

pytest_plugins = ["support.nvml_fixtures"]

HEAD = f"""
import sys, time, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, {str(TESTS)!r})
from support import training
from transformers import TrainerCallback
import autocard.runtime.completion
autocard.runtime.completion.EXIT_S = 60.0  # a busy machine starts CodeCarbon late
from autocard import AutoCardCallback
folder = "out"

def train(wait=True, callbacks=(), ours=None, model=None, where=folder, **settings):
    arguments = {{name: settings.pop(name) for name in list(settings) if name in ("disable_tqdm", "push_to_hub")}}
    ours = ours or AutoCardCallback(**settings)
    more = [training.until_ready(ours)] if wait else []
    trainer = training.trainer(where, callbacks=[*more, *callbacks, ours], model=model, **arguments)
    trainer.train()
    return trainer
"""


def run(folder, script, *, env=None, status=0, **streams):
    """Run *script* behind HEAD in *folder*; return what it wrote to standard error (None: a stream was given)."""
    streams = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, **streams}
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        timeout=240,
        check=False,
        **streams,
    )
    assert done.returncode == status, (done.stderr or b"").decode()[-3000:]
    return done.stderr


def lines(stderr):
    """Return the lines of autocard in the bytes *stderr*, without the log's of a Trainer that is disguised."""
    found = [line for line in stderr.decode().splitlines() if "autocard" in line]
    return [line for line in found if "could not find the Trainer" not in line]


def record(folder):
    return json.loads((folder / "out" / "autocard.json").read_text())


def test_one_line_at_the_begin_and_one_at_the_end_have_the_records_figures(tmp_path):
    stderr = run(tmp_path, "train(country_iso_code='FRA', cpu_power_w=100, ram_power_w=40)")

    begin, end = lines(stderr)
    known = record(tmp_path)
    listed = subprocess.run(
        [sys.executable, "-m", "autocard", "check", "out", "--json"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    fields = [slot for slot in json.loads(listed.stdout)["empty"] if slot["who"] != "machine"]
    assert begin == (
        "autocard: no GPU in use; CPU and memory modeled; place: France; "
        "no dataset id: set datasets"
    )
    hours, kwh, co2, rest = re.fullmatch(
        r"autocard: (.*?), ([\d.]+) kWh, ([\d.]+) g CO2eq (.*)", end
    ).groups()
    assert hours == units.duration(known["time"]["wall_clock_s"])
    assert float(kwh) == pytest.approx(known["energy"]["total_kwh"], rel=0.1)
    assert float(co2) == pytest.approx(known["emissions"]["co2eq_g"], rel=0.1)
    assert rest == f"→ out/README.md; {len(fields)} fields for you: autocard check out"
    assert len(fields) > 5


def test_what_is_missing_is_named_with_the_setting_that_gives_it(tmp_path):
    begin, end = lines(run(tmp_path, "train(datasets='org/data')"))

    assert begin.endswith("; no CO2: set country_iso_code")
    command = re.search(
        r", no CO2 without a place \(autocard (fill out --country) CODE\) → out/README.md; ", end
    )[1]
    assert "emissions.co2eq_g" in record(tmp_path)["missing"]
    subprocess.run(
        [sys.executable, "-m", "autocard", *command.split(), "FRA"], cwd=tmp_path, check=True
    )
    assert record(tmp_path)["emissions"]["co2eq_g"] > 0


@pytest.mark.parametrize(
    ("settings", "env"),
    [("quiet=True", {}), ("", {"AUTOCARD_QUIET": "1"}), ("", {"AUTOCARD_DISABLED": "1"})],
)
def test_nothing_is_said_where_the_user_wants_quiet(tmp_path, settings, env):
    stderr = run(tmp_path, f"train(wait=not {bool(env)}, {settings})", env=env)

    assert lines(stderr) == []
    assert (tmp_path / "out" / "autocard.json").exists() == ("AUTOCARD_DISABLED" not in env)


def test_energy_that_is_turned_off_is_said_to_be_off(tmp_path):
    begin, end = lines(run(tmp_path, "train(wait=False, emissions=False, datasets='org/data')"))

    assert begin == "autocard: energy and CO2 are not measured (emissions=False)"
    assert ", energy and CO2 not measured (emissions=False) → out/README.md; " in end


def test_figures_that_come_after_training_are_announced_and_then_said(tmp_path):
    stderr = run(tmp_path, "train(wait=False, country_iso_code='FRA', datasets='org/data')")

    _, end, late = lines(stderr)
    known = record(tmp_path)
    assert ", energy and CO2 follow when the process exits → out/README.md; " in end
    assert "fields for you: autocard check out" in end
    kwh = re.search(r", ([\d.]+) kWh, [\d.]+ g CO2eq → out/README.md$", late)[1]
    assert float(kwh) == pytest.approx(known["energy"]["total_kwh"], rel=0.1)


def test_gpus_are_named_with_how_they_are_read(tmp_path, nvml_machine):
    boards = [Gpu(uuid_of(0)), Gpu(uuid_of(1), counter=False)]
    program = PROGRAM.replace("time.sleep(1.7)", "pass")

    done = subprocess.run(
        [sys.executable, "-c", program, "out", str(TESTS), "2"],
        cwd=tmp_path,
        env={**os.environ, **nvml_machine(boards).env},
        capture_output=True,
        check=True,
        timeout=240,
    )

    begin = next(line for line in lines(done.stderr) if "CPU" in line)
    assert begin.startswith(
        "autocard: measuring 1 × NVIDIA Stand-in 80GB; sampling the power of 1 × NVIDIA Stand-in 80GB; "
        "CPU and memory modeled; place: France"
    )


@pytest.mark.parametrize("device", ["mps", "xpu"])
def test_gpus_that_are_not_measured_are_said_at_the_begin_and_at_the_end(tmp_path, device):
    script = f"""
class Elsewhere:
    def __init__(self, args): self.args = args
    def __getattr__(self, name): return getattr(self.args, name)
    device = type("Device", (), dict(type={device!r}, index=0))()

class Card(AutoCardCallback):
    def _handle(self, event, args, *rest):
        super()._handle(event, Elsewhere(args), *rest)

train(ours=Card(country_iso_code="FRA", datasets="org/data"))
"""

    begin, end = lines(run(tmp_path, script))

    kind = {"mps": "Apple GPUs", "xpu": "xpu accelerators"}[device]
    why = f"no readings available for {kind}"
    assert (
        begin
        == f"autocard: GPUs not measured ({why}), so no total; CPU and memory modeled; place: France"
    )
    assert "no energy: " in end
    assert why in end
    assert "kWh" not in end


def test_a_machine_without_a_measuring_process_says_so(tmp_path):
    script = """
import autocard.energy.worker.worker_process as processes
from autocard.errors import UnavailableError
def refuse(*_, **__): raise UnavailableError("no process for the measurement can be started here")
processes.WorkerProcess.__init__ = refuse
train(wait=False, datasets='org/data')
"""

    begin, end = lines(run(tmp_path, script))

    why = "no process for the measurement can be started here"
    assert begin == f"autocard: energy is not measured: {why}; no CO2: set country_iso_code"
    assert f"no energy: {why}" in end


def test_each_training_of_a_process_says_its_own_lines(tmp_path):
    said = lines(run(tmp_path, "trainer = train(datasets='org/data')\ntrainer.train()\n"))

    assert [line.count("no GPU in use") for line in said] == [1, 0, 1, 0]
    assert [line.count("README.md") for line in said] == [0, 1, 0, 1]


def test_a_search_says_one_line_for_all_its_trials(tmp_path):
    pytest.importorskip("optuna")
    script = """
import optuna
from transformers import Trainer
optuna.logging.set_verbosity(optuna.logging.ERROR)
trainer = Trainer(
    model_init=lambda *_: training.bert(), args=training.arguments(folder, max_steps=2),
    train_dataset=training.dataset(32), eval_dataset=training.dataset(8, seed=1),
    callbacks=[AutoCardCallback(datasets="org/data")],
)
space = lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-3)}
trainer.hyperparameter_search(hp_space=space, n_trials=3, direction="minimize", backend="optuna")
"""

    said = lines(run(tmp_path, script))

    assert len(said) == 1
    assert said[0].endswith("; trials of a search write no card")


def test_a_smaller_batch_after_running_out_of_memory_says_no_second_begin(tmp_path):
    script = """
class Once(TrainerCallback):
    raised = False
    def on_step_end(self, args, *_, **__):
        if not Once.raised:
            Once.raised = True
            raise RuntimeError("CUDA out of memory.")
import torch
ours = AutoCardCallback(datasets="org/data")
trainer = training.trainer(folder, callbacks=[Once(), ours], auto_find_batch_size=True, per_device_train_batch_size=8)
trainer.train()
"""

    said = [line for line in lines(run(tmp_path, script)) if "no GPU in use" in line]

    assert len(said) == 1


def test_a_training_that_was_broken_off_says_so_when_its_card_is_written(tmp_path):
    script = """
class Stop(TrainerCallback):
    def on_step_end(self, args, state, *_, **__):
        if state.global_step == 2:
            raise KeyboardInterrupt
ours = AutoCardCallback(datasets="org/data")
trainer = training.trainer(folder, callbacks=[training.until_ready(ours), Stop(), ours])
try:
    trainer.train()
except KeyboardInterrupt:
    trainer.save_model()
"""

    end = lines(run(tmp_path, script))[1]

    assert end.startswith("autocard: interrupted at step ")
    assert "→ out/README.md" in end


# -- terminals and streams -------------------------------------------------------------------------


def test_no_line_stands_behind_a_progress_bar(tmp_path):
    script = "train(disable_tqdm=False, country_iso_code='FRA', datasets='org/data')"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    status, written = run_in_terminal([sys.executable, "-c", HEAD + script], env=env, cwd=tmp_path)

    shown = screen(written)
    ours = [line for line in shown if "autocard" in line]
    bars = [line for line in shown if re.match(r"\s*\d+%\|", line)]
    assert status == 0
    assert len(ours) == 2
    assert all(line.startswith("autocard: ") for line in ours)
    assert ours[1].endswith("fields for you: autocard check out")
    assert len(bars) == 1
    assert bars[0].lstrip().startswith("100%|")
    assert b"\x1b[3" not in written  # no color


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_characters_that_a_stream_cannot_show_are_written_in_ascii(tmp_path, encoding):
    stderr = run(tmp_path, "train(wait=False, emissions=False)", env={"PYTHONIOENCODING": encoding})

    end = stderr.decode(encoding).splitlines()[-1]
    assert " -> out/README.md; " in end


@pytest.mark.parametrize("stream", ["closed", "full", "reader gone"])
def test_a_standard_error_that_cannot_be_written_costs_nothing(tmp_path, stream):
    start = {
        "closed": "import os; os.close(2)",
        "full": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
        "reader gone": "import os; r, w = os.pipe(); os.dup2(w, 2); os.close(r); os.close(w)",
    }[stream]

    run(tmp_path, f"{start}\ntrain(wait=False, emissions=False)\nopen('done', 'w').close()")

    assert (tmp_path / "done").exists()
    assert (tmp_path / "out" / "README.md").exists()


def test_a_program_without_standard_error_trains(tmp_path):
    run(tmp_path, "sys.stderr = None\ntrain(wait=False, emissions=False)")

    assert (tmp_path / "out" / "README.md").exists()


def test_a_stream_of_the_programs_own_gets_the_lines(tmp_path):
    script = """
import io
sys.stderr = io.StringIO()
train(wait=False, emissions=False)
print(sys.stderr.getvalue())
"""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=240,
    )

    assert len(lines(done.stdout)) == 2


# -- a model saved elsewhere -----------------------------------------------------------------------


def test_a_full_model_that_is_saved_elsewhere_is_said_to_have_no_card(tmp_path):
    script = """
trainer = train(wait=False, emissions=False, model=training.bert())
trainer.model.save_pretrained("final")
trainer.model.save_pretrained("final")
trainer.save_model()
"""

    said = [line for line in lines(run(tmp_path, script)) if "no card there" in line]

    command = "autocard render out -o final/README.md"
    assert said == [f"autocard: final: no card there. To make one: {command}"]
    assert not (tmp_path / "final" / "README.md").exists()
