"""Records as texts for people. Golden texts are rewritten with UPDATE_GOLDEN=1 and reviewed as a diff."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from pydantic import BaseModel

from autocard import record as parts
from autocard.card.fields import facts, front_matter, impact
from autocard.card.fields.summary import summary
from autocard.card.form.label_files import load
from autocard.record import DeviceUse, Gpu, HostUse, Leg, RunRecord, from_json, to_json
from support import TESTS, records

GOLDEN = TESTS / "card" / "golden"
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = "a|b <script>x</script> {{ y }} {% z %} $$e$$ \\(f\\) [g](http://h.example) # i `j` *k* __l__ <!-- m -->"
STATES = (
    "N/A",
    "None",
    "nan",
    "null",
    "unknown",
    "see record",
    "see autocard",
    "autocard.json",
    "not recorded",
)


def changed(record: RunRecord, **updates: Any) -> RunRecord:
    """Return *record* with leaves replaced: hardware__nodes=2."""
    for path, value in updates.items():
        part, leaf = path.split("__")
        record = record.model_copy(
            update={part: getattr(record, part).model_copy(update={leaf: value})}
        )
    return record


def as_text(record: RunRecord) -> str:
    """Return all facts of *record*, as a stranger would read them in a row."""
    said = []
    for name, fact in facts(record).items():
        said.append(f"## {name}\n\n{fact.line}\n")
        if fact.block is not None:
            said.append(f"{fact.block}\n")
    return "\n".join(said)


@pytest.mark.parametrize("story", records.ALL)
def test_the_texts_are_the_golden_ones(story):
    folder, record = GOLDEN / f"fields_{story}", records.ALL[story]()
    made = {
        "facts.md": as_text(record),
        "front.yaml": yaml.safe_dump(
            front_matter(record), sort_keys=False, allow_unicode=True, width=1000
        ),
        "summary.txt": "".join(f"{label}: {text}\n" for label, text in summary(record).items()),
    }
    if os.environ.get("UPDATE_GOLDEN"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")

    assert made == {name: (folder / name).read_text(encoding="utf-8") for name in made}


@pytest.mark.parametrize("story", records.ALL)
def test_no_text_stands_in_for_a_fact_that_is_not_there(story):
    record = records.ALL[story]()

    for name, fact in facts(record).items():
        for text in (fact.line, fact.body()):
            assert text.strip()
            assert not [state for state in STATES if re.search(rf"\b{re.escape(state)}\b", text)], (
                name,
                text,
            )


def test_a_record_that_knows_nothing_says_nothing():
    assert facts(RunRecord()) == {}
    assert front_matter(RunRecord()) == {}


@pytest.mark.parametrize("story", records.ALL)
def test_each_fact_has_a_place_in_the_table_of_labels(story):
    assert facts(records.ALL[story]()).keys() <= load().kinds.keys()


@pytest.mark.parametrize("story", records.ALL)
def test_lines_are_one_line_and_blocks_hold_no_heading(story):
    for fact in facts(records.ALL[story]()).values():
        assert "\n" not in fact.line
        assert not [token for token in PARSER.parse(fact.body()) if token.type == "heading_open"]
        assert fact.body() == fact.body().strip("\n")


def test_texts_survive_writing_and_reading_the_record():
    for make in records.ALL.values():
        assert facts(from_json(to_json(make()))) == facts(make())


def hostile(part: Any) -> Any:
    """Return *part* with every free text in it replaced by something that means harm."""
    if isinstance(part, BaseModel):
        fixed = {
            "regime",
            "status",
            "source",
            "split",
            "base_model_relation",
            "started_at",
            "ended_at",
            "auto_class",
        }
        values = {
            name: getattr(part, name) for name in type(part).model_fields if name not in fixed
        }
        return part.model_copy(update={name: hostile(value) for name, value in values.items()})
    if isinstance(part, list):
        return [hostile(item) for item in part]
    if isinstance(part, dict):
        return {key: hostile(value) for key, value in part.items()}
    return HOSTILE if isinstance(part, str) else part


@pytest.mark.parametrize("story", records.ALL)
def test_a_name_cannot_open_html_a_link_a_cell_a_formula_or_a_template(story):
    known = records.ALL[story]()
    record = hostile(known).model_copy(update={"missing": known.missing})

    found = facts(record)

    assert len(found) > 10
    for name in found.keys() - known.facts.keys():
        for text in (found[name].line, found[name].body()):
            check_harmless(name, text)


def check_harmless(name, text):
    """Assert that nothing in *text* means anything but our own words, tables, lists, code and links."""
    shown = []
    for token in PARSER.parse(text):
        assert token.type != "heading_open", (name, text)
        if token.type == "html_block":
            assert re.sub(r"</?(details|summary|p|code)>", "", token.content).count("<") == 0, (
                name,
                text,
            )
            shown.append(token.content)
        for child in token.children or []:
            assert child.type not in {"html_inline", "image", "em_open", "s_open"}, (name, text)
            if child.type == "link_open":
                host = child.attrGet("href").split("/")[2]
                assert host in {"huggingface.co", "arxiv.org"}, (name, text)
    raw = re.sub(r"(`+).*?\1", "", text, flags=re.DOTALL) if not text.startswith("```") else ""
    assert "$" not in raw, (name, text)
    assert not re.search(r"(?<!\\)\{", "".join(shown) + raw), (name, text)
    columns = {
        len(re.findall(r"(?<!\\)\|", line)) for line in text.split("\n") if line.startswith("|")
    }
    for table in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        assert (
            len({len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().split("\n")}) == 1
        ), (name, columns)


def test_a_hostile_name_is_shown_as_it_is():
    record = changed(RunRecord(), model__name=HOSTILE)

    shown = PARSER.renderInline(facts(record)["model_id"].line)

    unescaped = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert unescaped == HOSTILE


def test_what_a_person_gave_stands_as_given_and_goes_first():
    record = records.lora_on_cpu().model_copy(
        update={
            "facts": {
                "developers": "A *famous* lab",
                "model_summary": "Mine.\nAll of it.",
                "paper": " ",
                "demo": None,
            }
        }
    )

    found = facts(record)

    assert found["developers"].line == "A *famous* lab"
    assert found["model_summary"].line == "Mine. All of it."
    assert found["model_summary"].body() == "Mine.\nAll of it."
    assert "paper" not in found
    assert "demo" not in found


def test_figures_that_are_none_do_not_cost_the_card():
    record = changed(
        records.lora_on_cpu(), time__flops=float("nan"), evaluation__train_loss=float("inf")
    )
    results = [
        one.model_copy(update={"value": float("nan")}) for one in record.evaluation.results[:1]
    ]
    record = changed(record, evaluation__results=[*results, *record.evaluation.results[1:]])

    found = facts(record)

    assert "accuracy 0.8525" in found["results"].line
    assert not re.search(r"\b(nan|inf)\b", as_text(record))


# Hardware and hours


@pytest.mark.parametrize(
    ("nodes", "gpus", "missing", "expected"),
    [
        (
            1,
            [Gpu(name="NVIDIA L4", count=1, memory_bytes=24_152_899_584)],
            {},
            "1 × NVIDIA L4 (22.5 GiB), CPU X",
        ),
        (1, [Gpu(name="A", count=2), Gpu(name="B", count=1)], {}, "2 × A and 1 × B, CPU X"),
        (2, [Gpu(name="A", count=8)], {}, "2 nodes × 4 × A, CPU X"),
        (2, [Gpu(name="A", count=3)], {}, "3 × A on 2 nodes, CPU X"),
        (
            2,
            [Gpu(name="A", count=4)],
            {"hardware.gpus": "the others were not asked"},
            "4 × A on one of 2 nodes, CPU X",
        ),
        (1, [], {}, "CPU X (no GPU)"),
        (3, [], {}, "3 nodes × CPU X (no GPU)"),
        (1, [], {"hardware.gpus": "NVML: driver not loaded"}, None),
        (1, [], {"hardware": "autocard failed here"}, None),
    ],
    ids=[
        "one",
        "mixed",
        "even",
        "uneven",
        "one-node-named",
        "cpu",
        "cpu-nodes",
        "not-known",
        "failed",
    ],
)
def test_the_hardware_is_named_no_more_exactly_than_it_is_known(nodes, gpus, missing, expected):
    hardware = parts.Hardware(nodes=nodes, gpus=gpus, cpu_model="CPU X")
    record = RunRecord(hardware=hardware, missing=missing)

    found = facts(record).get("hardware_type")

    assert (found and found.line) == expected


def test_hours_tell_legs_gpu_hours_and_how_many_of_the_allocated_gpus_were_used():
    record = changed(records.three_legs_on_gpus(), hardware__gpus_allocated=16)

    line = facts(record)["hours_used"].line

    assert line == "12 h 24 min wall-clock, 3 starts (99.2 GPU-hours; 8 of 16 allocated GPUs)"


# Energy and CO2


def rows(record: RunRecord) -> dict[str, list[str]]:
    """Return the energy table: first cell → the others."""
    lines = [line for line in facts(record)["energy"].body().split("\n") if line.startswith("|")]
    cells = [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {row[0]: row[1:] for row in cells}


def test_the_parts_in_the_table_add_up_to_the_sum_in_the_table():
    for record in (records.lora_on_cpu(), records.three_legs_on_gpus()):
        table = rows(record)
        shown = [float(table[name][0]) for name in ("GPUs", "CPUs", "RAM")]

        assert sum(shown) == pytest.approx(float(table["Total at the devices"][0]), rel=0.02)
        assert float(table["Total at the devices"][0]) == pytest.approx(
            record.energy.total_kwh, rel=0.02
        )


def test_measured_figures_have_three_digits_and_modelled_ones_two():
    table, modelled = rows(records.three_legs_on_gpus()), rows(records.lora_on_cpu())

    assert table["GPUs"][0] == "21.3"
    assert table["CPUs"][0] == "2.9"
    assert table["Total at the devices"][0] == "25.1"
    assert modelled["Total at the devices"][0] == "0.010"
    assert facts(records.lora_on_cpu())["co2_emitted"].line == (
        "0.56 g CO2eq (location-based, 56.0 g/kWh, France 2023)"
    )


def test_a_part_that_was_not_measured_says_why_and_there_is_no_sum():
    record = changed(records.lora_on_cpu(), energy__cpu_kwh=None, energy__total_kwh=None)
    record = record.model_copy(
        update={"missing": {"energy.cpu_kwh": "not measured: no permission"}}
    )

    table, fact = rows(record), facts(record)["energy"]

    assert table["CPUs"] == ["not measured", "no permission"]
    assert table["Total at the devices"][0] == "not known"
    assert fact.line == "in kWh: GPUs 0, CPUs not measured, RAM 0.0060 modeled"
    assert "0.71" not in fact.body()


def test_where_nothing_was_measured_there_is_no_energy_and_no_zero():
    found = facts(records.nothing_measured())

    assert "energy" not in found
    assert "co2_emitted" not in found


def test_without_a_place_energy_is_stated_and_co2_is_not():
    record = records.lora_on_cpu()
    leg = record.legs[0].model_copy(
        update={"place": parts.Place(), "intensity_g_per_kwh": None, "co2eq_g": None}
    )
    record = record.model_copy(update={"legs": [leg], "emissions": parts.Emissions()})

    found = facts(record)

    assert "co2_emitted" not in found
    assert "cloud_region" not in found
    assert rows(record)["Total at the devices"][0] == "0.010"
    assert "CO2: not known (no place is known" in found["energy"].body()
    # advice to the author is none of the reader's business
    assert "country_iso_code" not in found["energy"].body()
    assert "co2_eq_emissions" not in front_matter(record)


def test_a_country_without_a_figure_is_not_called_no_place():
    record = changed(
        records.lora_on_cpu(), emissions__co2eq_g=None, emissions__intensity_g_per_kwh=None
    )
    record = record.model_copy(
        update={"missing": {"emissions.co2eq_g": "CodeCarbon has no carbon intensity for FRA"}}
    )

    block = facts(record)["energy"].body()

    assert "CO2: not known (CodeCarbon has no carbon intensity for FRA)." in block
    assert "no place" not in block


def test_a_pue_is_shown_and_multiplies_what_co2_is_worked_out_from():
    record = changed(
        records.three_legs_on_gpus(),
        emissions__pue=1.25,
        energy__facility_kwh=31.35,
        emissions__co2eq_g=1757.0,
    )

    table, block = rows(record), facts(record)["energy"].body()

    assert table["Total with PUE"] == ["31.4", "× PUE 1.25 (given)"]
    assert "CO2: 31.4 kWh × 56.0 g CO2eq/kWh (France 2023, " in block
    assert " = 1.76 kg CO2eq" in block
    assert "No PUE was given" not in block


@pytest.mark.parametrize(
    ("theirs", "told"), [(21.0, False), (22.3, False), (19.0, True), (23.0, True)]
)
def test_codecarbons_figure_is_told_where_it_differs_by_more_than_a_twentieth(theirs, told):
    record = changed(records.three_legs_on_gpus(), energy__codecarbon_gpu_kwh=theirs)

    assert ("CodeCarbon reads" in facts(record)["energy"].body()) is told


def test_a_node_meter_speaks_instead_of_the_literature():
    record = changed(records.three_legs_on_gpus(), energy__node_meter_kwh=33.14)

    block = facts(record)["energy"].body()

    assert "the nodes' own meters read 33.1 kWh" in block
    assert "Fischer" not in block


def test_a_run_that_went_on_with_other_gpus_names_those_of_all_legs():
    record = records.three_legs_on_gpus()
    first, *rest = record.legs
    few = first.hosts[0].model_copy(update={"devices": first.hosts[0].devices[:2]})
    named = [device.model_copy(update={"name": "NVIDIA L4"}) for device in few.devices]
    first = first.model_copy(update={"hosts": [few.model_copy(update={"devices": named})]})

    said = impact.hardware_type(record.model_copy(update={"legs": [first, *rest]}))

    assert said == f"{impact.hardware_type(record)}; other starts: 2 × NVIDIA L4"


def test_repeated_steps_are_told_with_their_share():
    assert (
        "0.31 kWh of the total (1.2 %) and 21 min 42 s went into 72 steps"
        in facts(records.three_legs_on_gpus())["energy"].body()
    )
    assert "repeated" not in facts(records.lora_on_cpu())["energy"].body()


def test_steps_of_a_leg_that_ended_by_itself_were_done_again_and_a_count_that_may_be_too_low_says_so():
    record = records.three_legs_on_gpus()
    one, two, three = record.legs

    def said(*legs):
        return facts(record.model_copy(update={"legs": list(legs)}))["energy"].body()

    finished = [leg.model_copy(update={"status": "finished"}) for leg in (one, two)]
    unseen = two.model_copy(update={"steps_unseen": True})

    assert "went into 72 steps that were done again from a checkpoint." in said(*finished, three)
    assert "that were done again from a checkpoint, 32 of them after interruptions." in said(
        finished[0], two, three
    )
    assert (
        "At least 0.31 kWh of the total (1.2 %) and 21 min 42 s went into at least 72 steps"
        in said(one, unseen, three)
    )


def test_nodes_that_did_not_report_are_told():
    record = changed(records.three_legs_on_gpus(), job__nodes_reporting=1)

    assert "Only 1 of 2 nodes reported" in facts(record)["energy"].body()


def test_legs_in_two_countries_show_the_mean_intensity_and_no_country():
    def leg(intensity):
        return Leg(
            id="0" * 12, intensity_g_per_kwh=intensity, place=parts.Place(country_iso_code="X")
        )

    record = RunRecord(
        legs=[leg(56.0), leg(380.0)],
        energy=parts.Energy(gpu_kwh=0.0, cpu_kwh=1.0, ram_kwh=1.0, total_kwh=2.0),
        emissions=parts.Emissions(co2eq_g=436.0, intensity_g_per_kwh=218.0),
    )

    block = facts(record)["energy"].body()

    assert (
        "2.0 kWh × 218 g CO2eq/kWh (mean over the starts, weighted by energy) = 440 g CO2eq"
        in block
    )


# The model and its training


@pytest.mark.parametrize("regime", parts.Regime.__args__)
def test_the_regime_is_the_forms_own_term_first(regime):
    record = changed(
        RunRecord(),
        precision__regime=regime,
        precision__note="frozen base in bf16",
        precision__tf32=True,
    )

    line = facts(record)["training_regime"].line

    assert line == f"{regime} (frozen base in bf16; fp32 matrix products may use TF32)"


def test_the_line_that_peft_looks_for_is_there_and_only_for_adapters():
    found = facts(records.lora_on_cpu())

    assert "- PEFT 0.21.2" in found["framework_versions"].body().split("\n")
    assert "framework_versions" not in facts(records.nothing_measured())


def test_adapter_settings_that_are_switched_off_are_not_told_and_names_are_sorted_as_recorded():
    line = next(
        line
        for line in facts(records.lora_on_cpu())["model_specs"].body().split("\n")
        if "Adapter" in line
    )

    assert line == (
        "- Adapter: LoRA (PEFT 0.21.2): r = 16; alpha = 32; dropout = 0.05; target modules: `dense`, `key`, `query`, "
        "`value`; fully trained modules: `classifier`, `score`"
    )


def test_two_adapters_are_told_apart():
    record = records.lora_on_cpu()
    second = record.adapters[0].model_copy(update={"name": "other", "method": "IA³", "config": {}})

    block = facts(record.model_copy(update={"adapters": [*record.adapters, second]}))[
        "model_specs"
    ].body()

    assert "- Adapter `default`: LoRA" in block
    assert "- Adapter `other`: IA³ (PEFT 0.21.2)" in block


@pytest.mark.parametrize(
    ("model", "adapters", "expected"),
    [
        (
            {"base_model": "org/b"},
            [],
            "A fine-tuned version of [org/b](https://huggingface.co/org/b).",
        ),
        (
            {"base_model_description": "a local checkpoint", "task": "masked language modelling"},
            [],
            "A fine-tuned version of a local checkpoint, trained for masked language modeling.",
        ),
        ({"base_model_description": "not recorded by the model"}, [], None),
        (
            {"base_model_description": "none: trained from scratch"},
            [],
            "A model, trained from scratch.",
        ),
        ({}, [parts.Adapter(name="default", method="IA³")], "An IA³ adapter."),
    ],
    ids=["hub", "local", "not-known", "scratch", "adapter"],
)
def test_the_summary_claims_no_more_than_is_known(model, adapters, expected):
    record = RunRecord(model=parts.Model(**model), adapters=adapters)

    found = facts(record).get("model_summary")

    assert (found and found.line) == expected


def test_a_path_as_base_model_becomes_no_link_and_no_front_matter():
    record = changed(
        RunRecord(), model__base_model="/home/x/model", model__base_model_relation="finetune"
    )

    assert "](" not in facts(record)["base_model"].line
    assert "base_model" not in front_matter(record)
    assert "base_model_relation" not in front_matter(record)


def test_the_best_evaluation_is_marked():
    block = facts(records.three_legs_on_gpus())["results"].body()

    assert "| **0.67** | **1,600** | **1.020** | **0.9178** |" in block
    assert (
        "Best chat\\_loss during training: 0.9178 at step 1,600. This model has the weights of the last step."
        in block
    )


def test_evaluations_at_one_step_are_one_row():
    history = [
        {"epoch": 1.0, "step": 5, "eval_a_loss": 0.75},
        {"epoch": 1.0, "step": 5, "eval_b_loss": 0.25},
        {"epoch": 2.0, "step": 10, "eval_a_loss": 0.5},
        {"epoch": 2.0, "step": 10, "eval_a_loss": 0.5},
    ]
    record = changed(RunRecord(), evaluation__history=history)

    lines = facts(record)["results"].body().split("\n")

    assert [line for line in lines if line.startswith(("| 1", "| 2"))] == [
        "| 1 | 5 | 0.7500 | 0.2500 |",
        "| 2 | 10 | 0.5000 |  |",
    ]


def test_of_many_evaluations_twenty_are_shown_the_best_and_both_ends_among_them():
    history = [
        {"epoch": step / 100, "step": step, "eval_loss": 1.0 / step} for step in range(1, 101)
    ]
    best = parts.Best(metric="eval_loss", value=0.5, step=38, loaded=True)

    block = facts(changed(RunRecord(), evaluation__history=history, evaluation__best=best))[
        "results"
    ].body()

    steps = [
        int(row.split("|")[2].strip(" *"))
        for row in block.split("\n")
        if row.startswith(("| 0", "| 1", "| **"))
    ]
    assert len(steps) == 20
    assert {1, 38, 100} <= set(steps)
    assert "20 of 100 evaluations" in block
    assert block.count("**38**") == 1


def test_what_was_predicted_is_told_apart_from_what_was_evaluated():
    sets = [
        parts.Dataset(description="local files", rows=8, used_by="evaluate"),
        parts.Dataset(description="local files", name="test", rows=4, used_by="predict"),
    ]
    results = [
        parts.Metric(name="loss", value=0.5, step=3),
        parts.Metric(name="loss", value=0.25, dataset="test", split="prediction", step=3),
    ]

    told = facts(changed(RunRecord(), data__eval=sets, evaluation__results=results))

    assert told["testing_data"].body().split("\n") == [
        "- Local files, 8 rows",
        "- `test`: Local files, 4 rows (results from `predict()`)",
    ]
    rows = [line for line in told["results"].body().split("\n") if line.startswith("|")]
    assert rows[2:] == [
        "| `eval` | `evaluate()` | 3 | loss | 0.5000 |",
        "| `test` | `predict()` | 3 | loss | 0.2500 |",
    ]


def test_code_without_a_public_address_is_told_beside_the_software():
    code = parts.Code(commit="a" * 40, dirty=True, script="train.py")
    record = changed(RunRecord(software={"python": "3.12"}), code__commit=code.commit)
    record = record.model_copy(update={"code": code})

    told = facts(record)

    assert "repo" not in told
    assert (
        "Training code `train.py` at commit `aaaaaaaaaaaa` with uncommitted changes"
        in told["software"].body()
    )


def test_a_mixture_is_told_part_by_part():
    sets = [
        parts.Dataset(dataset_id="org/a", probability=0.75, streaming=True),
        parts.Dataset(dataset_id="org/b", rows=1200, tokens=50_000, streaming=False),
    ]

    body = facts(changed(RunRecord(), data__train=sets))["training_data"].body()

    assert (
        "[org/a](https://huggingface.co/datasets/org/a), streamed, drawn with probability 0.75"
        in body
    )
    assert "[org/b](https://huggingface.co/datasets/org/b), 1,200 rows, 50,000 tokens" in body


def test_images_and_sound_are_told_with_their_units():
    made = parts.Preprocessing(image_size_px=[24, 32], sampling_rate_hz=16000, padding="max_length")

    body = facts(RunRecord(data=parts.Data(preprocessing=made)))["preprocessing"].body()

    assert "- Images: 24 × 32 pixels (height × width)" in body
    assert "- Audio: sampling rate 16,000 Hz" in body
    assert "- Padding: to a fixed length" in body


def test_how_long_an_evaluation_took_is_no_result():
    found = facts(records.lora_on_cpu())

    assert "runtime" not in found["results"].body()
    assert "runtime" not in found["testing_metrics"].body()


def test_devices_that_were_not_asked_for_their_peak_are_not_spoken_for():
    assert "on 4 of 8 GPUs" in facts(records.three_legs_on_gpus())["hardware_requirements"].body()


def test_device_names_of_one_host_do_not_appear_in_the_card():
    record = records.three_legs_on_gpus()
    host = HostUse(host="h1", devices=[DeviceUse(device="h1.g0", name="SECRET-BOARD")])
    record = record.model_copy(
        update={"legs": [record.legs[0].model_copy(update={"hosts": [host]})]}
    )

    assert "SECRET-BOARD" not in as_text(record)
    assert "h1" not in as_text(record).split()
