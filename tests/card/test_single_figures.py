"""Figures that a form asks for one by one: each against the JSON of a real run's record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocard.card.fields import facts
from autocard.card.fill.fill import fill
from autocard.card.form.label_files import load
from autocard.record import from_json

RECORDS = Path(__file__).parents[1] / "contract" / "records"
Raw = dict[str, Any]


def raw(run: str) -> Raw:
    return json.loads((RECORDS / run / "autocard.json").read_text(encoding="utf-8"))


def filled(run: str, line: str, heading: str = "## Training Configuration") -> str:
    """Return what a card with one line has there, once it was filled from a real run's record."""
    record = from_json((RECORDS / run / "autocard.json").read_text(encoding="utf-8"))
    card = f"# M\n\n{heading}\n\n{line}\n"
    after = fill(card, facts(record), {}, remembered={}).text
    start = line.partition("TBD")[0]
    found = [each for each in after.split("\n") if each.startswith(start)]
    assert len(found) == 1, after
    return found[0].removeprefix(start)


def hp(name: str) -> Callable[[Raw], str]:
    return lambda data: str(data["training"]["hyperparameters"][name])


def lora(name: str) -> Callable[[Raw], str]:
    return lambda data: f"{data['adapters'][0]['config'][name]:g}"


def version(name: str) -> Callable[[Raw], str]:
    return lambda data: data["software"][name]


CASES: list[tuple[str, str, Callable[[Raw], str]]] = [
    ("lora", "Learning rate", hp("learning_rate")),
    ("lora", "Epochs", lambda data: f"{data['run']['epochs']:g}"),
    ("lora", "Training steps", lambda data: str(data["run"]["global_step"])),
    ("lora", "Batch size", lambda data: str(data["training"]["effective_batch_size"])),
    ("lora", "Per-device batch size", hp("per_device_train_batch_size")),
    ("lora", "Total batch size", lambda data: str(data["training"]["effective_batch_size"])),
    ("lora", "Eval batch size", hp("per_device_eval_batch_size")),
    ("lora", "Gradient accumulation steps", hp("gradient_accumulation_steps")),
    ("lora", "LR scheduler", hp("lr_scheduler_type")),
    ("lora", "Warmup steps", lambda data: f"{hp('warmup_steps')(data)} steps"),
    ("lora", "Weight decay", hp("weight_decay")),
    ("lora", "Adam epsilon", hp("adam_epsilon")),
    ("lora", "Max grad norm", hp("max_grad_norm")),
    ("lora", "Seed", lambda data: str(data["training"]["seed"])),
    ("lora", "LoRA rank", lora("r")),
    ("lora", "LoRA alpha", lora("lora_alpha")),
    ("lora", "LoRA dropout", lora("lora_dropout")),
    ("lora", "Method", lambda data: data["adapters"][0]["method"]),
    ("lora", "Total samples", lambda data: str(data["data"]["train"][0]["rows"])),
    ("lora", "Total parameters", lambda data: f"{data['model']['parameters_total']:,}"),
    ("lora", "Model parameters", lambda data: f"{data['model']['parameters_total']:,} parameters"),
    ("lora", "Task", lambda data: data["model"]["task"].replace("modelling", "modeling")),
    ("lora", "Library", lambda data: data["model"]["library_name"]),
    ("lora", "Number of layers", lambda data: str(data["model"]["dims"]["layers"])),
    ("lora", "Hidden size", lambda data: str(data["model"]["dims"]["hidden_size"])),
    ("lora", "CPU", lambda data: data["hardware"]["cpu_model"].replace("(R)", "(R)")),
    ("lora", "Transformers version", version("transformers")),
    ("lora", "PyTorch version", version("torch")),
    ("lora", "PEFT version", version("peft")),
    ("lora", "Datasets version", version("datasets")),
    ("lora", "Python version", version("python")),
    ("lora", "GPU", lambda _: "none (no GPU was used)"),
    ("lora", "Number of GPUs", lambda _: "0"),
    ("lora", "World size", lambda data: str(data["job"]["world_size"])),
    ("gpus", "Number of GPUs", lambda data: str(data["hardware"]["gpus"][0]["count"])),
    ("gpus", "GPU driver", lambda data: data["hardware"]["driver_version"]),
    ("gpus", "Country", lambda data: data["emissions"]["country_name"]),
    ("gpus", "Training date", lambda data: data["run"]["started_at"][:10]),
    ("dpo-lora", "Max sequence length", lambda data: f"{hp('max_length')(data).replace('1024', '1,024')} tokens"),
    ("full-fine-tuning", "Method", lambda _: "training from scratch"),
    ("full-fine-tuning", "LoRA rank", lambda _: "none (no LoRA adapter)"),
]  # fmt: skip


@pytest.mark.parametrize(("run", "label", "expected"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_a_label_gets_the_one_figure_that_the_record_has_for_it(
    run: str, label: str, expected: Callable[[Raw], str]
) -> None:
    assert filled(run, f"- **{label}:** TBD") == expected(raw(run))


@pytest.mark.parametrize(
    ("label", "leaf", "scale"),
    [
        ("Total energy consumption", "total_kwh", 1.0),
        ("GPU energy", "gpu_kwh", 1.0),
        ("GPU energy (MWh)", "gpu_kwh", 1e-3),
        ("Total energy (Wh)", "total_kwh", 1e3),
        ("Total energy consumption (MJ)", "total_kwh", 3.6),
    ],
)
def test_energy_is_the_records_in_the_unit_of_the_label(
    label: str, leaf: str, scale: float
) -> None:
    shown = filled("gpus", f"- **{label}:** TBD").split(" ")[0].replace(",", "")

    assert float(shown) == pytest.approx(raw("gpus")["energy"][leaf] * scale, rel=0.01)


def test_mean_power_is_gpu_energy_over_gpu_time() -> None:
    data = raw("gpus")
    watts = data["energy"]["gpu_kwh"] * 3.6e6 / data["time"]["gpu_s"]

    shown = filled("gpus", "- **Average GPU power:** TBD")

    assert shown.endswith(" W per GPU, mean")
    assert float(shown.split(" ")[0]) == pytest.approx(watts, rel=0.01)


def test_the_last_logged_loss_is_named_with_its_step() -> None:
    last = [point for point in raw("gpus")["evaluation"]["history"] if "loss" in point][-1]

    shown = filled("gpus", "- **Final training loss:** TBD")

    assert shown == f"{last['loss']:.4g} (logged at step {last['step']})"


@pytest.mark.parametrize(
    "line",
    [
        "- Learning rate: TBD",
        "- **Learning Rate**: TBD",
        "* __learning_rate__: TBD",
        "- learning_rate = TBD",
        "- `learning_rate`: TBD",
        "- **`learning_rate`:** TBD",
        "Learning rate: TBD",
        "**Learning rate:** TBD",
        "1. LR: TBD",
        "- **Learning rate** = TBD",
        "- **Learning rate** — TBD",
    ],
)
def test_a_figure_is_found_in_the_forms_that_people_write(line: str) -> None:
    assert filled("lora", line) == hp("learning_rate")(raw("lora"))


def test_a_row_of_a_table_takes_a_figure() -> None:
    table = "| Setting | Value |\n|---|---|\n| Learning rate | TBD |"

    record = from_json((RECORDS / "lora" / "autocard.json").read_text(encoding="utf-8"))
    after = fill(f"# M\n\n## Setup\n\n{table}\n", facts(record), {}, remembered={}).text

    assert f"| Learning rate | {hp('learning_rate')(raw('lora'))} |" in after


def test_a_new_default_card_has_no_line_for_a_single_figure() -> None:
    labels = load()
    record = from_json((RECORDS / "lora" / "autocard.json").read_text(encoding="utf-8"))
    known = facts(record)
    single = {name: known[name] for name in known if labels.is_asked(name)}
    others = {name: known[name] for name in known if not labels.is_asked(name)}

    card = "# M\n\nHello.\n"
    with_all = fill(card, known, {}, remembered={}).text

    assert len(single) > 40
    assert with_all == fill(card, others, {}, remembered={}).text


def test_a_persons_figure_stays_whatever_the_record_has() -> None:
    record = from_json((RECORDS / "lora" / "autocard.json").read_text(encoding="utf-8"))
    card = "# M\n\n## Setup\n\n- **Learning rate:** about 1e-3, see the paper\n- GPU: two\n"

    after = fill(card, facts(record), {}, remembered={}).text

    assert "- **Learning rate:** about 1e-3, see the paper\n- GPU: two\n" in after


def test_figures_of_ours_are_refreshed_from_another_record() -> None:
    first, second = (
        from_json((RECORDS / run / "autocard.json").read_text(encoding="utf-8"))
        for run in ("lora", "gpus")
    )
    card = "# M\n\n## Setup\n\n- LoRA alpha: TBD\n- Training steps: TBD\n- CO2: ___ kg\n"

    one = fill(card, facts(first), {}, remembered={})
    two = fill(one.text, facts(second), {}, remembered=one.slots)

    assert f"- Training steps: {raw('gpus')['run']['global_step']}\n" in two.text


def test_every_single_figure_has_a_leaf_of_the_record_and_a_label() -> None:
    labels = load()
    keys = raw("gpus").keys()
    for name, kind in labels.kinds.items():
        if kind.asked:
            assert kind.record.split(".")[0] in keys, name
            assert kind.who == "machine"
            assert name in labels.fact_by_word.values()
