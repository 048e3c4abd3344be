"""CONTRIBUTING.md can be followed: its edits and commands are carried out in a copy of the tree."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

GUIDE = ROOT / "CONTRIBUTING.md"
TEXT = GUIDE.read_text(encoding="utf-8") if GUIDE.is_file() else ""
TREE = (
    "autocard",
    "templates",
    "tests",
    "docs",
    "examples",
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
    "LICENSE",
)
NOT_COPIED = shutil.ignore_patterns("__pycache__", "output", ".hypothesis", ".pytest_cache")

J_PER_KWH = 3.6e6

pytestmark = pytest.mark.skipif(not TEXT, reason="CONTRIBUTING.md is not beside the tests")

TRAIN = """
import sys
sys.path.insert(0, "tests")
import warnings
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
from support import training
from autocard import AutoCardCallback

training.trainer(sys.argv[1], callbacks=[AutoCardCallback(emissions=False)], max_steps=2).train()
"""


TRAIN_ON_TOY = """
import sys, time
sys.path.insert(0, "tests")
import warnings
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
import torch
from support import training
from transformers import TrainerCallback
from autocard import AutoCardCallback


class OnToy:
    # The tensors stay on the CPU; the arguments alone say that the training runs on the accelerator.
    device = torch.device("xpu")
    n_gpu = 1

    def __init__(self, args):
        self.args = args

    def __getattr__(self, name):
        return getattr(self.args, name)


class Card(AutoCardCallback):
    pass


def on_toy(event):
    def called(self, args, *rest, **objects):
        return event(self, OnToy(args), *rest, **objects)
    return called


for name, event in vars(AutoCardCallback).items():
    if name.startswith("on_"):
        setattr(Card, name, on_toy(event))


class Slow(TrainerCallback):
    def on_step_end(self, *_, **__):
        time.sleep(1)


callbacks = [Card(country_iso_code="FRA"), Slow()]
training.trainer(sys.argv[1], callbacks=callbacks, max_steps=4).train()
"""


def section(title):
    """Return the text below a heading of the guide; headings in code blocks are not the guide's."""
    lines, inside, in_code = [], False, False
    for line in TEXT.splitlines(keepends=True):
        in_code ^= line.startswith("```")
        if line.startswith("## ") and not in_code:
            inside = line.strip() == f"## {title}"
        elif inside:
            lines.append(line)
    assert lines, f"CONTRIBUTING.md has no section {title!r}"
    return "".join(lines)


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(text):
    return [line for block in blocks(text, "bash") for line in block.splitlines()]


def hunks(diff):
    """Yield (file, lines before, lines after) of each change in a block of *diff*."""
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        name, *changes = re.split(r"\n@@\n|\n", part, maxsplit=1)
        for change in re.split(r"^@@\n", changes[0], flags=re.MULTILINE):
            lines = change.splitlines()
            before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
            after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
            if lines:
                yield name, before, after


@pytest.fixture
def copy(tmp_path):
    """A copy of the tree, with this Python as its `.venv`."""
    tree = tmp_path / "autocard"
    tree.mkdir()
    for name in TREE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=NOT_COPIED)
        else:
            shutil.copy(ROOT / name, tree / name)
    (tree / ".venv").symlink_to(sys.prefix)
    return tree


def run(copy, command):
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=copy,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=250,
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    return ran.stdout


def edit(copy, text):
    for diff in blocks(text, "diff"):
        for name, before, after in hunks(diff):
            file = copy / name
            content = file.read_text(encoding="utf-8")
            assert content.count(before) == 1, (
                f"{name} has {content.count(before)} places like\n{before}"
            )
            file.write_text(content.replace(before, after), encoding="utf-8")


def test_a_fact_is_added_by_the_edits_and_commands_of_the_guide(copy, tmp_path):
    steps = section("Add a fact in three edits")
    edit(copy, steps)
    for command in commands(steps):
        run(copy, command)

    out = tmp_path / "out"
    run(copy, f"{sys.executable} -c '{TRAIN}' {out}")

    assert (
        json.loads((out / "autocard.json").read_text())["hardware"]["cpu_architecture"]
        == platform.machine()
    )
    assert f"- CPU architecture: {platform.machine()}\n" in (out / "README.md").read_text().replace(
        "\\_", "_"
    )
    schema = json.loads((copy / "autocard" / "schema" / "autocard-1.schema.json").read_text())
    assert "aarch64" in schema["$defs"]["Hardware"]["properties"]["cpu_architecture"]["description"]
    assert "| `hardware.cpu_architecture` |" in (copy / "docs" / "dev" / "fields.md").read_text()


def test_a_fact_takes_three_edits_of_the_package():
    package = [
        name
        for diff in blocks(section("Add a fact in three edits"), "diff")
        for name in dict.fromkeys(name for name, _, _ in hunks(diff))
        if name.startswith("autocard/")
    ]

    assert len(package) == 3


def test_a_gpu_maker_is_added_by_the_two_edits_of_the_guide(copy, tmp_path):
    steps = section("Add a GPU maker in two edits")
    (module,) = blocks(steps, "python")
    (copy / "autocard" / "energy" / "gpu" / "toy.py").write_text(module, encoding="utf-8")
    edit(copy, steps)
    (copy / "train.py").write_text(TRAIN_ON_TOY, encoding="utf-8")

    shown, tested = (run(copy, command) for command in commands(steps))
    out = tmp_path / "out"
    run(copy, f"{sys.executable} train.py {out}")

    assert "GPUs" in shown
    assert re.search(r"\b[1-9]\d* passed", tested)
    record = json.loads((out / "autocard.json").read_text(encoding="utf-8"))
    (device,) = record["legs"][0]["hosts"][0]["devices"]
    assert (device["name"], device["source"]) == ("Toy Accelerator", "toy-counter")
    wall_clock_s = record["time"]["wall_clock_s"]
    assert record["energy"]["gpu_kwh"] * J_PER_KWH == pytest.approx(50 * wall_clock_s, rel=0.02)
    assert [gpu["name"] for gpu in record["hardware"]["gpus"]] == ["Toy Accelerator"]
    assert record["missing"]["hardware.cuda_driver_version"] == "Toy has no CUDA"
    card = (out / "README.md").read_text(encoding="utf-8")
    assert re.search(r"(?m)^- \*\*Hardware Type:\*\* 1 × Toy Accelerator \(8 GiB\)", card)
    assert re.search(r"(?m)^\| GPUs \| [\d.]+ \| measured: Toy energy counters \|$", card)
    assert "NVML" not in card + json.dumps(record)


def test_a_gpu_maker_takes_one_module_and_one_line_of_the_package():
    (diff,) = blocks(section("Add a GPU maker in two edits"), "diff")

    assert {name for name, _, _ in hunks(diff)} == {"autocard/energy/gpu/backends.py"}
    assert [line for line in diff.splitlines() if line.startswith("+")] == [
        "+from autocard.energy.gpu import nvml, toy",
        "+BACKENDS: Sequence[GpuBackend] = (nvml, toy)",
    ]


def test_a_form_is_added_by_the_one_file_of_the_guide(copy):
    steps = section("Add a form in one file")
    (form,) = blocks(steps, "markdown")
    (copy / "templates" / "shelf.md").write_text(form, encoding="utf-8")

    shown, tested = (run(copy, command) for command in commands(steps))

    assert "\n- **Hours used:** 1 min 12 s wall-clock (no GPU)\n" in shown
    assert "\n## Bias, Risks, and Limitations\n" in shown
    assert re.search(r"\b[1-9]\d* passed", tested)
    assert "shelf" in refusal(copy)


def test_an_export_is_added_by_the_one_file_of_the_guide(copy):
    steps = section("Add an export in one file")
    (module,) = blocks(steps, "python")
    (copy / "autocard" / "export" / "energy_tsv.py").write_text(module, encoding="utf-8")
    frozen = "tests/contract/records/measured/autocard.json"

    shown, tested = (run(copy, command) for command in commands(steps))
    exported = run(copy, f".venv/bin/python -m autocard export {frozen} --format energy-tsv")

    assert shown
    assert re.search(r"\b[1-9]\d* passed", tested)
    energy = json.loads((ROOT / frozen).read_text(encoding="utf-8"))["energy"]
    parts = [line.split("\t") for line in exported.splitlines()]
    assert {name: float(figure) for name, figure in parts} == {
        name: energy[name]
        for name in ("gpu_kwh", "cpu_kwh", "ram_kwh", "total_kwh")
        if energy.get(name) is not None
    }
    assert parts


def test_without_a_format_there_is_no_command_export(copy):
    assert " export " not in run(copy, ".venv/bin/python -m autocard --help")


def refusal(copy):
    """Return what is said to people who name a form that is not there: it lists those that are."""
    command = [
        ".venv/bin/python",
        "-m",
        "autocard",
        "render",
        "--record",
        "examples/README.card.json",
    ]
    ran = subprocess.run(
        [*command, "--template", "none-of-these"],
        cwd=copy,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(copy)},
    )
    return ran.stderr


def test_the_commands_that_run_tests_run_on_the_tree(copy):
    for command in commands(section("Run the tests")):
        if "ruff" in command:
            ruff = shutil.which(
                "ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            )
            if ruff is None:
                continue
        run(copy, command)


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:`|^|=\S+ )make (\.?[a-z][\w./-]*)", TEXT, re.MULTILINE)))
)
def test_make_knows_each_target_of_the_guide(target):
    ran = subprocess.run(
        ["make", "-n", target], cwd=ROOT, check=False, capture_output=True, text=True
    )

    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:tests|docs|templates|autocard|examples)/[\w./-]+)`", TEXT))),
)
def test_each_file_that_the_guide_names_is_there(path):
    made_by_a_reader = {
        "templates/shelf.md",
        "autocard/export/energy_tsv.py",
        "autocard/energy/gpu/toy.py",
        "autocard/trainers/loop.py",
    }
    assert (ROOT / path).exists() or path in made_by_a_reader


def test_the_markers_of_the_guide_are_those_of_pytest():
    named = set(re.findall(r"^\| `(\w+)` \|", section("Tests"), flags=re.MULTILINE))

    listed = (
        (ROOT / "pyproject.toml")
        .read_text(encoding="utf-8")
        .split("\nmarkers = [\n")[1]
        .split("\n]\n")[0]
    )
    assert named == set(re.findall(r'^  "(\w+):', listed, flags=re.MULTILINE))
