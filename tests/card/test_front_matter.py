"""The YAML of a card, patched key by key."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autocard.card.fill.fill import fill
from autocard.card.front import yaml_text
from autocard.card.front.front_matter import patch
from autocard.card.front.yaml_keys import valid_hub_id
from autocard.errors import CardError


def memory(patched):
    return {"yaml:" + key: json.dumps(value) for key, value in patched.written.items()}


ODD = """\
# why this card is odd
license: mit # chosen by the board
language: no
version: 1.10
quoted: 'single'   # and spaced
extra_gated_fields:
  Name: text

tags:
- mine # really
library_name:
date: 2026-01-01
"""


def test_everything_but_the_written_key_stays_to_the_byte():
    after = patch(ODD, {"library_name": "peft"}, {}).yaml

    assert after == ODD.replace("library_name:\n", "library_name: peft\n")


def test_a_persons_key_is_kept_and_reported():
    patched = patch(ODD, {"license": "apache-2.0", "language": "en"}, {})

    assert patched.yaml == ODD
    assert patched.states == {"license": "kept", "language": "kept"}


def test_a_persons_key_is_replaced_when_it_is_named():
    after = patch(ODD, {"license": "apache-2.0"}, {}, overwrite=["license"]).yaml

    assert after == ODD.replace("mit #", "apache-2.0 #")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("tags:\n- mine # really\n- a\n# end\n", "tags:\n- mine # really\n- a\n- lora\n# end\n"),
        ("tags:\n  - mine\nx: 1\n", "tags:\n  - mine\n  - lora\nx: 1\n"),
        ("tags: [mine, a]\n", "tags: [mine, a, lora]\n"),
        ("tags: []\n", "tags: [lora]\n"),
        ("tags: mine\n", "tags: [mine, lora]\n"),
        ("tags: # yours\nx: 1\n", "tags: # yours\n- lora\nx: 1\n"),
        ("tags:\r\n- mine\r\n", "tags:\r\n- mine\r\n- lora\r\n"),
        ("tags:\n- lora\n", "tags:\n- lora\n"),
    ],
)
def test_tags_are_merged_and_never_replaced(before, after):
    newline = "\r\n" if "\r" in before else "\n"

    assert patch(before, {"tags": ["lora"]}, {}, newline=newline).yaml == after


def test_a_tag_that_a_person_took_out_does_not_come_back():
    first = patch("tags:\n- mine\n", {"tags": ["lora", "bert"]}, {})
    cut = first.yaml.replace("- lora\n", "")

    assert patch(cut, {"tags": ["lora", "bert", "new"]}, memory(first)).yaml == cut + "- new\n"


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("datasets: # ids\nx: 1\n", ["a/b", "c/d"], "datasets: # ids\n- a/b\n- c/d\nx: 1\n"),
        ("datasets:\n", ["a/b"], "datasets:\n- a/b\n"),
        ("datasets: null\n", ["a/b"], "datasets:\n- a/b\n"),
        ("datasets: ''\n", ["a/b"], "datasets:\n- a/b\n"),
        ("license: [More Information Needed]\n", "mit", "license: mit\n"),
        ("license: {{ license }}\n", "mit", "license: mit\n"),
        ('license: "{{ license }}"\n', "mit", "license: mit\n"),
        ("license:", "mit", "license: mit"),
        ("a: 1", "mit", "a: 1\nlicense: mit\n"),
        ("{}\n", "mit", "license: mit\n"),
        ("# note\n{{ card_data }}\n", "mit", "# note\nlicense: mit\n"),
    ],
)
def test_blank_keys_are_filled_where_they_stand(before, value, after):
    key = "datasets" if isinstance(value, list) else "license"

    assert patch(before, {key: value}, {}).yaml == after


def test_ours_are_refreshed_and_comments_around_them_stay():
    values = {
        "co2_eq_emissions": {"emissions": 12.5, "source": "run a"},
        "datasets": ["a/b"],
        "license": "mit",
    }
    first = patch("# top\nlicense: # which\n", values, {})
    noted = first.yaml + "# end\n"

    other = {
        "co2_eq_emissions": {"emissions": 13.0, "source": "run b"},
        "datasets": ["c/d", "e/f"],
        "license": "mit",
    }
    second = patch(noted, other, memory(first))

    assert second.yaml == (
        "# top\nlicense: mit # which\nco2_eq_emissions:\n  emissions: 13.0\n  source: run b\n"
        "datasets:\n- c/d\n- e/f\n# end\n"
    )


def test_ours_that_a_person_changed_or_took_out_is_left_so():
    first = patch("", {"license": "mit", "library_name": "peft"}, {})
    edited = first.yaml.replace("mit", "gpl-3.0").replace("library_name: peft\n", "")

    second = patch(edited, {"license": "mit", "library_name": "peft"}, memory(first))

    assert second.yaml == "license: gpl-3.0\n"
    assert second.states == {"license": "kept", "library_name": "removed"}


def test_ours_that_this_run_does_not_know_goes():
    first = patch("a: 1\n", {"datasets": ["a/b"], "co2_eq_emissions": {"emissions": 1.0}}, {})

    assert patch(first.yaml, {}, memory(first)).yaml == "a: 1\n"


@pytest.mark.parametrize(
    "path", ["/home/ann/model", "./out", "C:\\models", "a/b/c", "../x", "[local/dir/x]"]
)
def test_a_local_path_as_base_model_is_replaced_or_taken_out(path):
    before = f"library_name: peft\nbase_model: {path}\n"

    assert (
        patch(before, {"base_model": "org/model"}, {}).yaml
        == "library_name: peft\nbase_model: org/model\n"
    )
    assert patch(before, {}, {}).yaml == "library_name: peft\n"


def test_a_tag_that_names_a_local_path_goes():
    before = "tags:\n- base_model:adapter:/home/ann/model\n- mine\n"

    assert patch(before, {"tags": ["lora"]}, {}).yaml == "tags:\n- mine\n- lora\n"
    assert patch(before, {}, {}).yaml == "tags:\n- mine\n"


CODECARBON_BLOCK = """\
co2_eq_emissions:
  emissions: 1.0e-05
  energy_consumed: 0.0002
  source: codecarbon
  training_type: fine-tuning
  on_cloud: false
  cpu_model: AMD EPYC 7763
  ram_total_size: 15.6
  hours_used: 0.001
"""


def test_emissions_of_sentence_transformers_give_way_to_ours():
    before = f"{CODECARBON_BLOCK}x: 1\n"

    after = patch(before, {"co2_eq_emissions": {"emissions": 2.0}}, {}).yaml

    assert after == "co2_eq_emissions:\n  emissions: 2.0\nx: 1\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2e-7, "0.00000012"),
        (5.0, "5.0"),
        (1e22, "10000000000000000000000.0"),
        (3, "3"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_numbers_are_plain_decimals(value, text):
    assert patch("", {"x": {"emissions": value}}, {}).yaml == f"x:\n  emissions: {text}\n"


def test_what_is_missing_or_not_finite_is_left_out():
    values = {
        "a": None,
        "b": float("nan"),
        "c": {"d": None},
        "e": [None],
        "f": {"g": float("inf"), "h": 1},
    }

    assert patch("", values, {}).yaml == "f:\n  h: 1\n"


@pytest.mark.parametrize(
    "word",
    ["no", "Yes", "on", "null", "~", "1.10", "2026-01-01", "0x1F", "a: b", "# c", "y", "- x", ""],
)
def test_words_that_could_be_misread_are_quoted(word):
    after = patch("", {"language": word, "z": "z"}, {}).yaml

    assert yaml.safe_load(after) == {"language": word, "z": "z"}
    if word:
        assert after.startswith('language: "')


plain = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(values)
def test_any_value_reads_back_as_it_was(value):
    cleaned = yaml_text.clean({"k": value})

    if cleaned is not None:
        assert yaml.safe_load("\n".join(yaml_text.lines(cleaned, 0)) + "\n") == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "a: [\n",
        "- a\n",
        "a: b\n c: d\n",
        "just words\n",
        "? [a]\n: b\n",
        "a: &x [*x]\nb: *y\n",
        "{a: 1, b: 2}\n",
        "[" * 3000,
        "\x00: a\n",
    ],
)
def test_broken_or_strange_yaml_is_refused(text):
    with pytest.raises(CardError):
        patch(text, {"library_name": "peft"}, {})


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("a/b", True),
        ("bert-base-uncased", True),
        ("a/b/c", False),
        ("/a", False),
        ("a b", False),
        ("a/..b", False),
        ("", False),
        (None, False),
    ],
)
def test_ids_of_the_hub_are_told_from_paths(text, valid):
    assert valid_hub_id(text) is valid


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_comment_behind_the_last_item_of_a_list_stays_behind_it(newline):
    lines = ["tags:", "  - theirs", "  - mine   # keep", "license: mit # why", ""]

    patched = patch(newline.join(lines), {"tags": ["lora"]}, {}, newline=newline)

    wanted = [*lines[:3], "  - lora", *lines[3:]]
    assert patched.yaml.split(newline) == wanted


def test_a_list_that_another_key_shares_is_kept_when_this_run_has_no_value_for_it():
    card = "---\ntags: &t\n- base_model:adapter:None\nother: *t\n---\n# A\n"

    filled = fill(card, {}, {}, remembered={})

    assert filled.text == card
    tags = next(report for report in filled.reports if report.slot == "yaml:tags")
    assert (tags.state, tags.wanted) == ("kept", "")
