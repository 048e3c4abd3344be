"""Which texts are empty, in every notation that forms use, and which only look so."""

from __future__ import annotations

import pytest

from autocard.card.form.boilerplate import Surroundings, is_false, is_generated, is_true_statement
from autocard.card.form.label_files import load
from autocard.card.form.placeholders import find, is_guidance

VARIABLES = load().names

EMPTY = [
    "",
    "   ",
    "[More Information Needed]",
    "[more information needed]",
    "[More Information Needed--optional]",
    "[More Information Needed -- choose a license (see above notes)]",
    "[More Information Needed: hardware requirements]",
    "*[More Information Needed]*",
    "More information needed",
    "More information needed.",
    "...",
    "…",
    "`hours_used`",
    "hours_used`",
    "{{ hours_used }}",
    "{{- hours_used | default('[More Information Needed]', true) -}}",
    "{{ hours_used }} {{ hours_unit }}",
    "{{ card_data }}",
    "{{< var params.hours >}}",
    "{hours_used}",
    "{ Model Name }",
    "<<training.hours>>",
    "[Insert hours]",
    "[TODO]",
    "[TODO: say how long]",
    "[Model Name]",
    "[Project Repo]",
    "[Work in Progress]",
    "(Forthcoming upon completion of training.)",
    "[More Information Needed]\n[More Information Needed]",
]

VALUES = [
    "12 h",
    "0",
    "none",
    "Users need to know. More information needed for further recommendations.",
    "[More Information Needed](https://example.org)",
    "[TODO](https://example.org)",
    "[Enterprise data]",
    "[1]",
    "`adamw`",
    "fp32`s",
    "{ {",
    "{x: 1}",
    "{{ hours }} hours",
    "<b>twelve</b>",
    "a <<b>> c",
    "[More Information Needed] soon",
    "I need [More Information Needed]",
    "[a] and [b]",
    "... and so on",
    "More information needed: ask us",
]


@pytest.mark.parametrize("text", EMPTY)
def test_a_placeholder_in_this_notation_is_empty(text):
    assert find(text, VARIABLES) is not None


@pytest.mark.parametrize("text", VALUES)
def test_a_text_that_only_looks_like_a_placeholder_is_a_value(text):
    assert find(text, VARIABLES) is None


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("{{ hours_used | default('x', true) }}", "hours_used"),
        ("`training_data`", "training_data"),
        ("{Model Name}", "model_name"),
        ("<<training.hours_used>>", "hours_used"),
        ("{{< var params.co2_emitted >}}", "co2_emitted"),
        ("[More Information Needed]", ""),
    ],
)
def test_a_placeholder_says_which_variable_it_names(text, variable):
    assert find(text, VARIABLES).variable == variable


def test_brackets_that_a_link_definition_explains_are_a_link():
    assert find("[Project Repo]") is not None
    assert find("[Project Repo]", references={"PROJECT REPO"}) is None


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("_Say how long it took._", True),
        ("*Say how long it took.*", True),
        ("_Say whether it is **fp32** or **bf16**_", True),
        ("_one_ and _two_", False),
        ("**Bold** words", False),
        ("Use the code below to get started with the model.", True),
        ("Plain words.", False),
    ],
)
def test_advice_is_told_from_answers(text, advice):
    assert is_guidance(text, load().boilerplate) is advice


BASE = "This model is a fine-tuned version of [a/b](https://huggingface.co/a/b)"

GENERATED = [
    "This model was trained from scratch on the None dataset.",
    BASE
    + " on an unknown dataset.\nIt achieves the following results on the evaluation set:\n- Loss: 0.5",
    BASE + ".\nIt has been trained using [TRL](https://github.com/huggingface/trl).",
    "The following hyperparameters were used during training:\n- learning_rate: 5e-05\n- seed: 42",
    "- PEFT 0.7.1",
    "- Transformers 5.23.0\n- Pytorch 2.13.0+cpu\n- Datasets 5.2.0\n- Tokenizers 0.22.1",
    "- TRL: 1.16.0\n- Transformers: 5.23.0",
]


@pytest.mark.parametrize("text", GENERATED)
def test_text_that_a_tool_wrote_by_itself_is_known(text):
    assert is_generated(text)


@pytest.mark.parametrize(
    "text",
    [
        "This model was trained from scratch on the None dataset.\nWe checked that twice.",
        "- PEFT 0.7.1\n- our own fork of PEFT",
        "The following hyperparameters were used during training:\n- learning_rate: 5e-05\n\nWe tried others.",
        "0.045 kg of CO2",
        "This model was trained with great care by SFT.",
    ],
)
def test_a_tools_text_that_a_person_went_on_with_is_the_persons(text):
    assert not is_generated(text)


@pytest.mark.parametrize(
    ("text", "false"),
    [
        ("This model was trained from scratch on the None dataset.", True),
        (
            "This model is a fine-tuned version of [](https://huggingface.co/) on an unknown dataset.",
            True,
        ),
        ("This model is a fine-tuned version of [None](https://huggingface.co/None).", True),
        (BASE + " on an unknown dataset.", False),
    ],
)
def test_what_a_tool_says_of_what_it_did_not_know_is_false(text, false):
    assert is_generated(text)
    assert is_false(text) is false


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        ("This model was trained with SFT.", True),
        (
            "This model was trained with DPO, a method introduced in [A (b)](https://huggingface.co/papers/1).",
            True,
        ),
        (
            '[<img src="https://a.b/c.svg" alt="Visualize in Weights & Biases" width="1"/>](https://wandb.ai/x/y)',
            True,
        ),
        ("This model was trained with great care.", False),
        ("This model was trained with SFT.\nWe looked at each row.", False),
    ],
)
def test_a_tools_true_words_about_itself_stay_and_are_no_answer(text, tools):
    assert is_true_statement(text) is tools


def test_figures_of_sentence_transformers_are_known_where_its_sentence_stands():
    section = (
        "Carbon emissions were measured using [CodeCarbon](https://github.com/mlco2/codecarbon).\n"
    )

    assert is_generated("0.045 kg of CO2", Surroundings(section))


@pytest.mark.parametrize(
    "piece",
    ["[", "{{", "{{ a }}", "<<", "`", "_a", "*", "(", "[More Information Needed] ", "- a\n"],
)
# a search that starts again at each character takes longer than that; these take 0.1 s
@pytest.mark.timeout(60)
def test_hostile_texts_do_not_hang(piece):
    text = piece * (200_000 // len(piece))

    find(text, VARIABLES)
    is_generated(text)

    assert not is_guidance(text, load().boilerplate)
