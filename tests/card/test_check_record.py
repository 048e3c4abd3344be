"""What a card states is compared with the record: wrong values are named, equal ones are not, wherever they stand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autocard.card.check import comparison, disagreements
from autocard.card.check.check import check
from autocard.card.check.known import known_facts
from autocard.card.check.known_fact import Known
from autocard.card.check.measures import figures
from autocard.card.form.label_files import load
from autocard.card.update import update
from autocard.record import load as load_record
from support import records

GPUS = records.three_legs_on_gpus()
"""12 h 24 min on 2 nodes × 4 × A100 80 GB, 99.2 GPU-hours, 25.1 kWh, 1.41 kg, Mistral-7B-v0.3, bf16 mixed over 4 bits."""
CPU = records.lora_on_cpu()
"""18 min 04 s, no GPU, 0.010 kWh, 0.56 g, all-MiniLM-L6-v2, 23.0 M parameters, fp32, accuracy 0.8525."""
LABELS = load()
CONTRACT = Path(__file__).parents[1] / "contract"


def named(record, card):
    """Return the labels of what *card* says against *record*, as it stands."""
    return [one.label for one in disagreements.find(card, card, record, LABELS, [])]


# Expectations by hand: (record, label, value, whether it contradicts).
HOURS, ENERGY, CO2 = "Hours used", "Energy consumed", "Carbon Emitted"
HARDWARE, BASE, REGIME = "Hardware Type", "Base model", "Training regime"
BY_HAND = [
    (GPUS, HOURS, "300 h", True),
    (GPUS, HOURS, "2 days", True),
    (GPUS, HOURS, "1-2 h", True),
    (GPUS, HOURS, "about 3 h", True),
    (GPUS, HOURS, "6 hours", True),
    (GPUS, HOURS, "< 5 h", True),
    (GPUS, HOURS, "more than 200 h", True),
    (GPUS, HOURS, "30:00:00", True),
    (GPUS, HOURS, "12.4 h", False),
    (GPUS, HOURS, "12,4 h", False),
    (GPUS, HOURS, "about 13 hours", False),
    (GPUS, HOURS, "~12h", False),
    (GPUS, HOURS, "12h24", False),
    (GPUS, HOURS, "12:24:00", False),
    (GPUS, HOURS, "744 minutes", False),
    (GPUS, HOURS, "10–15 h", False),
    (GPUS, HOURS, "between 10 and 15 h", False),
    (GPUS, HOURS, "< 20 h", False),
    (GPUS, HOURS, "99 GPU-hours", False),
    (GPUS, HOURS, "0.5 days", False),
    (GPUS, HOURS, "half a day", False),
    (GPUS, HOURS, "3 s/step, overnight", False),
    (GPUS, HOURS, "4 h per epoch", False),
    (GPUS, HOURS, "a very long time", False),
    (GPUS, "GPU hours", "99.2", False),
    (GPUS, "GPU hours", "12.4", True),
    (GPUS, "GPU hours", "99.2 h", False),
    (GPUS, "Training time", "12.4 h", False),
    (GPUS, "Training time", "3 days", True),
    (CPU, HOURS, "18 min", False),
    (CPU, HOURS, "0.3 h", False),
    (CPU, HOURS, "1,084 s", False),
    (CPU, HOURS, "18m04s", False),
    (CPU, HOURS, "3 h", True),
    (CPU, "GPU hours", "3", True),
    (GPUS, ENERGY, "25 kWh", False),
    (GPUS, ENERGY, "25,100 Wh", False),
    (GPUS, ENERGY, "90.4 MJ", False),
    (GPUS, ENERGY, "0.0251 MWh", False),
    (GPUS, ENERGY, "21.3 kWh (GPUs only)", False),
    (GPUS, ENERGY, "250 kWh", True),
    (GPUS, ENERGY, "3 MWh", True),
    (GPUS, "Energy consumed (kWh)", "25.1", False),
    (GPUS, "Energy consumed (kWh)", "251", True),
    (GPUS, CO2, "1.4 kg", False),
    (GPUS, CO2, "1,410 g CO2eq", False),
    (GPUS, CO2, "0.0014 t", False),
    (GPUS, CO2, "1.4 kgCO2e", False),
    (GPUS, CO2, "about a kilo", False),
    (GPUS, CO2, "300 g", True),
    (GPUS, CO2, "14 t", True),
    (GPUS, "CO2 emissions (kg)", "1.4", False),
    (GPUS, "CO2 emissions (t)", "0.0014", False),
    (GPUS, "CO2 emissions (t)", "1.4", True),
    (CPU, CO2, "0.56 g", False),
    (CPU, CO2, "0.6 g", False),
    (CPU, CO2, "0.56 kg", True),
    (GPUS, HARDWARE, "8 x A100", False),
    (GPUS, HARDWARE, "eight A100 80GB", False),
    (GPUS, HARDWARE, "A100-SXM4-80GB × 8", False),
    (GPUS, HARDWARE, "NVIDIA A100 GPUs", False),
    (GPUS, HARDWARE, "4 A100s on each of 2 nodes", False),
    (GPUS, HARDWARE, "a cluster", False),
    (GPUS, HARDWARE, "4 × H100", True),
    (GPUS, HARDWARE, "16 A100s", True),
    (GPUS, HARDWARE, "A100 40GB", True),
    (GPUS, HARDWARE, "RTX 4090", True),
    (GPUS, HARDWARE, "TPU v3-8", True),
    (GPUS, HARDWARE, "MI250X", True),
    (GPUS, HARDWARE, "CPU only", True),
    (CPU, HARDWARE, "one T4", True),
    (CPU, HARDWARE, "CPU", False),
    (CPU, HARDWARE, "Intel Xeon, no GPU", False),
    (GPUS, BASE, "mistralai/Mistral-7B-v0.3", False),
    (GPUS, BASE, "[Mistral](https://huggingface.co/mistralai/Mistral-7B-v0.3)", False),
    (GPUS, BASE, "Mistral 7B", False),
    (GPUS, BASE, "unsloth/mistral-7b-v0.3-bnb-4bit", False),
    (GPUS, BASE, "our own checkpoint of last year", False),
    (GPUS, BASE, "google/gemma-2b", True),
    (GPUS, BASE, "Llama 3 8B", True),
    (GPUS, BASE, "trained from scratch", True),
    (GPUS, REGIME, "bf16", False),
    (GPUS, REGIME, "bfloat16 mixed precision", False),
    (GPUS, REGIME, "4-bit NF4", False),
    (GPUS, REGIME, "fp16", True),
    (GPUS, REGIME, "float32", True),
    (GPUS, REGIME, "int8", True),
    (GPUS, REGIME, "bf16 non-mixed precision", True),
    (CPU, REGIME, "full precision", False),
    (CPU, REGIME, "mixed precision", True),
    (GPUS, "Parameters", "7B", False),
    (GPUS, "Parameters", "7.3 billion", False),
    (GPUS, "Parameters", "42M trainable", False),
    (GPUS, "Parameters", "~500 MB (LoRA adapter only)", False),
    (GPUS, "Parameters", "70B", True),
    (GPUS, "Parameters", "13B", True),
    (CPU, "Parameters", "22.7M", False),
    (CPU, "Parameters", "110M", True),
    (GPUS, "Learning Rate", "2e-4", True),
    (GPUS, "Learning Rate", "1 × 10⁻⁵", False),
    (GPUS, "Learning Rate", "0.00001", False),
    (GPUS, "Epochs", "3", True),
    (GPUS, "Number of Epochs", "1.0", False),
    (GPUS, "Batch Size", "512", True),
    (GPUS, "Batch Size", "4 per device", False),
    (GPUS, "Optimizer", "SGD", True),
    (GPUS, "Optimizer", "adamw_torch", False),
    (GPUS, "LR Scheduler", "linear", True),
    (GPUS, "LR Scheduler", "cosine with warmup", False),
    (GPUS, "LoRA r", "64", True),
    (GPUS, "LoRA r", "16", False),
    (GPUS, "LoRA alpha", "128", True),
    (GPUS, "LoRA dropout", "0.5", True),
    (GPUS, "LoRA dropout", "10%", False),
    (GPUS, "Target Modules", "q_proj, v_proj", True),
    (GPUS, "Target Modules", "all-linear", False),
    (GPUS, "Max Sequence Length", "512", True),
    (GPUS, "Max Sequence Length", "2k", False),
    (GPUS, "GPU", "T4", True),
    (GPUS, "GPU", "8x A100", False),
    (GPUS, "GPU Memory Peak", "24 GB", True),
    (GPUS, "GPU Memory Peak", "59 GiB", False),
    (GPUS, "Throughput", "31 samples/s", True),
    (GPUS, "Throughput", "3.4 samples/s", False),
    (GPUS, "Seed", "1", True),
    (GPUS, "Total Energy Consumption", "2 kWh", True),
    (GPUS, "Total Energy Consumption", "25 kWh", False),
    (GPUS, "Dataset", "imdb", True),
    (GPUS, "Dataset", "ultrachat", False),
    (GPUS, "Dataset", "proprietary", False),
    (GPUS, "CPU", "Intel Xeon", True),
    (GPUS, "CPU", "EPYC 7763", False),
    (GPUS, "Model size", "70B parameters", True),
    (GPUS, "Model size", "7.3B parameters", False),
    (GPUS, "Size", "70B parameters", False),  # of what, only a heading tells
    (GPUS, "Size", "12 training samples", False),
    (GPUS, "PyTorch", "1.2.0", True),
    (GPUS, "PyTorch", "2.13", False),
    (GPUS, "Compute Region", "France", False),
    (GPUS, "Compute Region", "Paris, FR", False),
    (GPUS, "Compute Region", "Germany", True),
    (GPUS, "Compute Region", "USA", True),
    (CPU, "Accuracy", "0.99", True),
    (CPU, "Accuracy", "0.85", False),
    (CPU, "Accuracy", "85.3 %", False),
    (CPU, "Eval accuracy", "85.25", False),
    (CPU, "F1", "0.1", False),
    (GPUS, "Transformers", "5.23", False),
    (GPUS, "Transformers", "4.20.1", True),
]


@pytest.mark.parametrize(
    ("record", "label", "value", "is_wrong"),
    BY_HAND,
    ids=[f"{label}: {value}" for _, label, value, _ in BY_HAND],
)
def test_a_labelled_value_contradicts_the_record_or_does_not(record, label, value, is_wrong):
    card = f"# M\n\n- **{label}:** {value}\n"

    assert named(record, card) == ([label] if is_wrong else [])


@pytest.mark.parametrize(
    ("heading", "value", "is_wrong"),
    [
        ("Model Details", "70B parameters", True),
        ("Model Details", "7.3B parameters", False),
        ("Model Details", "12 training samples", False),
        ("Training Data", "70B parameters", False),
    ],
)
def test_a_size_is_the_models_below_a_heading_about_the_model(heading, value, is_wrong):
    card = f"# M\n\n## {heading}\n\n- **Size:** {value}\n"

    assert named(GPUS, card) == (["Size"] if is_wrong else [])


PLACES = {
    "a bold line": "# M\n\n- **{label}:** {value}\n",
    "a plain line": "# M\n\n## Environmental Impact\n\n- {label}: {value}\n",
    "a row": "# M\n\n| What | Value |\n| --- | --- |\n| {label} | {value} |\n",
    "a column": "# M\n\n| Model | {label} |\n| --- | --- |\n| ours | {value} |\n",
    "one of several columns": "# M\n\n| {label} | Hours used |\n|---|---|\n| {value} | 12.4 h |\n",
    "a heading": "# M\n\n## {label}\n\n{value}\n",
    "below a bold label": "# M\n\n**{label}:**\n\n{value}\n",
}
WRONG_AND_RIGHT = {
    "Hours used": ("300 h", "744 min"),
    "Energy consumed": ("250 kWh", "90.4 MJ"),
    "Carbon Emitted": ("14 kg", "1410 g"),
    "Hardware Type": ("8 x H100", "8 x A100"),
    "Base model": ("google/gemma-2b", "mistralai/mistral-7b-v0.3"),
    "Training regime": ("fp16 mixed precision", "bfloat16"),
    "Parameters": ("70B", "7.3B"),
    "Compute Region": ("Germany", "FRANCE"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("label", WRONG_AND_RIGHT)
def test_a_wrong_value_is_named_at_each_place_and_an_equal_one_at_none(label, place):
    wrong, right = WRONG_AND_RIGHT[label]

    assert label in named(GPUS, PLACES[place].format(label=label, value=wrong))
    assert named(GPUS, PLACES[place].format(label=label, value=right)) == []


FRONT = {
    "base_model: google/gemma-2b": "base_model",
    "base_model_relation: quantized": "base_model_relation",
    "datasets: [imdb]": "datasets",
    "library_name: keras": "library_name",
    "pipeline_tag: image-classification": "pipeline_tag",
    "license: mit": "license",
    "language: [de]": "language",
    "co2_eq_emissions: 20": "co2_eq_emissions",
    "co2_eq_emissions: {emissions: 1410, hardware_used: 4 x H100}": "co2_eq_emissions",
    "co2_eq_emissions: {emissions: 1410, geographical_location: Germany}": "co2_eq_emissions",
    "co2_eq_emissions: {emissions: 1410, training_type: pre-training}": "co2_eq_emissions",
}
FRONT_RIGHT = [
    "base_model: mistralai/Mistral-7B-v0.3",
    "base_model: [mistralai/Mistral-7B-v0.3, other/too]",
    "datasets: [ultrachat_200k]",
    "datasets: [HuggingFaceH4/ultrachat_200k, imdb]",
    "pipeline_tag: summarization",
    "license: apache-2.0",
    "language: en",
    "co2_eq_emissions: 1400",
    "co2_eq_emissions: {emissions: 1405, hardware_used: 8 x A100, geographical_location: FR}",
    "my_key: 3",
]


@pytest.mark.parametrize("yaml", FRONT)
def test_a_key_with_another_value_is_named_with_its_line(yaml, tmp_path):
    card = tmp_path / "README.md"
    card.write_text(f"---\ntags: [x]\n{yaml}\n---\n# M\n", encoding="utf-8")

    found = check(card, GPUS).contradictions

    assert [(one.slot, one.line) for one in found] == [(f"yaml:{FRONT[yaml]}", 3)]


@pytest.mark.parametrize("yaml", FRONT_RIGHT)
def test_a_key_with_an_equal_value_is_not(yaml, tmp_path):
    card = tmp_path / "README.md"
    card.write_text(f"---\ntags: [x]\n{yaml}\n---\n# M\n", encoding="utf-8")

    assert check(card, GPUS).contradictions == []


TABLES = {
    "| GPU | Hours | CO2 |\n|---|---|---|\n| 64 x H100 | 3 h | 14 t |\n": ["GPU", "Hours", "CO2"],
    "| GPU | Hours | CO2 |\n|---|---|---|\n| 8 x A100 | 12.4 h | 1.4 kg |\n": [],
    "| Model | Hours |\n|---|---|\n| 8B | 300 h |\n| 70B | 900 h |\n": ["Hours"],
    "| Model | Hours |\n|---|---|\n| 8B | 300 h |\n| ours | 12.4 h |\n": [],
    "| Part | Hours |\n|---|---|\n| first | 6.2 h |\n| second | 6.2 h |\n": [],
    "| Version | Hours |\n|---|---|\n| v1 | 3 h |\n| v2 | 5 h |\n": [],
    "| | v1 | v2 |\n|---|---|---|\n| Hours | 3 h | 12.4 h |\n": [],
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_a_person_is_read_by_its_heads_and_rows(table):
    assert named(GPUS, f"# M\n\n## Environmental Impact\n\n{table}") == TABLES[table]


def test_prose_about_an_earlier_run_is_no_statement():
    prose = "The first version took 3 h on a T4 and emitted 20 g; v2 used 8 V100s for 4 days."

    assert (
        named(
            GPUS, f"# M\n\n{prose}\n\n## Environmental Impact\n\n{prose}\n\n## Notes\n\n{prose}\n"
        )
        == []
    )


def test_a_metric_on_other_data_is_not_compared():
    assert named(CPU, "# M\n\n## Results on XNLI\n\n- **Accuracy:** 0.1\n") == []
    assert named(CPU, "# M\n\n## Evaluation\n\n- **Accuracy:** 0.1\n") == ["Accuracy"]


def test_the_versions_of_another_card_are_named():
    card = "# M\n\n### Framework versions\n\n- Transformers 4.20\n- PEFT 0.21.2\n- Mine 1.0\n"

    assert named(GPUS, card) == ["Transformers"]


def test_the_card_of_the_base_model_is_named_by_its_title():
    assert named(GPUS, "# Mistral-7B-v0.3\n\ntext\n") == ["title"]
    assert named(GPUS, "# Mistral-7B-v0.3 for cats\n\ntext\n") == []


def test_a_filled_figure_without_a_fact_of_the_record_is_not_called_empty(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("# M\n\n- **Carbon Emitted:** 3 kg\n- **Flavor:** 12\n", encoding="utf-8")

    found = check(card, load_record(CONTRACT / "records" / "lora"))

    assert {one.label for one in found.empty} & {"Carbon Emitted", "Flavor"} == set()


def _frozen():
    for folder in sorted((CONTRACT / "records").iterdir()):
        for card in sorted((CONTRACT / "cards").glob(f"{folder.name}.*.md")):
            yield pytest.param(folder, card, id=card.name)
        if (folder / "README.md").exists():
            yield pytest.param(folder, folder / "README.md", id=folder.name)


@pytest.mark.parametrize(("folder", "card"), list(_frozen()))
def test_a_card_of_ours_does_not_contradict_its_own_record(folder, card, tmp_path):
    record = load_record(folder)
    text = card.read_text(encoding="utf-8")

    assert disagreements.find(text, text, record, LABELS, []) == []
    shutil.copy(card, tmp_path / "README.md")
    assert update(tmp_path / "README.md", record, dry_run=True).warnings == ()


@pytest.mark.parametrize("record", [GPUS, CPU])
def test_no_fact_of_a_record_contradicts_itself(record):
    for fact, known in known_facts(record).items():
        title = LABELS.title(fact)
        assert not comparison.contradicts(fact, title, known.text, known), fact


def test_figures_are_read_with_their_units():
    found = figures("1 h 30 min and 5 s, 2,000 kWh, 1.5 kg; 3 m/s")

    assert {kind: [one.low for one in some] for kind, some in found.items()} == {
        "time": [5405.0],
        "energy": [7.2e9],
        "mass": [1500.0],
    }


@pytest.mark.parametrize(
    "piece",
    ["1", "1,000", "1 h ", "A1", "a1-", "1.", "12 h 24 min ", "8 x ", "a/b ", "1e", "¹⁰⁻", "- "],
)
@pytest.mark.parametrize(
    "fact", ["hours_used", "hardware_type", "base_model", "seed", "training_data"]
)
def test_hostile_texts_are_compared_without_an_error(piece, fact):
    known = Known("12 h on 8 × A100, org/model 7B 42")

    assert comparison.contradicts(fact, piece * 50, piece * 50_000, known) in (True, False)


OTHER_BASE = {
    "front matter": "---\nbase_model: google/gemma-2b\n---\n# M\n\ntext\n",
    "body": "# M\n\n- **Base model:** google/gemma-2b\n",
}


@pytest.mark.parametrize("place", OTHER_BASE)
def test_beside_anothers_base_a_fill_writes_neither_relation_nor_summary(place, tmp_path):
    card = tmp_path / "README.md"
    card.write_text(OTHER_BASE[place], encoding="utf-8")

    outcome = update(card, GPUS)

    text = card.read_text(encoding="utf-8")
    assert "google/gemma-2b" in text
    assert "base_model_relation" not in text
    assert "A LoRA adapter for" not in text
    (warning,) = outcome.warnings
    assert "names another base model" in warning
    assert "base_model_relation" in warning
    assert "--overwrite base_model" in warning
    assert update(card, GPUS, dry_run=True).changed is False


def test_a_fills_warning_names_each_key_and_label_that_contradicts(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(
        "---\nlibrary_name: keras\nco2_eq_emissions: 20\n---\n# M\n\n- **Hours used:** 300 h\n- **GPU hours:** 3\n",
        encoding="utf-8",
    )

    (warning,) = update(card, GPUS).warnings

    for label in ("library_name", "co2_eq_emissions", "Hours used", "GPU hours"):
        assert label in warning
    assert (
        '--overwrite library_name --overwrite co2_eq_emissions --overwrite "Hours used"' in warning
    )
