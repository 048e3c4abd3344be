"""Front matter that is made to hang, to crash or to be misread: it is filled or refused, and soon."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import yaml
from typer.testing import CliRunner

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from autocard.card.front import yaml_reader
from autocard.card.front.front_matter import patch
from autocard.card.front.yaml_reader import YamlError
from autocard.cli import app
from autocard.errors import CardError

LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}\n" for n in range(1, 12)
)
ENDLESS = {
    "aliases of aliases": LAUGHS,
    "merge keys of merge keys": MERGES,
    "a mapping inside itself": "a: &x\n  b: *x\n",
    "a list inside itself": "a: &x [*x]\n",
    "brackets": "a: " + "[" * 100_000 + "\n",
    "dashes": "a:\n" + "- " * 100_000 + "\n",
    "question marks": "? " * 50_000 + "\n",
    "a sexagesimal number": "a: 1" + ":00" * 300_000 + "\n",
    "digits": "a: " + "9" * 1_000_000 + "\n",
    "anchors": "".join(f"a{n}: &b{n} x\n" for n in range(20_000)),
}
FILL = """
import sys
from autocard.card.fill.fill import fill
from autocard.errors import CardError
text = sys.stdin.read()
try:
    print("filled", len(fill(text, {}, {"license": "mit"}, remembered={}).text))
except CardError as exc:
    print("refused", exc)
"""


def in_a_process(code: str, text: str, limit_s: float = 60) -> str:
    """Run *code* with *text* on its standard input; a process can be ended where a thread cannot."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        input=text,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ENDLESS)
def test_a_front_matter_made_to_hang_is_answered(name):
    answer = in_a_process(FILL, f"---\n{ENDLESS[name]}---\n# A\n")

    assert answer.startswith(("filled", "refused"))


RAISING = {
    "bool": "x: !!bool maybe\n",
    "int": "x: !!int ''\n",
    "timestamp": "x: !!timestamp foo\n",
    "binary": "x: !!binary '#'\n",
    "date": "x: 2001-99-99\n",
    "time": "x: 2001-01-01 99:99:99\n",
    "float": "x: 1" + ":00" * 200 + ".5\n",
    "long int": "x: " + "9" * 5000 + "\n",
    "equals": "x: =\n",
    "nan": "x: .nan\n",
    "infinity": "x: -.inf\n",
    "a tag": "x: !mine y\n",
    "a Python tag": "x: !!python/object/apply:os.system ['true']\n",
    "an unhashable key": "x: {[a]: b}\n",
    "a set": "x: !!set {a, b}\n",
    "a list for a mapping": "x: !!map [a]\n",
    "octal": "x: 0o17\n",
}


@pytest.mark.parametrize("name", RAISING)
def test_a_value_that_nothing_can_be_made_of_stays_to_the_byte_and_the_card_is_filled(name):
    card = f"---\n{RAISING[name]}library_name:\n---\n# A\n"

    filled = fill(card, {}, {"library_name": "peft", "license": "mit"}, remembered={})

    assert filled.text == card.replace("library_name:", "library_name: peft").replace(
        "peft\n---", "peft\nlicense: mit\n---"
    )
    assert (
        fill(
            filled.text, {}, {"library_name": "peft", "license": "mit"}, remembered=filled.slots
        ).text
        == filled.text
    )


@pytest.mark.parametrize("value", ["!mine mit", "2001-99-99", "!!bool maybe", "=", "9" * 5000])
def test_a_key_of_ours_with_a_value_that_cannot_be_read_is_a_persons(value):
    patched = patch(f"license: {value}\ntags: {value}\n", {"license": "mit", "tags": ["lora"]}, {})

    assert patched.yaml == f"license: {value}\ntags: {value}\n"
    assert patched.states == {"license": "kept", "tags": "kept"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Another key refers to the list: adding to it would change that key.
        ("tags: &t [a]\nmine: *t\n", "tags: &t [a]\nmine: *t\nlicense: mit\n"),
        ("tags: &t\n- a\nmine: {k: *t}\n", "tags: &t\n- a\nmine: {k: *t}\nlicense: mit\n"),
        # The list is one's own alias, so it is written out.
        ("mine: &t [a]\ntags: *t\n", "mine: &t [a]\ntags:\n- a\n- lora\nlicense: mit\n"),
        ("tags: &t\n  - a\nx: 1\n", "tags: &t\n  - a\n  - lora\nx: 1\nlicense: mit\n"),
        ("tags: &t [a]\nx: 1\n", "tags: &t [a, lora]\nx: 1\nlicense: mit\n"),
        # Tags that come by a merge key would be hidden by a list beside it.
        ("<<: {tags: [mine]}\n", "<<: {tags: [mine]}\nlicense: mit\n"),
        ("d: &d\n  tags: [mine]\n<<: *d\n", "d: &d\n  tags: [mine]\n<<: *d\nlicense: mit\n"),
        (
            "d: &d {license: gpl}\n<<: [*d]\ntags: []\n",
            "d: &d {license: gpl}\n<<: [*d]\ntags: [lora]\n",
        ),
    ],
)
def test_what_an_alias_stands_for_is_never_changed(before, after):
    patched = patch(before, {"tags": ["lora"], "license": "mit"}, {})

    assert patched.yaml == after
    old, new = (yaml.safe_load(text) for text in (before, after))
    assert {key: new[key] for key in old if key not in ("tags", "license")} == {
        key: value for key, value in old.items() if key not in ("tags", "license")
    }


@pytest.mark.parametrize("key", ["license", "co2_eq_emissions"])
def test_a_value_of_ours_that_another_key_refers_to_is_left(key):
    text = f"{key}: &x\nother: *x\n"

    assert patch(text, {key: "mit"}, {}).yaml == text


def test_a_persons_co2_figure_is_kept_when_its_source_is_codecarbon():
    text = (
        "co2_eq_emissions:\n  emissions: 123456 # whole project, 14 runs\n  source: codecarbon\n"
        "  training_type: pre-training\n"
    )

    patched = patch(text, {"co2_eq_emissions": {"emissions": 0.047}}, {})

    assert patched.yaml == text
    assert patched.states == {"co2_eq_emissions": "kept"}


def test_a_comment_makes_a_tools_co2_figure_a_persons():
    text = (
        "co2_eq_emissions:\n  emissions: 1.0e-05\n  energy_consumed: 0.1 # checked\n  source: codecarbon\n"
        "  training_type: fine-tuning\n  on_cloud: false\n  cpu_model: x\n  ram_total_size: 1.0\n  hours_used: 1.0\n"
    )

    assert patch(text, {"co2_eq_emissions": {"emissions": 2.0}}, {}).yaml == text
    assert patch(
        text.replace(" # checked", ""), {"co2_eq_emissions": {"emissions": 2.0}}, {}
    ).yaml == ("co2_eq_emissions:\n  emissions: 2.0\n")


@pytest.mark.parametrize(
    "value",
    [
        "Llama 3 8B, our copy",
        "our own model",
        ">\n  Llama 3\n  8B",
        "https://example.org/a/b",
        "a--b/c",
    ],
)
def test_a_persons_words_for_the_base_model_are_kept(value):
    text = f"base_model: {value}\n"

    assert patch(text, {"base_model": "org/model"}, {}).yaml == text
    assert patch(text, {}, {}).yaml == text


@pytest.mark.parametrize(
    "value",
    [
        "/data/my models/x",
        "./out",
        "~/x",
        "C:\\models",
        "a/b/c",
        "file:///x",
        "my out/checkpoint-500",
        "''",
    ],
)
def test_a_local_path_for_the_base_model_is_replaced(value):
    assert (
        patch(f"base_model: {value}\n", {"base_model": "org/model"}, {}).yaml
        == "base_model: org/model\n"
    )


def test_text_for_the_base_model_that_is_no_id_is_reported(tmp_path):
    from autocard.card.update import update
    from support import records

    card = tmp_path / "README.md"
    card.write_text("---\nbase_model: Llama 3 8B, our copy\n---\n# A\n")

    outcome = update(card, records.lora_on_cpu())

    assert "base_model: Llama 3 8B, our copy\n" in outcome.text
    assert any(
        "base_model" in warning and "--overwrite base_model" in warning
        for warning in outcome.warnings
    )


def test_the_limits_are_those_of_no_real_card():
    tasks = "".join(
        f"  - task: {{type: Retrieval}}\n    dataset: {{type: mteb/x{n}, name: MTEB {n}}}\n    metrics:\n"
        + "".join(f"    - type: map_at_{k}\n      value: {k}.1234\n" for k in range(30))
        for n in range(1_000)
    )

    assert (
        len(patch(f"model-index:\n- name: x\n  results:\n{tasks}", {"license": "mit"}, {}).yaml)
        > 1_200_000
    )


@pytest.mark.parametrize("text", [LAUGHS, MERGES, "a: &x [*x]\n", "a: [" * 200, "a: x\n" * 500_000])
def test_what_goes_beyond_the_limits_is_refused_with_the_place(text):
    with pytest.raises(YamlError):
        yaml_reader.load(text)
    with pytest.raises(CardError, match="cannot be read"):
        patch(text, {"license": "mit"}, {})


PLACES = [
    "a: b\n",
    "a:\nb: 'c'  # d\n",
    "a: |\n  x\n\n  y\n# z\nb: >-\n  u\n",
    "é: ü # ö\nb: \U0001f600 x\nc: d\n",
    "a:\r\n- b\r\n- c # d\r\n\r\ne: [f,\r\n  g]\r\n",
    "a: !x y\nb: &c {d: e}\nf: *c\ng: &h\n- i\nj: *h\n",
    "a: 'b\n  c'\nd: b\n  c\n\ne: f\n",
    "# x\n\na: # y\n  b: c\n\n  # z\nd:\n",
    "? a\n: b\nc: d\n",
]


@pytest.mark.parametrize("text", PLACES)
def test_places_are_the_same_with_and_without_libyaml(text):
    code = """
        import sys
        if sys.argv[-1] == "pure":
            sys.modules["yaml.cyaml"] = None
        from autocard.card.front.yaml_keys import read_keys
        text = open(0, newline="").read()
        for name, key in read_keys(text)[0].items():
            print(name, key.start, key.colon, key.at, key.end, key.shared, key.data)
    """
    answers = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), how],
            input=text.encode(),
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for how in ("pure", "libyaml")
    ]

    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", ["a list inside itself", "aliases of aliases"])
@pytest.mark.parametrize("command", ["fill", "check"])
def test_the_command_line_refuses_what_cannot_be_read_with_status_3(tmp_path, name, command):
    from autocard.record import to_json
    from support import records

    text = f"---\n{ENDLESS[name]}---\n# A\n"
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "autocard.json").write_text(to_json(records.lora_on_cpu()))

    done = CliRunner().invoke(app, [command, str(tmp_path / "README.md")])

    assert done.exit_code == 3
    assert "the front matter cannot be read" in done.output
    assert (tmp_path / "README.md").read_text() == text


def test_facts_are_filled_below_a_front_matter_with_anything_in_it():
    odd = "".join(
        value.replace("x:", f"k{number}:") for number, value in enumerate(RAISING.values())
    )
    text = f"---\n{odd}---\n"
    card = text + "- **Hours used:** [More Information Needed]\n"

    filled = fill(card, {"hours_used": Fact("3 h")}, {}, remembered={})

    assert filled.text.startswith(text + "- **Hours used:** 3 h\n")
