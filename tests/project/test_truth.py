"""The oracles themselves: a true record passes, and each falsified field is found."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re

import pytest

import truth
from autocard import AutoCardCallback
from support import snippet_runs, training


@pytest.fixture(scope="module")
def run(tmp_path_factory, watched):
    """One training with an evaluation: its record, its card, and what is known of it without them."""
    folder = tmp_path_factory.mktemp("run")
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    trainer = training.trainer(folder, callbacks=[ours], learning_rate=0.01, max_steps=4)
    return trained(trainer, watched, folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, watched):
    """The same of a new model that is trained whole."""
    folder = tmp_path_factory.mktemp("whole")
    settings = {
        "max_steps": 4,
        "save_strategy": "steps",
        "save_steps": 2,
        "include_num_input_tokens_seen": "all",
    }
    ours = AutoCardCallback(emissions=False)
    return trained(
        training.trainer(folder, model=training.bert(), callbacks=[ours], **settings),
        watched,
        folder,
    )


def trained(trainer, watched, folder):
    watched.install()
    trainer.train()
    trainer.save_model()
    trainer.evaluate()
    true = watched.seen(trainer.args)
    known = json.loads((folder / "autocard.json").read_text())
    return known, (folder / "README.md").read_text(), true


def false_in(known, card, true):
    return {
        path.split("[")[0]
        for path, _, is_so in truth.judged(known, card, "README.md", true)
        if not is_so
    }


def test_a_true_record_has_no_false_field_and_many_are_judged(run):
    told = truth.judged(run[0], run[1], "README.md", run[2])

    assert [one for one in told if not one[2]] == []
    assert len(told) > 80
    assert {"card: rank", "card: loss", "card: time", "card: rows"} <= {path for path, *_ in told}


FALSE = {
    "run.global_step": 5,
    "run.max_steps": 40,
    "run.epochs": 3.5,
    "run.status": "stopped",
    "model.architecture": "BertForMaskedLM",
    "model.model_type": "roberta",
    "model.parameters_total": 22373,
    "model.parameters_trainable": 1091,
    "model.dims.layers": 3,
    "model.dims.hidden_size": 64,
    "model.labels": ["storm", "calm"],
    "model.base_model": "org/other",
    "model.base_model_relation": "finetune",
    "model.library_name": "transformers",
    "model.saved_bytes": 7,
    "training.hyperparameters.learning_rate": 0.02,
    "training.hyperparameters.seed": 4,
    "training.hyperparameters.bf16": True,
    "training.seed": 42,
    "training.effective_batch_size": 8,
    "training.optimizer": "SGD (learning rate 0.01)",
    "precision.weights_dtype": "bfloat16",
    "precision.trainable_dtype": "float16",
    "precision.regime": "bf16 non-mixed precision",
    "evaluation.train_loss": 0.1,
    "software.transformers": "4.1.0",
    "software.python": "3.1.0",
    "job.world_size": 2,
    "time.wall_clock_s": 1e4,
    "time.samples_per_s": 1.0,
    "time.steps_per_s": -2.0,
    "time.flops_estimate": 1e9,
    "energy.total_kwh": 1.0,
}
"""Path → what is not so."""


@pytest.mark.parametrize("path", FALSE)
def test_a_false_field_of_the_record_is_found(run, path):
    known = copy.deepcopy(run[0])
    *way, leaf = path.split(".")
    part = known
    for name in way:
        part = part[name]
    part[leaf] = FALSE[path]

    assert path in false_in(known, run[1], run[2])


def test_false_list_entries_are_found(run):
    known = copy.deepcopy(run[0])
    known["adapters"][0]["config"]["r"] = 8
    known["data"]["train"][0]["rows"] = 31
    known["data"]["train"][0]["tokens"] = 1
    known["evaluation"]["results"][0]["value"] = 0.25
    known["legs"][-1]["wall_clock_s"] = 100.0
    known["legs"][-1]["step_end"] = 3
    known["hardware"]["gpus"] = [{"name": "NVIDIA", "count": 1, "memory_bytes": 1}]

    found = {
        path for path, _, is_so in truth.judged(known, run[1], "README.md", run[2]) if not is_so
    }

    assert {
        "adapters[].config.r",
        "data.train[].rows",
        "data.train[].tokens",
        "evaluation.results[loss]",
        "legs[-1].wall_clock_s",
        "legs[-1].step_end",
    } <= found


@pytest.mark.parametrize(
    "claim", [claim for claim in truth.OF_CARD if claim not in ("regime", "library")]
)
def test_a_false_claim_of_the_card_is_found(run, claim):
    known = copy.deepcopy(run[0])
    slot, pattern, _ = truth.OF_CARD[claim]
    slots = known["slots"]["README.md"]
    said = re.search(pattern, slots.get(slot, ""))
    assert said is not None, slot
    other = re.sub(r"\d", lambda digit: str((int(digit[0]) + 3) % 10), said[1])
    begin, end = said.span(1)
    slots[slot] = slots[slot][:begin] + other + slots[slot][end:]
    card = run[1].replace(
        said[0].splitlines()[0], re.search(pattern, slots[slot])[0].splitlines()[0]
    )

    assert f"card: {claim}" in false_in(known, card, run[2])


def test_the_suite_looks_at_each_training_by_itself(watched, tmp_path):
    before, fields = watched.runs, watched.fields

    trainer = training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)], max_steps=1)
    trainer.train()
    trainer.evaluate()

    assert watched.runs == before + 2
    assert watched.fields > fields + 100
    assert watched.false == []


@pytest.mark.expects_falsehood
def test_the_suite_fails_a_test_whose_record_is_false(watched, tmp_path, monkeypatch):
    from autocard.capture.training import training as capture

    monkeypatch.setattr(capture, "effective_batch_size", lambda _: 7)

    training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)], max_steps=1).train()

    assert watched.false == ["training.effective_batch_size: 7: [4]"]


def test_the_whole_model_has_no_false_field_either(whole):
    assert [
        one for one in truth.judged(whole[0], whole[1], "README.md", whole[2]) if not one[2]
    ] == []


def changed(run, path, value):
    """Return the record of *run* with another value at *path*."""
    known = copy.deepcopy(run[0])
    *way, leaf = path.split(".")
    part = known
    for name in way:
        part = part[int(name) if name.isdecimal() else name]
    part[leaf] = value
    return known


def found(known, run):
    return {
        path for path, _, is_so in truth.judged(known, run[1], "README.md", run[2]) if not is_so
    }


@pytest.mark.parametrize(
    ("path", "value", "oracle"),
    [
        (
            "training.scheduler",
            "linear with 3 warmup steps (of 4 in total)",
            "training.scheduler (warm-up)",
        ),
        ("training.scheduler", "constant", "training.scheduler (constant)"),
        ("training.optimizer", "AdamW (learning rate 0.02)", "training.optimizer (learning rate)"),
        ("evaluation.results.0.step", 2, "evaluation.results[].step"),
        ("evaluation.results.0.name", "num_tokens", "evaluation.results[] (a counter)"),
        ("time.tokens", 7, "time.tokens"),
        ("time.tokens_per_s", -7.0, "time.tokens_per_s (positive)"),
        ("run.epochs", 3.0, "run.epochs (rows)"),
        ("model.dims.intermediate_size", 63, "model.dims.intermediate_size (tensors)"),
        ("training.objective", "regression (mean squared error)", "training.objective (loss)"),
        ("training.objective", "labels (binary cross-entropy)", "training.objective (loss)"),
    ],
)
def test_an_oracle_of_the_whole_model_finds_its_falsehood(whole, path, value, oracle):
    assert oracle in found(changed(whole, path, value), whole)


def test_ranks_and_targets_are_held_against_the_tensors(run):
    known = copy.deepcopy(run[0])
    known["adapters"][0]["config"] |= {"r": 8, "target_modules": ["query", "dense"]}
    known["adapters"][0]["method"] = "IA³"

    assert {"adapters[].config.r (tensors)", "adapters[].config.target_modules (tensors)"} <= found(
        known, run
    )


def test_from_scratch_is_false_where_a_norm_does_not_begin_with_ones(whole, monkeypatch):
    known = changed(whole, "model.base_model_description", "none (trained from scratch)")
    assert "model.base_model_description" not in found(known, whole)

    norm = "bert.embeddings.LayerNorm.weight"
    monkeypatch.setitem(whole[2].observed.statistics_at_begin, norm, (0.9, 0.1))

    assert "model.base_model_description" in found(known, whole)


def test_a_base_in_the_cache_is_held_against_the_first_weights(whole, tmp_path, monkeypatch):
    from huggingface_hub import constants
    from safetensors.torch import save_file

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    known = changed(whole, "model.base_model", "org/other")
    folder = tmp_path / "models--org--other" / "snapshots" / "0"
    folder.mkdir(parents=True)
    # Trained weights: of two fresh models the norms and biases are the same.
    other = {
        name: one + 0.25 for name, one in training.bert(initializer_range=0.5).state_dict().items()
    }
    save_file(other, folder / "model.safetensors")
    assert "model.base_model (weights)" in found(known, whole)

    save_file(
        {name: one.clone() for name, one in training.bert().state_dict().items()},
        folder / "model.safetensors",
    )

    assert "model.base_model (weights)" not in found(known, whole)


@pytest.mark.parametrize(
    "line", ["base_model: {}", "datasets: [{}]", "tags: ['base_model:adapter:{}']"]
)
def test_a_folders_name_is_found_where_an_id_stands(whole, line):
    known, card, true = whole
    folder = "/".join(true.args.output_dir.split("/")[-2:])
    card = "---\n" + line.format(folder) + "\n---\n" + card.partition("\n---\n")[2]

    told = truth.judged(known, card, "README.md", true)

    assert [path for path, said, is_so in told if not is_so and said == folder] != []


def test_the_size_of_another_file_than_the_trained_one_is_found(run):
    from pathlib import Path

    import torch
    from safetensors.torch import save_file

    folder = Path(run[2].args.output_dir)
    other = folder / "other_model.safetensors"
    save_file({"weight": torch.ones(1)}, other)
    known = changed(run, "model.saved_bytes", other.stat().st_size)

    told = found(known, run)
    other.unlink()

    assert "model.saved_bytes (tensors)" in told


def test_padding_among_the_tokens_seen_is_found_unless_the_card_says_so(whole, monkeypatch):
    known, _, true = whole
    for step in true.observed.steps:
        monkeypatch.setattr(step, "padding", 5)
    tokens = sum(step.tokens for step in true.observed.steps)
    run = known, f"- Input tokens seen: {tokens}\n", true
    assert "card: tokens seen (padding)" in found(known, run)

    run = known, f"- Input tokens seen: {tokens} (including padding)\n", true

    assert "card: tokens seen (padding)" not in found(known, run)


def test_the_watch_changes_nothing_of_a_training(watched, tmp_path):
    def weights(folder):
        trainer = training.trainer(
            folder, callbacks=[AutoCardCallback(emissions=False)], max_steps=3
        )
        trainer.train()
        trainer.train()
        return {name: one.clone() for name, one in trainer.model.state_dict().items()}

    watched.install()
    seen = weights(tmp_path / "seen")
    watched.remove()
    alone = weights(tmp_path / "alone")

    assert seen.keys() == alone.keys()
    assert all(bool((seen[name] == alone[name]).all()) for name in seen)


# -- falsehoods about the set-ups ------------------------------------------------------------


def setup_of(name, watched, folder, monkeypatch):
    """Train one of the set-ups; return its record, its card, and what is known of it."""
    from setups import SETUPS

    bases = folder / "bases"
    bases.mkdir()
    snippet_runs.lay_bases(bases)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(bases / "hub"))
    # read before the suite says so
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    watched.install()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer = SETUPS[name].run(folder / "out", [AutoCardCallback(emissions=False)])
    out = folder / "out"
    known = json.loads((out / "autocard.json").read_text())
    return known, (out / "README.md").read_text(), watched.seen(trainer.args)


OF_SETUPS = [
    (
        "DPO, IPO",
        "training.objective",
        "direct preference optimization (DPO)",
        "training.objective (loss type)",
    ),
    (
        "Sentence embeddings, ranking loss",
        "training.objective",
        "sentence similarity (CosineSimilarityLoss)",
        "training.objective (loss's class)",
    ),
    ("X-LoRA over two adapters", "adapters.0.method", "LoRA", "adapters[].method (X-LoRA)"),
    ("X-LoRA over two adapters", "model.saved_bytes", 40, "model.saved_bytes (tensors)"),
    (
        "AdaLoRA on a base of the Hub's cache",
        "training.objective",
        "causal language modeling (next-token cross-entropy)",
        "training.objective (loss)",
    ),
    ("Qwen3-MoE, every layer sparse", "time.flops_estimate", 1e7, "time.flops_estimate"),
]


@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)
@pytest.mark.parametrize(("name", "path", "value", "oracle"), OF_SETUPS)
def test_an_oracle_of_a_setup_finds_its_falsehood(
    name, path, value, oracle, watched, tmp_path, monkeypatch
):
    run = setup_of(name, watched, tmp_path, monkeypatch)
    assert [one for one in truth.judged(run[0], run[1], "README.md", run[2]) if not one[2]] == []

    assert oracle in found(changed(run, path, value), run)


@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)
def test_the_rank_that_adalora_ignores_is_found_in_its_card(watched, tmp_path, monkeypatch):
    known, card, true = setup_of(
        "AdaLoRA on a base of the Hub's cache", watched, tmp_path, monkeypatch
    )
    slots = known["slots"]["README.md"]

    slots["model_specs"] = slots["model_specs"].replace("`init_r` = 6", "r = 8")

    told = truth.judged(known, card, "README.md", true)
    assert "card: AdaLoRA's r" in {path for path, _, is_so in told if not is_so}
