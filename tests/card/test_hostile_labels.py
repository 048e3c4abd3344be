"""Files of words that are wrong: each mistake is said with its place, before anything is written."""

from __future__ import annotations

import re

import pytest

from autocard.card.form.label_files import load
from autocard.card.update import update
from autocard.errors import SettingsError
from support import records

LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)

WRONG = {
    # values that PyYAML's constructors raise for
    "placeholders: [2001-99-99]": "cannot be read",
    "placeholders: [!!bool maybe]": "cannot be read",
    "facts: !!timestamp q": "cannot be read",
    "titles: [!!int '']": "cannot be read",
    f"titles: [{'9' * 5000}]": "cannot be read",
    "facts: &a {hours_used: *a}": "cannot be read",
    LAUGHS: "cannot be read in line 6",
    "titles: " + "[" * 5000: "cannot be read",
    # types
    "titles: [2001-01-01]": "titles: a list of words is wanted",
    "facts:\n  hours_used:\n    title: 3": "facts.hours_used.title: text is wanted, this is int",
    "facts:\n  hours_used:\n    guide: [a]": "facts.hours_used.guide: text is wanted, this is list",
    "facts:\n  hours_used:\n    record: {a: b}": "facts.hours_used.record: text is wanted, this is dict",
    "facts:\n  hours_used:\n    instead: [a]": "facts.hours_used.instead: text is wanted, this is list",
    "facts:\n  hours_used:\n    say_why: maybe": "facts.hours_used.say_why: true or false is wanted",
    "facts:\n  hours_used:\n    who: [machine]": "facts.hours_used: who: one of machine, suggested, person is wanted",
    "facts:\n  hours_used:\n    under: [a]": "under: names and what stands for them are wanted",
    "facts:\n  hours_used: 3": "facts.hours_used: names and what stands for them are wanted",
    "variables: {modell: 3}": "variables.modell: text is wanted, this is int",
    "variables: {modell: [a]}": "variables.modell: text is wanted, this is list",
    "variables: {3: model_id}": "variables: names and what stands for them are wanted",
    "[a]: b": "cannot be read",
    # names that there are not
    "variables: {modell: model_idd}": "there is no fact 'model_idd'; did you mean model_id?",
    "facts: {hours_usd: [Rechenzeit]}": "there is no fact 'hours_usd'; did you mean hours_used?",
    "facts: {../../etc/passwd: [a]}": "there is no fact '../../etc/passwd'",
    "facts:\n  hours_used:\n    instead: co2_emittd": "did you mean co2_emitted?",
    "facts:\n  hours_used:\n    under: {enviroment: [a]}": "did you mean environment?",
    "sections: {enviroment: [Umwelt]}": "there is no section 'enviroment'; did you mean environment?",
    # first words, which become headings and labels
    'sections: {environment: ["Evil\\n\\n# Forged\\n\\n<img src=x>"]}': "a word or title of one line is wanted",
    'sections: {environment: ["<script>x</script>"]}': "a word or title of one line is wanted",
    'sections: {environment: ["![x](https://example.org/x.png)"]}': "a word or title of one line is wanted",
    'sections: {environment: ["[x](javascript:x)"]}': "a word or title of one line is wanted",
    'sections: {environment: ["a\\u2028b"]}': "a word or title of one line is wanted",
    'sections: {environment: ["a\\u202Eb"]}': "a word or title of one line is wanted",
    'sections: {environment: ["{{ x }}"]}': "a word or title of one line is wanted",
    'facts: {hours_used: ["a** <b>"]}': "a word or title of one line is wanted",
    'facts: {hours_used: {title: "a\\n# b"}}': "a word or title of one line is wanted",
    f"facts: {{hours_used: [{'a' * 201}]}}": "a word or title of one line is wanted",
    "titles:\n" + "- a\n" * 10_001: "titles: a list of words is wanted",
}


@pytest.mark.parametrize("text", WRONG, ids=[text[:40] for text in WRONG])
def test_a_mistake_in_a_file_of_words_is_said_and_nothing_is_written(tmp_path, text):
    (tmp_path / "autocard.labels.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError, match=re.escape(WRONG[text])):
        update(tmp_path / "README.md", records.lora_on_cpu())

    assert [path.name for path in tmp_path.iterdir()] == ["autocard.labels.yaml"]


@pytest.mark.parametrize(
    "data", [b"\xff\xfea\x00", b"caf\xe9: x", b"\x00"], ids=["UTF-16", "Latin-1", "null"]
)
def test_a_file_of_words_that_is_no_text_is_refused(tmp_path, data):
    (tmp_path / "autocard.labels.yaml").write_bytes(data)

    with pytest.raises(SettingsError, match="cannot be read"):
        load([tmp_path / "autocard.labels.yaml"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "null\n",
        "sections:\n",
        "\ufefftitles: [Karte]\n",
        "variables: {hardware: ''}\n",
        "variables: {modellname: model_id, x: null}\n",
        "facts:\n  hours_used: {title: 'Rechenzeit (h)', say_why: true, who: machine, under: {training: [Zeit]}}\n",
        "sections: {environment: ['Umwelt & Klima', 'Ökobilanz: CO₂']}\n",
    ],
)
def test_a_file_of_words_that_is_right_is_taken(tmp_path, text):
    (tmp_path / "autocard.labels.yaml").write_text(text, encoding="utf-8")

    outcome = update(tmp_path / "README.md", records.lora_on_cpu())
    again = update(tmp_path / "README.md", records.lora_on_cpu())

    assert outcome.changed
    assert not again.changed
