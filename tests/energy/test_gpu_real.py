"""Short trainings on a real NVIDIA GPU: energy, number formats, name and peak memory against the driver and torch.

    make gpu

The GPU's energy counter is read by the test itself when training begins and ends, outside and
inside of autocard's own events. Nothing else may run on the GPU meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from support import TESTS

SETUPS = {
    "fp32": {},
    "TF32": {"tf32": True},
    "bf16": {"bf16": True},
    "fp16": {"fp16": True},
    "LoRA in bf16": {"bf16": True},
}
REGIMES = {
    "fp32": "fp32",
    "TF32": "fp32",
    "bf16": "bf16 mixed precision",
    "fp16": "fp16 mixed precision",
    "LoRA in bf16": "bf16 mixed precision",
}
PRODUCTS = {
    "fp32": "float32",
    "TF32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "LoRA in bf16": "bfloat16",
}
"""Formats of the results of linear layers."""

PROGRAM = """
import json, sys, time, warnings
sys.path.insert(0, sys.argv[1])
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
import pynvml, torch, transformers
from transformers import TrainerCallback
from support import training
from autocard import AutoCardCallback

folder, lora, changes, seconds = sys.argv[2], sys.argv[3] == "True", json.loads(sys.argv[4]), float(sys.argv[5])
pynvml.nvmlInit()
seen = {}

def board():
    uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    return pynvml.nvmlDeviceGetHandleByUUID(uuid)

class Counter(TrainerCallback):
    def __init__(self, name): self.name = name
    def read(self, when): seen[f"{self.name} {when}"] = pynvml.nvmlDeviceGetTotalEnergyConsumption(board()) / 1000
    def on_train_begin(self, *_, **__): self.read("begin")
    def on_train_end(self, *_, **__):
        torch.cuda.synchronize()
        self.read("end")

class Until(TrainerCallback):
    def on_train_begin(self, *_, **__): self.until_s = time.monotonic() + seconds
    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = time.monotonic() > self.until_s
        if control.should_training_stop:
            seen["peak_bytes"] = torch.cuda.memory_stats()["allocated_bytes.all.peak"]

big = {"hidden_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 16, "intermediate_size": 4096}
model = training.bert(vocab_size=60, max_position_embeddings=256, **big)
layer = model.bert.encoder.layer[0].intermediate.dense

def note_format(module, inputs, output):
    seen.setdefault("format", str(output.dtype).removeprefix("torch."))

layer.register_forward_hook(note_format)
if lora:
    model = training.lora(model)
import datasets
ids = torch.randint(2, 60, (512, 256)).tolist()
rows = datasets.Dataset.from_dict({"input_ids": ids, "attention_mask": [[1] * 256] * 512, "labels": [0, 1] * 256})
callbacks = [Counter("outer"), AutoCardCallback(country_iso_code="FRA"), Counter("inner"), Until()]
trainer = training.trainer(
    folder, model=model, train=rows, callbacks=callbacks,
    use_cpu=False, max_steps=10**6, per_device_train_batch_size=64, **changes,
)
trainer.train()
a = torch.rand(1024, 1024, device="cuda")
exact = a.double() @ a.double()
seen["error"] = float(((a @ a).double() - exact).abs().max() / exact.abs().max())
seen["name"] = pynvml.nvmlDeviceGetName(board())
print()
print(json.dumps(seen))
"""


def why_not():
    """Return why nothing can be trained on a GPU here; None: it can."""
    # In a process of its own: this is asked while tests are collected, and CUDA is not to be
    # started in theirs.
    asked = "import torch; print(torch.cuda.is_available(), torch.version.cuda)"
    said = subprocess.run(
        [sys.executable, "-c", asked], check=False, capture_output=True, text=True
    )
    available, _, built = said.stdout.strip().partition(" ")
    if available == "True":
        return None
    return "this torch was built without CUDA" if built == "None" else "torch sees no CUDA GPU"


@pytest.fixture(scope="module")
def gpu():
    reason = why_not()
    if reason is not None:
        pytest.skip(f"needs a real NVIDIA GPU: {reason}")


@pytest.fixture(scope="module", params=SETUPS)
def run(request, gpu, tmp_path_factory):  # noqa: ARG001 - `gpu` skips where there is none
    """Return (name of the set-up, what the program saw, the record, the card) of a training of some 20 seconds."""
    folder = tmp_path_factory.mktemp("run")
    lora = request.param.startswith("LoRA")
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(TESTS),
        str(folder),
        str(lora),
        json.dumps(SETUPS[request.param]),
        "20",
    ]
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=280, env=dict(os.environ)
    )
    assert ran.returncode == 0, ran.stderr
    record = json.loads((folder / "autocard.json").read_text(encoding="utf-8"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    return request.param, json.loads(ran.stdout.splitlines()[-1]), record, card


pytestmark = pytest.mark.gpu


def test_the_card_s_gpu_energy_is_that_of_the_board_s_own_counter(run):
    _, seen, record, card = run
    # Callbacks run in their order at both ends: autocard's readings lie between those of the two
    # counters.
    inner_j, outer_j = (
        seen["outer end"] - seen["inner begin"],
        seen["inner end"] - seen["outer begin"],
    )

    stated = re.search(r"^\| GPUs \| ([\d.]+) \|", card, flags=re.MULTILINE)[1]

    assert 0.97 * inner_j <= record["energy"]["gpu_kwh"] * 3.6e6 <= 1.03 * outer_j
    half_a_digit_kwh = 0.501 * 10 ** -len(stated.partition(".")[2])
    assert float(stated) == pytest.approx(record["energy"]["gpu_kwh"], abs=half_a_digit_kwh)
    assert outer_j - inner_j < 0.1 * inner_j  # else the bounds would say nothing


def test_the_regime_is_that_of_the_matrix_products(run):
    name, seen, record, _ = run

    assert seen["format"] == PRODUCTS[name] == record["precision"]["compute_dtype"]
    assert record["precision"]["regime"] == REGIMES[name]


def test_tf32_is_said_where_torch_uses_it(run):
    name, seen, record, _ = run

    # A product of float32 matrices is wrong by some 1e-7, rounded to TF32's ten bits by some 1e-4.
    assert record["precision"]["tf32"] == (seen["error"] > 1e-5) == (name == "TF32")


def test_the_gpu_has_the_driver_s_name(run):
    _, seen, record, card = run

    assert [(gpu["name"], gpu["count"]) for gpu in record["hardware"]["gpus"]] == [
        (seen["name"], 1)
    ]
    assert f"- **Hardware Type:** {seen['name']}" in card or f"1 × {seen['name']}" in card


def test_the_peak_memory_is_what_torch_s_allocator_counted(run):
    _, seen, record, _ = run

    assert record["hardware"]["peak_memory_bytes"] == {
        "h1.g0": pytest.approx(seen["peak_bytes"], rel=0.02)
    }
