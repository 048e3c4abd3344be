"""Small forms, one for each notation and trap, filled in place."""

from __future__ import annotations

import pytest

from autocard.card.fact import Fact, code, escape
from autocard.card.fill.fill import fill
from autocard.errors import CardError

HOURS = {"hours_used": Fact("12 h")}
DATA = {"training_data": Fact("2,000 rows", "- 2,000 rows\n- 3 columns")}
ENERGY = {"energy": Fact("1 kWh", "| Energy | kWh |\n| --- | --- |\n| GPUs | 1 |")}


def filled(text, facts, remembered=None, **how):
    return fill(text, facts, {}, remembered=remembered or {}, **how)


LINES = {
    "bracket": ("- **Hours used:** [More Information Needed]\n", "- **Hours used:** 12 h\n"),
    "star, colon outside": ("* **Hours used**: ...\n", "* **Hours used**: 12 h\n"),
    "bold closed early": (
        "* **Hours used** [GPU]: `hours_used`\n",
        "* **Hours used** [GPU]: 12 h\n",
    ),
    "missing backtick": ("* **Hours used:** hours_used`\n", "* **Hours used:** 12 h\n"),
    "jinja": (
        "- **Hours used:** {{ hours_used | default('', true) }}\n",
        "- **Hours used:** 12 h\n",
    ),
    "jinja of another name": ("- **Hours used:** {{ hours }}\n", "- **Hours used:** 12 h\n"),
    "variable without a known label": ("- **Dauer:** {{ hours_used }}\n", "- **Dauer:** 12 h\n"),
    "quarto": ("- **Hours used:** {{< var p.hours >}}\n", "- **Hours used:** 12 h\n"),
    "format": ("- **Hours used:** {hours}\n", "- **Hours used:** 12 h\n"),
    "double angle": ("- **Hours used:** <<a.b>>\n", "- **Hours used:** 12 h\n"),
    "insert": ("- **Hours used:** [Insert hours]\n", "- **Hours used:** 12 h\n"),
    "empty": ("- **Hours used:**\n", "- **Hours used:** 12 h\n"),
    "empty, two blanks": ("- **Hours used:**  \n", "- **Hours used:** 12 h \n"),
    "empty at the end": ("- **Hours used:**", "- **Hours used:** 12 h"),
    "break": ("**Hours used:** <br>\n**A:** b\n", "**Hours used:** 12 h <br>\n**A:** b\n"),
    "break, tight": ("**Hours used:**<br>\n", "**Hours used:** 12 h <br>\n"),
    "comment behind": (
        "- **Hours used:** ... <!-- all legs -->\n",
        "- **Hours used:** 12 h <!-- all legs -->\n",
    ),
    "comment only": (
        "- **Hours used:** <!-- all legs -->\n",
        "- **Hours used:** 12 h <!-- all legs -->\n",
    ),
    "synonym": ("- **GPU hours:** ...\n", "- **GPU hours:** 12 h\n"),
    "plain list item": ("- Hours used: ...\n", "- Hours used: 12 h\n"),
    "nested": ("- a\n  - **Hours used:** ...\n", "- a\n  - **Hours used:** 12 h\n"),
    "numbered": ("1. **Hours used:** ...\n", "1. **Hours used:** 12 h\n"),
    "label alone": ("**Hours used:**\n\n[More Information Needed]\n", "**Hours used:**\n\n12 h\n"),
    "lines in one paragraph": (
        "**A:** b <br>\n**Hours used:** ... <br>\n",
        "**A:** b <br>\n**Hours used:** 12 h <br>\n",
    ),
    "carriage returns": (
        "- **Hours used:** ...\r\n\r\nx\r\n",
        "- **Hours used:** 12 h\r\n\r\nx\r\n",
    ),
    "cell": (
        "| a | b |\n|---|---|\n| Hours used | ... |\n",
        "| a | b |\n|---|---|\n| Hours used | 12 h |\n",
    ),
    "empty cell": (
        "| a | b |\n|---|---|\n| Hours used | |\n",
        "| a | b |\n|---|---|\n| Hours used | 12 h |\n",
    ),
    "tight cell": ("|a|b|\n|-|-|\n|**Hours used**||\n", "|a|b|\n|-|-|\n|**Hours used**| 12 h |\n"),
    "first row": (
        "| Hours used | ... |\n|---|---|\n| a | b |\n",
        "| Hours used | 12 h |\n|---|---|\n| a | b |\n",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_in_this_notation_is_filled_and_nothing_else_changes(name):
    before, after = LINES[name]

    assert filled(before, HOURS).text == after


UNTOUCHED = {
    "in a code block": "```\n- **Hours used:** [More Information Needed]\n```\n",
    "in an indented code block": "    - **Hours used:** [More Information Needed]\n",
    "in a comment": "<!--\n- **Hours used:** [More Information Needed]\n-->\n",
    "in a code span over lines": "`a\n**Hours used:** b\nc`\n",
    "in a quote": "> - **Hours used:** [More Information Needed]\n",
    "a value": "- **Hours used:** a week\n",
    "a value in a list below": "- **Hours used:**\n  - a week\n  - or two\n",
    "a value in a block below": "**Hours used:**\n\n```\na week\n```\n",
    "a sentence": "- **Hours used:** a week; more information needed.\n",
    "a link": "- **Hours used:** [TODO](https://example.org)\n",
    "a value on the next line": "**Hours used:** <br>\na week\n",
    "a value in a header row": "| Hours used | Region |\n|---|---|\n| a week | France |\n",
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_is_no_empty_slot_is_left_alone_and_no_second_one_is_made_beside_a_persons(name):
    before = UNTOUCHED[name]

    after = filled(before, HOURS).text

    assert after.startswith(before)


BODIES = {
    "bracket": "## Training Data\n\n[More Information Needed]\n",
    "dots": "## Training Data\n\n...\n",
    "bare": "## Training Data\n\nMore information needed\n",
    "in a list": "## Training Data\n\n- [More Information Needed]\n",
    "jinja": "## Training Data\n\n{{ training_data | default('[More Information Needed]', true)}}\n",
    "setext": "Training Data\n---\n\n...\n",
    "link and aside": "## [Training Data](#x) [optional]\n\n...\n",
    "numbered": "## 3.1 Training Data\n\n...\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_in_this_notation_is_filled(name):
    before = BODIES[name]

    after = filled(before, DATA).text

    heading = before.partition("\n\n")[0]
    assert after == f"{heading}\n\n- 2,000 rows\n- 3 columns\n"


def test_an_empty_body_takes_its_text_below_the_guidance():
    before = "## Training Data\n\n<!-- Link a card. -->\n\n_Say what it is._\n\n## Uses\n"

    after = filled(before, DATA).text

    assert after == before.replace("is._\n\n", "is._\n\n- 2,000 rows\n- 3 columns\n\n")


def test_a_placeholder_right_below_its_heading_is_replaced_there():
    before = "## Training Data \n[More Information Needed--optional]\n<!-- note -->\n"

    after = filled(before, DATA).text

    assert after == "## Training Data \n- 2,000 rows\n- 3 columns\n<!-- note -->\n"


def test_a_placeholder_behind_a_comment_on_its_line_is_replaced():
    after = filled("## Training Data\n\n<!-- Link a card. --> ...\n", DATA).text

    assert after == "## Training Data\n\n<!-- Link a card. --> \n\n- 2,000 rows\n- 3 columns\n"


def test_a_placeholder_below_words_in_bold_is_not_the_headings_own():
    before = "## Training Data\n\n**Modality** <br>\n* [Insert modality] <br>\n\n## Uses\n"

    after = filled(before, DATA).text

    assert after == before.replace("Data\n\n", "Data\n\n- 2,000 rows\n- 3 columns\n\n")


def test_a_section_is_added_below_a_title_at_the_level_of_sections():
    after = filled("# Overview\n\nWords.\n\n## Uses\n\nMany.\n", HOURS).text

    assert after.endswith("\n## Environmental Impact\n\n- **Hours used:** 12 h\n")


def test_a_persons_body_is_kept_and_reported_with_its_line():
    before = "# A\n\n## Training Data\n\nOur own corpus.\n"

    result = filled(before, DATA)

    assert result.text == before
    (report,) = [one for one in result.reports if one.state != "empty"]
    assert (report.state, report.line, report.label) == ("kept", 5, "Training Data")
    assert report.message("README.md").startswith('README.md:5: slot "Training Data" ')


def test_the_same_heading_means_another_fact_elsewhere():
    before = (
        "# Environmental Impact\n\n* **Hardware:** `hardware`\n\n"
        "# Compute Infrastructure\n\n## Hardware\n\n`hardware`\n"
    )
    facts = {"hardware_type": Fact("one GPU"), "hardware_requirements": Fact("16 GiB")}

    after = filled(before, facts).text

    assert after == before.replace("* **Hardware:** `hardware`", "* **Hardware:** one GPU").replace(
        "`hardware`", "16 GiB"
    )


def test_the_title_keeps_what_stands_before_the_name():
    assert (
        filled("# Model Card for [Model Name]\n", {"model_id": Fact("a/b")}).text
        == "# Model Card for a/b\n"
    )
    assert (
        filled("# Model Card for Model ID\n", {"model_id": Fact("a/b")}).text
        == "# Model Card for a/b\n"
    )
    assert filled("# My own title\n", {"model_id": Fact("a/b")}).text == "# My own title\n"


def test_text_of_the_trainer_is_replaced_and_a_persons_is_not():
    before = (
        "# out\n\n## Training and evaluation data\n\nMore information needed\n\n"
        "### Training hyperparameters\n\nThe following hyperparameters were used during training:\n- seed: 42\n\n"
        "### Framework versions\n\n- Transformers 5.0.0\n- Pytorch 2.0\n"
    )
    facts = {
        **DATA,
        "training_hyperparameters": Fact("h", "- seed: 1"),
        "framework_versions": Fact("v", "- PEFT 0.21.2\n- Transformers 5.0.0"),
    }

    after = filled(before, facts).text

    assert after == (
        "# out\n\n## Training and evaluation data\n\n- 2,000 rows\n- 3 columns\n\n"
        "### Training hyperparameters\n\n- seed: 1\n\n"
        "### Framework versions\n\n- PEFT 0.21.2\n- Transformers 5.0.0\n"
    )


def test_ours_is_refreshed_and_the_persons_is_kept():
    form = "- **Hours used:** ...\n- **Carbon Emitted:** ...\n"
    first = filled(form, {**HOURS, "co2_emitted": Fact("1 kg")})
    edited = first.text.replace("1 kg", "about a kilo")

    second = filled(edited, {"hours_used": Fact("24 h"), "co2_emitted": Fact("2 kg")}, first.slots)

    assert second.text == "- **Hours used:** 24 h\n- **Carbon Emitted:** about a kilo\n"
    kept = [report for report in second.reports if report.state == "kept"]
    assert [report.slot for report in kept] == ["co2_emitted"]
    assert "was edited by hand since autocard wrote it" in kept[0].message("README.md")


@pytest.mark.parametrize("name", ["Carbon Emitted", "co2_emitted", "carbon emitted"])
def test_a_persons_slot_is_replaced_only_when_named(name):
    text = "- **Hours used:** long\n- **Carbon Emitted:** much\n"

    after = filled(text, {**HOURS, "co2_emitted": Fact("2 kg")}, overwrite=[name]).text

    assert after == "- **Hours used:** long\n- **Carbon Emitted:** 2 kg\n"


@pytest.mark.parametrize("gone", ["value", "line"])
def test_what_a_person_took_out_does_not_come_back(gone):
    form = "# A\n\n## Environmental Impact\n\n- **Hours used:** ...\n- **Carbon Emitted:** ...\n"
    facts = {**HOURS, "co2_emitted": Fact("1 kg")}
    first = filled(form, facts)
    cut = first.text.replace(" 12 h" if gone == "value" else "- **Hours used:** 12 h\n", "")

    second = filled(cut, facts, first.slots)
    third = filled(second.text, {**facts, "hours_used": Fact("13 h")}, second.slots)

    assert second.text == cut
    assert third.text == cut


def test_an_added_section_that_a_person_took_out_does_not_come_back():
    first = filled("# A\n\nWords.\n", ENERGY)
    cut = first.text.partition("## Environmental Impact")[0]

    assert "## Environmental Impact" in first.text
    assert filled(cut, ENERGY, first.slots).text == cut


def test_a_card_that_a_tool_wrote_anew_is_filled_again():
    first = filled("# A\n\n## Training Data\n\n...\n", DATA)
    trainer = (
        "<!-- This model card has been generated automatically according to the information the Trainer had access to."
        " You\nshould probably proofread and complete it, then remove this comment. -->\n\n# out\n\n"
        "## Training and evaluation data\n\nMore information needed\n"
    )

    again = filled(trainer, DATA, first.slots)

    assert "- 2,000 rows\n- 3 columns" in again.text


def test_a_figure_that_this_run_does_not_have_does_not_stay():
    form = "- **Hours used:** ...\n- **Carbon Emitted:** ...\n"
    first = filled(form, {**HOURS, "co2_emitted": Fact("1 kg")})

    second = filled(first.text, HOURS, first.slots)
    third = filled(second.text, {**HOURS, "co2_emitted": Fact("3 kg")}, second.slots)

    assert "1 kg" not in second.text
    assert third.text == first.text.replace("1 kg", "3 kg")


def test_two_slots_for_one_fact_are_both_filled_and_refreshed():
    form = "- **Hours used:** ...\n\n| a | b |\n|---|---|\n| GPU hours | |\n"
    first = filled(form, HOURS)

    second = filled(first.text, {"hours_used": Fact("13 h")}, first.slots)

    assert first.text.count("12 h") == 2
    assert second.text == first.text.replace("12 h", "13 h")


def test_a_missing_section_comes_after_its_customary_neighbour_in_the_forms_own_style():
    form = "# T\n\n# Evaluation #\n\nGood.\n\n# Citation #\n\n* **Paper**: x\n"

    after = filled(form, {**HOURS, **ENERGY}).text

    added = "# Environmental Impact #\n\n* **Hours used**: 12 h\n\n| Energy | kWh |\n| --- | --- |\n| GPUs | 1 |\n\n"
    # The title's heading has no marks at its end, so they are not the form's own way.
    assert after == form.replace(
        "# Citation #", added.replace("Impact #", "Impact") + "# Citation #"
    )


def test_the_energy_table_comes_below_the_lines_of_its_section():
    form = "## Environmental Impact\n\n- **Hours used:** ...\n\nOur words.\n\n## Citation\n"

    after = filled(form, {**HOURS, **ENERGY}).text

    assert after == form.replace("...", "12 h").replace(
        "words.\n", f"words.\n\n{ENERGY['energy'].block}\n"
    )


def test_a_section_with_nothing_but_a_heading_gets_its_lines():
    after = filled("## Carbon Footprint\n\n## Citation\n", {**HOURS, **ENERGY}).text

    assert (
        after
        == f"## Carbon Footprint\n\n- **Hours used:** 12 h\n\n{ENERGY['energy'].block}\n\n## Citation\n"
    )


def test_framework_versions_stand_where_a_form_asks_for_them_and_are_not_added():
    facts = {"framework_versions": Fact("v", "- PEFT 0.21.2\n- Transformers 5.23.0")}

    asked = filled("# A\n\n### Framework versions\n\n[More Information Needed]\n", facts).text

    assert asked == "# A\n\n### Framework versions\n\n- PEFT 0.21.2\n- Transformers 5.23.0\n"
    assert (
        filled("# A\n\nWords.\n", facts).text == "# A\n\nWords.\n"
    )  # the versions stand under Software


def test_a_form_in_other_words_needs_a_small_file_and_no_code(tmp_path):
    from autocard.card.form.label_files import load

    words = tmp_path / "autocard.labels.yaml"
    words.write_text(
        "sections:\n  environment: [Umweltwirkung]\n"
        "facts:\n  hours_used: [Rechenzeit]\n  hardware_type:\n    under:\n      environment: [Geräte]\n",
        encoding="utf-8",
    )
    form = "## Umweltwirkung\n\n- **Rechenzeit:** ...\n- **Geräte:**\n"

    after = filled(form, {**HOURS, "hardware_type": Fact("1 × A100")}, labels=load([words])).text

    assert after == "## Umweltwirkung\n\n- **Rechenzeit:** 12 h\n- **Geräte:** 1 × A100\n"


@pytest.mark.parametrize(
    "text",
    ["\ufeff# A\n", "# A", "# A\r\n\r\nb\r\n", "a\x0cb\n", "a\u2028b\n", "a\rb\n", "\x00\n", ""],
)
def test_a_card_without_facts_stays_the_same_to_the_byte(text):
    assert filled(text, {}).text == text


def test_a_block_that_could_reach_out_of_its_slot_is_shown_as_plain_text():
    form = "## Training Data\n\n...\n\n## Uses\n\nHuman.\n"

    for hostile in (
        "# Heading",
        "```\nnever closed",
        "<!-- never closed",
        "[a]: https://example.org",
        "<div>",
        "a\n---",
    ):
        after = filled(form, {"training_data": Fact("x", hostile)}).text
        assert hostile in after
        assert after.startswith("## Training Data\n\n```")
        assert after.endswith("\n\n## Uses\n\nHuman.\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "\n\n- ours?\n"),
        ("", "\n\n* another mark\n"),
        ("", "\n\n    code\n"),
        ("", "\n\n  words\n"),
        ("- theirs\n\n", "\n\n- theirs too\n"),
        ("1. theirs\n\n", "\n"),
    ],
)
def test_a_list_of_ours_takes_in_nothing_that_stands_beside_it(before, after):
    from markdown_it import MarkdownIt

    form = f"## Training Data\n\n{before}[More Information Needed]{after}"

    text = filled(form, DATA).text

    shown = [MarkdownIt("commonmark").render(part) for part in (before, after) if part.strip()]
    assert f"## Training Data\n\n{before}" in text
    assert text.endswith(after)
    for html in shown:
        assert html.strip() in MarkdownIt("commonmark").render(text)


def test_a_value_below_its_label_takes_the_text_for_a_paragraph_of_its_own():
    form = "**Training data:**\n\n[More Information Needed]\n\n## Uses\n"

    first = filled(form, DATA)
    second = filled(first.text, {"training_data": Fact("all", "- all\n- of it")}, first.slots)

    assert first.text == form.replace("[More Information Needed]", "- 2,000 rows\n- 3 columns")
    assert second.text == form.replace("[More Information Needed]", "- all\n- of it")


def test_a_line_with_pipes_does_not_break_a_table():
    form = "| a | b |\n|---|---|\n| Hours used | |\n| c | d |\n"

    after = filled(form, {"hours_used": Fact("1 | 2 | 3")}).text

    assert after == form.replace("| Hours used | |", "| Hours used | 1 \\| 2 \\| 3 |")


def test_a_line_never_brings_a_newline_or_a_template_expression():
    after = filled(
        "- **Hours used:** ...\n", {"hours_used": Fact("a\n\n# b\n{{ 7 * 7 }} {% x %}")}
    ).text

    assert after.count("\n") == 1
    assert "{{" not in after
    assert "{%" not in after


def test_names_are_escaped_for_people_who_make_texts():
    assert escape("PEFT 0.21.2") == "PEFT 0.21.2"
    assert escape("1. a") == "1\\. a"
    assert code("a`|b") == "``a`|b``"


@pytest.mark.parametrize(
    "text",
    [
        "---\na: [\n---\n# A\n",
        "---\n- a\n---\n",
        "---\na: b\n c: d\n---\n",
        "<!-- never closed\n",
        "```\nnever closed\n",
    ],
)
def test_a_card_too_strange_to_be_sure_of_is_left_alone(text):
    with pytest.raises(CardError):
        fill(text, ENERGY, {"library_name": "peft"}, remembered={})


def test_a_fill_that_was_cut_off_knows_its_own_text_again():
    form = "- **Hours used:** ...\n"
    first = filled(form, HOURS)
    second = filled(first.text, {"hours_used": Fact("13 h")}, first.slots)

    # The card was written, the record was not: it holds the old text, and the new one as pending.
    third = filled(second.text, {"hours_used": Fact("14 h")}, first.slots, pending=second.slots)
    # Neither was written.
    other = filled(first.text, {"hours_used": Fact("14 h")}, first.slots, pending=second.slots)

    assert third.text == other.text == "- **Hours used:** 14 h\n"
