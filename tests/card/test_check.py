"""What `autocard check` says of a card: empty slots and who can fill them, the Hub's rules, contradictions, copies."""

from __future__ import annotations

import json

import pytest
from huggingface_hub import ModelCard

from autocard.card.check import check_text
from autocard.card.check.check import check
from autocard.card.check.hub_rules import problems
from autocard.card.hub_lists import LIBRARIES, LICENSES, PIPELINE_TAGS
from autocard.card.update import update
from autocard.record import to_json
from support import records

RECORD = records.lora_on_cpu()


def findings(folder, text, record=RECORD):
    (folder / "README.md").write_text(text, encoding="utf-8")
    return check(folder / "README.md", record)


WRONG = {
    "license: Apache 2.0": ("license", True),
    "license: [mit, nope]": ("license[1]", True),
    "license: 3": ("license", True),
    "license:": ("license", True),
    "license: other": ("license", False),
    "language: no": ("language", True),
    "language: [en, english]": ("language[1]", True),
    "language: [en, 7]": ("language[1]", True),
    "language: xx": ("language", True),
    "pipeline_tag: text2text-generation": ("pipeline_tag", False),
    "library_name: Transformers": ("library_name", False),
    "base_model: ''": ("base_model", True),
    "base_model: /home/ann/base": ("base_model", True),
    "base_model: ./out": ("base_model", True),
    "base_model: [a/b, '']": ("base_model[1]", True),
    "base_model: https://huggingface.co/a/b": ("base_model", True),
    "datasets: [null]": ("datasets[0]", True),
    "datasets: [../data.json]": ("datasets[0]", True),
    "metrics: [null]": ("metrics[0]", True),
    "tags: [1]": ("tags[0]", True),
    "tags: ['base_model:adapter:/tmp/x']": ("tags[0]", False),
    "base_model_relation: child": ("base_model_relation", True),
    "co2_eq_emissions: a lot": ("co2_eq_emissions", True),
    "co2_eq_emissions: {emissions: 1 kg}": ("co2_eq_emissions.emissions", True),
    "co2_eq_emissions: {emissions: 1, training_type: tuning}": (
        "co2_eq_emissions.training_type",
        False,
    ),
    "model-index: [{name: m, results: [{task: {type: t}, metrics: [{type: f1, value: 1}]}]}]": (
        "model-index[0].results[0].dataset",
        True,
    ),
    "model-index: [{name: m, results: [{task: {type: t}, dataset: {type: d, name: d}, metrics: [{type: f1}]}]}]": (
        "model-index[0].results[0].metrics[0]",
        True,
    ),
    "model-index: [{results: []}]": ("model-index[0]", True),
    "license: mit\nlicense: mit": ("license", True),
}


@pytest.mark.parametrize("yaml", WRONG)
def test_a_value_that_the_hub_refuses_or_does_not_know_is_found_with_its_line(yaml):
    key, refused = WRONG[yaml]

    (found,) = problems(f"{yaml}\n", 2)

    assert (found.key, found.refused, found.line) == (key, refused, 3 if yaml.count("\n") else 2)


RIGHT = [
    "license: apache-2.0",
    "license: other\nlicense_name: ours\nlicense_link: LICENSE",
    "language: [en, deu, 'no', zh, ber, code, multilingual]",
    "pipeline_tag: text-classification",
    "library_name: peft",
    "base_model: roberta-large",
    "base_model: [a/b, c/d]",
    "datasets: imdb",
    "tags: [lora, 'base_model:adapter:a/b']",
    "co2_eq_emissions: 12.5",
    "co2_eq_emissions: {emissions: 0, training_type: fine-tuning, anything: else}",
    "model-index: [{name: m, results: []}]",
    "my_own_key: [1, {a: b}]",
    "license: '[More Information Needed]'",
    "{{ card_data }}",
]


@pytest.mark.parametrize("yaml", RIGHT)
def test_a_value_that_the_hub_takes_is_no_problem(yaml):
    assert problems(f"{yaml}\n") == []


@pytest.mark.parametrize(
    "yaml",
    [yaml for yaml in WRONG if yaml.startswith("model-index") and "dataset" in WRONG[yaml][0]],
)
def test_huggingface_hub_refuses_the_same_results(yaml):
    with pytest.raises(ValueError, match="dataset"):
        ModelCard(f"---\n{yaml}\n---\n# A\n")


def test_the_hubs_lists_are_shipped():
    assert {"apache-2.0", "other", "unknown"} <= LICENSES
    assert {"peft", "transformers", "sentence-transformers"} <= LIBRARIES
    assert "text2text-generation" not in PIPELINE_TAGS


@pytest.mark.parametrize(
    "record", [records.lora_on_cpu, records.three_legs_on_gpus, records.nothing_measured]
)
def test_the_hub_takes_each_front_matter_that_we_write(tmp_path, record):
    update(tmp_path / "README.md", record())

    found = check(tmp_path / "README.md", record())

    assert [one for one in found.front_matter if one.refused] == []
    assert not found.wrong(strict=False)


FORM = """---
license: mit
datasets:
---
# Mine

## Environmental Impact

- **Hours used:** 300 h
- **Cloud Provider:** [More Information Needed]
- **Water of the site:** [Insert litres]
- **Carbon Emitted:** some
- **Developed by:** ... <!-- names, please -->

## Direct Use

_Say who may use it._

[More Information Needed]
"""


def test_each_empty_slot_is_told_with_who_can_fill_it_and_why_or_how(tmp_path):
    found = findings(tmp_path, FORM)

    told = {one.label: (one.who, one.line, one.why) for one in found.empty}
    assert told["Cloud Provider"] == ("machine", 10, RECORD.why_missing("emissions.cloud_provider"))
    assert told["Water of the site"] == ("person", 11, "[Insert litres]")
    assert told["Developed by"] == ("person", 13, "names, please")
    assert told["Direct Use"] == ("person", 19, "Say who may use it.")
    assert told["front matter: datasets"][1] == 3
    assert "Hours used" not in told
    assert "Carbon Emitted" not in told


def test_a_slot_that_denies_the_record_is_told_and_one_that_says_it_otherwise_is_not(tmp_path):
    found = findings(tmp_path, FORM)

    (wrong,) = found.contradictions
    assert (wrong.slot, wrong.line, wrong.there) == ("hours_used", 9, "300 h")
    assert wrong.record.startswith("18 min 04 s")
    assert found.wrong(strict=False)


def test_a_front_matter_with_another_runs_co2_is_told(tmp_path):
    head = "---\nco2_eq_emissions:\n  emissions: 12000\n  source: autocard 0.1.0; run 0f0f0f0f0f0f\n---\n# A\n"

    found = findings(tmp_path, head)
    alone = findings(tmp_path, head, None)

    assert found.foreign == alone.foreign == ["0f0f0f0f0f0f"]
    assert [one.slot for one in found.contradictions] == ["yaml:co2_eq_emissions"]
    assert alone.wrong(strict=False)
    told = " ".join(check_text.lines("README.md", alone, strict=False, has_record=False))
    assert "run 0f0f0f0f0f0f, whose record is not here" in " ".join(told.split())


def test_only_what_a_machine_does_not_know_is_no_fault(tmp_path):
    update(tmp_path / "README.md", RECORD)

    found = check(tmp_path / "README.md", RECORD)

    assert "cloud_provider" in {one.slot for one in found.empty if one.who == "machine"}
    assert not found.wrong(strict=False)
    assert found.wrong(strict=True)


def test_a_card_whose_people_have_written_everything_passes_strictly(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(
        "---\nlicense: mit\n---\n# Mine\n\n## Direct Use\n\nReading.\n", encoding="utf-8"
    )
    update(card, RECORD)

    found = check(card, RECORD)

    assert not found.wrong(strict=True), found


@pytest.mark.parametrize("text", ["---\nlicense: [\n---\n# A\n", "---\n- a\n---\n# A\n"])
def test_a_card_that_cannot_be_read_as_one_is_left_alone(tmp_path, text):
    assert findings(tmp_path, text).left_alone
    assert findings(tmp_path, text, None).left_alone


def test_an_unclosed_fence_is_told_with_its_line_and_the_new_card_goes_beside(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("# A\n\nWords.\n\n```\nnever closed\n", encoding="utf-8")

    outcome = update(card, RECORD)

    assert card.read_text(encoding="utf-8") == "# A\n\nWords.\n\n```\nnever closed\n"
    assert "line 5" in outcome.left_alone
    assert (tmp_path / "README.autocard.md").exists()
    assert "line 5" in check(card, RECORD).left_alone


def run(folder, *arguments):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "autocard", "check", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_prints_lines_for_people_and_json_for_machines(tmp_path):
    (tmp_path / "README.md").write_text(FORM, encoding="utf-8")
    (tmp_path / "autocard.json").write_text(to_json(RECORD), encoding="utf-8")

    status, out, _ = run(tmp_path, "README.md")
    told = json.loads(run(tmp_path, "README.md", "--json")[1])

    assert status == 1
    assert '     9  Hours used: "300 h", the record: "18 min 04 s' in out
    assert "    13  Developed by: names, please\n" in out
    assert {"out_of_date", "empty", "contradictions", "other_runs", "front_matter"} <= set(told)
    assert told["contradictions"][0]["slot"] == "hours_used"


def test_without_a_record_the_card_alone_is_looked_at(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\nlicense: mit\n---\n# A\n\n## Direct Use\n\n...\n", encoding="utf-8"
    )

    status, out, _ = run(tmp_path, "README.md")

    assert status == 0
    assert "no record beside it" in out
    assert run(tmp_path, "README.md", "--strict")[0] == 1


def test_a_record_elsewhere_can_be_named(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "autocard.json").write_text(to_json(RECORD), encoding="utf-8")
    (tmp_path / "README.md").write_text("# A\n\n- **Hours used:** 300 h\n", encoding="utf-8")

    status, out, _ = run(tmp_path, "README.md", "--record", "out")

    assert status == 1
    assert "300 h" in out
    assert not (tmp_path / "autocard.json").exists()


OTHER_BASE = """---
base_model: {base}
---

# m

- **Base model:** [More Information Needed]
"""


@pytest.mark.parametrize("base", ["someone/other", "[someone/other]"])
def test_a_base_that_is_left_out_beside_another_one_is_not_called_unknown(tmp_path, base):
    record = json.loads(to_json(RECORD))["model"]["base_model"]
    found = findings(tmp_path, OTHER_BASE.format(base=base))

    line = next(
        line
        for line in check_text.lines("README.md", found, strict=True, has_record=True)
        if "Base m" in line
    )
    assert record
    assert "does not know" not in line
    assert "did not record" not in line
    assert "another base" in line


def test_a_base_that_the_record_does_not_have_is_called_unknown(tmp_path):
    record = RECORD.model_copy(
        update={"model": RECORD.model.model_copy(update={"base_model": None})}
    )
    found = findings(tmp_path, OTHER_BASE.format(base="someone/other"), record)

    line = next(
        line
        for line in check_text.lines("README.md", found, strict=True, has_record=True)
        if "Base m" in line
    )
    assert "did not record it" in line


def test_what_a_choice_of_sections_leaves_out_is_not_called_unknown(tmp_path):
    card = tmp_path / "README.md"
    update(card, RECORD, sections=("environment",))

    found = check(card, RECORD)

    left_out = {"training_data", "model_type", "base_model", "model_specs", "software"}
    assert left_out.isdisjoint(slot.slot for slot in found.empty)
    told = "\n".join(check_text.lines("README.md", found, strict=True, has_record=True))
    assert "did not record it" not in told
    assert "another base" not in told
    assert "Summary: Summary" not in told


def test_a_statement_beside_another_base_is_not_called_one_of_an_earlier_run(tmp_path):
    card = tmp_path / "README.md"
    record = RECORD.model_copy(
        update={"model": RECORD.model.model_copy(update={"base_model": "me/base"})}
    )
    update(card, record)
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("base_model: me/base", "base_model: you/other"), encoding="utf-8")

    found = check(card, record)

    assert found.stale
    told = "\n".join(check_text.lines("README.md", found, strict=True, has_record=True))
    assert "of an earlier run" not in told
    assert "not written beside another base model" in told


def test_a_finding_about_a_key_names_the_line_of_the_key(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("---\nthumbnail: a.png\nlibrary_name:\n---\n# Mine\n", encoding="utf-8")

    found = check(card, RECORD)

    lines = {stale.slot: stale.line for stale in found.stale}
    assert lines["yaml:library_name"] == 3
    assert lines["yaml:co2_eq_emissions"] == 0
