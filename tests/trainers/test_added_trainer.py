"""A trainer of another kind: the two edits of CONTRIBUTING.md, in a copy of the package, and a training with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import autocard
from support import ROOT

GUIDE = ROOT / "CONTRIBUTING.md"
PACKAGE = Path(autocard.__file__).parent

pytestmark = pytest.mark.skipif(
    not GUIDE.is_file(), reason="CONTRIBUTING.md is not beside the tests"
)

TRAIN = '''
import sys, time
from pathlib import Path
import torch

from autocard.capture.observed import Step
from autocard.runtime.sessions import Sessions
from autocard.settings import resolve


class Loop:
    """A plain loop of torch, which calls *on_event* with the name of what has happened."""

    def __init__(self, folder, on_event):
        self.folder, self.on_event = folder, on_event
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 2, bias=False))
        self.device = torch.device("cpu")
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.25, momentum=0.5)
        rows = torch.utils.data.TensorDataset(torch.randn(24, 6), torch.randn(24, 2))
        self.batches = torch.utils.data.DataLoader(rows, batch_size=3)
        self.step, self.max_steps = 0, 8
        on_event(self, "prepared")

    def train(self):
        self.on_event(self, "begin")
        for inputs, targets in self.batches:
            self.optimizer.zero_grad()
            torch.nn.functional.mse_loss(self.model(inputs), targets).backward()
            self.on_event(self, "stepping")
            self.optimizer.step()
            self.step += 1
            time.sleep(0.3)
            self.on_event(self, "stepped")
        self.on_event(self, "end")


sessions = Sessions(resolve({"country_iso_code": "FRA", "measure_power_secs": 1}))


def on_event(loop, name):
    session = sessions.of(loop, starts=name in {"prepared", "begin"})
    if name in {"stepping", "stepped"}:
        step = Step(loop.step, loop.max_steps, {}, loop.model, loop.optimizer)
        getattr(session, name)(step)
    else:
        getattr(session, name)(session.observed(loop))


Loop(Path(sys.argv[1]), on_event).train()
'''


def edits():
    """Return (the module, the line before, the lines after) as the guide gives them."""
    text = GUIDE.read_text(encoding="utf-8")
    steps = text.split("\n## Add a trainer in two edits\n")[1].split("\n## ")[0]
    (module,) = re.findall(r"^```python\n(.*?)^```$", steps, flags=re.MULTILINE | re.DOTALL)
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", steps, flags=re.MULTILINE | re.DOTALL)
    name, *lines = diff.removeprefix("--- ").splitlines()
    before = [line[1:] for line in lines if line.startswith(" ")]
    after = [line[1:] for line in lines if line[:1] in {" ", "+"}]
    return module, name, "\n".join(before), "\n".join(after)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train with the loop and the copy of the package; return (record, card)."""
    folder = tmp_path_factory.mktemp("loop")
    module, name, before, after = edits()
    shutil.copytree(PACKAGE, folder / "autocard", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "templates", folder / "templates")
    (folder / "autocard" / "trainers" / "loop.py").write_text(module, encoding="utf-8")
    listed = folder / name
    text = listed.read_text(encoding="utf-8")
    assert text.count(before) == 1
    listed.write_text(text.replace(before, after), encoding="utf-8")

    out = folder / "out"
    ran = subprocess.run(
        [sys.executable, "-c", TRAIN, str(out)],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    record = json.loads((out / "autocard.json").read_text(encoding="utf-8"))
    return record, (out / "README.md").read_text(encoding="utf-8")


def test_the_guide_s_edit_of_the_list_is_one_line():
    _, _, before, after = edits()

    assert len(after.splitlines()) - len(before.splitlines()) == 1


def test_the_record_has_what_the_loop_trained_with(trained):
    record, _ = trained

    assert record["model"]["architecture"] == "Sequential"
    assert record["model"]["parameters_total"] == 6 * 5 + 5 + 5 * 2
    assert (
        record["training"]["optimizer"] == "SGD (learning rate 0.25, weight decay 0, momentum 0.5)"
    )
    assert record["training"]["effective_batch_size"] == 3
    assert (record["run"]["global_step"], record["run"]["max_steps"]) == (8, 8)
    assert record["run"]["status"] == "finished"
    assert record["precision"]["regime"] == "fp32"


def test_the_record_has_time_and_energy(trained):
    record, _ = trained
    energy = record["energy"]

    assert record["time"]["wall_clock_s"] > 8 * 0.3
    assert energy["cpu_kwh"] > 0
    assert energy["ram_kwh"] > 0
    assert energy["total_kwh"] == pytest.approx(
        energy["cpu_kwh"] + energy["ram_kwh"] + (energy["gpu_kwh"] or 0)
    )
    assert record["emissions"]["co2eq_g"] > 0


def test_what_the_loop_does_not_have_is_missing_with_a_reason(trained):
    record, _ = trained
    missing = record["missing"]

    assert record["training"]["seed"] is None
    assert missing["training.seed"] == "the trainer has no argument seed"
    assert "schedule" in missing["training.scheduler"]
    assert missing["evaluation.train_loss"] == "the trainer keeps no log"
    assert missing["time.steps_per_s"] == "the trainer keeps no log"
    assert missing["run.epochs"] == "the trainer does not count epochs"
    assert missing["evaluation.results"] == "nothing was evaluated"
    assert "Error" not in " ".join(missing.values())
    assert "did not look" not in " ".join(missing.values())


def test_the_card_says_what_the_record_holds(trained):
    record, card = trained

    assert "SGD (learning rate 0.25, weight decay 0, momentum 0.5)" in card
    assert "- **Hours used:**" in card
    assert "fp32" in card
    assert f"{record['training']['effective_batch_size']}" in card
